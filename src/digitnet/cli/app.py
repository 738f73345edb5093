"""The ``digitnet`` command: its verbs, and how it ends.

Guarantees:

- An error is a sentence and an exit code, never a traceback (``DIGITNET_DEBUG=1`` shows it).
- Ctrl-C exits with 130 and one line; a reader that went away (``| head``) exits with 1, silently.
- Loading this loads neither torch nor NumPy nor rich: what only one verb needs is imported in it.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from digitnet import __version__
from digitnet.cli import (
    bench_commands,
    data_command,
    experiment_commands,
    predict_command,
    read_command,
    serve_command,
    train_command,
)
from digitnet.cli.console import fail, say, show, show_json, show_values
from digitnet.cli.flags import add_command
from digitnet.errors import DigitnetError, StoppedError, importing_extras

_INTERRUPTED = 128 + signal.SIGINT
_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def main() -> None:
    """Run the command line and exit with its code."""
    _prepare()
    try:
        # Python sets it to None when it starts with stdout closed, and prints nothing then.
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        with importing_extras():
            app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            # Before, or outside of, whatever says itself how to continue.
            say("Stopped.")
        raise
    except StoppedError as stop:
        fail(str(stop), stop.exit_code, stop)
    except DigitnetError as error:
        fail(f"Error: {error}", error.exit_code, error)
    except Exception as error:
        # The one place where everything is caught: no traceback reaches a user.
        fail(f"Error: {_unexpected(error)}", 1, error)


def _prepare() -> None:
    """Make ready what is printed to."""
    if not os.environ.get("COLUMNS", "80").strip("0"):
        # In no columns rich would print nothing.
        del os.environ["COLUMNS"]
    if not os.environ.get("DIGITNET_DEBUG"):
        # What Pillow warns of is no answer, and names files of this installation.
        warnings.filterwarnings("ignore", module=r"PIL\.")
    if sys.stderr is None:
        # Python does so when it starts with stderr closed; words would go to stdout, or nowhere.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (as long as the process lives)
    # File names may not be valid text; that is no reason to fail when one is printed.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def doctor(*, as_json: bool = False) -> None:
    """Show versions, processor, threads, cache and data."""
    from digitnet.machine import environment, usable_cores

    # ``threads`` is what a run uses by default.
    state = environment() | {"threads": usable_cores(), "digitnet": __version__}
    state |= data_command.cache_state()
    if as_json:
        show_json(state)
        return
    packages, data, _ = (state.pop(name) for name in ("packages", "data", "command"))
    state["data_dir"] = state["data_dir"] or "not set"
    state |= {f"data {name}": files for name, files in data.items()}
    show_values(state | {f"package {name}": v or "not installed" for name, v in packages.items()})


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _CANNOT_BE_WRITTEN:
        return f"The answer could not be written: {error.strerror}."
    reason = traceback.format_exception_only(error)[-1].strip().rstrip(".")
    return (
        f"digitnet did not expect this: {reason}. "
        "Please report it with what DIGITNET_DEBUG=1 shows."
    )


def _print_version(asked: bool) -> None:
    if asked:
        show(f"digitnet {__version__}")
        raise typer.Exit


_VERSION = typer.Option(
    "--version", help="Print the version.", callback=_print_version, is_eager=True
)


def _options(_version: Annotated[bool, _VERSION] = False) -> None:
    """Read handwritten digits from any picture; train the network that does it."""


def _group(text: str, **settings: Any) -> typer.Typer:
    # Plain help loads in a third of the time of decorated help.
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None, **settings)


app = _group(
    "Handwritten digits: read them from any picture; train the network that does it.",
    name="digitnet",
    epilog="Start with: digitnet read PICTURE, or digitnet train",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback()(_options)
add_command(app, train_command.train, epilog=train_command.EPILOG)
add_command(app, train_command.evaluate)
add_command(app, read_command.read, epilog=read_command.EPILOG)
add_command(app, predict_command.predict, epilog=predict_command.EPILOG)
add_command(app, serve_command.serve, epilog=serve_command.EPILOG)
add_command(app, experiment_commands.study, epilog=experiment_commands.STUDY_EPILOG)
add_command(app, experiment_commands.transfer, epilog=experiment_commands.TRANSFER_EPILOG)
add_command(app, train_command.report)
add_command(app, train_command.export)
add_command(app, doctor)

data = _group("Fetch, check and import data sets.")
add_command(data, data_command.list_all, "list")
add_command(data, data_command.fetch)
add_command(data, data_command.verify)
add_command(data, data_command.import_copy, "import")
app.add_typer(data, name="data")

bench = _group("Measure recipes and models: how good they are, and how fast.")
add_command(bench, bench_commands.train, epilog=bench_commands.TRAIN_EPILOG)
add_command(bench, bench_commands.infer)
add_command(bench, bench_commands.compare)
add_command(bench, bench_commands.robustness)
app.add_typer(bench, name="bench")
