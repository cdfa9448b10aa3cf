"""``prunelab dashboard``: a saved view of W&B's, from the metrics' own words, with no server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import KEY, serving

from prunelab.tracking.wandb_service import put_away

Command = Callable[..., Any]


@pytest.fixture
def own_service() -> Any:
    put_away()
    yield
    put_away()


def test_a_view_without_a_server(command: Command, tmp_path: Path) -> None:
    made = command("dashboard", "group=demo", store=tmp_path / "store")
    view = json.loads((made.folder / "dashboard.json").read_text())
    sections = {
        each["name"]: each["panels"] for each in view["spec"]["section"]["panelBankConfig"]["sections"]
    }
    assert view["displayName"] == "prunelab: demo"
    for state, when in (("recovered", "after recovery"), ("pruned", "before recovery")):
        plots = [panel["config"] for panel in sections[f"Quality against cost, {when}"]]
        axes = {(plot["xAxis"], plot["yAxis"]) for plot in plots}
        for cost in ("parameters", "macs", "latency_ms/denoiser_b1", "latency_ms/denoiser_b16"):
            assert (f"summary:{state}/{cost}", f"summary:{state}/frechet_distance") in axes
    assert "demo" in json.dumps(view["spec"]["section"]["runSets"])
    media = [
        key
        for panels in sections.values()
        for panel in panels
        for key in panel["config"].get("mediaKeys", [])
    ]
    assert {"plan/along", "scores/along", "samples/dense", "samples/pruned", "samples/recovered"} <= {*media}


def test_a_view_is_saved_where_there_is_an_account(
    command: Command, tmp_path: Path, own_service: None
) -> None:
    with serving() as server:
        account = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        made = command("dashboard", "group=demo", store=tmp_path / "store", environment=account)
    assert made.code == 0
    (saved,) = [asked for name, asked in server.asked if "pec" in str(asked) and "panelBank" in str(asked)]
    assert "prunelab: demo" in str(saved)


def test_without_a_group_it_is_refused(command: Command, tmp_path: Path) -> None:
    assert command("dashboard", store=tmp_path / "store").refusals == [
        "prunelab: a dashboard is of runs that belong together: prunelab dashboard group=NAME"
    ]
