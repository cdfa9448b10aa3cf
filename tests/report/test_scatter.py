"""Marks tell methods apart; drawings follow the page's colours and carry ids of their own."""

from collections.abc import Callable
from typing import Any

from prunelab.report import write_combined, write_report
from prunelab.report.drawing import dress, figure
from prunelab.report.pareto import Pareto, Point
from prunelab.report.scatter import marks, scatter

MakeRow = Callable[..., dict[str, Any]]


def plot(*methods: tuple[str, str], lowest: float = 10.0, asked: tuple[str, ...] = ("10 %",)) -> Pareto:
    points = tuple(
        Point(
            method,
            scorer,
            state,
            asked[i % len(asked)],
            {"nonzeros": 90.0, "macs": 95.0 - i},
            lowest + 90 * i,
            lowest,
            200.0,
        )
        for i, (method, scorer) in enumerate(methods)
        for state in ("pruned", "recovered", "scratch")
    )
    return Pareto("Distance & <more>", "", "lower", points, lowest)


METHODS = [("taylor · channel", "taylor"), ("random · channel", "random"), ("random · head", "random")]


def test_a_scorer_has_a_colour_and_the_rest_is_the_shape() -> None:
    one, two, three = marks([plot(*METHODS)])
    assert one.colour != two.colour == three.colour
    assert one.shape == two.shape != three.shape


def test_methods_of_one_scorer_have_colours_of_their_own() -> None:
    one, two = marks([plot(*METHODS[1:])])
    assert one.colour != two.colour


def test_an_outline_is_as_wide_as_the_legend_has_room() -> None:
    for mark in marks([plot(*METHODS)]):
        numbers = [abs(float(n)) for corner in mark.outline.split() for n in corner.split(",")]
        assert 4 <= max(numbers) <= 8


def test_a_drawing_uses_the_colours_of_the_page() -> None:
    drawn = plot(*METHODS)
    element = "".join(scatter(drawn, cost, marks([drawn]), f"p3{cost}") for cost in drawn.costs)
    assert element.startswith("<svg")
    for colour in ("--ink", "--grid", "--paper", "--series-0", "--series-1"):
        assert f"var({colour})" in element
    assert "var(--series-2)" not in element
    assert 'id="p3macs-' in element
    assert "http" not in element
    assert "Distance &amp; &lt;more&gt;" in element
    assert "non-zero parameters left" in element
    assert "multiply-accumulates left" in element


def test_what_may_be_zero_has_a_linear_axis() -> None:
    spread, touching = plot(*METHODS), plot(*METHODS, lowest=0.0)
    logarithmic, linear = (scatter(each, "macs", marks([each]), "p") for each in (spread, touching))
    assert ">200<" in logarithmic  # 1, 2, 5 of each magnitude
    assert ">50<" in linear
    assert ">150<" in linear
    assert ">150<" not in logarithmic


def test_points_say_how_much_was_asked_for_and_the_front_is_said_in_words() -> None:
    drawn = plot(*METHODS, asked=("10 %", "30 %"))
    element = scatter(drawn, "macs", marks([drawn]), "p")
    assert ">10 %<" in element
    assert ">30 %<" in element
    alike = plot(*METHODS)
    assert ">10 %<" not in scatter(alike, "macs", marks([alike]), "p"), "it tells nothing apart"
    assert 'role="img"' in element
    assert "taylor · channel, pruned, 10 %: 10 at 95 %" in element


def test_a_combined_report_has_the_plots(tmp_path: Any, row: MakeRow) -> None:
    for number, scorer in enumerate(("magnitude", "random")):
        write_report(tmp_path / str(number), [row("dense"), row("pruned", scorer)], [], [], {})
    html = write_combined(tmp_path / "all", [tmp_path / "0", tmp_path / "1"]).read_text("utf-8")
    assert "Quality against cost" in html
    assert html.count("multiply-accumulates left, % of dense") == 2
    assert "Quality against cost" not in (tmp_path / "0" / "report.html").read_text("utf-8")


def test_a_number_at_the_end_of_an_axis_is_whole() -> None:
    with figure() as drawn:
        dress(drawn.axes, "latency left, % of dense")
        drawn.axes.set_xlim(0, 500)
        whole = drawn.axes.figure.get_figure(root=True)
        whole.draw_without_rendering()
        last = drawn.axes.get_xticklabels()[-1]
        assert last.get_text() == "500"
        assert last.get_window_extent().x1 <= whole.bbox.x1
