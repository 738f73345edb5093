"""Command-line flags made from what is documented anyway.

Guarantees:

- The help of a flag is its line in the ``Args:`` section of the command's docstring. A line
  ``name (--flag METAVAR): text`` may name the flag and the placeholder of its value.
- A command that takes ``**settings`` gets a flag for each setting of a training run, with the type
  and the meaning that the config classes give it; it receives those that were used.
- Parameters before ``*`` are arguments, those after it are flags. Some stand for several flags:
  ``places`` for ``--data-dir`` and ``--offline``, ``where`` for these and ``--device``, both to be
  handed on by ``**``; ``output`` for ``--json`` and ``--quiet``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from digitnet.cli.console import Output
from digitnet.errors import UsageError
from digitnet.network.config import SETTING_TYPES, setting_meanings
from digitnet.text import described

# Flags that mean the same in every command, in the form of a docstring's lines.
_SHARED = """
    device (NAME): Where to compute: cpu, cuda or mps; auto takes a GPU if there is one.
    data_dir (DIR): Folder that holds the data files; default: the cache.
    offline (--offline): Use no network.
    as_json (--json): Print one JSON object to stdout.
    quiet (--quiet -q): Print results and errors only.
"""
Places = dict[str, Any]


def _flag(name: str, kind: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


_DATA = [_flag("data_dir", Path | None), _flag("offline", bool | None)]
_FLAGS = {
    "places": _DATA,
    "where": [_flag("device", str, "auto"), *_DATA],
    "output": [_flag("as_json", bool, False), _flag("quiet", bool, False)],
}
_ALLOWED = {int: "a whole number", float: "a number", tuple: "32,64 and the like"}
_METAVARS = {int: "N", float: "X", tuple: "N,N,…"}
# Set by the data, or by a flag of another name.
_NOT_FLAGS = ("recipe", "data", "num_classes")


def add_command(
    app: typer.Typer, function: Callable[..., None], name: str | None = None, epilog: str = ""
) -> None:
    """Make a function a command of ``app``, under its own name if no other is given."""
    summary, _, arguments = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:\n")
    lines = described(_SHARED + arguments)
    own = inspect.signature(function, eval_str=True).parameters
    settings = _settings() if "settings" in own else {}
    flat = [flag for name in own if name != "settings" for flag in _FLAGS.get(name, [own[name]])]
    parameters = [_parameter(each, lines[each.name]) for each in flat] + [*settings.values()]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        used = {n: v for n, v in values.items() if n not in settings or v is not None}
        for each in own.keys() & _FLAGS.keys():
            part = {flag.name: used.pop(flag.name) for flag in _FLAGS[each]}
            used[each] = Output(**part) if each == "output" else part
        function(**used)

    command.__doc__ = summary
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    # functools.wraps copies the function's own annotations, which typer reads too.
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(name, epilog=epilog or None)(command)


def _parameter(
    own: inspect.Parameter, line: tuple[str, str], parser: Callable[[str], Any] | None = None
) -> inspect.Parameter:
    """Return a parameter of a command with its help as typer wants it."""
    words = line[0].split()
    names = [word for word in words if word.startswith("-")]
    metavar = next((word for word in words if not word.startswith("-")), None)
    about: Any = {"metavar": metavar, "help": line[1], "parser": parser}
    if own.kind == own.KEYWORD_ONLY:
        names = names or ["--" + own.name.replace("_", "-")]
        about["show_default"] = own.default is not None and own.default is not False
        flag: Any = typer.Option(*names, **about)
    else:
        flag = typer.Argument(**about, show_default=own.default is not None)
    return own.replace(kind=own.KEYWORD_ONLY, annotation=Annotated[own.annotation, flag])


def _settings() -> dict[str, inspect.Parameter]:
    """Return a parameter for each setting of a training run."""
    meanings = setting_meanings().items()
    return {name: _setting(name, text) for name, text in meanings if name not in _NOT_FLAGS}


def _setting(name: str, meaning: str) -> inspect.Parameter:
    hint = SETTING_TYPES[name]
    kind = get_origin(hint) or hint
    flag = "--" + name.replace("_", "-")

    def parsed(text: str) -> Any:
        try:
            if kind is tuple:
                return tuple(int(part) for part in text.split(",") if part.strip())
            return kind(text) if kind in _ALLOWED else text
        except ValueError as error:
            raise UsageError(f"{flag} cannot be {text!r}; allowed: {_ALLOWED[kind]}.") from error

    if kind is Literal:
        meaning += f" One of: {', '.join(get_args(hint))}."
    if kind is bool:
        return _parameter(_flag(name, bool | None), (f"{flag}/--no-{flag[2:]}", meaning))
    # Our own parser gives a wrong number our own message, with its value.
    return _parameter(_flag(name, str | None), (_METAVARS.get(kind, "NAME"), meaning), parsed)
