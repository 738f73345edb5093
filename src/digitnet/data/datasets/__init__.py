"""Data sets by name or folder, as arrays of 28 × 28 images.

Guarantees:

- ``load_dataset`` returns verified content only, checked for shape, range and count.
- The sample needs no network, no cache and no folder; scikit-learn's digits need scikit-learn only.
- Images of another size become 28 × 28 by ``Canonical``, the same on every machine.
- Splits depend on what is recorded (labels, seeds, files), and on nothing else.

    dataset     what a data set is
    splitting   for validation, and a number of each class
    loading     the public functions, and the table of all data sets
    mnist_like  MNIST, Fashion-MNIST, KMNIST, EMNIST, QMNIST
    usps        USPS in both its forms
    shipped     the sample of MNIST; scikit-learn's digits
    folder      a folder of the user's pictures
    unpacking   gzip, bzip2 and zip in bounded memory
    resizing    images of another size
"""

from digitnet.data.datasets.dataset import NUM_CLASSES, Dataset, DatasetInfo
from digitnet.data.datasets.loading import list_datasets, load_dataset
from digitnet.data.datasets.shipped import SAMPLE_FILE, SAMPLE_SHA256
from digitnet.data.datasets.splitting import split_train_val, take_of_each_class
from digitnet.network.config import IMAGE_SIZE

__all__ = [
    "IMAGE_SIZE",
    "NUM_CLASSES",
    "SAMPLE_FILE",
    "SAMPLE_SHA256",
    "Dataset",
    "DatasetInfo",
    "list_datasets",
    "load_dataset",
    "split_train_val",
    "take_of_each_class",
]
