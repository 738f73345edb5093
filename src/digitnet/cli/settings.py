"""Flags for every setting of a training run, made from the config classes themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from digitnet.errors import UsageError
from digitnet.network.config import (
    AugmentationConfig,
    ModelConfig,
    TrainConfig,
    setting_meanings,
)

_ALLOWED = {int: "a whole number", float: "a number"}
# Set by the data, or by a flag of another name.
_NOT_FLAGS = ("recipe", "data", "num_classes")


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for each setting; it gets those that were used as ``settings``."""

    @functools.wraps(function)
    def command(**values: Any) -> None:
        given = {name: values.pop(name) for name in flags}
        settings = {n: _value(n, v) for n, v in given.items() if v is not None}
        function(**values, settings=settings)

    flags = {
        n: _parameter(n, text) for n, text in setting_meanings().items() if n not in _NOT_FLAGS
    }
    own = inspect.signature(function, eval_str=True)
    kept = [p for p in own.parameters.values() if p.name != "settings"]
    command.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*kept, *flags.values()]
    )
    # functools.wraps hands on the annotations of the wrapped function, which typer reads too.
    command.__annotations__ = {p.name: p.annotation for p in kept} | {
        name: parameter.annotation for name, parameter in flags.items()
    }
    return command


def _parameter(name: str, meaning: str) -> inspect.Parameter:
    hint = _hint(name)
    flag = "--" + name.replace("_", "-")
    names = f"{flag}/--no-{flag[2:]}" if hint is bool else flag
    option = typer.Option(
        names,
        help=_help(meaning, hint),
        metavar=_metavar(hint),
        show_default=False,
    )
    # Numbers come as text, so that a wrong one gets our own message, with its value.
    kind = bool if hint is bool else str
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _hint(name: str) -> Any:
    return _hints()[name]


@functools.cache
def _hints() -> dict[str, Any]:
    """Return the type of each setting; resolving them is slow enough to do it once."""
    classes = (TrainConfig, ModelConfig, AugmentationConfig)
    return {name: hint for cls in classes for name, hint in get_type_hints(cls).items()}


def _help(meaning: str, hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"{meaning} One of: {', '.join(get_args(hint))}."
    return meaning


def _metavar(hint: Any) -> str | None:
    if hint is bool:
        return None
    if get_origin(hint) is tuple:
        return "N,N,…"
    return {int: "N", float: "X"}.get(hint, "NAME")


def _value(name: str, text: Any) -> Any:
    """Return what was typed after a flag, as its setting wants it."""
    hint = _hint(name)
    try:
        if get_origin(hint) is tuple:
            return tuple(int(part) for part in text.split(",") if part.strip())
        return hint(text) if hint in (int, float) else text
    except ValueError as error:
        flag, allowed = "--" + name.replace("_", "-"), _ALLOWED.get(hint, "32,64 and the like")
        raise UsageError(f"{flag} cannot be {text!r}; allowed: {allowed}.") from error
