"""The command lines that repeat a run, and its settings beside those of the recipe."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from digitnet.network.config import TrainConfig, setting_meanings
from digitnet.network.recipes import RECIPES

# Set by another flag, or by the data.
_NOT_FLAGS = frozenset({"recipe", "data", "seed", "num_classes"})


def train_command(config: TrainConfig) -> str:
    """Return the command line that trains with these settings, whatever the recipe's name."""
    words = ["digitnet", "train", "--recipe", start_of(config).recipe, "--data", config.data]
    words += ["--seed", str(config.seed)]
    for name, value in changes(config).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{flag}", text]
    return shlex.join(words)


def transfer_command(origin: Mapping[str, Any], config: TrainConfig) -> str:
    """Return the command line that tunes the same network from the same start.

    Args:
        origin: what ``transfer.json`` holds.
        config: of the tuned network.
    """
    words = ["digitnet", "transfer", "--from", origin["source"]["name"], "--to", config.data]
    words += ["--fast", "--method", origin["method"], "--seed", str(origin["seed"])]
    settings = origin["settings"]
    options = {
        "--use": origin["labels"],
        "--old-data": origin["old_data"],
        "--replay": str(settings["replay"]),
        "--threads": config.threads,
        "--steps": settings["steps"],
    }
    for flag, value in options.items():
        # None and 0 stand for what the command does by itself.
        words += [flag, str(value)] if value else []
    return shlex.join([*words, *(["--crops"] if settings["crops"] else [])])


def changes(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from the recipe's and have a flag of their own."""
    usual = start_of(config).flat()
    return {
        name: value
        for name, value in config.flat().items()
        if name not in _NOT_FLAGS and value != usual[name]
    }


def start_of(config: TrainConfig) -> TrainConfig:
    """Return the recipe that a command starts from: "plain" where its name is the user's own."""
    return RECIPES.get(config.recipe, RECIPES["plain"])


def settings_rows(config: TrainConfig) -> list[dict[str, Any]]:
    """Return every setting: name, value in words, meaning, and whether it is not the recipe's."""
    changed, meanings = changes(config), setting_meanings()
    return [
        {
            "name": name,
            "value": plain_value(value),
            "meaning": meanings[name].replace("``", ""),
            "changed": name in changed,
        }
        for name, value in config.flat().items()
    ]


def plain_value(value: Any) -> str:
    """Return the value of a setting as people read it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def environment_rows(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what ``environment.json`` holds as names and values in words."""

    def written(name: str, value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
        if isinstance(value, list):
            return (shlex.join if name == "command" else ", ".join)(map(str, value))
        return "unknown" if value is None else str(value)

    return [(name.replace("_", " "), written(name, value)) for name, value in environment.items()]
