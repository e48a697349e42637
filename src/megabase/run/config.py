"""A YAML file and --set overrides become one checked object; an unknown key is an error."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.constructor import ConstructorError

from megabase.errors import InputError
from megabase.run.location import refuse_url

C = TypeVar("C", bound="RunConfig")

_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)  # also an impossible date, a nest too deep


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as the number that it is, as YAML 1.2 does and PyYAML does not.

    A key that stands twice is an error, as YAML says; PyYAML takes the last one in silence.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a dict of a node whose keys are distinct."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Puts quotes around a text that `_Loader` would read as a number."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )


class RunConfig(BaseModel):
    """A configuration: immutable, and without a place for keys it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def read_config(
    kind: type[C],
    *,
    file: Path | None = None,
    options: dict[str, Any] | None = None,
    overrides: Iterable[str] = (),
) -> C:
    """Put a configuration together: the file first, over it options, over these overrides.

    Parameters
    ----------
    kind
        The configuration wanted.
    file
        YAML with its keys.
    options
        Values of the command's own options; None means not given.
    overrides
        Texts ``key=value`` or ``key.key=value``, the value in YAML.

    Raises
    ------
    InputError
        If the file is no YAML, a key is unknown, or a value is not of its kind.
    """
    tree = _read_yaml(file) if file else {}
    tree |= {key: value for key, value in (options or {}).items() if value is not None}
    for text in overrides:
        _override(tree, text)
    _refuse_urls(tree)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise InputError(_explain(error, kind)) from error


def changed(config: C, changes: Mapping[str, Any]) -> C:
    """Give a configuration with other values of some keys, checked anew.

    Raises
    ------
    InputError
        If a key is unknown, or a value is not of its kind.
    """
    try:
        return type(config).model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        raise InputError(_explain(error, type(config))) from error


def to_yaml(config: RunConfig) -> str:
    """Write every key of a configuration, as `read_config` reads it."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(file.read_bytes(), _Loader)  # of bytes it reads byte order marks
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"there is no configuration file {file}") from error
    except _NO_YAML as error:
        raise InputError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file} must hold keys and values, it holds {type(tree).__name__}")
    return tree


def _refuse_urls(tree: object, key: str = "", seen: set[int] | None = None) -> None:
    """Raise an InputError if a value is a URL: what a configuration names is local.

    What YAML names by an alias is looked at once: nested aliases stand for any number of values.
    """
    seen = set() if seen is None else seen
    if isinstance(tree, str):
        try:
            refuse_url(tree)
        except InputError as error:
            raise InputError(f"configuration key {key!r}: {error}") from error
    elif isinstance(tree, dict | list) and id(tree) not in seen:
        seen.add(id(tree))
        if isinstance(tree, list):
            for value in tree:
                _refuse_urls(value, key, seen)
            return
        for name, value in tree.items():
            _refuse_urls(value, f"{key}.{name}" if key else str(name), seen)


def _override(tree: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set takes key=value, got {text!r}")
    *parts, last = key.split(".")
    for part in parts:
        deeper: object = tree.setdefault(part, {})
        if not isinstance(deeper, dict):
            raise InputError(f"--set {text}: {part} has no keys of its own")
        tree = deeper
    try:
        tree[last] = yaml.load(value, _Loader)
    except _NO_YAML as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--set {text}: the value is no YAML ({reason})") from error


def _explain(error: ValidationError, kind: type[RunConfig]) -> str:
    """Say in one line what is wrong: with the first unknown key, or else the first value."""
    problems = error.errors()
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    key = ".".join(str(part) for part in problem["loc"] if not _names_a_type(part))
    if problem["type"] == "extra_forbidden":
        known = _keys(kind)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown configuration key {key!r}; {hint}"
    if problem["type"] == "missing":
        return f"the configuration needs a value for {key!r}"
    reason = problem["msg"].removeprefix("Value error, ")
    if not key:  # several keys together
        return f"the configuration contradicts itself: {reason}"
    return f"configuration key {key!r}: {reason}, got {_shown(problem['input'])}"


def _shown(value: object) -> str:
    """Write a value of a file, cut where it is long: aliases of YAML nest without bound."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, 80, 80, 80
    try:
        return short.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a value of type {type(value).__name__}"


def _keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """List the keys of a configuration, those of its parts as part.key."""
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        parts = [part for part in (field.annotation, *get_args(field.annotation))]
        models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        many = "NAME." if get_origin(field.annotation) is dict else ""
        keys += _keys(models[0], f"{prefix}{name}.{many}") if models else [prefix + name]
    return keys


def _names_a_type(part: int | str) -> bool:
    """Whether a part of a place is pydantic's name for one of several types, and no key."""
    return part in ("str", "int", "float", "none") or str(part).startswith("tuple[")
