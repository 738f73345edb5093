"""The notebook: in step with its source, complete, executable offline, and made of calls."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "build_notebook.py"
SOURCE = ROOT / "notebooks" / "digit_recognition.py"
NOTEBOOK = ROOT / "notebooks" / "digit_recognition.ipynb"

# torch, because the package takes images to predict as tensors.
ALLOWED = {"digitnet", "numpy", "matplotlib", "IPython", "torch"}


@pytest.fixture(autouse=True)
def _needs_jupyter(request: pytest.FixtureRequest) -> None:
    names = ("ipykernel", "jupytext", "nbclient", "nbformat", "matplotlib", "torch")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture
def run_tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the tool; return its code and what it wrote to stderr."""
    monkeypatch.setenv("DIGITNET_OFFLINE", "1")
    monkeypatch.syspath_prepend(ROOT / "tools")

    def run(*arguments: str) -> tuple[int, str]:
        import build_notebook

        try:
            code = build_notebook.main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().err

    return run


def syntax() -> ast.Module:
    return ast.parse(SOURCE.read_text(encoding="utf-8"))


def test_the_notebook_is_the_full_execution_of_its_source(run_tool: Any) -> None:
    code, errors = run_tool("--check")
    assert code == 0, errors


def first_code(notebook: dict[str, Any]) -> dict[str, Any]:
    return next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def set_length(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["digitnet"]["length"] = "short"


def change_prose(notebook: dict[str, Any]) -> None:
    notebook["cells"][0]["source"] = "# Something else"


def drop_cell(notebook: dict[str, Any]) -> None:
    del notebook["cells"][-1]


def drop_outputs(notebook: dict[str, Any]) -> None:
    first_code(notebook)["outputs"] = []


def execute_out_of_order(notebook: dict[str, Any]) -> None:
    first_code(notebook)["execution_count"] = 7


def warn(notebook: dict[str, Any]) -> None:
    output = {"output_type": "stream", "name": "stderr", "text": "UserWarning: look out"}
    first_code(notebook)["outputs"].append(output)


def fail(notebook: dict[str, Any]) -> None:
    output = {"output_type": "error", "ename": "E", "evalue": "no", "traceback": []}
    first_code(notebook)["outputs"].append(output)


def name_a_folder(notebook: dict[str, Any]) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "/home/ada/runs/1"}
    first_code(notebook)["outputs"].append(output)


def be_no_notebook(notebook: dict[str, Any]) -> None:
    del notebook["cells"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (set_length, "not executed at full length"),
        (change_prose, "Cell 1 is not that of the source"),
        (drop_cell, "cells, and its source has"),
        (drop_outputs, "has no output"),
        (execute_out_of_order, "from top to bottom"),
        (warn, "wrote to stderr: UserWarning: look out"),
        (fail, "failed: E: no"),
        (name_a_folder, "shows the path /home/"),
        (be_no_notebook, "no valid notebook"),
    ],
)
def test_a_notebook_that_is_not_is_refused(
    spoil: Callable[[dict[str, Any]], None], told: str, tmp_path: Path, run_tool: Any
) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    spoil(notebook)
    spoilt = tmp_path / "spoilt.ipynb"
    spoilt.write_text(json.dumps(notebook), encoding="utf-8")
    code, errors = run_tool("--check", "--out", str(spoilt))
    assert code == 1, errors
    assert told in errors
    assert "make notebook" in errors


def test_a_short_run_never_replaces_the_notebook(run_tool: Any) -> None:
    before = NOTEBOOK.stat()
    code, errors = run_tool("--short")
    assert code == 2
    assert "--out" in errors
    assert NOTEBOOK.stat() == before


@pytest.mark.notebook
@pytest.mark.timeout(280)
def test_every_cell_runs_offline_and_answers(tmp_path: Path) -> None:
    """The tool itself refuses errors, warnings, cells without an answer, and machine paths."""
    out = tmp_path / "short.ipynb"
    # In a process of its own: the client of a kernel leaves sockets open.
    command = [sys.executable, str(TOOL), "--short", "--out", str(out)]
    env = os.environ | {"DIGITNET_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    notebook = json.loads(out.read_text(encoding="utf-8"))
    assert notebook["metadata"]["digitnet"] == {"length": "short"}
    assert out.stat().st_size < 1_500_000
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 10


def test_it_defines_nothing() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert [node.name for node in ast.walk(syntax()) if isinstance(node, kinds)] == []


def test_it_imports_only_the_package_and_its_arrays() -> None:
    modules = set()
    for node in ast.walk(syntax()):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").partition(".")[0])
    assert "digitnet" in modules
    assert modules - ALLOWED - sys.stdlib_module_names == set()


def test_the_stored_notebook_is_small_and_names_no_kernel_of_its_own() -> None:
    assert NOTEBOOK.stat().st_size < 1_500_000
    metadata = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
