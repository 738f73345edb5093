"""Work in another process: it arrives, fails here, and leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from digitnet.errors import DigitnetError, InputError
from digitnet.training.elsewhere import Elsewhere


def counted(start: int) -> Iterator[tuple[int, int]]:
    for number in itertools.count(start):
        yield number, os.getpid()


def refused(after: int) -> Iterator[int]:
    yield from range(after)
    raise InputError("No more.")


def dying() -> Iterator[int]:
    yield 1
    time.sleep(0.2)
    os._exit(7)


def printing() -> Iterator[str]:
    print("Not an item.")  # noqa: T201
    yield "an item"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_items_come_in_order_from_a_process_that_close_ends() -> None:
    stream = Elsewhere(counted, 5)
    items = [stream.next() for _ in range(20)]
    stream.close()
    assert [number for number, _ in items] == list(range(5, 25))
    (pid,) = {pid for _, pid in items}
    assert pid != os.getpid()
    assert not is_alive(pid)
    stream.close()


def test_what_fails_there_is_raised_here() -> None:
    stream = Elsewhere(refused, 2)
    assert [stream.next(), stream.next()] == [0, 1]
    with pytest.raises(InputError, match="No more"):
        stream.next()


def test_the_end_is_said() -> None:
    stream = Elsewhere(range, 1)
    assert stream.next() == 0
    with pytest.raises(StopIteration):
        stream.next()


def test_a_process_that_dies_is_an_error_with_its_code() -> None:
    stream = Elsewhere(dying)
    assert stream.next() == 1
    with pytest.raises(DigitnetError, match="exit code 7"):
        stream.next()


def test_what_is_printed_there_is_no_item(capfd: pytest.CaptureFixture[str]) -> None:
    stream = Elsewhere(printing)
    assert stream.next() == "an item"
    stream.close()
    assert "Not an item." in capfd.readouterr().err


@pytest.mark.skipif(not hasattr(os, "getsid"), reason="sessions of a terminal are POSIX")
def test_the_keys_of_a_terminal_do_not_reach_it() -> None:
    stream = Elsewhere(counted, 0)
    pid = stream.next()[1]
    assert os.getsid(pid) == pid
    stream.close()


def test_it_ends_with_a_script_that_is_killed_and_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from digitnet.training.elsewhere import Elsewhere
        from test_elsewhere import counted
        print("begun")
        print(Elsewhere(counted, 0).next()[1], flush=True)
        os.kill(os.getpid(), 9)
        """)
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    begun, pid = done.stdout.split()
    assert begun == "begun"
    for _ in range(100):
        if not is_alive(int(pid)):
            return
        time.sleep(0.1)
    raise AssertionError("the process outlives the one that began it")
