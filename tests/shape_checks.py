"""Runtime checks of types and shapes, by jaxtyping and beartype, at a third of their usual cost.

The import hook of jaxtyping decorates every function with `jaxtyping.jaxtyped`. At each call it
binds the arguments and checks them twice, so that its message can name the wrong one, which
beartype names as well. The decorator here leaves the checks to beartype and has jaxtyping remember
the sizes of axes only where annotations have axes.
"""

import dataclasses
import functools
import inspect
import typing

import jaxtyping
from beartype import BeartypeConf, beartype

_JAXTYPED = jaxtyping.jaxtyped
_typechecked = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))  # a TypeError


def install():
    """Have the import hook decorate with `jaxtyped` below: before the package is imported."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(*, typechecker):
    """Return a decorator that checks functions, and the fields of dataclasses, by beartype."""
    usual = _JAXTYPED(typechecker=typechecker)

    def decorate(decorated):
        if inspect.isclass(decorated):
            if dataclasses.is_dataclass(decorated) and "__init__" in vars(decorated):
                decorated.__init__ = _checked(decorated.__init__, usual)
            return decorated
        return _checked(decorated, usual)

    return decorate


def _checked(function, usual):
    # beartype checks the arguments of a generator late, at the first value it yields
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        return usual(function)
    # with beartype's wrappers around its kernels, Triton's interpreter takes twice the time
    if function.__module__.startswith("megabase.ops.triton."):
        return usual(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # of a name that only type checkers import
        return usual(function)
    axes = [axis for hint in hints.values() for axis in _axes(hint)]
    if any("{" in axis for axis in axes):  # a size that is an argument, which must be bound
        return usual(function)
    typed = _typechecked(function)
    if not axes:
        return typed

    @functools.wraps(function)
    def remembers_axes(*arguments, **options):
        with _JAXTYPED("context"):
            return typed(*arguments, **options)

    return remembers_axes


def _axes(hint):
    """Yield the axes of each array in an annotation."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        yield hint.dim_str
    for part in typing.get_args(hint):
        yield from _axes(part)
