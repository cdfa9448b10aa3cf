"""The MACs of a model's components, each counted once."""

from prunelab.core.errors import NotRun
from prunelab.core.protocols import Model
from prunelab.costs.macs import Macs, macs, none_of


class Counts:
    """MACs of ``model``'s components for a batch of one, each counted when it is asked for first.

    The components must keep their structure, as they do all through a job. Models that share some of them,
    as a pruned one does, have only the others counted anew. A component that a sampling does not run, such as
    an adapter whose weights were copied into the denoiser, costs none.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._known: dict[str, Macs] = {}

    def of(self, model: Model, component: str) -> Macs:
        """The MACs of one component of ``model``, which may be another one."""
        module = model.components[component]
        if module is not self.model.components[component]:
            return _counted(model, component)
        if component not in self._known:
            self._known[component] = _counted(model, component)
        return self._known[component]


def _counted(model: Model, component: str) -> Macs:
    module = model.components[component]
    try:
        inputs = model.example_inputs(component, 1)
    except NotRun:
        return none_of(module)
    return macs(module, inputs)
