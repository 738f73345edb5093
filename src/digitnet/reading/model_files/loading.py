"""From a path to a ``ModelFile``."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from digitnet.errors import InputError, IntegrityError
from digitnet.files import storage_errors
from digitnet.reading.model_files import wire

FORMAT = "digitnet"
FORMAT_VERSION = 1
OUTPUTS = ("probabilities", "ood_score", "image", "features")
# A hundred times a usual model.
MAX_BYTES = 128 * 2**20

_MAX_CLASSES = 1000
_MAX_NAME = 100
_SHIPPED = "digitnet.onnx"

# What people pass by mistake, by its first bytes. An ONNX file starts with its version, 8.
_WEIGHTS = "the weights of a run (safetensors)"
_STRANGERS = (
    (rb"PK\x03\x04", "a ZIP archive, such as PyTorch (.pt) and Keras (.keras) write"),
    (rb"\x80[\x02-\x05]", "a Python pickle"),
    (rb".{6}\0\0\{", _WEIGHTS),
    (rb"\x89HDF", "an HDF5 file, such as Keras writes"),
    (rb".{4}TFL3", "a TensorFlow Lite model"),
    (rb".{4}ORTM", "a model in ONNX Runtime's own format"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!", "an archive"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", "a picture"),
    (rb"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (rb"\s*<", "a text page (HTML or XML)"),
    (rb"\s*[{\[]", "a JSON text"),
)


@dataclass(frozen=True)
class ModelFile:
    """A model file that was found sound.

    Attributes:
        name: its path, or ``the model of digitnet``, for messages.
        content: the whole file.
        sha256: of the content, in hexadecimal.
        class_names: one name for each probability.
        temperature: what the logits are divided by inside.
        ood_threshold: ink with a larger ``ood_score`` is taken for no digit.
        metadata: all that the file says of itself.
    """

    name: str
    content: bytes = field(repr=False)
    sha256: str
    class_names: tuple[str, ...]
    temperature: float
    ood_threshold: float
    metadata: dict[str, str] = field(repr=False, hash=False)


def load_model_file(path: Path | str | None = None) -> ModelFile:
    """Return a model file, checked.

    Args:
        path: the file, or a run folder that has a ``model.onnx``; the model that comes with
            digitnet when None.

    Raises:
        InputError: there is no such file, or the run has none yet.
        IntegrityError: it is damaged, too large, not what digitnet writes, or of another version.
        StorageError: it cannot be read.
    """
    if path is None:
        name, content = "the model of digitnet", _read_shipped(resources.files("digitnet"))
        return _described(name, content)
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"A model is the path of a file or of a run folder, not {type(path).__name__}."
        )
    file = _model_in(Path(path))
    content = _read(file)
    name = str(file)
    _check_is_onnx(content, name)
    wire.check_outline(content, name)
    described = _described(name, content)
    if file != Path(path):
        _refuse_older(described, file.parent)
    # The parser takes a quarter of a second to import, which digitnet's own model is spared.
    from digitnet.reading.model_files.graph import check_graph

    check_graph(content, name, len(described.class_names))
    return described


def _read_shipped(package: Traversable) -> bytes:
    """Return the content of digitnet's own model, compared with its SHA-256."""
    folder = package / "assets"
    file = folder / _SHIPPED
    if not file.is_file():
        raise InputError(
            f"This installation of digitnet has no model: {file} is missing. Install it again; or "
            "make a model, `digitnet train --recipe robust` and `digitnet export RUN`, and name "
            "its file."
        )
    with storage_errors(Path(str(file)), "read"):
        content = file.read_bytes()
    try:
        about = json.loads((folder / "digitnet.json").read_bytes())
        expected = about["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{folder / 'digitnet.json'} is missing or damaged, so that the model beside it cannot "
            "be checked. Install digitnet again."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise IntegrityError(
            f"{file} is damaged: its SHA-256 is {found}, not {expected}. Install digitnet again."
        )
    return content


def _model_in(path: Path) -> Path:
    """Return the model file that a path means: itself, or that of a run folder."""
    with storage_errors(path, "read"):
        if not path.is_dir():
            return path
        if (path / "model.onnx").exists():
            return path / "model.onnx"
        if (path / "config.json").is_file():
            raise InputError(
                f"The run {path} has no model.onnx. `digitnet export {path}` makes it."
            )
    raise InputError(
        f"{path} is a folder, and no run of digitnet. Name a model file (*.onnx) or a run folder."
    )


def _refuse_older(described: ModelFile, run: Path) -> None:
    """Refuse the file of a run that was trained on since."""
    weights = run / "model.safetensors"
    said = described.metadata.get("model_sha256")
    if not said or not weights.is_file():
        return
    with storage_errors(weights, "read"):
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if said != found:
        raise InputError(
            f"{described.name} is not of the network that is in {run} now. "
            f"`digitnet export {run}` makes it again."
        )


def _read(path: Path) -> bytes:
    with storage_errors(path, "read"):
        # Before it is opened: opening a named pipe waits for somebody to write.
        if not path.is_file():
            raise InputError(f"There is no model file {path}. Check the path and the spelling.")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise IntegrityError(
            f"{path} has more than {MAX_BYTES:,} bytes, the most that a model file may have."
        )
    return content


def _check_is_onnx(content: bytes, name: str) -> None:
    """Refuse by its name what is evidently something else."""
    if not content:
        raise IntegrityError(f"{name} is empty (0 bytes). Copy it again from its source.")
    for pattern, what in _STRANGERS:
        if re.match(pattern, content[:64], re.DOTALL):
            remedy = (
                "`digitnet export RUN`, with the run that it is from, makes its model.onnx."
                if what == _WEIGHTS
                else "`digitnet export RUN` writes one."
            )
            raise IntegrityError(f"{name} is {what}, not a model file (ONNX). {remedy}")


def _described(name: str, content: bytes) -> ModelFile:
    """Return the file with what it says of itself.

    Raises:
        IntegrityError: that is missing, or makes no sense.
    """
    metadata = wire.read_metadata(content, name)
    if metadata.get("format") != FORMAT:
        raise IntegrityError(
            f"{name} was not written by digitnet: its metadata do not say format={FORMAT}. "
            "`digitnet export RUN` writes a model file."
        )
    if metadata.get("schema_version") != str(FORMAT_VERSION):
        raise IntegrityError(
            f"{name} has format {metadata.get('schema_version')!r:.40}; this digitnet reads format "
            f"{FORMAT_VERSION}. Export its run again, or install the digitnet that wrote it."
        )
    temperature = _number(metadata, "temperature", name)
    if not 0 < temperature < math.inf:
        raise IntegrityError(f"{name} has temperature={temperature}; it must be above 0.")
    return ModelFile(
        name=name,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        class_names=_class_names(metadata.get("class_names", ""), name),
        temperature=temperature,
        ood_threshold=_number(metadata, "ood_threshold", name),
        metadata=metadata,
    )


def _number(metadata: Mapping[str, str], key: str, name: str) -> float:
    try:
        value = float(metadata[key])
    except (KeyError, ValueError):
        value = math.nan
    if math.isnan(value):
        found = metadata.get(key)
        raise IntegrityError(
            f"{name} has {key}={found!r:.40} in its metadata; a number belongs there."
        )
    return value


def _class_names(text: str, name: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    sound = (
        isinstance(names, list)
        and 2 <= len(names) <= _MAX_CLASSES
        and all(isinstance(n, str) and 0 < len(n) <= _MAX_NAME for n in names)
        and len(set(names)) == len(names)
    )
    if not sound:
        raise IntegrityError(
            f"{name} has class_names={text!r:.80} in its metadata; a JSON list of 2 to "
            f"{_MAX_CLASSES:,} different names belongs there."
        )
    return tuple(names)
