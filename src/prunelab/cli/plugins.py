"""Hydra's launchers and sweepers that are packages of their own, and how each is installed."""

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


def installation(group: str, name: str) -> str | None:
    """What installs the plugin that offers ``group=name``; None where no plugin is known to."""
    extra = EXTRAS.get(group, {}).get(name)
    package = f"prunelab[{extra}]" if extra else PACKAGES.get(group, {}).get(name)
    return f"it is not installed, pip install '{package}'" if package else None
