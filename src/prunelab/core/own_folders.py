"""Where the files lie that come with the package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
EMBEDDED = PACKAGE / "embedded"


def conf_folder() -> Path:
    """Where the configuration lies: inside the installed package, else at the top of the checkout."""
    installed = PACKAGE / "conf"
    return installed if installed.is_dir() else PACKAGE.parent.parent / "conf"
