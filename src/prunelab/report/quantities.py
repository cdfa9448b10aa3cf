"""What the report calls the numbers, which way is better, and how they are written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunelab.report.quoting import printable


@dataclass(frozen=True)
class Quantity:
    """A metric for readers: its title, whether lower or higher is better (or neither), its unit."""

    title: str
    better: str = ""
    hint: str = ""
    percent: bool = False
    unit: str = ""

    @property
    def scale(self) -> float:
        """What a value is multiplied by before it is shown."""
        return 100.0 if self.percent else 1.0

    @property
    def shown_unit(self) -> str:
        """What stands behind a shown value; may be empty."""
        return "%" if self.percent else self.unit


QUANTITIES = {
    "frechet_distance": Quantity(
        "Fréchet distance", "lower", "between Gaussians fitted to features of samples and of real data"
    ),
    "kernel_distance": Quantity(
        "Kernel distance", "lower", "squared MMD between features of samples and of real data"
    ),
    "prompt_accuracy": Quantity(
        "Prompt accuracy", "higher", "samples that show everything their prompt asked for", percent=True
    ),
    "prompt_accuracy_seen": Quantity(
        "Prompt accuracy, seen", "higher", "the same of prompts that training and recovery saw", percent=True
    ),
    "recognisable": Quantity(
        "Recognisable",
        "higher",
        "samples the judge is sure of; only with the Fréchet distance",
        percent=True,
    ),
    "class_imbalance": Quantity(
        "Class imbalance",
        "lower",
        "distance of the classes' shares to those of real data",
    ),
    "ssim": Quantity(
        "SSIM to dense", "higher", "structural similarity to the dense model's images, same seeds"
    ),
    "psnr": Quantity(
        "PSNR to dense", "higher", "peak signal to noise against the dense model's images", unit="dB"
    ),
    "clip_score": Quantity(
        "CLIP score", "higher", "cosine of samples and their prompts in CLIP's eyes, times 100"
    ),
    "clip_score_seen": Quantity(
        "CLIP score, seen", "higher", "the same of prompts that training and recovery saw"
    ),
    "lpips": Quantity(
        "LPIPS to dense", "lower", "perceptual distance to the dense model's images, same seeds"
    ),
    "frechet_audio_distance": Quantity(
        "Fréchet audio distance",
        "lower",
        "between Gaussians fitted to features of samples and real sounds",
    ),
    "kernel_audio_distance": Quantity(
        "Kernel audio distance", "lower", "squared MMD between features of samples and of real sounds"
    ),
    "spectral_distance": Quantity(
        "Spectral distance", "lower", "of magnitudes at several resolutions to the dense model's sounds"
    ),
    "si_sdr": Quantity(
        "SI-SDR to dense",
        "higher",
        "scale-invariant signal to distortion against the dense model's sounds",
        unit="dB",
    ),
    "output_distance": Quantity(
        "Output distance", "lower", "mean squared difference of the denoiser's outputs to the dense model's"
    ),
}
ASIDE = ("kernel_distance", "psnr", "output_distance")  # each says nearly what another metric says
ARROWS = {"lower": "\N{NO-BREAK SPACE}↓", "higher": "\N{NO-BREAK SPACE}↑", "": ""}
UNDEFINED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def quantity(name: str) -> Quantity:
    """What is known of a metric; its plain name where nothing is."""
    return QUANTITIES.get(name, Quantity(printable(name.replace("_", " "))))


def main_metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of the rows that are to be shown where there is room for few: each has a better side."""
    names = dict.fromkeys(name for row in rows for name in row["metrics"])
    return [name for name in names if quantity(name).better and name not in ASIDE]


def titled(name: str) -> str:
    """A metric's title with an arrow to where it is better."""
    kind = quantity(name)
    return f"{kind.title}{ARROWS[kind.better]}"


def estimate_texts(estimate: Mapping[str, Any], kind: Quantity) -> tuple[str, str]:
    """A value and its interval ``[low, high]``, both with the same decimals; the latter may be empty."""
    numbers = [estimate[field] for field in ("value", "low", "high")]
    if numbers[0] is None:
        return UNDEFINED, ""
    scaled = [None if number is None else number * kind.scale for number in numbers]
    places = 1 if kind.percent else decimals(max(abs(number) for number in scaled if number is not None))
    value, low, high = (None if number is None else decimal(number, places) for number in scaled)
    unit = f" {kind.shown_unit}" if kind.shown_unit else ""
    interval = "" if low is None or numbers[1] == numbers[2] else f"[{low}, {high}]"
    return f"{value}{unit}", interval


def decimals(size: float, digits: int = 3) -> int:
    """How many decimals show ``digits`` significant digits of a number this large; -1: use an exponent."""
    if size == 0:
        return 0
    magnitude = math.floor(math.log10(abs(size)))
    return -1 if magnitude < -5 else max(0, digits - 1 - magnitude)


def decimal(value: float, places: int) -> str:
    """``value`` with so many decimals and a true minus sign."""
    text = f"{value:,.{places}f}" if places >= 0 else f"{value:.1e}"
    return text.replace("-", MINUS)


def count(value: float) -> str:
    """A large number in thousands, millions or billions, to three digits: ``590 k``, ``21.3 M``."""
    for size, suffix in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return decimal(value / size, decimals(value / size)) + suffix
    return decimal(value, 0)


def size(value: int | None) -> str:
    """Bytes in decimal units: ``1.23 MB``."""
    return UNDEFINED if value is None else f"{count(value)}B" if value >= 1e3 else f"{value} B"


def share(value: float | None) -> str:
    """A fraction in per cent, ``30.1 %``."""
    return UNDEFINED if value is None else f"{decimal(100 * value, 1)} %"


def change(value: float, dense: float) -> str:
    """How much ``value`` differs from the dense model's, ``-30.1 %``; empty where it does not."""
    if not dense or value == dense:
        return ""
    ratio = value / dense - 1
    return f"{'+' if ratio > 0 else ''}{decimal(100 * ratio, 1)} %"


def milliseconds(value: float) -> str:
    """``12.3 ms``."""
    return f"{decimal(value, decimals(value))} ms"
