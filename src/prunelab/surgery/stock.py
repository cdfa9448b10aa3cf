"""Pruned components that are a stock configuration: saved as stock classes, without any code.

Where whole blocks went from a list, or all layers of a kind became equally narrow, some configuration of the
stock class describes the same model. It is looked for among the numbers that the configuration says and that
pruning changed, and it is taken if what it builds is, module by module, what pruning left.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ModelMixin
from torch import nn

from prunelab.core.errors import Refusal
from prunelab.surgery.carried import ZEROED, Structure, note_zeros, structure_of, zeroed_in
from prunelab.surgery.components import UNREADABLE
from prunelab.surgery.opening import open_pipeline
from prunelab.surgery.pruned_layers import Skip
from prunelab.surgery.saving import save_pipeline
from prunelab.surgery.slimming import tie

MOST = 8  # keys of a configuration that are tried together
LEFT_OUT = ("training", ZEROED, "layer_idx")  # the last is a block's number, another once some went before it


def save_stock(path: str | Path, folder: str | Path) -> None:
    """Save the pruned pipeline in ``path`` under ``folder`` as plain diffusers saves a dense one.

    The images are those of the pruned model, bit for bit. Raises Refusal where a component's shape is no
    configuration of its stock class: such a folder needs the code that comes with it.
    """
    pipeline = open_pipeline(path)
    for name, component in pipeline.components.items():
        structure = structure_of(component) if isinstance(component, nn.Module) else None
        if structure:
            setattr(pipeline, name, stock(name, component, structure))
    save_pipeline(pipeline, Path(folder))


def stock(name: str, component: Any, structure: Structure) -> Any:
    """The pruned ``component`` as its stock class, which has its weights; Refusal where there is no such."""
    base = structure["base"]
    kind = getattr(diffusers, base, None) or getattr(transformers, base)
    shape = Shape(component, structure, _built(kind, component.config, {}))
    for changed in shape.candidates():
        built = _built(kind, component.config, changed)
        if built is not None and shape.fits(built):
            return shape.filled(built)
    raise Refusal(
        f"the pruned {name} is no configuration of {base}, which only whole blocks gone from a list or equal "
        "widths everywhere leave: open it by prunelab.load_pruned, or with trust_remote_code=True"
    )


def _built(kind: Any, config: Any, changed: Mapping[str, int]) -> Any:
    """A model of shapes alone with some keys of the configuration changed; None where there is no such."""
    try:
        with torch.device("meta"):
            if issubclass(kind, ModelMixin):
                told = {key: value for key, value in config.items() if key not in ("structure", "auto_map")}
                return kind.from_config({**told, **changed}).eval()
            own = copy.deepcopy(config)
            for key, value in {"structure": None, **changed}.items():
                setattr(own, key, value)
            del own.structure
            return kind(own).eval()
    except UNREADABLE:  # what the classes raise for numbers that do not go together
        return None


class Shape:
    """What pruning left of a component whose dense shape is ``dense``, and where its modules would lie."""

    def __init__(self, component: Any, structure: Structure, dense: nn.Module) -> None:
        self.component, self.dense = component, dense
        self.touched = {path for step in structure["steps"] for path in step}
        lists = {path: each for path, each in component.named_modules() if isinstance(each, nn.ModuleList)}
        stays = {
            path: [key for key, child in each.named_children() if not _gone(child)]
            for path, each in lists.items()
        }
        self.numbers = {path: {old: str(new) for new, old in enumerate(keys)} for path, keys in stays.items()}
        self.counts = {(len(lists[path]), len(keys)) for path, keys in stays.items()}
        self.modules = {
            self.moved(path): (path, each) for path, each in component.named_modules() if not _gone(each)
        }

    def moved(self, path: str) -> str:
        """Where a module or a tensor lies once the blocks that went are not counted."""
        parts = path.split(".")
        return ".".join(
            self.numbers.get(".".join(parts[:depth]), {}).get(part, part) for depth, part in enumerate(parts)
        )

    def candidates(self) -> Iterator[dict[str, int]]:
        """Changes of the configuration, those of most keys first."""
        pairs = {(old, new) for old, new in {*self.counts, *self._widths()} if old != new}
        config = self.component.config
        told = dict(config) if isinstance(config, Mapping) else config.to_dict()
        found = [
            (key, new) for key, value in told.items() for old, new in sorted(pairs)
            if type(value) is int and value == old
        ]  # fmt: skip
        for size in range(min(len(found), MOST), 0, -1):
            for chosen in combinations(found, size):
                if len({key for key, _ in chosen}) == size:
                    yield dict(chosen)

    def _widths(self) -> Iterator[tuple[int, int]]:
        """What attributes of the layers were, and are."""
        for path in self.touched:
            before, after = (_module(each, path) for each in (self.dense, self.component))
            if before is not None and after is not None and not isinstance(after, Skip):
                then, now = _told(before), _told(after)
                yield from (
                    (then[key], now[key]) for key in then.keys() & now.keys() if type(now[key]) is int
                )

    def fits(self, built: nn.Module) -> bool:
        """Whether ``built`` has the same modules, of the same classes, sizes and settings."""
        theirs = dict(built.named_modules())
        return theirs.keys() == self.modules.keys() and all(
            self._same(self.modules[path], theirs[path]) for path in theirs
        )

    def _same(self, ours: tuple[str, Any], theirs: nn.Module) -> bool:
        path, module = ours
        sizes = [{name: each.shape for name, each in _tensors(one)} for one in (module, theirs)]
        if (path and type(module).__name__ != type(theirs).__name__) or sizes[0] != sizes[1]:
            return False
        now, then, dense = _told(module), _told(theirs), _module(self.dense, path)
        told = _told(dense) if dense is not None else now
        # Of a module that pruning changed, what it set has to agree; of all others, everything.
        asked = [key for key in now if path not in self.touched or now[key] != told.get(key)]
        return all(now[key] == then.get(key) for key in asked)

    def filled(self, built: Any) -> Any:
        """``built`` with the component's own weights."""
        state = {self.moved(name): tensor for name, tensor in self.component.state_dict().items()}
        built.load_state_dict(state, strict=True, assign=True)
        tie(built, self.component, self.moved)
        for path, (_, module) in self.modules.items():  # some buffers are computed, and not in the state
            own = built.get_submodule(path)
            for name, tensor in module.named_buffers(recurse=False):
                own._buffers[name] = tensor
        if zeroed_in(self.component):
            note_zeros(built, [self.moved(name) for name in zeroed_in(self.component)])
        return built.requires_grad_(False)


def _gone(module: nn.Module) -> bool:
    """Whether nothing but the input flows where the module was."""
    return type(module) is Skip and module.becomes == "input"


def _module(root: nn.Module, path: str) -> nn.Module | None:
    return dict(root.named_modules()).get(path)


def _tensors(module: nn.Module) -> Sequence[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _told(module: nn.Module) -> dict[str, Any]:
    """The numbers and words that a module holds."""
    return {
        key: value for key, value in vars(module).items()
        if isinstance(value, int | float | str | tuple) and not key.startswith("_")
        and key not in LEFT_OUT
    }  # fmt: skip
