"""What a tracker may get wrong without taking the run along."""

from collections.abc import Callable
from types import TracebackType


class Lenient:
    """Blocks in which tracking may fail: ``tell`` hears of the first failure, and none goes further.

    Every Exception counts: what a tracking library raises is nowhere listed in full, and none of it is the
    run's. KeyboardInterrupt and SystemExit are the user's, and pass.
    """

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        self._tell = tell
        self.failed = False

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        if not self.failed:
            self.failed = True
            self._tell(error)
        return True
