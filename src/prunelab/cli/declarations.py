"""What a class or function says its settings are, read from its source: nothing heavy is imported for it."""

import ast
import functools
import importlib.util
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from prunelab.cli.annotations import annotation
from prunelab.cli.arguments import nearest
from prunelab.cli.resolving import LATER, MISSING
from prunelab.cli.sources import Module, find
from prunelab.core.errors import Refusal
from prunelab.core.settings import CONFIG, refusal

DECORATORS = ("dataclass", "settings")  # of classes whose annotations are their settings


@dataclass(frozen=True)
class Setting:
    """A type, and whether it has to be given."""

    kind: Any
    needed: bool


@dataclass(frozen=True)
class Declaration:
    """Settings by name. ``more``: whether it may take others, too."""

    settings: dict[str, Setting] = field(default_factory=dict)
    more: bool = False

    def __or__(self, other: "Declaration") -> "Declaration":
        return Declaration({**self.settings, **other.settings}, self.more or other.more)

    def check(self, given: Mapping[str, Any], say: Callable[[str], str] = str, complete: bool = True) -> None:
        """Refuse an unknown setting, a value that does not fit, and where all have to be there a missing one.

        say: what the command line calls a setting.
        """
        for name in (name for name in given if not name.startswith("_")):
            if name in self.settings:
                check_value(self.settings[name].kind, given[name], say(name))
            elif not self.more:
                near = nearest(name, sorted(self.settings)) if self.settings else "it takes no keys"
                raise Refusal(f"unknown key '{say(name)}': {near}")
        for name, setting in self.settings.items():
            if complete and setting.needed and name not in given:
                raise Refusal(f"{say(name)} is missing: give it a value")


def check_target(target: object, folders: Sequence[str], key: str) -> None:
    """Refuse what can be no name of a class or function, or one of a package that is not there."""
    named = isinstance(target, str) and "." in target
    if not named or not all(part.isidentifier() for part in str(target).split(".")):
        raise Refusal(f"{key}._target_={target} is no dotted name of a class, such as package.module.Class")
    top = str(target).partition(".")[0]
    if find(str(target), folders) is None and importlib.util.find_spec(top) is None:
        raise Refusal(f"{key}._target_={target}: there is no module {top!r}; --config-dir FOLDER adds one")


def declaration(target: str, folders: Sequence[str]) -> Declaration:
    """What ``target`` declares, its module looked for in ``folders``; anything where that is not known."""
    found = find(target, folders)
    try:
        return _declared(*found) if found is not None else Declaration(more=True)
    except RecursionError:  # names that stand for each other
        return Declaration(more=True)


def check_value(kind: Any, value: Any, key: str) -> None:
    """Refuse a value that a type does not take; what is known later, or checked elsewhere, passes."""
    described = value if isinstance(value, list) else [value]
    if value is LATER or any(isinstance(each, Mapping) and "_target_" in each for each in described):
        return  # checked where it stands
    if value == MISSING:
        raise Refusal(f"{key} is missing: give it a value")
    try:
        TypeAdapter(kind, config=CONFIG).validate_python(value)
    except ValidationError as error:
        raise refusal(error, f"{key}.") from error
    except (PydanticUserError, SchemaError, TypeError):  # an annotation for type checkers alone
        return


def _declared(module: Module, names: Sequence[str]) -> Declaration:
    """Of ``Class``, ``Class.method`` or ``function``; anything where that is defined otherwise."""
    definition = module.defined.get(names[0])
    if definition is None and names[0] in module.imported:
        found = find(".".join((module.imported[names[0]], *names[1:])), module.folders)
        return _declared(*found) if found is not None else Declaration(more=True)
    match definition:
        case ast.FunctionDef() if len(names) == 1:
            return _arguments(definition, module, first=0)
        case ast.ClassDef() if len(names) == 1:
            return _of_class(definition, module)
        case ast.ClassDef():
            return _of_method(definition, names[1], module)
    return Declaration(more=True)


def _of_class(node: ast.ClassDef, module: Module) -> Declaration:
    """Of what makes an object: its own ``__init__``, the fields of a dataclass, or what its bases declare."""
    if any(isinstance(line, ast.FunctionDef) and line.name == "__init__" for line in node.body):
        return _of_method(node, "__init__", module)
    bases = [_declared(module, [ast.unparse(base)]) for base in reversed(node.bases)]
    if not any(_name(each) in DECORATORS for each in node.decorator_list):
        return bases[-1] if bases else Declaration(more=True)
    return functools.reduce(operator.or_, bases, Declaration()) | Declaration(dict(_fields(node, module)))


def _fields(node: ast.ClassDef, module: Module) -> Iterator[tuple[str, Setting]]:
    for line in node.body:
        if not isinstance(line, ast.AnnAssign) or "ClassVar" in ast.unparse(line.annotation):
            continue
        call = line.value.keywords if isinstance(line.value, ast.Call) else []
        given = all(ast.unparse(each) != "init=False" for each in call)
        if given and isinstance(line.target, ast.Name):
            yield line.target.id, Setting(annotation(line.annotation, module), line.value is None)


def _of_method(node: ast.ClassDef, name: str, module: Module) -> Declaration:
    for line in node.body:
        if isinstance(line, ast.FunctionDef) and line.name == name:
            static = any(_name(each) == "staticmethod" for each in line.decorator_list)
            return _arguments(line, module, first=0 if static else 1)
    inherited = [_declared(module, [ast.unparse(base), name]) for base in node.bases]
    return inherited[0] if inherited else Declaration(more=True)


def _arguments(node: ast.FunctionDef, module: Module, first: int) -> Declaration:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + [*given.defaults]
    pairs = [*list(zip(positional, defaults, strict=True))[first:]]
    pairs += list(zip(given.kwonlyargs, given.kw_defaults, strict=True))
    known = {each.arg: Setting(annotation(each.annotation, module), value is None) for each, value in pairs}
    return Declaration(known, given.kwarg is not None)


def _name(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2]
