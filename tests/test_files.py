import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digitnet.errors import StorageError, UsageError
from digitnet.files import (
    hold_lock,
    is_occupied,
    make_folder,
    storage_errors,
    write_atomic,
    write_json,
)

OLD = b"old content"


@pytest.fixture
def target(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_bytes(OLD)
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=300) | st.text(max_size=100))
def test_what_is_written_is_there_and_nothing_else(target, content):
    write_atomic(target, content)
    data = content.encode() if isinstance(content, str) else content
    assert target.read_bytes() == data
    assert names(target.parent) == [target.name]


def test_a_folder_is_no_file_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path(), tmp_path):
        with pytest.raises(StorageError, match="Cannot write"):
            write_atomic(path, b"content")
    assert not list(tmp_path.iterdir())


def test_missing_folders_are_made(tmp_path):
    write_atomic(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_a_relative_path_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path("plain.txt"), Path("sub/deep.txt"), Path("sub/../other.txt")):
        write_atomic(path, "x")
        assert path.read_text() == "x"
    assert names(tmp_path) == ["other.txt", "plain.txt", "sub"]


@pytest.mark.parametrize(
    ("owner", "function"),
    [(os, "fsync"), (Path, "replace"), (Path, "open"), (Path, "mkdir")],
    ids=["fsync", "replace", "open", "mkdir"],
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    owner, function, number, target, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, failing(number))
        with pytest.raises(StorageError, match=r"Cannot write .*metrics\.json: "):
            write_atomic(target, "new content")
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(error, target, monkeypatch):
    def fail(_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(error):
            write_atomic(target, "new content")
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


def test_content_is_on_the_disk_before_it_takes_the_name(target, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("folder" if path.is_dir() else path.read_bytes().decode())
        fsync(descriptor)

    def note_replace(self, other):
        events.append("rename")
        return replace(self, other)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomic(target, "new")
    assert events == ["new", "rename", "folder"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "The disk is full; free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only; choose another folder"),
        (errno.EACCES, "no permission"),
        (errno.EPERM, "no permission"),
        (errno.ENOTDIR, "is a file, not a folder"),
        (errno.EEXIST, "in the way"),
    ],
)
def test_each_failure_has_its_remedy(number, remedy):
    with (
        pytest.raises(StorageError, match=remedy) as caught,
        storage_errors(Path("some/file"), "read"),
    ):
        failing(number)()
    assert str(caught.value).startswith(f"Cannot read some/file: {os.strerror(number)}. ")
    assert caught.value.__cause__.errno == number


def test_a_failure_without_a_remedy_is_told_all_the_same():
    for error, told in (
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("x"), "x"),
    ):
        with pytest.raises(StorageError) as caught, storage_errors(Path("f")):
            raise error
        assert str(caught.value) == f"Cannot write f: {told}."


def test_other_errors_pass():
    with pytest.raises(ValueError, match="mine"), storage_errors(Path("f")):
        raise ValueError("mine")


def test_a_path_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x", tmp_path / "folder", tmp_path / ("n" * 300)):
        with pytest.raises(StorageError, match="Cannot write "):
            write_atomic(path, "x")
    assert names(tmp_path) == ["file", "folder"]
    with pytest.raises(StorageError, match=r"Cannot make the folder .*in the way"):
        make_folder(tmp_path / "file")


def test_a_folder_is_made_once_and_again(tmp_path):
    path = tmp_path / "a" / "b"
    assert make_folder(path) == make_folder(path) == path
    assert path.is_dir()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_the_user_wants(umask, mode, target):
    before = os.umask(umask)
    try:
        write_atomic(target, "x")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == mode


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(JSON_VALUES)
def test_json_comes_back(target, value):
    write_json(target, value)
    assert json.loads(target.read_text(encoding="utf-8")) == value


def test_json_holds_any_path(target):
    # Paths and arguments may hold bytes that are no UTF-8; Python keeps them as lone surrogates.
    value = {"run": os.fsdecode(b"runs/\xff"), "name": "Zürich 数字"}
    write_json(target, value)
    assert json.loads(target.read_text(encoding="utf-8")) == value
    assert "Zürich 数字" in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_say_is_refused_before_anything_is_touched(value, target):
    with pytest.raises((ValueError, TypeError)):
        write_json(target, {"loss": value})
    assert target.read_bytes() == OLD
    assert names(target.parent) == [target.name]


def test_concurrent_writers_never_mix(target):
    contents = [bytes([65 + i]) * 50_000 for i in range(4)]
    seen, done = set(), threading.Event()

    def write(content):
        for _ in range(15):
            write_atomic(target, content)

    def read():
        while not done.is_set():
            seen.add(target.read_bytes())

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    reader = threading.Thread(target=read)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen <= {OLD, *contents}
    assert target.read_bytes() in contents
    assert names(target.parent) == [target.name]


# One process that forks writers and kills them, because starting Python thirty times is slow.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from digitnet.files import write_atomic

target, rng = Path(sys.argv[1]), random.Random(0)
contents = [bytes([65 + i]) * 200_000 for i in range(2)]
changes = set()
for _ in range(30):
    child = os.fork()
    if not child:
        while True:
            for content in contents:
                write_atomic(target, content)
    time.sleep(rng.uniform(0.002, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = target.read_bytes()
    assert found in contents or found == b"old content", (len(found), found[:9])
    changes.add(found[:1])
print(len(changes))
"""


def test_a_writer_killed_at_any_instant_leaves_one_whole_content(target):
    done = subprocess.run(
        [sys.executable, "-c", KILLER, target],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # It was killed at different points, and it did write.
    assert int(done.stdout) >= 2
    # A killed writer may leave its unfinished file, which nothing takes for a result.
    left = [path for path in target.parent.iterdir() if path != target]
    assert all(path.name.startswith(".metrics.json.") for path in left)
    assert all(path.suffix == ".tmp" for path in left)


HOLDER = """
import sys
from pathlib import Path
from digitnet.files import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_is_held_by_one_process_at_a_time(holder, tmp_path):
    with pytest.raises(UsageError, match="Another process is working in"), hold_lock(tmp_path):
        pass
    holder.communicate("\n", timeout=20)
    assert holder.returncode == 0
    with hold_lock(tmp_path):
        pass


def test_a_killed_process_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait(timeout=20)
    with hold_lock(tmp_path):
        pass


def test_the_lock_is_freed_when_the_block_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), hold_lock(tmp_path):
            raise ValueError("mine")


def test_an_oserror_inside_the_block_is_not_the_locks(tmp_path):
    error = OSError(errno.ENOSPC, "theirs")
    with pytest.raises(OSError, match="theirs") as caught, hold_lock(tmp_path):
        raise error
    assert caught.value is error


def test_a_folder_that_cannot_be_locked_is_a_storage_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot lock"), hold_lock(tmp_path / "file"):
        pass
    monkeypatch.setattr(filelock.FileLock, "acquire", failing(errno.EROFS))
    with pytest.raises(StorageError, match=r"Cannot lock .*read-only"), hold_lock(tmp_path):
        pass


def test_a_folder_is_occupied_by_what_can_be_seen(tmp_path):
    assert not is_occupied(tmp_path / "none")
    (tmp_path / ".lock").touch()
    assert not is_occupied(tmp_path)
    (tmp_path / "result").touch()
    assert is_occupied(tmp_path)


def test_a_system_that_opens_no_folders_writes_all_the_same(target, monkeypatch):
    # As on Windows.
    monkeypatch.delattr(os, "O_DIRECTORY")
    write_atomic(target, "new")
    assert target.read_text() == "new"
