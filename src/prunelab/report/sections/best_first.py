"""The answer: what is best at each sparsity and at each cost, and what cannot be told apart from it."""

from collections.abc import Sequence

from markupsafe import Markup

from prunelab.core.quantities import Quantity
from prunelab.report.answers import CLOSE, Answer, answers, matched, states_of
from prunelab.report.comparable import Comparable, separation
from prunelab.report.given import Given
from prunelab.report.markup import piece
from prunelab.report.numbers import scaled_texts
from prunelab.report.pareto import COSTS, Point
from prunelab.report.titles import main_metrics, quantity, titled

TITLE, PLACE = "Best at each sparsity", 10
OPEN = 3  # rankings by other metrics that stand open
AFTER = {"recovered": "after recovery", "pruned": "without recovery"}
STATISTIC = (
    "Two models are told apart where their intervals do not overlap. An interval runs from the lowest to the "
    "highest end of the intervals of a method's seeds: for means 95 % bootstrap intervals over prompts (over "
    "samples where nothing is asked for), for distances between distributions the smallest and the largest "
    "over sampling seeds. That is stricter than a test of the difference, so what is not told apart here may "
    "still differ. The dense model is what was pruned; controls are scorers that any method has to beat, and "
    "the best model's own shape trained from nothing."
)
ONE_SEED = (
    "Every method ran with one seed: its interval covers samples alone, and says nothing of how another seed "
    "would have pruned."
)
OTHERS_OF = "Requests are shares of different things here (see the names): matched costs compare better."


def html(given: Given) -> Markup:
    """Rankings of every set of comparable rows, the finished state's first."""
    made = [piece("note", words=separation(given.rows))] if len(given.sets) > 1 else []
    drawn = [_of_set(own) for own in given.sets]
    if not any(drawn):
        return Markup()
    models, notes = [row for row in given.rows if row["state"] != "dense"], [STATISTIC]
    notes += [ONE_SEED] if len({row["seed"] for row in models}) == 1 else []
    notes += [OTHERS_OF] if len({row["sparsity"]["of"] for row in models}) > 1 else []
    return Markup("\n").join([*made, *drawn, piece("note", words=" ".join(notes))])


def _of_set(own: Comparable) -> Markup:
    states = states_of(own.rows)
    if not states:
        return Markup()
    first, *others = (_of_state(own, state) for state in states)
    folded = [
        piece("fold", summary=f"The same {AFTER[state]}", content=other, open=False)
        for state, other in zip(states[1:], others, strict=True)
        if other
    ]
    name = [piece("subtitle", words=own.name)] if own.name else []
    return Markup("\n").join([*name, first, *folded])


def _of_state(own: Comparable, state: str) -> Markup:
    """A table per main metric, the first ones open, and those at equal cost."""
    drawn = []
    for number, metric in enumerate(main_metrics(own.rows)):
        kind = quantity(own.rows, metric)
        found = answers(own.rows, metric, state)
        if found:
            title = f"{titled(kind)}, {AFTER[state]}"
            table = _table(title, "Sparsity", found, kind)
            drawn.append(table if number < OPEN else piece("fold", summary=title, content=table, open=False))
    return Markup("\n").join([*drawn, *_at_costs(own, state)])


def _at_costs(own: Comparable, state: str) -> list[Markup]:
    """What is best at equal cost, folded, a fold per cost."""
    folds = []
    for cost, words in COSTS.items():
        tables = []
        for metric in main_metrics(own.rows):
            kind = quantity(own.rows, metric)
            found = matched(own.rows, metric, state, cost)
            if found:
                tables.append(_table(f"{titled(kind)}, {AFTER[state]}", f"{words} left", found, kind, True))
        if tables:
            summary = f"At matched {words} (within {CLOSE:.0f} points of the dense model's)"
            folds.append(piece("fold", summary=summary, content=Markup("\n").join(tables), open=False))
    return folds


def _table(title: str, where: str, found: Sequence[Answer], kind: Quantity, by_cost: bool = False) -> Markup:
    everyone = [one for answer in found for one in answer.everyone]
    alike = {one.seeds for one in everyone}

    def number(one: Point) -> str:
        texts = scaled_texts((one.quality, one.low, one.high), kind)
        seeds = f", {one.seeds} seed{'s' * (one.seeds > 1)}" if len(alike) > 1 else ""
        return " ".join(filter(None, texts)) + seeds

    def plain(value: float | None) -> str:
        return scaled_texts((value, None, None), kind)[0]

    heading = where[0].upper() + where[1:]
    title += f", {max(alike)} seeds each" if len(alike) == 1 and max(alike) > 1 else ""
    return piece(
        "ranking", title=title, where=heading, answers=found, number=number, plain=plain, by_cost=by_cost
    )
