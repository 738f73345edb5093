"""What a picture costs in bulk, from a thousand to a million, beside the local engine.

A few pictures are linked again and again, 1,000 to a folder, until there are as many as asked for;
each size is timed from its first listing to the final count. Seconds a picture are taken from the
first answer to the last, so that starting Ray, which has a column of its own, does not count.
Processor time is that of everything that Ray runs; on a busy machine it is the figure to trust. The
local engine reads the same pictures for comparison: one process, one thread.

    python benchmarks/bulk.py --sizes 1000 10000 100000 1000000 --processes 2
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from conditions import conditions
from digitnet.data.catalogue import load_dataset
from digitnet.experiments.bulk_recognition import predict_all
from digitnet.files import write_json
from digitnet.machine import usable_cores
from digitnet.synthesis.photographs import simulate

RESULT = Path(__file__).parent.parent / "docs" / "results" / "bulk.json"
A_FOLDER = 1_000
DIGITS, PHOTOS = 1_000, 50
_WORKERS = (b"ray::read_part", b"ray::IDLE")
_LOOK_SECONDS = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")

LOCAL = """
import json, sys, time
from pathlib import Path
from digitnet.reading.recognizer import Recognizer
names = sorted(map(str, Path(sys.argv[1]).iterdir()))
recognizer = Recognizer(threads=1)
recognizer.predict_many(names[:20])
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(int(sys.argv[2])):
    recognizer.predict_many(names)
count = int(sys.argv[2]) * len(names)
seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
print(json.dumps({name: value / count for name, value in seconds.items()}))
"""


@dataclass
class Watch:
    """Observes a recognition while it runs; times are in seconds from its start."""

    started: float = field(default_factory=time.perf_counter)
    listed: float = 0.0
    first: tuple[int, float, float] | None = None
    last: tuple[int, float, float] = (0, 0.0, 0.0)
    megabytes: dict[str, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)

    def message(self, _text: str) -> None:
        """Note when the pictures were listed: the last message says that."""
        self.listed = time.perf_counter() - self.started

    def progress(self, done: int, total: int) -> None:
        """Note what is done, what it took, and the largest memory of each kind of process."""
        now = time.perf_counter() - self.started
        # Looking takes some milliseconds of processor time itself.
        if self.first and done < total and now < self.last[1] + _LOOK_SECONDS:
            return
        tree = processes_below(os.getpid())
        # Of each process by its number, since some end between two looks.
        self.cpu |= {pid: seconds for pid, _, seconds, _ in tree}
        self.last = (done, now, sum(self.cpu.values()))
        self.first = self.first or self.last
        for _, kind, _, size in tree:
            self.megabytes[kind] = max(size, self.megabytes.get(kind, 0.0))


@dataclass(frozen=True)
class Cost:
    """What one recognition cost; ``seconds`` and ``cpu_seconds`` a picture and processor."""

    pictures: int
    unread: int
    list_seconds: float
    start_seconds: float
    whole_seconds: float
    seconds: float
    cpu_seconds: float
    driver_megabytes: float
    worker_megabytes: float


def main() -> None:
    """Measure every size and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--photos", type=int, default=500, help="how many photos; 0 leaves it out")
    parser.add_argument("--processes", type=int, default=usable_cores())
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulk-") as folder:
        place = Path(folder)
        kinds = {"digits": args.sizes, "photos": [args.photos] if args.photos else []}
        found = {
            kind: measure(kind, place / kind, sizes, args.processes)
            for kind, sizes in kinds.items()
            if sizes
        }
    about = {"processes": args.processes, "environment": conditions()}
    write_json(args.out, {"schema_version": 1, **about, **found})


def measure(kind: str, place: Path, sizes: list[int], processes: int) -> dict[str, Any]:
    """Measure one kind of picture in every size, and locally before and after."""
    make_pictures(kind, place / "few")
    rounds = 2 if kind == "digits" else 1
    before = local(place / "few", rounds)
    costs = [recognise(place, size, processes) for size in sizes]
    after = local(place / "few", rounds)
    here = {name: (before[name] + after[name]) / 2 for name in before}
    for cost in costs:
        print(
            f"{kind}, {cost.pictures:,}: {cost.seconds * 1e6:.0f} µs, {cost.cpu_seconds * 1e6:.0f} "
            f"µs of processor; locally {here['seconds'] * 1e6:.0f}, "
            f"{here['cpu_seconds'] * 1e6:.0f}; {cost.driver_megabytes:.0f} + "
            f"{cost.worker_megabytes:.0f} MB"
        )
    return {
        "local": here,
        "costs": [asdict(cost) for cost in costs],
        # Pictures a second and core, as a share of what the local engine reads.
        "throughput": [here["seconds"] / cost.seconds for cost in costs],
        "cpu_throughput": [here["cpu_seconds"] / cost.cpu_seconds for cost in costs],
    }


def make_pictures(kind: str, folder: Path) -> None:
    """Write some drawings of 28 × 28 pixels, or photos of paper."""
    folder.mkdir(parents=True)
    images = load_dataset("sample").test_images
    if kind == "digits":
        for number, image in enumerate(images[:DIGITS]):
            Image.fromarray(255 - image).save(folder / f"{number:04}.png")
    else:
        for number, image in enumerate(images[:PHOTOS]):
            (folder / f"{number:04}.jpg").write_bytes(simulate(image, "photo", seed=number))


def recognise(place: Path, size: int, processes: int) -> Cost:
    """Recognise ``size`` pictures and return what that cost."""
    many, out = place / f"{size}", place / f"{size}-answers"
    link(sorted((place / "few").iterdir()), many, size)
    watch = Watch()
    summary = predict_all(
        str(many),
        out,
        recursive=True,
        processes=processes,
        on_message=watch.message,
        on_progress=watch.progress,
    )
    whole = time.perf_counter() - watch.started
    assert watch.first
    done, wall, cpu = (last - first for first, last in zip(watch.first, watch.last, strict=True))
    return Cost(
        pictures=summary.rows,
        unread=summary.unread,
        list_seconds=watch.listed,
        start_seconds=watch.first[1] - watch.listed,
        whole_seconds=whole,
        seconds=wall * processes / done,
        cpu_seconds=cpu / done,
        driver_megabytes=watch.megabytes["driver"],
        worker_megabytes=watch.megabytes["worker"],
    )


def link(files: list[Path], folder: Path, size: int) -> None:
    """Fill ``folder`` with links to files, until there are ``size``."""
    for number in range(size):
        below = folder / f"{number // A_FOLDER:05}"
        if number % A_FOLDER == 0:
            below.mkdir(parents=True)
        file = files[number % len(files)]
        os.link(file, below / f"{number % A_FOLDER:04}{file.suffix}")


def local(folder: Path, rounds: int) -> dict[str, float]:
    """Return the seconds a picture of the local engine, in one process of one thread."""
    command = [sys.executable, "-c", LOCAL, str(folder), str(rounds)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def processes_below(root: int) -> list[tuple[int, str, float, float]]:
    """Return number, kind, processor seconds and peak megabytes of a process and those below."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # It has ended.
            continue
        parents[int(entry.name)] = int(fields[1])
        seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    mine = {root}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return [(pid, _kind(pid, root), seconds[pid], _peak(pid)) for pid in sorted(mine)]


def _kind(pid: int, root: int) -> str:
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "ray"
    return "driver" if pid == root else "worker" if name.startswith(_WORKERS) else "ray"


def _peak(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main()
