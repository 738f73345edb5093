"""A module that does in this process, one after the other, what Ray would do elsewhere."""

import functools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from digitnet.experiments import ray_engine
from digitnet.training.progress import collect_signals


class _TaskError(Exception):
    @property
    def cause(self) -> BaseException | None:
        return self.__cause__


class FakeRay:
    """Two nodes of two processors."""

    exceptions = SimpleNamespace(RayTaskError=_TaskError, RayError=OSError)

    def __init__(self) -> None:
        self.tasks: list[tuple[Any, ...]] = []
        self.before_each: Callable[[], None] = lambda: None

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}] * 2

    def put(self, value: Any) -> Any:
        return value

    def remote(self, function: Any) -> Any:
        submit = functools.partial(functools.partial, function)
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=submit))

    def wait(self, tasks: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return tasks[:1], tasks[1:]

    def get(self, task: Any) -> Any:
        self.before_each()
        self.tasks.append(task.args[1])
        try:
            return task()
        except Exception as error:
            raise _TaskError from error

    def cancel(self, _task: Any) -> None:
        pass


def install(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_engine, "ray_session", lambda *_: collect_signals())
    return ray
