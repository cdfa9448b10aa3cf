"""The one error that users cause and can mend."""


class Refusal(ValueError):
    """A request that cannot be met: one line saying what is wrong, what would work, and where.

    The command line prints the line and exits with a code other than 0; no traceback is shown.
    """
