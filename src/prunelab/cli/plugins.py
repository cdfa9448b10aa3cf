"""Hydra's launchers and sweepers that are packages of their own, and how each is installed."""

from importlib.metadata import version
from importlib.util import find_spec

from prunelab.core.errors import Refusal

EXTRAS = {
    "hydra/launcher": {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"},
    "hydra/sweeper": {"optuna": "optuna"},
}
PACKAGES = {
    "hydra/launcher": {
        "ray": "hydra-ray-launcher",
        "ray_aws": "hydra-ray-launcher",
        "rq": "hydra-rq-launcher",
    },
    "hydra/sweeper": {"ax": "hydra-ax-sweeper", "nevergrad": "hydra-nevergrad-sweeper"},
}

# The packages behind the extras, which configurations of ours name, too.
BEHIND = {
    "hydra_plugins.hydra_joblib_launcher": "joblib",
    "hydra_plugins.hydra_submitit_launcher": "slurm",
    "hydra_plugins.hydra_optuna_sweeper": "optuna",
}


def check_installed(kind: str, target: str) -> None:
    """Refuse a launcher or sweeper (``kind``) whose class ``target`` is in a package that is not there."""
    package = ".".join(target.split(".")[:2])
    if package in BEHIND and not _there(package):
        raise Refusal(f"hydra.{kind} is not installed, pip install 'prunelab[{BEHIND[package]}]'")


def check_storage(storage: str) -> None:
    """Refuse a database for a search where Optuna cannot write one: Hydra's sweeper needs Optuna 2.

    That Optuna leaves the transaction open in which it notes the tables' version; SQLAlchemy 2 rolls it back.
    """
    if not storage.startswith("redis") and int(version("sqlalchemy").partition(".")[0]) > 1:
        raise Refusal(
            f"hydra.sweeper.storage={storage} needs an SQLAlchemy before 2: pip install 'sqlalchemy<2' "
            "'alembic<1.14', or leave it out: a search that starts anew finds in the store what is computed"
        )


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # nor is the package that it lies in
        return False


def installation(group: str, name: str) -> str | None:
    """What installs the plugin that offers ``group=name``; None where no plugin is known to."""
    extra = EXTRAS.get(group, {}).get(name)
    package = f"prunelab[{extra}]" if extra else PACKAGES.get(group, {}).get(name)
    return f"it is not installed, pip install '{package}'" if package else None
