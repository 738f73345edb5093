"""A tiny data set, a web server that serves it well or badly, and npm clients of all kinds."""

import gzip
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np

from digitnet.data.idx import encode_idx
from digitnet.data.pins import PinnedDataset, PinnedFile

Handler = http.server.BaseHTTPRequestHandler


def another_process(
    folder: Path, bring: Callable[[Path], object]
) -> tuple[Callable[[str], None], list[str]]:
    """Hold the lock of a folder until somebody waits for it, and bring the files then.

    Returns:
        A function for ``progress``, and the lines that it was called with.
    """
    folder.mkdir(parents=True)
    held = filelock.FileLock(folder / ".lock")
    held.acquire()
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if line.startswith("Waiting"):
            bring(folder)
            held.release()

    return progress, lines


def tiny_contents() -> dict[str, bytes]:
    """Return four small IDX files with MNIST's names: 20 and 10 images of noise."""
    rng = np.random.default_rng(0)
    contents = {}
    for split, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{split}-images-idx3-ubyte"] = encode_idx(images)
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents[f"{split}-labels-idx1-ubyte"] = encode_idx(labels)
    return contents


CONTENTS = tiny_contents()
NPZ_KEYS = dict(zip(CONTENTS, ("x_train", "y_train", "x_test", "y_test"), strict=True))
FILES = tuple(
    PinnedFile(name, len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENTS.items()
)


def tiny_dataset(*mirrors: str, npm: str = "") -> PinnedDataset:
    """Return the tiny data set with these mirrors."""
    return PinnedDataset("mnist", (FILES,), mirrors=mirrors, npm_package=npm)


def _respond(handler: Handler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def _redirect(handler: Handler, target: str) -> None:
    _respond(handler, b"", 302, Location=target)


def _endless(handler: Handler, chunk: bytes, pause: float) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.wait(pause):
        handler.wfile.write(chunk)


def _drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"X: y\r\n")


def _slow_chunks(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"1\r\nx\r\n")


def _half(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])


def _half_then_stall(handler: Handler, body: bytes) -> None:
    _half(handler, body)
    handler.wfile.flush()
    handler.server.over.wait(30)


def _flipped(body: bytes) -> bytes:
    changed = bytearray(body)
    changed[-100] ^= 1
    return bytes(changed)


def _slowly(handler: Handler, body: bytes) -> None:
    time.sleep(0.1)
    _respond(handler, body)


def _bomb() -> bytes:
    """Return 300 MB of zeros in so few bytes that only the unpacking shows it."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(50_000_000)) + packer.flush()


BOMB = _bomb()
PAGE = b"<!DOCTYPE html><html><title>Log in to this network</title></html>"

# How a server answers, and a word of the reason that must be reported (None: it is good).
WAYS: dict[str, tuple[Callable[[Handler, bytes], None], str | None]] = {
    "good": (lambda h, raw: _respond(h, gzip.compress(raw)), None),
    "good-not-packed": (_respond, None),
    "good-slow": (lambda h, raw: _slowly(h, gzip.compress(raw)), None),
    "good-encoded": (
        lambda h, raw: _respond(h, gzip.compress(raw), Content_Encoding="gzip"),
        None,
    ),
    "good-redirect": (lambda h, _: _redirect(h, h.path.replace("-redirect", "")), None),
    "cut": (lambda h, raw: _respond(h, gzip.compress(raw)[:-50]), "is damaged"),
    "broken-off": (lambda h, raw: _half(h, gzip.compress(raw)), "IncompleteRead"),
    "page": (lambda h, _: _respond(h, PAGE), "web page"),
    "empty": (lambda h, _: _respond(h, b""), "has 0 bytes"),
    "longer": (lambda h, raw: _respond(h, gzip.compress(raw + b"!")), "more than"),
    "flipped": (lambda h, raw: _respond(h, gzip.compress(_flipped(raw))), "SHA-256"),
    "flipped-gzip": (lambda h, raw: _respond(h, _flipped(gzip.compress(raw))), "train-images"),
    "bomb": (lambda h, _: _respond(h, BOMB), "more than"),
    "encoded-bomb": (lambda h, _: _respond(h, BOMB, Content_Encoding="gzip"), "sends more than"),
    "endless": (lambda h, _: _endless(h, bytes(4096), 0), "sends more than"),
    "redirect-file": (lambda h, _: _redirect(h, "file:///etc/hostname"), "'file:' address"),
    "redirect-http": (lambda h, _: _redirect(h, "http://127.0.0.1:9/x.gz"), "'http:' address"),
    "redirect-ftp": (lambda h, _: _redirect(h, "ftp://127.0.0.1/x.gz"), "'ftp:' address"),
    "redirect-odd": (lambda h, _: _redirect(h, "https://[/x.gz"), ""),
    "redirect-loop": (lambda h, _: _redirect(h, h.path), "redirects more than"),
    "absent": (lambda h, _: _respond(h, PAGE, 404), "HTTP 404"),
    "failing": (lambda h, _: _respond(h, b"", 503), "HTTP 503"),
    "silent": (lambda h, _: h.server.over.wait(30), "no "),
    "stalling": (lambda h, raw: _half_then_stall(h, gzip.compress(raw)), "no "),
    "dripping": (lambda h, _: _endless(h, b"x", 0.05), "no "),
    "dripping-headers": (lambda h, _: _drip_headers(h), "no answer"),
    "slow": (lambda h, _: _slow_chunks(h), "slower than"),
    "mute": (lambda h, _: None, ""),
    "garbage": (lambda h, _: h.wfile.write(b"\xff\x1b[2J what?\r\n\r\n"), "what?"),
}
BAD_WAYS = [way for way, (_, reason) in WAYS.items() if reason is not None]
# Those that end only because somebody loses patience.
WAITING_WAYS = {"silent", "stalling", "dripping", "dripping-headers", "slow"}
GOOD_WAYS = [way for way, (_, reason) in WAYS.items() if reason is None]


class HostileServer(http.server.ThreadingHTTPServer):
    """Serves `/<way>/<name>.gz`; notes every request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []
        self.over = threading.Event()

    def url(self, way: str) -> str:
        """Return the address of a mirror that answers in this way."""
        return f"http://127.0.0.1:{self.server_port}/{way}/"


class _Handler(Handler):
    def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
        _, way, name = self.path.split("/")
        self.server.requests.append(f"{way}/{name}")
        try:
            WAYS[way][0](self, CONTENTS[name.removesuffix(".gz")])
        except OSError:  # the client hung up, as it should
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[HostileServer]:
    """Run a server for the time of the block."""
    with HostileServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def package(contents: dict[str, bytes], folder: str = "package/data/") -> bytes:
    """Return an npm package file with these files and a few others."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        members = {"package/package.json": b"{}", "../../evil": b"evil"}
        members |= {f"{folder}{name}": content for name, content in contents.items()}
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def install_npm(folder: Path, lines: str) -> None:
    """Put an executable `npm` into `folder` that notes its arguments and runs these lines."""
    script = folder / "npm"
    script.write_text(
        f"#!{sys.executable} -S\nimport os, sys, time\nfrom pathlib import Path\n"
        f"HERE = Path({os.fspath(folder)!r})\n"
        f"with (HERE / 'calls').open('a') as calls: print(sys.argv[1:], file=calls)\n{lines}\n"
    )
    script.chmod(0o755)
