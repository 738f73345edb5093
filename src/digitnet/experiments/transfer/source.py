"""The network to start from, and the task that it knows.

Guarantees:

- A source is named by its SHA-256; loading it runs no code from the file.
- The old task's images are looked for without the network (``known_task``), unless they are asked
  for by name.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import DataUnavailableError, InputError, UsageError
from digitnet.network.cnn import CNN
from digitnet.training.checkpoint import load_model, read_tensors
from digitnet.training.runs import open_run
from digitnet.training.trained import trained_model

SHIPPED = "digitnet"
_SHIPPED_FILE = "digitnet.safetensors"


@dataclass(frozen=True, eq=False)
class Source:
    """A trained network."""

    name: str
    """How the user called it."""
    model: CNN
    sha256: str
    class_names: tuple[str, ...]
    data: str
    """The data set it was trained on."""
    recipe: str

    def as_dict(self) -> dict[str, Any]:
        """Return what tells it from others."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "data": self.data,
            "recipe": self.recipe,
            "classes": list(self.class_names),
            "parameters": self.model.num_parameters,
            "crops": self.model.config.crops,
        }


def load_source(name: Path | str = SHIPPED) -> Source:
    """Return a network to start from.

    Args:
        name: a run folder, a ``model.safetensors``, or "digitnet" for the network that is shipped.

    Raises:
        InputError: there is no such thing, or the run has no model yet.
        IntegrityError: the file is damaged or something else.
    """
    if str(name) == SHIPPED and not Path(name).exists():
        resource = importlib.resources.files("digitnet") / "assets" / _SHIPPED_FILE
        with importlib.resources.as_file(resource) as file:
            return _source(SHIPPED, file, None)
    path = Path(name)
    if path.is_dir():
        run = open_run(path)
        return _source(str(name), run.model_file, trained_model(run))
    if path.suffix == ".onnx":
        raise InputError(
            f"{path} is made for recognition and cannot be trained on. Name the run folder that it "
            "was exported from, or its model.safetensors."
        )
    if not path.exists():
        raise InputError(
            f"There is no network {name}. Name a run folder, a model.safetensors file, or "
            f"'{SHIPPED}' for the network that comes with digitnet."
        )
    return _source(str(name), path, None)


def _source(name: str, file: Path, model: CNN | None) -> Source:
    model = model or load_model(file)
    _, about = read_tensors(file, "model")
    return Source(
        name=name,
        model=model,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        class_names=tuple(map(str, about.get("class_names", ()))),
        data=str(about.get("data", "")),
        recipe=str(about.get("recipe", "")),
    )


def known_task(
    source: Source,
    name: str | None,
    on_message: Callable[[str], None],
    **where: Any,
) -> Dataset | None:
    """Return the images of the task that ``source`` knows, or None where they are not at hand.

    Args:
        source: the network.
        name: the data set, which is then fetched if need be; None takes the source's own if that
            needs no network, and for MNIST the sample of it that is shipped otherwise.
        on_message: called with a line about what is done without.
        **where: ``data_dir``, ``offline``: as for ``load_dataset``.

    Raises:
        InputError: the data set has other classes than the network.
        DataUnavailableError: the data set was named and cannot be had.
    """
    if name is not None:
        old = load_dataset(name, crops=source.model.config.crops, progress=on_message, **where)
        if old.class_names != source.class_names:
            raise InputError(
                f"--old-data {name} has the classes {', '.join(old.class_names[:12])}, but the "
                f"network knows {', '.join(source.class_names[:12])}. Name the data that it was "
                "trained on."
            )
        return old
    found = _at_hand(source, where.get("data_dir"))
    if found is None and source.data == "mnist":
        on_message("MNIST is not at hand; the sample of it that is shipped stands in for it.")
        found = load_dataset("sample")
    if found is None or found.class_names != source.class_names:
        on_message(
            f"The images of the old task ({source.data or 'unknown'}) are not at hand: nothing is "
            "replayed and nothing measured on them. Name them with --old-data."
        )
        return None
    return found


def _at_hand(source: Source, data_dir: Any) -> Dataset | None:
    crops = source.model.config.crops
    try:
        return load_dataset(source.data, crops=crops, data_dir=data_dir, offline=True)
    except (DataUnavailableError, InputError, UsageError):
        # Not fetched, a folder of pictures that is no more, a data set of another digitnet.
        return None
