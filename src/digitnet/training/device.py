"""Where a training runs, and what makes it repeatable: device, threads, seeds.

Guarantees:

- "auto" is a GPU if torch can use one, else the CPU; a device that cannot be used is a
  ``UsageError``.
- Inside ``reproducible`` everything that torch draws follows from the seed of the settings;
  afterwards the caller's random state and thread count are as they were.
- On the CPU the same settings give the same bits, on the same machine with the same versions and
  threads. On a GPU the last digits may differ from run to run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from digitnet.errors import UsageError, unknown_name
from digitnet.machine import usable_cores
from digitnet.network.config import TrainConfig

DEVICES = ("auto", "cpu", "cuda", "mps")
CPU = torch.device("cpu")


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device called "cpu", "cuda" or "mps"; "auto" takes the fastest there is.

    Raises:
        UsageError: there is no such device, or torch cannot use it on this machine.
    """
    usable = ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    usable.append("cpu")
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise UsageError(
            f"--device {name} cannot be used: torch {torch.__version__} sees no such device here. "
            f"Allowed on this machine: auto, {', '.join(usable)}."
        )
    return torch.device(name)


def resolve_threads(config: TrainConfig) -> TrainConfig:
    """Return the settings with ``threads`` a real number, which decides the last digits."""
    return config.override(threads=config.threads or usable_cores())


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether ``device`` is faster with 16-bit numbers, bfloat16, than with 32."""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def generator_of(device: torch.device) -> torch.Generator:
    """Return the generator from which torch draws on ``device`` when it is given no other."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        return torch.cuda.default_generators[device.index or 0]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return torch.default_generator


@contextlib.contextmanager
def reproducible(config: TrainConfig, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch and set its threads as the settings say, and put both back afterwards.

    Args:
        config: the settings, with ``threads`` resolved.
        device: where the training runs; networks are initialised on the CPU in any case.
    """
    threads = torch.get_num_threads()
    generators = {torch.default_generator, generator_of(device)}
    states = {generator: generator.get_state() for generator in generators}
    torch.set_num_threads(config.threads)
    for generator in generators:
        generator.manual_seed(config.seed)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for generator, state in states.items():
            generator.set_state(state)
