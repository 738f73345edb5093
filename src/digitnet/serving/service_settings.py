"""Settings of a service: who may call it, and how much it takes on.

Guarantees: settings that exist are possible; a wrong one is a ``UsageError`` that says what is
allowed.
"""

from __future__ import annotations

import filecmp
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from digitnet.errors import UsageError
from digitnet.machine import usable_cores
from digitnet.text import escaped

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
ANY_NAME = "*"
_MODEL_FILES = ("digitnet.onnx", "lines.onnx")
# A host as it stands in a request, without its port.
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_LIMITS = {
    "threads": (1, 256),
    "max_body": (1_000, 1_000_000_000),
    "max_inputs": (1, 1_000),
    "max_waiting": (1, 100_000),
    "max_connections": (1, 100_000),
    "timeout": (0.01, 3_600),
    "body_timeout": (0.01, 3_600),
    "drain_timeout": (0, 3_600),
}


@dataclass(frozen=True)
class ServiceSettings:
    """How a service behaves. Times are in seconds, sizes in bytes.

    Attributes:
        allowed_hosts: the names by which clients may call it, as in the header ``Host`` without
            the port; ``*`` for any. Others are refused, so that no web page can reach a service on
            its reader's machine under a name of its own (DNS rebinding).
        threads: how many pictures are read at a time.
        max_body: of one request, 1 kB to 1 GB.
        max_inputs: pictures or drawings in one ``:batch``, at most ``max_waiting``.
        max_waiting: pictures and drawings that wait for a thread; more are turned away at once.
        max_connections: open at a time; more are turned away at once.
        timeout: from the end of a request to its answer.
        body_timeout: from the head of a request to its end.
        drain_timeout: for what is being answered when the service is told to stop.
        page: a folder of static files, served at ``/``; None for none.

    Raises:
        UsageError: one of them cannot be.
    """

    allowed_hosts: tuple[str, ...] = LOOPBACK_NAMES
    threads: int = 0
    max_body: int = 20_000_000
    max_inputs: int = 32
    max_waiting: int = 64
    max_connections: int = 512
    timeout: float = 30.0
    body_timeout: float = 20.0
    drain_timeout: float = 30.0
    page: Path | None = None

    def __post_init__(self) -> None:
        if not self.threads:
            object.__setattr__(self, "threads", usable_cores())
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            # Written so that NaN is refused.
            if not least <= value <= most:
                raise UsageError(f"{name}={value}; it must be from {least:,} to {most:,}.")
        if self.max_inputs > self.max_waiting:
            raise UsageError(
                f"max_inputs={self.max_inputs} is more than may wait, max_waiting="
                f"{self.max_waiting}: such a batch could never be answered. Make one of them fit."
            )
        for host in self.allowed_hosts:
            if host != ANY_NAME and not _HOST.fullmatch(host):
                raise UsageError(
                    f"'{escaped(host)}' is not the name of a host as it stands in a request. "
                    "Allowed: names and addresses without a port, such as digits.example or "
                    "[2001:db8::1], and * for any."
                )
        if self.page is not None and not self.page.is_dir():
            raise UsageError(f"There is no folder {self.page} to serve a page from.")

    def is_allowed(self, host: str) -> bool:
        """Return whether clients may call the service by this ``Host``, a port or not."""
        if ANY_NAME in self.allowed_hosts:
            return True
        name = re.sub(r":\d*$", "", host)
        return name.lower() in {each.lower() for each in self.allowed_hosts}


def shipped_page() -> Path | None:
    """Return the folder of the page that comes with digitnet, None if this copy has none."""
    folder = _package() / "static"
    return folder if (folder / "index.html").is_file() else None


def built_page() -> Path | None:
    """Return the page that ``make page`` built in this checkout, which reads in the browser.

    None if there is none, or one of other files: it must answer as the service does.
    """
    package = _package()
    static, built = package / "static", package.parents[1] / "build" / "page"
    pairs = [(each, built / each.relative_to(static)) for each in static.rglob("*.js")]
    pairs += [(package / "assets" / name, built / "model" / name) for name in _MODEL_FILES]
    same = (there.is_file() and filecmp.cmp(here, there, shallow=False) for here, there in pairs)
    return built if all(same) else None


def _package() -> Path:
    return Path(str(resources.files("digitnet")))
