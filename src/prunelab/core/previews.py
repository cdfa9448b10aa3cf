"""What people look at or listen to: samples of one model, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

PICTURES, SOUNDS = "pictures", "sounds"
PLAYED = ("image", "audio", "video")  # what a browser can do with a file


@dataclass(frozen=True)
class Preview:
    """Samples of one model, as files that a browser shows: a medium is known by nothing else.

    state: as in a report's rows. label: what else tells this model from others, may be empty. captions: what
    was asked for, n of them. stills: a PNG file of each sample. played: what is played beside the stills, a
    file of the type ``kind`` each, such as ``audio/wav``, ``video/mp4`` or ``image/gif``; none where a still
    says everything. medium: the folder beside the report. heading: of the page's section.
    """

    state: str
    label: str
    captions: Sequence[str]
    stills: Sequence[bytes]
    played: Sequence[bytes] = ()
    kind: str = "image/png"
    medium: str = PICTURES
    heading: str = "Same prompts, same seeds"

    def __post_init__(self) -> None:
        assert self.medium.isalpha(), f"a medium is the name of a folder, not {self.medium!r}"
        assert self.shown_as in PLAYED, f"browsers show {', '.join(PLAYED)}, not {self.kind}"
        assert len(self.stills) == len(self.captions), "one caption per sample"
        assert len(self.played) in (0, len(self.captions)), "every sample is played, or none"

    @property
    def shown_as(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return self.kind.partition("/")[0]

    def first(self, count: int) -> "Preview":
        """The same with at most ``count`` samples."""
        parts = {name: getattr(self, name)[:count] for name in ("captions", "stills", "played")}
        return replace(self, **parts)
