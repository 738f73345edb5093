"""Model files, ``*.onnx`` as ``digitnet export`` writes them: checked before they are run.

Guarantees:

- The model that comes with digitnet is compared with its SHA-256. Of any other file the whole
  graph is checked: known operators only, weights that are numbers and all there, nothing that
  refers to another file, inputs and outputs of the agreed names and shapes, and sizes bounded
  before any memory is asked for.
- Whatever is wrong becomes an ``InputError`` (there is no such file) or an ``IntegrityError`` (it
  is not what it should be) that says what to do.
- Nothing here runs a model. ``onnx``, which takes a while to import, is loaded for other files
  than digitnet's own only.

    loading    from a path to a ``ModelFile``
    wire       the outer structure of the file, read without a parser
    graph      what is in the file
    cost       how large the graph's tensors grow
"""

from digitnet.reading.model_files.loading import (
    FORMAT,
    FORMAT_VERSION,
    MAX_BYTES,
    OUTPUTS,
    ModelFile,
    load_model_file,
)

__all__ = ["FORMAT", "FORMAT_VERSION", "MAX_BYTES", "OUTPUTS", "ModelFile", "load_model_file"]
