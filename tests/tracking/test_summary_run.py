"""The run that sums up a job, kept as JSON and logged again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from prunelab.core.previews import Preview
from prunelab.core.quantities import Quantity
from prunelab.tracking.summary_run import Summary

SUMMARY = Summary(
    config={"scorer": "magnitude", "addresses": {"dense": "dense-a-0123456789ab"}, "settings": None},
    inputs={"dense": "dense-a-0123456789ab"},
    output="report-a-0123456789ab",
    label="magnitude",
    tags=["magnitude", "block"],
    values={"dense/psnr": 1 / 3, "dense/macs": 12},
    quantities={"dense/psnr": Quantity("PSNR", "higher", unit="dB", breaks=True)},
    previews=[
        Preview("dense", "", ["one"], (bytes(range(256)),)),
        Preview("pruned", "a", ["one"], (b"png",), (b"wav",), "audio/wav", "sounds", "Heard"),
    ],
)


def test_what_was_kept_is_logged_as_it_was() -> None:
    again = Summary.from_json(json.loads(json.dumps(SUMMARY.as_json())))
    assert again == SUMMARY
    assert logged(again) == logged(SUMMARY)


def test_numbers_and_samples_are_logged_as_one_run() -> None:
    told = logged(SUMMARY)
    assert told[0] == mock.call.stage(
        "summary", SUMMARY.config, SUMMARY.inputs, SUMMARY.output, label="magnitude", tags=SUMMARY.tags
    )
    assert told[1:] == [
        mock.call.conclude(SUMMARY.values, SUMMARY.quantities),
        *(mock.call.show(f"samples/{each.state}", each) for each in SUMMARY.previews),
    ]


def logged(summary: Summary) -> list[Any]:
    """What a tracker and its run are told, in order."""
    heard = mock.Mock()

    @contextmanager
    def stage(*words: Any, **named: Any) -> Iterator[Any]:
        heard.stage(*words, **named)
        yield heard

    summary.log(mock.Mock(stage=stage))
    return heard.mock_calls
