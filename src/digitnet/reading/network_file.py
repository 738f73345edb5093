"""A network alone as a file: ``network.onnx``, as ``digitnet export --network-only`` writes it.

Guarantees:

- One input, ``images``: float32 (N, 1, 28, 28) in [0, 1], bright strokes on 0, as MNIST stores
  them; one output, ``probabilities``: float32 (N, classes). It finds nothing and refuses nothing.
- Its bytes are checked before ONNX Runtime sees them, like those of a model file.

Any ONNX runtime runs such a file without digitnet. Here it is opened to check it against torch when
it is written, and to time it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.model_file import (
    NETWORK_FORMAT,
    class_names_of,
    interface_of,
    open_session,
    read_content,
)
from digitnet.reading.onnx_content import UnsoundError, check_content, refused
from digitnet.reading.runtime import onnxruntime

NETWORK_VERSION = 1
IMAGES, PROBABILITIES = "images", "probabilities"


@dataclass(frozen=True)
class NetworkFile:
    """A network alone, ready to run; any number of threads may run it at once.

    Attributes:
        name: its path, for messages.
        content: the whole file.
        session: ONNX Runtime's.
        sha256: of the content, in hexadecimal.
        class_names: one name for each probability.
        metadata: everything that the file says about itself.
    """

    name: str
    content: bytes = field(repr=False)
    session: onnxruntime.InferenceSession = field(repr=False, compare=False)
    sha256: str
    class_names: tuple[str, ...]
    metadata: dict[str, str] = field(repr=False, hash=False)

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (N, classes) for images, float32 (N, 1, 28, 28) in [0, 1].

        Raises:
            IntegrityError: ONNX Runtime cannot run it.
        """
        with refused(self.name):
            rows: list[NDArray[np.float32]] = self.session.run([PROBABILITIES], {IMAGES: images})
        return rows[0]


def open_network(path: Path | str) -> NetworkFile | None:
    """Return the network alone that is in a file; None if a model file is.

    Args:
        path: the file; of a run folder, its ``model.onnx``.

    Raises:
        InputError: there is no such file.
        IntegrityError: it is damaged, or not what digitnet writes.
        StorageError: it cannot be read.
    """
    place, content = read_content(Path(path))
    return checked_network(str(place), content)


def checked_network(name: str, content: bytes) -> NetworkFile | None:
    """Return the network alone that some bytes are; None if they are another ONNX file.

    Raises:
        IntegrityError: as for ``open_network``.
    """
    with refused(name):
        check_content(content)
        session = open_session(content)
        metadata = session.get_modelmeta().custom_metadata_map
        if metadata.get("format") != NETWORK_FORMAT:
            return None
        if metadata.get("schema_version") != str(NETWORK_VERSION):
            version = metadata.get("schema_version")
            raise UnsoundError(
                f"holds a network of format {version!r:.40}, where this digitnet reads format "
                f"{NETWORK_VERSION}"
            )
        class_names = class_names_of(metadata)
        found = interface_of(session)
        wanted = {
            IMAGES: ["tensor(float)", None, 1, 28, 28],
            PROBABILITIES: ["tensor(float)", None, len(class_names)],
        }
        if found != wanted:
            raise UnsoundError(f"has the inputs and outputs {found}, not {wanted}")
    sha256 = hashlib.sha256(content).hexdigest()
    return NetworkFile(name, content, session, sha256, class_names, metadata)
