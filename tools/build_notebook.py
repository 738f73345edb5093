"""Make the notebooks from their sources: convert, execute, and store them with their outputs.

    python tools/build_notebook.py                      execute all at full length, on MNIST
    python tools/build_notebook.py read_numbers         execute this one
    python tools/build_notebook.py --short --out DIR    execute in under a minute, into a folder
    python tools/build_notebook.py --check              compare with the sources; execute nothing

The sources are ``notebooks/*.py``, in jupytext's percent format. What is stored says nothing about
the machine or the time it was executed at, and is refused when a cell failed, warned or answered
with nothing, or when a picture has no words for whoever cannot see it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jupytext  # type: ignore[import-untyped]
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from matplotlib import font_manager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image

from digitnet.data.catalogue import load_dataset
from digitnet.errors import DigitnetError
from digitnet.files import write_atomic

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SOURCES = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}

LENGTH = "DIGITNET_NOTEBOOK"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class ThisInterpreter(KernelSpecManager):
    """Starts every kernel with the Python that runs this tool, whatever Jupyter has registered."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how to start the kernel; the name makes no difference."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name=kernel_name, language="python")


def read_source(name: str) -> NotebookNode:
    """Return the source as a notebook without outputs, its cells numbered."""
    notebook: NotebookNode = jupytext.read(SOURCES[name], fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # the usual random ones would differ each time
    return notebook


def execute(notebook: NotebookNode, length: str) -> None:
    """Run all cells in a kernel of their own and store the outputs in ``notebook``.

    Raises:
        CellExecutionError: a cell failed.
        DeadKernelError: the kernel ended before the notebook did.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Not the user's own IPython folder: its startup files and settings would have a say.
        environment = os.environ | {LENGTH: length, "IPYTHONDIR": folder}
        manager = AsyncKernelManager(
            kernel_spec_manager=ThisInterpreter(),
            # Files instead of ports: nobody else can listen, and no firewall is in the way.
            transport="ipc",
            connection_file=str(Path(folder) / "kernel.json"),
        )
        client = NotebookClient(
            notebook,
            km=manager,
            coalesce_streams=True,
            record_timing=False,
            on_notebook_start=_stop_at_once,
            **_progress(len(notebook.cells)),
        )
        try:
            client.execute(env=environment, cwd=folder)
        finally:
            run_sync(manager.shutdown_kernel)(now=True)


def _stop_at_once(**_: object) -> None:
    """Let Ctrl-C end the tool again; nbclient would first wait for the cell that runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


def _progress(cells: int) -> dict[str, Callable[..., None]]:
    """Return what NotebookClient is to call before and after each cell: a line on stderr."""
    started = 0.0

    def begin(*, cell: NotebookNode, cell_index: int) -> None:
        nonlocal started
        started = time.perf_counter()
        _say(f"cell {cell_index + 1}/{cells}: {_first_line(cell)} …", end="")

    def end(**_: object) -> None:
        _say(f" {time.perf_counter() - started:.1f} s")

    return {"on_cell_execute": begin, "on_cell_executed": end}


def forget_machine(notebook: NotebookNode, length: str) -> None:
    """Replace the metadata by what is the same on every machine."""
    notebook.metadata.clear()
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        digitnet={"length": length, "models": models()},
    )
    for cell in notebook.cells:
        cell.metadata.clear()
        # Where MyST-NB, which renders the site, looks for it; everybody else looks at the output.
        if words := [alt for output in cell.get("outputs", ()) for alt in _alts(output)]:
            cell.metadata["mystnb"] = {"image": {"alt": words[0]}}


def _alts(output: NotebookNode) -> list[str]:
    """Return the alternative text of each picture in ``output``, empty where there is none."""
    kinds = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
    return [output.metadata.get(kind, {}).get("alt", "") for kind in kinds]


def shrink_pictures(notebook: NotebookNode) -> None:
    """Store every picture in 256 colours: it looks the same and takes a third of the bytes."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as picture:
                few = picture.convert("RGB").quantize(
                    256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
                )
            written = io.BytesIO()
            few.save(written, format="png", optimize=True)
            data["image/png"] = base64.b64encode(written.getvalue()).decode("ascii")


def faults(notebook: NotebookNode) -> list[str]:
    """Return what is wrong with the outputs of an executed notebook, in sentences."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        name = f"Cell {number} (`{_first_line(cell)}`)"
        if not cell.outputs:
            found.append(f"{name} has no output.")
        words = [alt for output in cell.outputs for alt in _alts(output)]
        if "" in words:
            found.append(f"{name} shows a picture without an alternative text.")
        if len(words) > 1:
            found.append(f"{name} shows {len(words)} pictures; one is enough for a cell.")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{name} failed: {output.ename}: {output.evalue}.")
            if output.get("name") == "stderr":
                found.append(f"{name} wrote to stderr: {output.text.strip()}")
            found += [f"{name} shows the path {path}." for path in _machine_paths(output)]
    return found


def _machine_paths(output: NotebookNode) -> list[str]:
    """Return folders of a machine that the text of ``output`` names."""
    texts = [str(output.get("text", "")), *map(str, output.get("traceback", ()))]
    texts += [str(v) for kind, v in output.get("data", {}).items() if kind.startswith("text/")]
    here = [str(Path.home()), tempfile.gettempdir(), str(FOLDER.parent), sys.prefix]
    usual = ["/home/", "/root/", "/tmp/", "/Users/", "/private/", ":\\Users\\"]  # noqa: S108
    places = [place for place in (*here, *usual) if len(place) > 1]
    return sorted({place for place in places for text in texts if place in text})


def differences(source: NotebookNode, notebook: NotebookNode) -> list[str]:
    """Return where ``notebook`` is not the full execution of ``source``, in sentences."""
    found = []
    wanted = [(cell.cell_type, cell.source) for cell in source.cells]
    stored = [(cell.cell_type, cell.source) for cell in notebook.cells]
    if len(wanted) != len(stored):
        found.append(f"It has {len(stored)} cells, and its source has {len(wanted)}.")
    for number, (one, other) in enumerate(zip(wanted, stored, strict=False), 1):
        if one != other:
            found.append(f"Cell {number} is not that of the source.")
            break
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        found.append("Its cells were not executed once each, from top to bottom.")
    length = notebook.metadata.get("digitnet", {}).get("length")
    if length != "full":
        found.append(f"It was not executed at full length; its metadata say {length!r}.")
    if notebook.metadata.get("digitnet", {}).get("models") != models():
        found.append("It was executed with other models than digitnet's present ones.")
    return found


def models() -> dict[str, str]:
    """Return the SHA-256 of each model file that comes with digitnet, as its record says it."""
    assets = resources.files("digitnet") / "assets"
    return {
        f"{name}.onnx": json.loads((assets / f"{name}.json").read_text("utf-8"))["sha256"]
        for name in ("digitnet", "lines")
    }


def check(name: str, path: Path) -> list[str]:
    """Return what is wrong with the stored notebook, in sentences; fast, nothing is executed."""
    if not path.is_file():
        return [f"There is no {path.name}."]
    try:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{path.name} is no valid notebook: {error}"]
    return differences(read_source(name), notebook) + faults(notebook)


def build(name: str, length: str, out: Path) -> list[str]:
    """Execute a source and write it to ``out``; return what is wrong and write nothing if so."""
    # Here and not in the kernel, where both would leave words in the notebook that are of no
    # interest to the reader: searching the machine for fonts, and fetching the data.
    font_manager.findfont("DejaVu Sans")
    load_dataset("mnist" if length == "full" else "sample", progress=_say)
    notebook = read_source(name)
    started = time.perf_counter()
    try:
        execute(notebook, length)
    except (CellExecutionError, DeadKernelError) as error:
        return [_COLOURS.sub("", str(error))]
    forget_machine(notebook, length)
    shrink_pictures(notebook)
    if found := faults(notebook):
        return found
    nbformat.validate(notebook)
    text = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]
    write_atomic(out, text)
    seconds = time.perf_counter() - started
    _say(f"{out.name}: {len(text.encode()):,} bytes, executed in {seconds:.0f} s")
    return []


def _first_line(cell: NotebookNode) -> str:
    return str(cell.source).partition("\n")[0]


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Build or check the notebooks; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; default: all")
    parser.add_argument("--short", action="store_true", help="use the sample; needs --out")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to or check")
    parser.add_argument("--check", action="store_true", help="compare with the sources only")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(SOURCES):
        parser.error(f"there is no notebook {min(unknown)!r}; there are {', '.join(SOURCES)}")
    if options.short and options.out.resolve() == FOLDER:
        parser.error("a short run does not replace the notebooks; name another folder with --out")
    failed = False
    for name in options.names or SOURCES:
        out = options.out / f"{name}.ipynb"
        if options.check:
            found = check(name, out)
            remedy = f"{out.name} is out of date; `make notebook` makes it anew."
        else:
            found = build(name, "short" if options.short else "full", out)
            remedy = f"{out.name} was not written."
        for sentence in [*found, *([remedy] if found else [])]:
            _say(sentence)
        failed |= bool(found)
    return int(failed)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DigitnetError as failure:
        raise SystemExit(str(failure)) from failure
    except KeyboardInterrupt:
        raise SystemExit(130) from None
