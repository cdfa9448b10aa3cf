"""Start the ranks of a job on this machine, as torchrun does."""

import logging
import signal
import sys
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def launch(devices: int, arguments: Sequence[str]) -> bool:
    """Run ``python ARGUMENTS`` in ``devices`` processes; whether all of them ended well.

    When one fails the others are stopped. Nothing is restarted: what was done is in the store, and the
    same command goes on from there. Raises KeyboardInterrupt or SystemExit when told to stop.
    """
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # ranks speak for themselves
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except ChildFailedError:
        return False
    except SignalException as stop:
        if stop.sigval == signal.SIGINT:
            raise KeyboardInterrupt from stop
        raise SystemExit(128 + stop.sigval) from stop
    return True
