"""Model files, ``*.onnx`` as ``digitnet export`` writes them, checked before they are used.

Guarantees:

- The model that comes with digitnet is compared with its SHA-256. The bytes of any other file are
  checked before ONNX Runtime sees it, see ``reading.onnx_content``. It is then tried on a page and
  one large ink, in bounded memory and time, before it is used.
- Whatever is wrong becomes an ``InputError`` (there is no such file) or an ``IntegrityError`` (it
  is not what it should be) that says what to do.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import threading
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, IntegrityError
from digitnet.files import storage_errors
from digitnet.reading.onnx_content import MAX_BYTES, UnsoundError, check_content, refused
from digitnet.reading.prediction import INK_SIDE
from digitnet.reading.runtime import onnxruntime

FORMAT, FORMAT_VERSION = "digitnet", 2
# Of a network alone, which ``reading.network_file`` opens, and of ``reading.line_file``.
NETWORK_FORMAT, LINES_FORMAT = "digitnet-network", "digitnet-lines"
_NO_READER = "a line reader, which reads no picture by itself. Name a network that reads digits."
ANSWER = ("probabilities", "ood_score", "image")
READ = (*ANSWER, "features")
# Of the signs on a page alone, and of the page.
FOUND = ("box", "signs", "presence", "digit_share", "strokes")
OUTPUTS = (*READ, *FOUND)
# What the inlet gets that is not used: the smallest page, which has nothing on it, or no ink.
LEAST_PAGE = 32
BLANK = np.zeros((1, 1, LEAST_PAGE, LEAST_PAGE), np.float32)
NO_INK = np.zeros((0, 1, 1, 1), np.float32)
# For one ink of the largest size that is cut out of a picture; a usual model takes a hundredth.
_MAX_MEMORY, _MAX_SECONDS = 256 * 2**20, 10.0
# Of the page that it is tried on.
_TRIED_SIDE = 256
# Pixels of a page that takes so much memory that it is given back.
_LARGE_PAGE = 300 * 300
_MAX_CLASSES, _MAX_NAME = 1000, 100


@dataclass(frozen=True)
class ModelFile:
    """A model file, ready to run. It can be pickled, and is then not checked again.

    Attributes:
        name: its path, or ``the model of digitnet``, for messages.
        content: the whole file.
        session: ONNX Runtime's session, in which any number of threads may run at once.
        sha256: of the content, in hexadecimal.
        class_names: one name for each probability.
        ood_threshold: ink with a larger ``ood_score`` is refused.
        metadata: everything that the file says about itself.
    """

    name: str
    content: bytes = field(repr=False)
    session: onnxruntime.InferenceSession = field(repr=False, compare=False)
    sha256: str
    class_names: tuple[str, ...]
    ood_threshold: float
    metadata: dict[str, str] = field(repr=False, hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.name, self.content)

    def of_inks(
        self, outputs: tuple[str, ...], inks: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """Return some of ``READ`` for inks, float32 (N, 1, H, W) in [0, 1]: arrays of N rows.

        Raises:
            IntegrityError: ONNX Runtime cannot run it, or its answers make no sense.
        """
        # Nothing is found on a blank page; if something were, it would come first.
        return [rows[len(rows) - len(inks) :] for rows in self.run(outputs, BLANK, inks)]

    def of_page(
        self, outputs: tuple[str, ...], page: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """Return some of ``OUTPUTS`` for the signs on a page, float32 (1, 1, H, W).

        Raises:
            IntegrityError: as for ``of_inks``.
        """
        return self.run(outputs, page, NO_INK)

    def run(
        self, outputs: tuple[str, ...], page: NDArray[np.float32], inks: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """Return some of ``OUTPUTS`` for a page and inks at once.

        Raises:
            IntegrityError: as for ``of_inks``.
        """
        with refused(self.name):
            feeds, options = {"page": page, "ink": inks}, onnxruntime.RunOptions()
            if page.size > _LARGE_PAGE:  # or its memory would be kept for good
                options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            answers: list[NDArray[np.float32]] = self.session.run(outputs, feeds, options)
            named = dict(zip(outputs, answers, strict=True))
            _check_answers(named, len(inks), len(self.class_names))
        return answers


def load_model_file(path: Path | str | None = None) -> ModelFile:
    """Return a model file, checked.

    Args:
        path: the file, or a run folder that has a ``model.onnx``; None for the model that comes
            with digitnet.

    Raises:
        InputError: there is no such file, or the run has none yet or an outdated one.
        IntegrityError: it is damaged, too large, not what digitnet writes, or of another version.
        StorageError: it cannot be read.
    """
    if path is None:
        return _opened("the model of digitnet", _read_shipped())
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"A model is the path of a file or of a run folder, not {type(path).__name__}."
        )
    place, content = read_content(Path(path))
    file = checked(str(place), content)
    if place != Path(path):
        _refuse_outdated(file, place.parent)
    return file


def checked(name: str, content: bytes) -> ModelFile:
    """Return a model file of unknown origin, after everything about it was checked.

    Raises:
        IntegrityError: as for ``load_model_file``.
    """
    with refused(name):
        check_content(content)
        file = _opened(name, content)
        _try(file)
    return file


def open_session(
    content: bytes, *, threads: int = 1, bounded: bool = False
) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session of a model, in bounded memory if wanted.

    Raises:
        Exception: ONNX Runtime refuses it; its exceptions have no other common base.
    """
    options = onnxruntime.SessionOptions()
    # One by default: the network is so small that threads inside it wait for one another longer
    # than they compute; more of them compute batches side by side.
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # It keeps the memory of every batch size that was ever seen, and makes nothing faster. The
    # arena, which is on, does: asking the system for each layer's memory takes a third of the time.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # Only fatal messages: errors arrive as exceptions.
    if bounded:
        _limit_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(
        content,
        options,
        providers=["CPUExecutionProvider"],
        # It would run parts of the graph before anybody can bound them, and gains nothing.
        disabled_optimizers=["ConstantFolding"],
        # Else it prints, and tries again without what was asked for; or takes options of the file.
        enable_fallback=0,
        read_config_from_model=0,
    )


# ---- from a path to bytes


def read_content(path: Path) -> tuple[Path, bytes]:
    """Return the model file that a path means, itself or that of a run folder, and its content.

    Raises:
        InputError: there is no such file, or the run has none yet.
        StorageError: it cannot be read.
    """
    with storage_errors(path, "read"):
        file = path / "model.onnx" if path.is_dir() else path
        # Before it is opened: opening a named pipe waits for somebody to write.
        if not file.is_file():
            raise InputError(_missing(path))
        with file.open("rb") as stream:
            return file, stream.read(MAX_BYTES + 1)


def _missing(path: Path) -> str:
    """Return why a path means no model file."""
    if (path / "lines.onnx").is_file():
        return f"The run {path} holds {_NO_READER}"
    if any((path / name).is_file() for name in ("config.json", "ensemble.json")):
        return f"The run {path} has no model.onnx. `digitnet export {path}` makes it."
    if path.is_dir():
        return f"{path} is a folder, but not a run of digitnet. Name a model file or a run."
    return f"There is no model file {path}. Check the path and the spelling."


def _read_shipped() -> bytes:
    """Return the content of digitnet's own model, compared with its SHA-256."""
    folder = Path(str(resources.files("digitnet"))) / "assets"
    file = folder / "digitnet.onnx"
    if not file.is_file():
        raise InputError(
            f"This installation of digitnet has no model: {file} is missing. Reinstall digitnet, "
            "or make a model with `digitnet train --recipe robust` and `digitnet export RUN` and "
            "name its file."
        )
    return shipped_content(file)


def shipped_content(file: Path) -> bytes:
    """Return a model of the package, compared with the SHA-256 in the record beside it.

    Raises:
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    record = file.with_suffix(".json")
    with storage_errors(file, "read"):
        content = file.read_bytes()
    expected, found = None, hashlib.sha256(content).hexdigest()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        expected = json.loads(record.read_bytes())["sha256"]
    if found != expected:
        raise IntegrityError(
            f"{file} is damaged: its SHA-256 is {found}, and {record} says {expected}. "
            "Reinstall digitnet."
        )
    return content


def _refuse_outdated(file: ModelFile, run: Path) -> None:
    """Refuse the model file of a run whose network was trained further since."""
    weights = [run / "model.safetensors"]
    if not weights[0].is_file():  # the folder of an ensemble, perhaps
        weights = [*run.glob("seed*/model.safetensors")]
    # In the run of a finder it is the finder that must be the same.
    made_from = {file.metadata.get(name) for name in ("model_sha256", "finder_sha256")}
    if made_from == {None} or not weights:
        return
    with storage_errors(run, "read"):
        found = ", ".join(sorted(hashlib.sha256(each.read_bytes()).hexdigest() for each in weights))
    if found not in made_from:
        raise InputError(
            f"{file.name} was not made from the weights that are in {run} now. "
            f"`digitnet export {run}` makes it again."
        )


# ---- what ONNX Runtime says and does


def _opened(name: str, content: bytes) -> ModelFile:
    """Return a file, ready to run, with what it says about itself.

    Raises:
        IntegrityError: ONNX Runtime refuses it, or its interface or metadata make no sense.
    """
    with refused(name):
        session = open_session(content)
        metadata = session.get_modelmeta().custom_metadata_map
        if metadata.get("format") == NETWORK_FORMAT:
            raise UnsoundError(
                "holds a network alone, for other programs: it takes images of 28×28 pixels and "
                "finds nothing on a picture. Name a run or its model.onnx instead"
            )
        if metadata.get("format") == LINES_FORMAT:
            raise UnsoundError(f"holds {_NO_READER}")
        if metadata.get("format") != FORMAT:
            raise UnsoundError(f"was not written by digitnet: its metadata lack format={FORMAT}")
        if metadata.get("schema_version") != str(FORMAT_VERSION):
            version = metadata.get("schema_version")
            raise UnsoundError(
                f"has format {version!r:.40}, where this digitnet reads format {FORMAT_VERSION}"
            )
        class_names = class_names_of(metadata)
        _check_interface(session, len(class_names))
        threshold = _threshold(metadata.get("ood_threshold"))
    sha256 = hashlib.sha256(content).hexdigest()
    return ModelFile(name, content, session, sha256, class_names, threshold, metadata)


def class_names_of(metadata: dict[str, str]) -> tuple[str, ...]:
    """Return the names of the classes that a file says it has.

    Raises:
        UnsoundError: it says none, or they make no sense.
    """
    text = metadata.get("class_names", "")
    with contextlib.suppress(ValueError, RecursionError):
        names = json.loads(text)
        few = isinstance(names, list) and 2 <= len(names) <= _MAX_CLASSES
        named = few and all(isinstance(name, str) and 0 < len(name) <= _MAX_NAME for name in names)
        if named and len(set(names)) == len(names):
            return tuple(names)
    raise UnsoundError(
        f"has class_names={text!r:.80} in its metadata, where a JSON list of 2 to "
        f"{_MAX_CLASSES:,} different names is expected"
    )


def _threshold(text: str | None) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if not math.isnan(value := float(text or "")):
            return value
    raise UnsoundError(f"has ood_threshold={text!r:.40} in its metadata, not a number")


def _check_interface(session: onnxruntime.InferenceSession, classes: int) -> None:
    """Refuse other inputs and outputs than those that digitnet.network.export writes."""
    found = interface_of(session)
    wanted = {
        "page": ["tensor(float)", 1, 1, None, None],
        "ink": ["tensor(float)", None, 1, None, None],
        "probabilities": ["tensor(float)", None, classes],
        "ood_score": ["tensor(float)", None],
        "image": ["tensor(float)", None, 1, 28, 28],
        "features": ["tensor(float)", None, found.get("features", [None])[-1]],
        "box": ["tensor(float)", None, 4],
        "signs": ["tensor(float)", None, 1, None, None],
        "presence": ["tensor(float)", None],
        "digit_share": ["tensor(float)", None],
        "strokes": ["tensor(float)", 2, None, None],
    }
    if list(found.items()) != list(wanted.items()):
        raise UnsoundError(f"has the inputs and outputs {found}, not {wanted}")


def interface_of(session: onnxruntime.InferenceSession) -> dict[str, list[Any]]:
    """Return type and size of each axis of every input, then output; None where it may be any."""
    return {
        value.name: [value.type, *(n if isinstance(n, int) else None for n in value.shape)]
        for value in (*session.get_inputs(), *session.get_outputs())
    }


@functools.cache
def _limit_memory() -> None:
    """Give sessions that ask for one, those on trial, an allocator that hands out only so much.

    It belongs to the whole process, and no other session takes it unasked.
    """
    kind = (onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
    # One step for one request: it holds no more than was needed.
    limits = onnxruntime.OrtArenaCfg({"max_mem": _MAX_MEMORY, "arena_extend_strategy": 1})
    with contextlib.suppress(Exception):  # the program may have registered one of its own
        onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", *kind), limits)


def _try(file: ModelFile) -> None:
    """Run a file of unknown origin, in bounded memory and time, and then as it will be run.

    On blanks too, which is what the unused inlet gets.

    Raises:
        IntegrityError: it fails, needs too much of either, or its answers make no sense.
    """
    largest = np.ones((1, 1, INK_SIDE, INK_SIDE), np.float32)
    smallest = np.zeros((1, 1, 1, 1), np.float32)
    noise = np.random.default_rng(0).random((1, 1, _TRIED_SIDE, _TRIED_SIDE), np.float32)
    tried = [(255 * noise, largest), (BLANK, largest), (BLANK, smallest), (BLANK, NO_INK)]
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    alarm = threading.Timer(_MAX_SECONDS, setattr, (options, "terminate", True))
    alarm.start()
    try:
        session = open_session(file.content, bounded=True)
        for page, ink in tried:
            session.run(OUTPUTS, {"page": page, "ink": ink}, options)
    finally:
        alarm.cancel()
    for page, ink in tried:
        file.run(OUTPUTS, page, ink)


def _check_answers(answers: dict[str, NDArray[np.float32]], inks: int, classes: int) -> None:
    """Refuse what no sound model answers to a page and a number of inks."""
    shapes = {"probabilities": (classes,), "image": (1, 28, 28), "box": (4,)}
    shapes |= dict.fromkeys(("ood_score", "presence", "digit_share"), ())
    counts = {}
    for name, rows in answers.items():
        wanted = shapes.get(name)
        if wanted is not None and rows.shape[1:] != wanted:
            raise UnsoundError(f"gives {name} of the shape {rows.shape}")
        if name != "strokes":
            counts[name] = len(rows) - (inks if name in READ else 0)
        # Written so that NaN is refused.
        if not np.isfinite(rows).all():
            raise UnsoundError(f"gives NaN or infinity as {name}")
    if len(set(counts.values())) > 1 or min(counts.values(), default=0) < 0:
        raise UnsoundError(f"gives answers of different lengths: {counts}")
    probabilities = answers.get("probabilities")
    if probabilities is None:
        return
    if probabilities.min(initial=0) < 0 or not (np.abs(probabilities.sum(1) - 1) < 1e-3).all():
        raise UnsoundError("gives answers that are not probabilities")
