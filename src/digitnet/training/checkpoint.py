"""Weights on disk: safetensors files that describe themselves and cannot run code.

Guarantees:

- Files are written atomically; what is on disk is always complete.
- The header holds, as JSON under the key ``digitnet``, what the file is and how to rebuild it.
- Reading never unpickles, never executes, never follows a reference to another file. A file that
  is truncated, is something else in disguise, holds NaN or infinity, or does not fit its own
  description is refused with an ``IntegrityError`` that says which it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import IO, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from digitnet.errors import InputError, IntegrityError, UsageError
from digitnet.files import storage_errors, write_atomic
from digitnet.network.cnn import CNN
from digitnet.network.config import SCHEMA_VERSION, TrainConfig
from digitnet.network.finder import Finder
from digitnet.network.line_reader import LineReader

_ASSETS = Path(str(resources.files("digitnet"))) / "assets"
SHIPPED_FINDER, SHIPPED_MODEL = _ASSETS / "finder.safetensors", _ASSETS / "digitnet.safetensors"
_KEY = "digitnet"
_N = TypeVar("_N", Finder, LineReader)
_TYPES = (torch.float32, torch.int64, torch.uint8)
# A thousand times the reference network; nothing that digitnet writes comes near it.
MAX_FILE_BYTES = 512 * 2**20

_FOREIGN = {
    b"PK\x03\x04": "a zip archive, such as torch.save and Keras write",
    b"\x80": "a Python pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
    b"<": "a text page (HTML or XML)",
}


def write_tensors(
    path: Path, kind: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and their description to ``path``, atomically.

    Args:
        path: the file, by convention ``*.safetensors``.
        kind: what the file is: "model", "finder", "line reader" or "checkpoint".
        tensors: contiguous copies are made where needed.
        about: JSON values that describe the tensors.
    """
    header = {"kind": kind, "schema_version": SCHEMA_VERSION, **about}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(contiguous, metadata={_KEY: json.dumps(header, sort_keys=True)}))


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of ``path`` and their description.

    Raises:
        InputError: there is no such file.
        IntegrityError: the file is not a complete digitnet file of this ``kind``, or not finite.
    """
    with storage_errors(path, "read"):
        if not path.is_file():
            raise InputError(f"There is no model file {path}.")
        # Opened here, because safetensors says of one that may not be read that it is not there.
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
    if size > MAX_FILE_BYTES:
        raise IntegrityError(f"{path} has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}.")
    try:
        with path.open("rb") as stream, safe_open(_named(path, stream), framework="pt") as file:
            about = _description(path, file.metadata(), kind)
            # Cloned, because a tensor is a window on the file, which somebody may overwrite.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise IntegrityError(
            f"{path} is damaged or not a safetensors file ({error}). {_foreign(path)}"
            "Copy it again from its source."
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise IntegrityError(
                f"{path} holds {tensor.dtype} in '{name}', a type that digitnet never writes."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise IntegrityError(f"{path} holds NaN or infinity in '{name}'; it cannot be used.")
    return tensors, about


def _named(path: Path, stream: IO[bytes]) -> Path | str:
    """Return a name of an open file that safetensors takes, which is one in UTF-8."""
    is_text = os.fsencode(path).decode(errors="replace") == str(path)
    return path if is_text else f"/dev/fd/{stream.fileno()}"


def training_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return weights and the optimizer's moments under the names that a checkpoint has."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    return tensors


def restore_state(
    path: Path, tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Put what ``training_state`` returned back into a network and its optimizer.

    Raises:
        IntegrityError: a tensor does not fit; ``path`` names where it was read.
    """
    weights = named(tensors, "model.")
    check_tensors(model, weights, path)
    model.load_state_dict(weights)
    groups = optimizer.state_dict()["param_groups"]
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in named(tensors, "optimizer.").items():
        index, slot = name.split(".", 1)
        like = parameters[int(index)]
        # Files hold plain memory order; the fused optimizer walks weights and their moments side by
        # side in memory, so the moments need the order of their weights.
        if value.ndim and value.shape != like.shape:
            raise IntegrityError(f"{path} is not a complete checkpoint: {name} does not fit.")
        laid_out = torch.empty_like(like).copy_(value) if value.ndim else value
        state.setdefault(int(index), {})[slot] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix``, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def save_model(
    path: Path, model: CNN, config: TrainConfig, about_training: Mapping[str, Any]
) -> None:
    """Write the weights of ``model`` with all that is needed to use them.

    Args:
        path: the file.
        model: the network.
        config: its settings.
        about_training: JSON values to keep with it: ``class_names``, ``epochs``.
    """
    about = {
        **about_training,
        "model": config.as_dict()["model"],
        "input": "float32 (N, 1, 28, 28) in [0, 1], ink bright on dark",
        "recipe": config.recipe,
        "data": config.data,
        "seed": config.seed,
    }
    write_tensors(path, "model", model.state_dict(), about)


def save_network(
    path: Path, network: Finder | LineReader, config: TrainConfig, about_training: Mapping[str, Any]
) -> None:
    """Write the weights of a finder or of a line reader; see ``save_model``."""
    kind = "finder" if isinstance(network, Finder) else "line reader"
    about = {**about_training, "recipe": config.recipe, "data": config.data, "seed": config.seed}
    write_tensors(path, kind, network.state_dict(), about)


def load_finder(path: Path | str | None = None) -> Finder:
    """Return the finder saved in ``path``, ready to find; None takes the one of digitnet.

    Raises:
        InputError: there is no such file.
        IntegrityError: the file is damaged, holds something else, or its tensors do not fit.
    """
    return read_finder(SHIPPED_FINDER if path is None else Path(path))[0]


def read_finder(path: Path) -> tuple[Finder, dict[str, Any]]:
    """Return what ``load_finder`` does, and what the file says about the finder."""
    return _read_network(path, "finder", Finder)


def read_line_reader(path: Path) -> tuple[LineReader, dict[str, Any]]:
    """Return the line reader saved in ``path``, ready to read, and what the file says about it.

    Raises:
        InputError: there is no such file.
        IntegrityError: the file is damaged, holds something else, or its tensors do not fit.
    """
    return _read_network(path, "line reader", LineReader)


def _read_network(path: Path, kind: str, cls: type[_N]) -> tuple[_N, dict[str, Any]]:
    tensors, about = read_tensors(path, kind)
    # Without first weights, whose drawing would move the random state of a training.
    with torch.device("meta"):
        network = cls()
    check_tensors(network, tensors, path)
    network.load_state_dict(tensors, assign=True)
    return network.eval(), about


def load_model(path: Path | str) -> CNN:
    """Return the network saved in ``path``, a ``model.safetensors`` file, ready to predict.

    Raises:
        InputError: there is no such file.
        IntegrityError: the file is damaged, holds something else, or its tensors do not fit.
    """
    return read_model(Path(path))[0]


def read_model(path: Path) -> tuple[CNN, dict[str, Any]]:
    """Return what ``load_model`` does, and what the file says about the network."""
    tensors, about = read_tensors(path, "model")
    try:
        config = TrainConfig.from_dict({"model": about["model"]}).model
        # Without memory, so that a description of a giant costs nothing before it is refused.
        with torch.device("meta"):
            model = CNN(config)
    except KeyError as error:
        raise IntegrityError(f"{path} does not describe its network.") from error
    except UsageError as error:
        raise IntegrityError(f"{path} describes a network that cannot be built: {error}") from error
    check_tensors(model, tensors, path)
    model.load_state_dict(dict(tensors), assign=True)
    return model.use_fast_memory_order().eval(), about


def check_tensors(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse ``tensors``, read from ``path``, unless each one fits ``model``.

    Raises:
        IntegrityError: a tensor is missing, too many, or of the wrong shape or type.
    """
    wanted, held = (
        {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in each.items()}
        for each in (model.state_dict(), tensors)
    )
    for name in {**wanted, **held}:
        if wanted.get(name) != held.get(name):
            raise IntegrityError(
                f"{path} does not hold this network: its tensor '{name}' is "
                f"{held.get(name, 'missing')}, but the network needs {wanted.get(name, 'none')}."
            )


def _foreign(path: Path) -> str:
    """Say what a file looks like that cannot be read, if it is something known."""
    with path.open("rb") as stream:
        start = stream.read(16)
    what = next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), None)
    no = "digitnet does not open such files, because they can carry code or hide data"
    return f"It looks like {what}; {no}. " if what else ""


def _description(path: Path, metadata: dict[str, str] | None, kind: str) -> dict[str, Any]:
    try:
        about = json.loads((metadata or {})[_KEY])
        actual, version = about["kind"], about["schema_version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{path} is a safetensors file, but not one that digitnet wrote."
        ) from error
    if actual != kind:
        raise IntegrityError(f"{path} is a digitnet {actual}, but a {kind} is needed here.")
    if version != SCHEMA_VERSION:
        raise IntegrityError(
            f"{path} has format {version}; this digitnet reads format {SCHEMA_VERSION}."
        )
    return about  # type: ignore[no-any-return]
