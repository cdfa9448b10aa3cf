"""Who hears SIGTERM while Lightning runs."""

from lightning.pytorch import Callback, LightningModule, Trainer

from prunelab.core import stopping


class Signals(Callback):
    """Takes SIGTERM back from Lightning, which registers its own handler just before these hooks.

    That one makes a training end as if it were finished, does nothing in a prediction, and with several
    processes waits for all of them inside the handler: ranks that are not told at one moment wait for ever.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first step."""
        stopping.take()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first chunk."""
        stopping.take()
