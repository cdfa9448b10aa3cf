"""A measured number and how far it may be trusted."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Estimate:
    """One measured quantity.

    ``value`` is None where the quantity is undefined (the dense model's PSNR to itself). ``low`` and
    ``high`` bound it: a 95 % bootstrap interval for means, smallest and largest over the sampling
    seeds for distances, whose bootstrap is biased. ``n`` is the number of samples behind it.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """The four fields under their names, as ``report.json`` holds them."""
        return asdict(self)


UNDEFINED = Estimate(None, None, None, 0)
