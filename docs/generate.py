"""Write the generated parts of the documentation: ``python docs/generate.py``.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; ``PARTS`` says what is written there.
Only what follows from the code without training is written so; measured numbers are not.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
import yaml
from diffusers import FluxTransformer2DModel
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from prunelab.core.presets import embedded
from prunelab.core.units import Unit
from prunelab.models.pipeline import PipelineModel
from prunelab.report.schema import Whole
from prunelab.walkers.walk import OURS, walk

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))  # the families that tests hold the walkers to
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
YES, NO = "yes", "\N{EN DASH}"


def scorers() -> dict[str, Any]:
    """The class behind every choice of the group, by the choice's name."""
    files = sorted((HERE.parent / "conf" / "scorer").glob("*.yaml"))
    targets = {file.stem: yaml.safe_load(file.read_text("utf-8"))["_target_"] for file in files}
    places = {name: target.rpartition(".") for name, target in targets.items()}
    return {name: getattr(import_module(module), last) for name, (module, _, last) in places.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def units() -> dict[str, list[Unit]]:
    """Units of every granularity: of a small U-Net, else, as of adaptive norms, of a small transformer."""
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    sizes = {"in_channels": 4, "attention_head_dim": 16, "axes_dims_rope": (4, 6, 6)}
    with torch.device("meta"):
        other = FluxTransformer2DModel(num_layers=1, num_single_layers=1, num_attention_heads=2, **sizes)
    return {
        each.name: model.units([each.name], ["denoiser"]) or walk("denoiser", other, [each.name])
        for each in OURS
    }


def pairs() -> str:
    """Granularities down, scorers across: yes where the scorer can mean all units."""
    found = scorers()
    rows = [
        [f"`{name}`", *(YES if all(map(each.means.holds, of)) else NO for each in found.values())]
        for name, of in units().items()
    ]
    return table(["", *(f"`{name}`" for name in found)], rows)


def components() -> str:
    """The scorers that do not see every component."""
    bound = {name: getattr(scorer, "components", None) for name, scorer in scorers().items()}
    rows = [[f"`{name}`", ", ".join(f"`{each}`" for each in seen)] for name, seen in bound.items() if seen]
    return table(["scorer", "sees"], rows)


def price() -> str:
    """What one latent shift of each granularity costs on the embedded model."""
    shift = scorers()["latent_shift"]
    model = PipelineModel.open("tiny_t2i", embedded="tiny_t2i")
    rows = []
    for name in (each.name for each in OURS):
        found = model.units([name], ["denoiser"])
        if not found or not all(map(shift.means.holds, found)):
            continue
        elements = sum(unit.elements for unit in found)
        rows.append([f"`{name}`", f"{elements:,}", f"{(1 + elements) * shift.samples * shift.steps:,}"])
    return table(["granularity", "elements", "forward passes of one sample"], rows)


# The embedded models by task; one that a task does not choose by itself is named.
MODELS = {
    "t2i": "tiny_t2i",
    "uig": "tiny_uig",
    "uig model=tiny_uig_epsilon": "tiny_uig_epsilon",
    "uig model=tiny_uig_latent": "tiny_uig_latent",
    "uag": "tiny_uag",
}


def composed(*words: str) -> Any:
    """A configuration as the command line composes it."""
    OmegaConf.register_new_resolver("embedded", embedded, replace=True)
    with initialize_config_dir(str(HERE.parent / "conf"), version_base=None):
        return compose("config", overrides=list(words))


@cache
def opened(written: str) -> Any:
    """The model of a configuration, once for all experiments that have it."""
    return instantiate(json.loads(written))


@cache
def counted(written: str, granularity: str, component: str) -> int:
    """The elements that one component of a model has of a granularity."""
    return sum(unit.elements for unit in opened(written).units([granularity], [component]))


def cell(experiment: str, words: str) -> str:
    """The units that an experiment has on a task's embedded model, or a dash."""
    config = composed(f"experiment={experiment}", *(f"task={words}".split()))
    written = json.dumps(OmegaConf.to_container(config.model.open, resolve=True))
    model = opened(written)
    task = get_class(config.task._target_)
    if (model.makes, model.prompted) != (task.about, task.captioned):
        return NO
    granularity = [config.granularity] if isinstance(config.granularity, str) else config.granularity
    seen = [name for name in config.components if name in model.components]
    counts = {name: sum(counted(written, name, each) for each in seen) for name in granularity}
    found = ", ".join(f"{count:,} `{name}`" for name, count in counts.items() if count)
    return found + (f" of {' and '.join(seen)}" if seen != ["denoiser"] else "") if found else NO


def experiments() -> str:
    """Experiments down, embedded models across: the elements that there are to remove."""
    names = sorted(file.stem for file in (HERE.parent / "conf" / "experiment").glob("*.yaml"))
    rows = [[f"`{name}`", *(cell(name, words) for words in MODELS)] for name in names]
    return table(["", *(f"`task={words}`" for words in MODELS)], rows)


def families() -> str:
    """Families down, granularities across: the units of the small instances in tests/support/denoisers.py."""
    from denoisers import DENOISERS, GRANULARITIES, MISSED, NORMED_ACROSS, UNITS

    rows = []
    for name, (kind, *_) in DENOISERS.items():
        missed = {granularity for granularity, *_ in MISSED.get(name, ())}
        inexact = {"head"} if name in NORMED_ACROSS else set()
        cells = [
            (f"{count}" if count else NO) + "*" * (each in missed) + "\N{ALMOST EQUAL TO}" * (each in inexact)
            for each, count in zip(GRANULARITIES, UNITS[name], strict=True)
        ]
        rows.append([name.replace("_", " "), f"`{kind}`", *cells])
    return table(["family", "denoiser", *(f"`{each}`" for each in GRANULARITIES)], rows)


def not_offered() -> str:
    """What an asterisk stands for."""
    from denoisers import MISSED

    rows = [
        [name.replace("_", " "), f"`{granularity}`", f"{count} x `{kind}`"]
        for name, found in MISSED.items()
        for granularity, kind, count in sorted(found)
    ]
    return table(["family", "granularity", "modules"], rows)


def pipelines() -> str:
    """Pipelines by what becomes of them: of each family a small instance, of the rest why there is none."""
    from families import FAMILIES, NOT_BUILT, REFUSED

    supported = sorted({*FAMILIES} - {*REFUSED})
    rows = [["opened by path, pruned, sampled, saved and reopened", str(len(supported)), listed(supported)]]
    for why in dict.fromkeys(REFUSED.values()):
        names = sorted(name for name, each in REFUSED.items() if each == why)
        rows.append([f"refused: {why}", str(len(names)), listed(names)])
    left = [name for name in dir(diffusers) if name.endswith("Pipeline")]
    for why, pattern in NOT_BUILT.items():
        found = [name for name in left if re.search(pattern, name)]
        left = [name for name in left if name not in found]
        rows.append([f"not tried: {why}", str(len(found)), ""])
    return table(["what becomes of them", "how many", "which"], rows)


def listed(names: Sequence[str]) -> str:
    """Families by name."""
    return ", ".join(name.replace("_", " ") for name in names)


PARTS: dict[str, Callable[[], str]] = {
    "pairs": pairs,
    "components": components,
    "price": price,
    "experiments": experiments,
    "families": families,
    "not_offered": not_offered,
    "pipelines": pipelines,
}


def schema() -> str:
    """The JSON schema of ``report.json``."""
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Whole.model_json_schema()}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


FILES: dict[str, Callable[[], str]] = {"report.schema.json": schema}  # that are generated whole


def generated(text: str) -> str:
    """``text`` with its generated parts written anew."""
    return PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}{found[3]}", text)


def pages() -> list[Path]:
    """The pages that have generated parts."""
    return [page for page in sorted(HERE.glob("*.md")) if PART.search(page.read_text("utf-8"))]


if __name__ == "__main__":
    for name, content in FILES.items():
        (HERE / name).write_text(content(), encoding="utf-8")
    for page in pages():
        page.write_text(generated(page.read_text("utf-8")), encoding="utf-8")
