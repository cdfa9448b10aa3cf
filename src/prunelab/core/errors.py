"""The one error that users cause and can mend."""


class Refusal(ValueError):
    """A request that cannot be met: one line saying what is wrong, what would work, and where.

    The command line prints the line and exits with a code other than 0; no traceback is shown. What a user
    wrote is part of many a line and may hold line breaks and worse: what does not print is escaped.
    """

    def __init__(self, line: object = "") -> None:
        super().__init__("".join(map(_printable, str(line))))


class NotRun(Refusal):
    """A component that a sampling does not run, asked for what only a forward pass of it can tell."""


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]
