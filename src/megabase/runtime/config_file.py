"""Read a configuration from YAML and --set overrides; an unknown key is an error."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.constructor import ConstructorError, SafeConstructor

from megabase.errors import InputError
from megabase.runtime.location import refuse_url

C = TypeVar("C", bound="RunConfig")

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, of a dataclass
_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)  # also an impossible date, too deep nesting


class _UniqueKeys(SafeConstructor):
    """Refuse a repeated key, as YAML requires; PyYAML silently takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the dict of a node whose keys are distinct."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise ConstructorError(
                    None, None, f"the key {key.value!r} is repeated", key.start_mark
                )
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep=deep)


class _Loader(_UniqueKeys, yaml.SafeLoader):
    """Load YAML with unique keys, in which 1e-3 is a number, as in YAML 1.2."""


if yaml.__with_libyaml__:

    class _TrustedLoader(_UniqueKeys, yaml.CSafeLoader):
        """Load a file of the package ten times as fast; libyaml crashes on deeply nested ones."""

else:
    _TrustedLoader = _Loader  # pyright: ignore[reportAssignmentType]


class _Dumper(yaml.SafeDumper):
    """Dump YAML with quotes around texts that `_Loader` would read as numbers."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
        list("-+0123456789"),
    )


class RunConfig(BaseModel):
    """A configuration: immutable, and unknown keys are errors."""

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
    """Read a configuration; options override the file, and `overrides` override both.

    Parameters
    ----------
    kind
        The class of the configuration.
    file
        A YAML file with its keys; None for none.
    options
        Values of the command's own options by key; None means not given.
    overrides
        Texts ``key=value`` or ``key.key=value``, with the value in YAML.

    Raises
    ------
    InputError
        If the file is not valid YAML, a key is unknown, or a value is invalid.
    """
    tree = read_yaml(file) if file else {}
    tree |= {key: value for key, value in (options or {}).items() if value is not None}
    for text in overrides:
        _override(tree, text)
    _refuse_urls(tree)
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise InputError(explain(error, keys_of(kind))) from error


def changed(config: C, changes: Mapping[str, Any]) -> C:
    """Return a validated copy of a configuration with other values of some keys.

    Raises
    ------
    InputError
        If a key is unknown, or a value is invalid.
    """
    try:
        return type(config).model_validate({**config.model_dump(), **changes})
    except ValidationError as error:
        raise InputError(explain(error, keys_of(type(config)))) from error


def to_yaml(config: RunConfig) -> str:
    """Return every key of a configuration as YAML text that `read_config` reads."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False)


def read_yaml(file: Path, *, is_ours: bool = False) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Parameters
    ----------
    file
        The file.
    is_ours
        Whether the file is part of the package, and may be read with the faster parser.

    Raises
    ------
    InputError
        If there is no such file, or it is not valid YAML, or has no keys.
    """
    loader = _TrustedLoader if is_ours else _Loader
    try:
        tree = yaml.load(file.read_bytes(), loader)  # given bytes, it handles byte order marks
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"there is no configuration file {file}") from error
    except _NO_YAML as error:
        raise InputError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{file} must hold keys and values, but holds {type(tree).__name__}")
    return tree


def _refuse_urls(tree: object, key: str = "", seen: set[int] | None = None) -> None:
    """Raise an InputError if a value is a URL; a configuration names local files only.

    Objects behind YAML aliases are visited once: nested aliases can expand without bound.
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
        raise InputError(f"--set {text}: the value is not valid YAML ({reason})") from error


def explain(error: ValidationError, known: Sequence[str]) -> str:
    """Describe in one line the first unknown key, or else the first other problem.

    Parameters
    ----------
    error
        What pydantic found.
    known
        The keys that there are, one of which may have been meant.
    """
    problems = error.errors()
    problem = next((p for p in problems if p["type"] in _UNKNOWN_KEY), problems[0])
    key = ".".join(str(part) for part in problem["loc"] if not _names_a_type(part))
    if problem["type"] in _UNKNOWN_KEY:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"unknown configuration key {key!r}; {hint}"
    if problem["type"] == "missing":
        return f"the configuration needs a value for {key!r}"
    reason = problem["msg"].removeprefix("Value error, ")
    if not key:  # a check of several keys together
        return f"the configuration is inconsistent: {reason}"
    return f"configuration key {key!r}: {reason}, got {_shown(problem['input'])}"


def _shown(value: object) -> str:
    """Return a value as text, shortened, because YAML aliases can nest without bound."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, 80, 80, 80
    try:
        return short.repr(value)
    except ValueError:  # an integer with more digits than Python converts
        return f"a value of type {type(value).__name__}"


def keys_of(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the keys of a configuration, nested keys as part.key.

    Parameters
    ----------
    kind
        The class of the configuration.
    prefix
        Text before each key.
    """
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        parts = [part for part in (field.annotation, *get_args(field.annotation))]
        models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        many = "NAME." if get_origin(field.annotation) is dict else ""
        keys += keys_of(models[0], f"{prefix}{name}.{many}") if models else [prefix + name]
    return keys


def _names_a_type(part: int | str) -> bool:
    """Return whether a part of an error location is pydantic's name of a type, not a key."""
    return part in ("str", "int", "float", "none") or str(part).startswith("tuple[")
