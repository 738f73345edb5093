"""The command line as a user meets it: by what it prints and returns."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import digitnet
from digitnet.cli import app
from digitnet.errors import StorageError
from digitnet.files import hold_lock

TINY = (
    *("--recipe", "plain", "--data", "sample", "--batch-size", "250", "--threads", "1"),
    *("--channels", "4,6", "--dense", "8", "--no-report", "--epochs", "1"),
)
VERBS = ("train", "evaluate", "predict", "export", "report", "doctor", "data", "bench")


@pytest.fixture(scope="session")
def fails(run_cli: Any) -> Callable[..., str]:
    """Run a command that must fail: with this code, these words, and nothing on stdout."""

    def run(code: int, *words: str, args: Sequence[object], **settings: object) -> str:
        done = run_cli(*args, **settings)
        assert (done.code, done.stdout) == (code, ""), done.stderr
        for word in words:
            assert word in done.stderr
        return str(done.stderr)

    return run


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a Python of its own, as a shell would start it."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, run_cli: Any
) -> tuple[Path, dict[str, object]]:
    """A run made by the command line, and the JSON that it ended with."""
    out = tmp_path_factory.mktemp("cli") / "run"
    with_report = [arg for arg in TINY if arg != "--no-report"]
    done = run_cli("train", *with_report, "--out", out, "--json")
    assert done.code == 0, done.stderr
    return out, json.loads(done.stdout)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['digitnet', '--help']\n"
        "from digitnet.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = ('torch', 'numpy', 'onnxruntime', 'cv2', 'matplotlib', 'sklearn', 'scipy')\n"
        "print('LOADED', [m for m in heavy if m in sys.modules])"
    )
    done = run_python(code)
    assert "LOADED []" in done.stdout
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, run_cli: Any) -> None:
    done = run_cli(verb, "-h")
    assert done.code == 0
    assert "Usage:" in done.stdout


def test_version(run_cli: Any) -> None:
    done = run_cli("--version")
    assert done.stdout == f"digitnet {digitnet.__version__}\n"


def test_train_ends_with_one_object_of_the_promised_keys(
    trained: tuple[Path, dict[str, object]],
) -> None:
    out, result = trained
    promised = {
        *("schema_version", "run", "recipe", "seed", "parameters", "epochs", "seconds"),
        *("val_accuracy", "test_accuracy", "test_loss", "misses"),
    }
    assert promised <= result.keys()
    assert result["run"] == str(out)
    assert result["recipe"] == "plain"
    assert (out / "report.html").is_file()
    assert (out / "predictions.csv").is_file()


def test_evaluate_gives_the_same_metrics(
    trained: tuple[Path, dict[str, object]], run_cli: Any
) -> None:
    out, result = trained
    done = run_cli("evaluate", out, "--json")
    again = json.loads(done.stdout)
    again.pop("microseconds_per_image")
    assert again == {k: v for k, v in result.items() if k != "microseconds_per_image"}


def test_progress_is_lines_on_stderr_and_quiet_is_quiet(tmp_path: Path, run_cli: Any) -> None:
    loud = run_cli("train", *TINY, "--out", tmp_path / "loud")
    assert "epoch 1/1" in loud.stderr
    assert "epoch 1/1" not in loud.stdout
    assert "test accuracy" in loud.stdout
    quiet = run_cli("train", *TINY, "--out", tmp_path / "quiet", "--quiet")
    assert quiet.stderr == ""
    assert "test accuracy" in quiet.stdout


def test_a_terminal_gets_a_bar(tmp_path: Path, run_cli: Any) -> None:
    env = {"TERM": "xterm", "COLUMNS": "100"}
    done = run_cli("train", *TINY, "--out", tmp_path / "run", terminal=True, env=env)
    assert done.code == 0
    assert "accuracy" in done.stderr
    assert "left" in done.stderr


def test_settings_come_from_recipe_then_file_then_flags(tmp_path: Path, run_cli: Any) -> None:
    file = tmp_path / "my.toml"
    file.write_text(
        'recipe = "plain"\ndata = "sample"\nepochs = 1\nbatch_size = 250\nthreads = 1\n'
        "seed = 5\nlearning_rate = 0.002\n[model]\nchannels = [4, 6]\ndense = [8]\n"
    )
    args = ("--config", file, "--seed", 6, "--out", tmp_path / "run", "--no-report")
    done = run_cli("train", *args, "--quiet")
    assert done.code == 0, done.stderr
    config = digitnet.open_run(tmp_path / "run").config
    assert (config.recipe, config.seed, config.learning_rate) == ("plain", 6, 0.002)
    assert config.model.channels == (4, 6)


def test_no_augment_switches_the_recipe_off_but_not_other_flags(
    tmp_path: Path, run_cli: Any
) -> None:
    args = ("train", *TINY[2:], "--no-augment", "--rotate", 3, "--out", tmp_path / "run")
    assert run_cli(*args, "--quiet").code == 0
    augmentation = digitnet.open_run(tmp_path / "run").config.augmentation
    assert augmentation == digitnet.AugmentationConfig(rotate=3.0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--recipe", "referense"), ("referense", "Did you mean 'reference'?")),
        (("--data", "mnits"), ("mnits", "Did you mean 'mnist'?")),
        (("--activation", "rellu"), ("rellu", "Did you mean 'relu'?")),
        (("--epochs", "0"), ("--epochs", "0", "from 1")),
        (("--dropout", "1.5"), ("--dropout", "1.5", "from 0")),
        (("--dropout", "nan"), ("--dropout", "nan")),
        (("--channels", "32,x"), ("--channels", "32,x", "32,64")),
        (("--epochs", "ten"), ("--epochs", "'ten'", "a whole number")),
        (("--rotate", "far"), ("--rotate", "'far'", "a number")),
        (("--epoch", "3"), ("--epochs",)),
        (("--resume", "somewhere", "--out", "elsewhere"), ("--resume", "--out")),
    ],
)
def test_wrong_flags_are_usage_errors(
    args: tuple[str, ...], words: tuple[str, ...], fails: Any
) -> None:
    fails(2, *words, args=("train", *args))


def test_wrong_files_are_input_errors(tmp_path: Path, fails: Any) -> None:
    fails(3, "nowhere", args=("evaluate", tmp_path / "nowhere"))
    fails(3, "not a run folder", args=("report", tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    fails(3, f"There is one in it: {tmp_path / 'model'}", args=("report", tmp_path))
    fails(3, "no run folder", args=("train", "--resume", tmp_path / "nowhere"))
    fails(3, "nowhere.toml", args=("train", "--config", tmp_path / "nowhere.toml"))
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    fails(3, "bad.toml", args=("train", "--config", tmp_path / "bad.toml"))
    (tmp_path / "odd.toml").write_text("epoch = 3")
    fails(2, "epoch", "Did you mean 'epochs'?", args=("train", "--config", tmp_path / "odd.toml"))


def test_missing_data_offline_say_what_to_do(tmp_path: Path, fails: Any) -> None:
    fails(1, "--data sample", args=("train", "--offline", "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    (tmp_path / "half").mkdir()
    message = fails(3, args=("train", "--data-dir", tmp_path / "half", "--out", tmp_path / "run"))
    assert "train-images-idx3-ubyte" in message


def test_a_damaged_model_has_its_own_code(
    tmp_path: Path, trained: tuple[Path, dict[str, object]], fails: Any
) -> None:
    for name in ("config.json", "history.csv"):
        (tmp_path / name).write_bytes((trained[0] / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04\x95 a pickle in disguise")
    fails(5, "pickle", args=("evaluate", tmp_path))


def test_resuming_with_another_seed_names_the_key(
    trained: tuple[Path, dict[str, object]], fails: Any
) -> None:
    fails(2, "seed is 0, not 3", args=("train", "--resume", trained[0], "--seed", 3))


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run_cli("train", *TINY, "--out", tmp_path / "run")
    assert done.code == 1
    assert "The disk is full" in done.stderr


def test_ctrl_c_ends_cleanly_and_resume_goes_on(tmp_path: Path, run_cli: Any) -> None:
    out = tmp_path / "run"
    args = (*TINY[:-1], "40")
    command = [sys.executable, "-m", "digitnet", "train", *args, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr
        child.stderr.readline()  # The line of the first epoch.
        child.send_signal(signal.SIGINT)
        errors = child.stderr.read()
    assert child.returncode == 130
    assert "rror" not in errors, "to stop is no error"
    assert f"digitnet train --resume {out}" in errors
    done = run_cli("evaluate", out, "--json")
    assert 1 <= json.loads(done.stdout)["epochs"] < 40


def test_ctrl_c_while_loading_is_one_line() -> None:
    code = (
        "import os, signal, sys\n"
        # A shell starts what runs in the background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from digitnet.__main__ import main; main()"
    )
    done = run_python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_all_errors_look_alike(fails: Any) -> None:
    for verb in ("trian", "train"):
        *_, last = fails(2, args=(verb, "--epochs", "x")).splitlines()
        assert last.startswith("Error: ")


def test_one_epoch_is_singular_and_numbers_are_rounded(
    trained: tuple[Path, dict[str, object]], run_cli: Any
) -> None:
    assert "1 epoch in" in run_cli("evaluate", trained[0]).stdout
    exported = run_cli("export", trained[0], "--out", trained[0] / "again.onnx").stdout
    (difference,) = [line for line in exported.splitlines() if line.startswith("largest")]
    assert len(difference.split()[-1]) <= 9


@pytest.mark.parametrize(
    "args",
    [
        ("train", "--data", "sample"),
        ("evaluate", "RUN"),
        ("study", "sample"),
        ("transfer", "--from", "RUN", "--to", "digits8x8", "--fast"),
    ],
    ids=lambda args: args[0],
)
def test_a_device_that_is_not_here_is_a_usage_error(
    args: tuple[str, ...], trained: tuple[Path, dict[str, object]], fails: Any, tmp_path: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one here")
    words = [str(trained[0]) if arg == "RUN" else arg for arg in args]
    fails(2, "--device cuda cannot be used", args=(*words, "--device", "cuda"), cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_epochs_extend_a_run(
    tmp_path: Path, trained: tuple[Path, dict[str, object]], run_cli: Any
) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    (run / "report.html").write_text("of the run as it is")
    assert "report.html" in run_cli("evaluate", run).stdout
    done = run_cli("train", "--resume", run, "--epochs", 2, "--no-report", "--json")
    assert not (run / "report.html").exists(), "it is of one epoch"
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2
    assert "epoch 2/2" in done.stderr
    assert "epoch 1/2" not in done.stderr


def test_two_commands_at_once_do_not_share_a_folder(
    tmp_path: Path, trained: tuple[Path, dict[str, object]], fails: Any
) -> None:
    out = shutil.copytree(trained[0], tmp_path / "run")
    with hold_lock(out):
        fails(2, "Another process", args=("train", "--resume", out))


def test_report_rebuilds_what_is_deleted(
    trained: tuple[Path, dict[str, object]], run_cli: Any
) -> None:
    out, _ = trained
    (out / "report.html").unlink()
    done = run_cli("report", out)
    assert done.code == 0
    assert done.stdout.strip() == str(out / "report.html")
    assert (out / "report.html").is_file()


def test_doctor_tells_versions_and_state(run_cli: Any) -> None:
    state = json.loads(run_cli("doctor", "--json").stdout)
    assert state["digitnet"] == digitnet.__version__
    assert state["packages"]["torch"]
    assert state["cores"] >= 1
    assert state["threads"] >= 1
    assert state["cache"] == os.environ["DIGITNET_CACHE_DIR"]
    assert set(state["data"]["mnist"].values()) == {"missing"}
    lines = run_cli("doctor").stdout.splitlines()
    assert {"cache", "data mnist"} <= {line.partition("  ")[0] for line in lines}
    assert not any("None" in line or line.startswith("command") for line in lines)


def test_answers_come_in_no_columns_and_without_warnings_of_libraries(tmp_path: Path) -> None:
    from PIL import Image

    broken = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01\0"
    Image.new("L", (40, 40), 255).save(tmp_path / "odd.jpg", exif=broken)
    done = subprocess.run(
        [sys.executable, "-m", "digitnet", "predict", "odd.jpg"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "0"},
    )
    assert "odd.jpg" in done.stdout
    assert "Warning" not in done.stderr


def test_closed_stdout_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 1
    assert "could not be written: stdout is closed." in capsys.readouterr().err


def test_with_stderr_closed_words_do_not_go_to_stdout(tmp_path: Path) -> None:
    missing = " ".join(f"'{tmp_path}/no{n}.png'" for n in range(40))
    command = f"{sys.executable} -m digitnet read {missing} 2>&-"
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=False)
    assert done.stdout.strip() == ""
    assert done.returncode == 3


@pytest.mark.parametrize("group", [(), ("data",), ("bench",)])
def test_summaries_are_whole_at_80_columns(group: tuple[str, ...], run_cli: Any) -> None:
    assert "..." not in run_cli(*group, "--help", env={"COLUMNS": "80"}).stdout.replace(
        "[ARGS]...", ""
    )


def test_doctor_tells_of_a_cache_that_cannot_be_read(
    run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> None:
        raise StorageError("the cache is on fire")

    monkeypatch.setattr("digitnet.data.fetching.verify", broken)
    done = run_cli("doctor", "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["data"]["mnist"] == {"error": "the cache is on fire"}


def test_a_damaged_file_has_its_own_code(tmp_path: Path, run_cli: Any) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"not these")
    done = run_cli("data", "verify", "--data-dir", tmp_path, "--json")
    assert done.code == 5
    states = {file["name"]: file["state"] for file in json.loads(done.stdout)["files"]}
    assert states["train-images-idx3-ubyte"] == "damaged"
    assert states["t10k-labels-idx1-ubyte"] == "missing"
    assert "Put intact copies there" in done.stderr


def test_data_verbs(run_cli: Any, fails: Any) -> None:
    names = [row["name"] for row in json.loads(run_cli("data", "list", "--json").stdout)["data"]]
    assert names[:2] == ["mnist", "sample"]
    assert {"usps", "fashion_mnist", "emnist_letters", "qmnist50k", "digits8x8"} < set(names)
    assert "CC BY-SA" in run_cli("data", "list").stdout
    done = run_cli("data", "verify")
    assert done.code == 3
    assert "missing" in done.stdout
    fails(1, "mnist", args=("data", "fetch", "--offline"))
    fails(1, "import PATH --name usps", args=("data", "fetch", "usps", "--offline"))
    fails(2, "nothing to fetch", args=("data", "fetch", "sample"))
    fails(3, "nowhere", args=("data", "import", "/nowhere"))


def test_a_missing_extra_names_the_command(tmp_path: Path) -> None:
    """As in a base install: torch is not there."""
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from digitnet.cli.app import main\n"
        f"sys.argv = ['digitnet', 'train', *{TINY!r}, '--out', {str(tmp_path / 'run')!r}]\n"
        "main()"
    )
    done = run_python(code)
    assert done.returncode == 1
    assert "pip install 'digitnet[train]'" in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m digitnet data list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_an_unexpected_error_is_a_sentence_too(
    run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr("digitnet.cli.app.app", broken)
    done = run_cli("doctor")
    assert done.code == 1
    assert "surprise" in done.stderr


def test_the_run_is_the_same_from_shell_and_python(
    tmp_path: Path, trained: tuple[Path, dict[str, object]]
) -> None:
    settings = digitnet.open_run(trained[0]).config
    run = digitnet.train(settings, out=tmp_path / "run")
    assert run.model_file.read_bytes() == (trained[0] / "model.safetensors").read_bytes()
