"""Annotations as types, from source that is not imported: what is not known is Any."""

import ast
import builtins
import importlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import SkipValidation

from prunelab.cli.sources import Module, find
from prunelab.core.settings import Made

BUILTINS = {"bool", "dict", "float", "int", "list", "str"}
# What may be imported to understand an annotation: all of it is light, and imported already.
VOCABULARY = {"annotated_types", "collections.abc", "prunelab.core.settings", "pydantic", "typing"}


def annotation(node: ast.expr | None, module: Module) -> Any:
    """The type an annotation stands for."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return _quoted(text, module)
        case ast.Name() | ast.Attribute():
            return _named(ast.unparse(node), module)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _either(annotation(left, module), annotation(right, module))
        case ast.Subscript(value=value, slice=inner):
            return _subscribed(annotation(value, module), inner, module)
    return Any


def _either(one: Any, other: Any) -> Any:
    try:
        return Any if Any in (one, other) else one | other
    except TypeError:
        return Any


def _quoted(text: str, module: Module) -> Any:
    try:
        return annotation(ast.parse(text, mode="eval").body, module)
    except SyntaxError:
        return Any


def _named(name: str, module: Module) -> Any:
    """A name as the module knows it; a class of prunelab is an object that a configuration describes."""
    definition = module.defined.get(name)
    if isinstance(definition, ast.expr):
        return annotation(definition, module)
    if definition is not None:
        return Made if module.name.startswith("prunelab.") and isinstance(definition, ast.ClassDef) else Any
    if name in module.imported:
        return _imported(module.imported[name], module)
    first, _, rest = name.partition(".")
    if rest and first in module.imported:
        return _imported(f"{module.imported[first]}.{rest}", module)
    return getattr(builtins, name) if name in BUILTINS else Sequence if name == "tuple" else Any


def _imported(target: str, module: Module) -> Any:
    origin, _, name = target.rpartition(".")
    if origin in VOCABULARY:
        return getattr(importlib.import_module(origin), name, Any)
    found = find(target, module.folders)
    return _named(found[1][0], found[0]) if found is not None and len(found[1]) == 1 else Any


def _subscribed(base: Any, inner: ast.expr, module: Module) -> Any:
    arguments = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if base is Any:
        return Any
    if base is Literal:
        values = [each.value for each in arguments if isinstance(each, ast.Constant)]
        return Literal[tuple(values)] if len(values) == len(arguments) else Any
    if base is Annotated:
        said = [_metadata(each, module) for each in arguments[1:]]
        return Annotated[annotation(arguments[0], module), *said]
    if base is SkipValidation:
        return annotation(arguments[0], module)
    if base is Sequence and len(arguments) == 2:  # tuple[X, ...] is a list in a configuration
        arguments = arguments[:1] if isinstance(arguments[1], ast.Constant) else []
    known = [annotation(each, module) for each in arguments] or [Any]
    try:
        return base[tuple(known) if len(known) > 1 else known[0]]
    except TypeError:
        return Any


def _metadata(node: ast.expr, module: Module) -> Any:
    """``Ge(0)`` and the like; what is not known says nothing."""
    if not isinstance(node, ast.Call):
        return annotation(node, module)
    named = all(isinstance(each, ast.Constant) for each in node.args) and not node.keywords
    made = annotation(node.func, module)
    return made(*(ast.literal_eval(each) for each in node.args)) if named and made is not Any else None
