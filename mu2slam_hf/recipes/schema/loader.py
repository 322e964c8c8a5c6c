# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Strict loading of YAML and `--set a.b=c` into dataclasses; every error starts with the dotted path."""

import contextlib
import difflib
import glob
import os
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from huggingface_hub.errors import StrictDataclassError

from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint


def path_field(kind: str, default: Any = None) -> Any:
    """A field whose value, a path or a list of paths, must exist; `kind` is file, folder, files, checkpoint or any.

    `files` is a file, a folder, or a glob pattern with at least one match; `checkpoint` is a folder, or "default" for
    the checkpoint of the package.
    """
    return field(default=default, metadata={"path": kind})


def dotted_field() -> Any:
    """A mapping from dotted names to values; `--set` reads everything after its name as one dotted name.

    The loader recognizes such fields by their names, `overrides` and `set`: it applies `--set` before types are known.
    """
    return field(default_factory=dict)


T = TypeVar("T")

DEFAULT_KIND = "finetuning"
"""Default kind of a recipe."""

# Recipes have some kilobytes; YAML of megabytes takes minutes.
MAX_RECIPE_BYTES = 2_000_000
_MERGE_TAG = "tag:yaml.org,2002:merge"

_DOTTED_FIELDS = ("overrides", "set")
_ENVIRONMENT = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class RecipeError(ValueError):
    """An invalid recipe; the message starts with the dotted path of the error."""


@contextlib.contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Converts a `ValueError` caused by one value of a recipe into a `RecipeError` with its path."""
    try:
        yield
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error


class _RecipeLoader(yaml.SafeLoader):
    """The safe loader of YAML, which takes the last of several equal keys of a mapping without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE_TAG]
        places = {key.value: key for key in reversed(keys)}
        for key in keys:
            if places[key.value] is not key:
                problem = f"the key {key.value!r} stands twice, first in line {places[key.value].start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


def read_tree(path: Path) -> dict[str, Any]:
    """The plain values of a YAML file."""
    if not path.is_file():
        raise RecipeError(f"{path}: no such recipe")
    if path.stat().st_size > MAX_RECIPE_BYTES:
        raise RecipeError(f"{path}: not a recipe: larger than {MAX_RECIPE_BYTES // 1_000_000} MB")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _RecipeLoader)  # noqa: S506
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not a recipe: not valid UTF-8 ({error.reason})") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise RecipeError(f"{path}: not valid YAML{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from error
    except RecursionError:
        raise RecipeError(f"{path}: not a recipe: too many levels") from None
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: expected a mapping of sections, got {type(tree).__name__}")
    return tree


def recipe_kind(path: str | os.PathLike[str]) -> str:
    """The value of `kind` in a recipe file."""
    return str(read_tree(Path(path)).get("kind", DEFAULT_KIND))


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one `a.b=c` in a tree of plain values, creating missing sections."""
    name, separator, text = override.partition("=")
    if not separator or not name.strip():
        raise RecipeError(f"--set {override!r}: expected name=value, for example --set training.max_steps=100")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise RecipeError(f"--set {override!r}: the value is not valid YAML: {reason}") from error
    except RecursionError:
        raise RecipeError("--set: the value has too many levels") from None
    set_value(tree, name.strip(), value)


def set_value(tree: dict[str, Any], name: str, value: Any) -> None:
    """Set `value` at a dotted name of a tree of plain values, creating missing sections; list items by index.

    Everything after the name of a mapping of dotted names (`model.overrides`, `stages.0.set`) is one key of it.
    """
    parts = name.split(".")
    node: Any = tree
    for depth, part in enumerate(parts):
        key: Any = part
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise RecipeError(f"{name}: index {part!r} is out of range for {len(node)} items")
            key = int(part)
        elif not isinstance(node, dict):
            raise RecipeError(f"{name}: {'.'.join(parts[:depth])} is a value, not a section")
        if depth == len(parts) - 1:
            node[key] = value
        else:
            if isinstance(node, dict) and node.get(key) is None:
                node[key] = {}
            node = node[key]
            if part in _DOTTED_FIELDS and isinstance(node, dict):
                node[".".join(parts[depth + 1 :])] = value
                return


def build_section(cls: type[T], tree: Any, path: str, folders: Iterable[Path] = ()) -> T:
    """Build an instance of a dataclass from plain values.

    Args:
        cls: the dataclass.
        tree: mapping of its fields; missing ones have their defaults.
        path: dotted path so far, for messages.
        folders: folders to search for relative paths.
    """
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{path or 'recipe'}: expected a section (a mapping), got {_shown(tree)}")
    hints = typing.get_type_hints(cls)
    known = {item.name: item for item in fields(cls) if item.init}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise RecipeError(f"{dotted}: unknown key{_suggest(str(key), known)}")
        values[key] = coerce(value, hints[key], dotted, folders)
        if known[key].metadata.get("path") and values[key] is not None:
            values[key] = _resolve_paths(values[key], known[key].metadata["path"], dotted, folders)
    required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    absent = [name for name in required if name not in values]
    if absent:
        raise RecipeError(f"{path}.{absent[0]}: is required")
    try:
        return cls(**values)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise RecipeError(f"{path}: {error}" if path else str(error)) from error


def coerce(value: Any, kind: Any, path: str, folders: Iterable[Path] = ()) -> Any:
    """Check a plain value against a type annotation; numbers written as YAML strings (`2e-4`) become numbers."""
    if kind is Any:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, arguments, path, folders)
    if origin is Literal:
        if value not in arguments:
            raise RecipeError(
                f"{path}: expected one of {', '.join(map(str, arguments))}; got {value!r}{_suggest(value, arguments)}"
            )
        return value
    if is_dataclass(kind):
        return build_section(kind, value, path, folders)  # type: ignore[arg-type]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise RecipeError(f"{path}: expected a mapping, got {_shown(value)}")
        return {str(key): coerce(item, arguments[1], f"{path}.{key}", folders) for key, item in value.items()}
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{path}: expected a list, got {_shown(value)}")
        items = [coerce(item, arguments[0], f"{path}.{number}", folders) for number, item in enumerate(value)]
        return items if origin is list else tuple(items)
    return _coerce_scalar(value, kind, path)


def _coerce_union(value: Any, kinds: tuple[Any, ...], path: str, folders: Iterable[Path]) -> Any:
    if value is None:
        if type(None) in kinds:
            return None
        raise RecipeError(f"{path}: must not be empty")
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) == 1 or (isinstance(value, Mapping) and is_dataclass(kinds[0])):
        return coerce(value, kinds[0], path, folders)
    # A value of exactly one of the types takes precedence over one that can be converted to it.
    for kind in sorted(kinds, key=lambda kind: not _is_exactly(value, kind)):
        try:
            return coerce(value, kind, path, folders)
        except RecipeError:
            continue
    raise RecipeError(f"{path}: expected {' or '.join(_named(kind) for kind in kinds)}, got {_shown(value)}")


def _is_exactly(value: Any, kind: Any) -> bool:
    return type(value) is (typing.get_origin(kind) or kind)


def _coerce_scalar(value: Any, kind: Any, path: str) -> Any:
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    if kind in (int, float) and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = None
        if number is not None and kind is float:
            return number
        if number is not None and number.is_integer():
            return int(number)
    raise RecipeError(f"{path}: expected {_named(kind)}, got {_shown(value)}")


def _resolve_paths(value: Any, kind: str, path: str, folders: Iterable[Path]) -> Any:
    if isinstance(value, list):
        return [resolve_path(item, kind, f"{path}.{number}", folders) for number, item in enumerate(value)]
    return resolve_path(value, kind, path, folders)


def resolve_path(value: str, kind: str, path: str, folders: Iterable[Path]) -> str:
    """Absolute path (or glob pattern) that exists; `${NAME}` and `${NAME:-default}` are environment variables.

    Raises:
        RecipeError: the path does not exist; the message has the most similar name in its folder.
    """
    unset = [m[1] for m in _ENVIRONMENT.finditer(value) if not os.environ.get(m[1]) and m[2] is None]
    if unset:
        raise RecipeError(f"{path}: the environment variable {unset[0]} is not set; set it to the {kind} ({value})")
    text = os.path.expanduser(_ENVIRONMENT.sub(lambda m: os.environ.get(m[1]) or m[2] or "", value))
    if kind == "checkpoint":
        if text == DEFAULT_NAME:
            return default_checkpoint()
        kind = "folder"
    for folder in [Path("/")] if os.path.isabs(text) else folders:
        candidate = folder / text
        if candidate.is_dir() if kind == "folder" else candidate.is_file() if kind == "file" else candidate.exists():
            return str(candidate.resolve())
        if kind == "files" and next(glob.iglob(str(candidate), recursive=True), None) is not None:
            return str(folder.resolve() / text)
    parent = Path(text).parent
    siblings = [item.name for item in parent.iterdir()] if parent.is_dir() else []
    variables = [match[1] for match in _ENVIRONMENT.finditer(value)]
    named = f" ({value}; set the environment variable {variables[0]})" if variables else ""
    wanted = "file, folder or matching file of the pattern" if kind == "files" else kind
    raise RecipeError(f"{path}: no such {wanted}: {text!r}{named}{_suggest(Path(text).name, siblings)}")


def dump_recipe(recipe: Any) -> str:
    """The recipe with all defaults as YAML; `load_recipe` reads an equal recipe from it."""
    return yaml.safe_dump(plain_values(asdict(recipe)), sort_keys=False, allow_unicode=True)


def plain_values(value: Any) -> Any:
    """A value as YAML writes it: mappings and lists of plain values."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(item) for item in value]
    return value


def _suggest(name: Any, known: Iterable[Any]) -> str:
    names = [str(item) for item in known]
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 20 else ""


def _named(kind: Any) -> str:
    return {int: "an integer", float: "a number", str: "a string", bool: "true or false"}.get(kind, str(kind))


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
