"""Rows that different versions of the software made are told apart."""

from typing import Any

from prunelab.report.provenance import differing, mixed


def rows(*versions: dict[str, str] | None) -> list[dict[str, Any]]:
    return [{"versions": each} if each is not None else {} for each in versions]


def test_equal_versions_are_no_news() -> None:
    same = {"torch": "2.13.0", "diffusers": "0.42.1"}
    assert differing(rows(same, same, None)) == {}
    assert mixed(rows(same, None)) == ""


def test_each_package_that_differs_is_named_with_its_versions() -> None:
    found = rows(
        {"torch": "2.14.0", "diffusers": "0.42.1"},
        {"torch": "2.13.0", "diffusers": "0.42.1"},
        {"torch": "2.14.0"},
    )
    assert differing(found) == {"torch": ["2.13.0", "2.14.0"]}
    assert "torch (2.13.0, 2.14.0)" in mixed(found)
    assert "diffusers" not in mixed(found)
