"""The notebooks: in step with their sources, complete, executable offline, for everybody."""

import ast
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "build_notebook.py"
LESSON, CALLS = "digit_recognition", "read_numbers"
SOURCES = {name: ROOT / "notebooks" / f"{name}.py" for name in (LESSON, CALLS)}
NOTEBOOKS = {name: path.with_suffix(".ipynb") for name, path in SOURCES.items()}

ALLOWED = {
    LESSON: {"digitnet", "numpy", "IPython", "torch"},
    CALLS: {"digitnet", "numpy", "PIL", "requests"},
}
# A screen shows about so many lines.
SCREEN = 32


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


def syntax(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def cells(name: str, kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))
    found = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == kind]
    return ["".join(each) for each in found]


def test_each_notebook_is_the_full_execution_of_its_source(run_tool: Any) -> None:
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


def read_with_another_model(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["digitnet"]["models"]["lines.onnx"] = 64 * "0"


def name_a_folder(notebook: dict[str, Any]) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "/home/ada/runs/1"}
    first_code(notebook)["outputs"].append(output)


def picture_of(notebook: dict[str, Any]) -> dict[str, Any]:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return next(output for output in outputs if "image/png" in output.get("data", {}))


def drop_words(notebook: dict[str, Any]) -> None:
    picture_of(notebook)["metadata"] = {}


def show_two(notebook: dict[str, Any]) -> None:
    picture = picture_of(notebook)
    cell = next(cell for cell in notebook["cells"] if picture in cell.get("outputs", ()))
    cell["outputs"].append(picture)


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
        (read_with_another_model, "executed with other models"),
        (name_a_folder, "shows the path /home/"),
        (drop_words, "shows a picture without an alternative text"),
        (show_two, "shows 2 pictures"),
        (be_no_notebook, "no valid notebook"),
    ],
)
def test_a_notebook_that_is_not_is_refused(
    spoil: Callable[[dict[str, Any]], None], told: str, tmp_path: Path, run_tool: Any
) -> None:
    notebook = json.loads(NOTEBOOKS[LESSON].read_text(encoding="utf-8"))
    spoil(notebook)
    spoilt = tmp_path / NOTEBOOKS[LESSON].name
    spoilt.write_text(json.dumps(notebook), encoding="utf-8")
    code, errors = run_tool("--check", LESSON, "--out", str(tmp_path))
    assert code == 1, errors
    assert told in errors
    assert "make notebook" in errors


def test_a_short_run_never_replaces_a_notebook(run_tool: Any) -> None:
    before = [path.stat() for path in NOTEBOOKS.values()]
    code, errors = run_tool("--short")
    assert code == 2
    assert "--out" in errors
    assert [path.stat() for path in NOTEBOOKS.values()] == before


def test_a_notebook_that_is_not_there_is_named(run_tool: Any) -> None:
    code, errors = run_tool("--check", "lesson")
    assert code == 2
    assert "'lesson'; there are digit_recognition, read_numbers" in errors


@pytest.mark.notebook
@pytest.mark.timeout(280)
def test_every_cell_runs_offline_and_answers(tmp_path: Path) -> None:
    """The tool itself refuses errors, warnings, cells without an answer, and machine paths."""
    # In a process of its own: the client of a kernel leaves sockets open.
    command = [sys.executable, str(TOOL), "--short", "--out", str(tmp_path)]
    env = os.environ | {"DIGITNET_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assets = resources.files("digitnet") / "assets"
    models = {
        name: hashlib.sha256((assets / name).read_bytes()).hexdigest()
        for name in ("digitnet.onnx", "lines.onnx")
    }
    for name, most, pictures in ((LESSON, 1_500_000, 12), (CALLS, 100_000, 2)):
        out = tmp_path / f"{name}.ipynb"
        notebook = json.loads(out.read_text(encoding="utf-8"))
        assert notebook["metadata"]["digitnet"] == {"length": "short", "models": models}
        assert out.stat().st_size < most
        outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= pictures


def test_they_define_the_one_network_that_is_shown_and_nothing_else() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = {
        name: [node.name for node in ast.walk(syntax(name)) if isinstance(node, kinds)]
        for name in SOURCES
    }
    assert defined == {LESSON: ["Net", "__init__", "forward"], CALLS: []}


@pytest.mark.parametrize("name", SOURCES)
def test_it_imports_only_the_package_and_what_it_hands_over(name: str) -> None:
    modules = set()
    for node in ast.walk(syntax(name)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").partition(".")[0])
    assert "digitnet" in modules
    assert modules - ALLOWED[name] - sys.stdlib_module_names == set()


@pytest.mark.parametrize("name", SOURCES)
def test_a_cell_fits_on_a_screen(name: str) -> None:
    long = {
        cell.partition("\n")[0]: len(cell.splitlines())
        for kind in ("code", "markdown")
        for cell in cells(name, kind)
        if len(cell.splitlines()) > SCREEN
    }
    assert long == {}


@pytest.mark.parametrize("name", SOURCES)
def test_an_exercise_says_what_one_should_see(name: str) -> None:
    exercises = [part for cell in cells(name, "markdown") for part in cell.split("**Try it.**")[1:]]
    assert exercises
    silent = [each for each in exercises if "should see" not in " ".join(each.split())]
    assert silent == []


def test_the_lesson_shows_a_whole_training_and_what_it_is_in_the_package() -> None:
    loop = next(cell for cell in cells(LESSON, "code") if "backward()" in cell)
    steps = ("randperm(", "net(", "cross_entropy(", "zero_grad()", "backward()", "step()", "[val]")
    assert sorted(steps, key=loop.index) == list(steps)
    prose = "\n".join(cells(LESSON, "markdown"))
    named = re.findall(r"`((?:network|training)/\w+\.py)`: `(?:\w+\.)?(\w+)`", prose)
    assert len(named) >= 5
    for file, name in named:
        tree = ast.parse((ROOT / "src" / "digitnet" / file).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", None) for node in ast.walk(tree)}


@pytest.mark.parametrize("name", SOURCES)
def test_a_stored_notebook_is_small_and_names_no_kernel_of_its_own(name: str) -> None:
    assert NOTEBOOKS[name].stat().st_size < 1_500_000
    metadata = json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
