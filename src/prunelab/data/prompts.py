"""Prompts without pictures: for what looks at texts alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets import Dataset

from prunelab.core.errors import Refusal
from prunelab.core.settings import Text, settings
from prunelab.data.rows import Decode
from prunelab.data.table import Table, caption


@settings(kw_only=True)
class Prompts(Table):
    """The column ``caption`` alone: of a text file its lines, of any other table the ``caption_column``."""

    caption_column: Text = "text"

    def columns(self) -> Mapping[str, tuple[str, Decode]]:
        """See :class:`Table`."""
        return {"caption": (self.caption_column, caption)}

    def needed(self) -> Sequence[str]:
        """See :class:`Table`."""
        return ("caption",)

    def listed(self, place: Path) -> Dataset | None:
        """The lines of a text file that are not empty."""
        if self.builder is not None or place.suffix.lower() != ".txt" or not place.is_file():
            return None
        try:
            lines = place.read_text("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise Refusal(f"the prompts in {place} are not UTF-8 ({error}): save them as UTF-8") from error
        return Dataset.from_dict({self.caption_column: [line for line in lines if line.strip()]})
