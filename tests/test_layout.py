"""How the package is laid out: its wings, what may import what, and how large a module is."""

import ast
import functools
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

import digitnet
from code_lines import code_lines

ROOT = Path(__file__).parent.parent
PACKAGE = Path(digitnet.__file__).parent

# Each may import from itself and from what stands before it, lazily or not.
ORDER = (
    *("errors", "text", "machine", "files", "reading", "network", "data", "serving", "synthesis"),
    *("training", "showing", "experiments", "__init__", "cli", "__main__"),
)
CORE = ("errors", "files", "text", "machine", "reading")
CORE_LIBRARIES = {"numpy", "PIL", "onnxruntime", "filelock"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return a module's name inside the package: ``reading.finding``, ``__init__``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


NAMES = {name_of(path) for path in MODULES}


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Return every module that a file imports, wherever in it: ``torch``, ``digitnet.text`` …"""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relative to itself"
            # The version is no part of the public face that everything below it serves.
            for alias in (each for each in node.names if each.name != "__version__"):
                inner = f"{node.module}.{alias.name}"
                is_module = inner.removeprefix("digitnet.") in NAMES
                found.add(inner if is_module else str(node.module))
    return frozenset(found)


def own_imports(path: Path) -> set[str]:
    """Return what a file imports of the package, by names as of ``name_of``."""
    ours = (name for name in imports(path) if name.partition(".")[0] == "digitnet")
    return {name.removeprefix("digitnet").removeprefix(".") or "__init__" for name in ours}


# Names of `os` and `signal` that some systems lack.
NOT_EVERYWHERE = (
    r"os\.(fork|setsid|killpg|getuid|O_DIRECTORY|sched_getaffinity)|"
    r"signal\.(SIGKILL|SIGHUP|SIGALRM|pthread_sigmask)"
)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_some_systems_lack_is_looked_for_before_it_is_used(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    for used in re.finditer(NOT_EVERYWHERE, source):
        module, _, name = used[0].partition(".")
        asked = f'hasattr({module}, "{name}")' in source or "sys.platform" in source
        assert asked, used[0]


def wing(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    own = ORDER.index(wing(name_of(path)))
    later = [name for name in own_imports(path) if ORDER.index(wing(name)) > own]
    assert later == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): own_imports(path) for path in MODULES}
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name not in finished:
            for other in sorted(graph[name]):
                visit(other, (*above, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    "path", [path for path in MODULES if wing(name_of(path)) in CORE], ids=name_of
)
def test_reading_pictures_needs_the_base_install_only(path: Path) -> None:
    libraries = {name.partition(".")[0] for name in imports(path)} - {"digitnet"}
    assert libraries - sys.stdlib_module_names <= CORE_LIBRARIES


def test_no_two_modules_have_the_same_name() -> None:
    folders = {path.parent for path in MODULES if path.parent != PACKAGE}
    names = Counter(path.stem for path in (*MODULES, *folders) if path.stem != "__init__")
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_a_docstring_and_at_most_400_lines(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert code_lines(path) <= 400


def test_a_wing_is_imported_from_its_modules() -> None:
    inits = [path for path in MODULES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert [path.parent.name for path in inits if code_lines(path)] == []


def test_the_top_is_seen_at_a_glance_and_a_folder_holds_five_modules() -> None:
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 18
    modules = Counter(path.parent for path in MODULES if path.parent.parent != PACKAGE)
    del modules[PACKAGE]
    assert {str(folder): number for folder, number in modules.items() if number < 5} == {}


@pytest.mark.parametrize(("title", "most"), [("From a picture to its", 8), ("From a recipe to", 5)])
def test_the_places_on_a_path_through_the_code_exist(title: str, most: int) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"### {title}")[2].partition("\n#")[0]
    places = re.findall(r"^\d+\. `([\w/.]+)`: `(?:\w+\.)?(\w+)", section, re.MULTILINE)
    assert len(places) >= 3
    assert len({file for file, _ in places}) <= most
    for file, name in places:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        defined = {getattr(node, "name", None) for node in ast.walk(tree)}
        assert name in defined, f"{file} defines no {name}"
