"""The sections that let others check and repeat: settings, environment, commands, words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from digitnet.network.config import TrainConfig, setting_meanings
from digitnet.network.recipes import RECIPES
from digitnet.showing.report.layout import Section, section
from digitnet.showing.report.markup import Html, el, join, table, word_anchor
from digitnet.showing.report.material import Material
from digitnet.showing.report.words import GLOSSARY

# Said by another flag, or by the data.
_NOT_FLAGS = frozenset({"recipe", "data", "seed", "num_classes"})


def settings_section(material: Material) -> Section:
    """Return every setting with its meaning, the data files, and the environment."""
    start = _start(material.config)
    changed = set(changes(material.config))
    meanings = setting_meanings()
    rows = (
        (
            el("code", name),
            el("strong", _value(value)) if name in changed else _value(value),
            meanings[name].replace("``", ""),
        )
        for name, value in material.config.flat().items()
    )
    return section(
        "settings",
        "Settings and environment",
        el(
            "p",
            f"Everything that decided this run. In bold: what differs from the recipe "
            f"“{start.recipe}”.",
        ),
        table("Settings", ("Setting", "Value", "Meaning"), rows, class_="long"),
        table(
            "Data files",
            ("File", "SHA-256 of the content"),
            (
                (name, el("code", digest, class_="hash"))
                for name, digest in material.run.data_sha256.items()
            ),
        ),
        table("Environment of the training", ("What", "Value"), _environment(material.environment)),
    )


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _environment(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if isinstance(value, dict):
            told = ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
        elif isinstance(value, list):
            told = (shlex.join if name == "command" else ", ".join)(map(str, value))
        else:
            told = "unknown" if value is None else str(value)
        yield name.replace("_", " "), told


_SAME_TRAINING = (
    "These commands train the same network in a new folder, measure it, and write such a report. "
    "(The first does all three; the others repeat their part.)"
)
_SAME_TRANSFER = (
    "This command tunes the same network again, if what it started from is still where it was."
)


def again_section(material: Material) -> Section:
    """Return the commands that do the same again."""
    folder = shlex.quote(str(material.run.path))
    origin = material.run.transfer
    if origin:
        lines = [f"{transfer_command(origin, material.config)} --out again"]
    else:
        lines = [
            f"{train_command(material.config)} --out again",
            "digitnet evaluate again",
            "digitnet report again",
        ]
    partly = None
    if material.ending == "interrupted":
        partly = join(
            (
                el("p", "To train the rest of the epochs of this run:"),
                _code(f"digitnet train --resume {folder}"),
            )
        )
    return section(
        "again",
        "How to do it again",
        el(
            "p",
            _SAME_TRANSFER if origin else _SAME_TRAINING,
            " On the same machine with the same versions and threads the weights come out the "
            "same, bit for bit; elsewhere they differ a little, and so may the last digits of the "
            "results.",
        ),
        _code("\n".join(lines)),
        partly,
        el("p", "To measure this very run again and write this page anew:"),
        _code(f"digitnet evaluate {folder}\ndigitnet report {folder}"),
    )


def _code(text: str) -> Html:
    return el("pre", el("code", text))


def transfer_command(origin: Mapping[str, Any], config: TrainConfig) -> str:
    """Return the command line that tunes the same network from the same start."""
    words = ["digitnet", "transfer", "--from", origin["source"]["name"], "--to", config.data]
    words += ["--fast", "--method", origin["method"], "--seed", str(origin["seed"])]
    if origin["labels"]:
        words += ["--use", str(origin["labels"])]
    settings = origin["settings"]
    words += ["--replay", str(settings["replay"]), "--threads", str(config.threads)]
    words += ["--steps", str(settings["steps"])] if settings["steps"] else []
    return shlex.join([*words, *(["--crops"] if settings["crops"] else [])])


def train_command(config: TrainConfig) -> str:
    """Return the command line that trains with these settings, whatever the recipe's name."""
    start = _start(config)
    words = ["digitnet", "train", "--recipe", start.recipe, "--data", config.data]
    words += ["--seed", str(config.seed)]
    for name, value in changes(config).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{flag}", text]
    return shlex.join(words)


def changes(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from the recipe's and are no other flag's business."""
    usual = _start(config).flat()
    return {
        name: value
        for name, value in config.flat().items()
        if name not in _NOT_FLAGS and value != usual[name]
    }


def _start(config: TrainConfig) -> TrainConfig:
    """Return the recipe that a command would start from; for a name of one's own, the plain one."""
    return RECIPES.get(config.recipe, RECIPES["plain"])


def words_section() -> Section:
    """Return the glossary."""
    entries = (
        (el("dt", word, id=word_anchor(word)), el("dd", meaning))
        for word, meaning in GLOSSARY.items()
    )
    return section(
        "words",
        "The words",
        el("dl", *(part for entry in entries for part in entry), class_="words"),
    )
