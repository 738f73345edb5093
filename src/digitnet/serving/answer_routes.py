"""The routes that read: ``/v1/predict``, ``/v1/read``, and ``:batch`` of both.

Guarantees:

- An answer has the fields of ``digitnet predict --json`` and ``digitnet read --json``, and the
  values that the Python API gives for the same bytes.
- Where there is no room for a request, it is refused before its body is read.
- Of a batch, each input has an answer or a problem in its place.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from digitnet.errors import InputError, UsageError
from digitnet.reading.prediction import Prediction, Reading
from digitnet.reading.strokes import from_strokes
from digitnet.serving.api_schemas import operation
from digitnet.serving.bodies import ASKED, Input, Wish, ink_of, parse_body, parse_query, strokes_of
from digitnet.serving.problems import problem_of
from digitnet.serving.service import Service

SCHEMA_VERSION = 1
# A body up to this size is parsed where it arrives; a larger one would keep others waiting.
_AT_ONCE = 2**16
_ALLOWED = {"predict": ("images",), "read": (*ASKED, "images")}

# A call for a thread, and whether it makes an ink whose prediction is wanted.
Call = tuple[Callable[[], Any], bool]


def answer_router(service: Service) -> APIRouter:
    """Return the routes that read with a service's recogniser."""
    router = APIRouter(tags=["reading"])
    for verb in ("predict", "read"):
        for batch in (False, True):
            path = f"/v1/{verb}:batch" if batch else f"/v1/{verb}"
            router.add_api_route(
                path,
                _handler(service, verb, batch),
                methods=["POST"],
                response_class=Response,
                **operation(verb, batch=batch, most=service.settings.max_inputs),
            )
    return router


def _handler(service: Service, verb: str, batch: bool) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        service.queue.check_room()
        wish = await _wish(service, request, _ALLOWED[verb], batch)
        results = await _results(service, wish, verb)
        if not batch:
            (result,) = results
            if isinstance(result, Exception):
                raise result
            return _json(_values(result, images=wish.images))
        answers = [_value_or_problem(result, images=wish.images) for result in results]
        return _json({"answers": answers})

    return answer


async def _wish(service: Service, request: Request, allowed: tuple[str, ...], batch: bool) -> Wish:
    """Return what a request wishes, its body parsed."""
    given = parse_query(request.scope["query_string"], allowed)
    content = await request.body()
    kind = request.headers.get("content-type", "")
    most = service.settings.max_inputs
    parse = functools.partial(parse_body, content, kind, given, most, batch=batch)
    wish = parse() if len(content) <= _AT_ONCE else await service.queue.run(parse)
    for name in wish.asked.keys() - set(allowed):
        raise UsageError(f"'{name}' is for reading whole texts: POST /v1/read")
    return wish


async def _results(service: Service, wish: Wish, verb: str) -> list[Any]:
    """Return for each input its prediction or reading, or the error in its place."""
    results: list[Any] = []
    calls: list[Call] = []
    for one in wish.inputs:
        call = one if isinstance(one, InputError) else _call(service, one, verb, wish.asked)
        if not isinstance(call, InputError):
            calls.append(call)
        results.append(call)
    if len(results) == len(calls) == 1:
        # By itself, without what many need.
        return [_counted(service, await _awaited(service.queue.run_all(calls)[0]))]
    futures = service.queue.run_all(calls)
    answers = iter(await asyncio.gather(*futures, return_exceptions=True))
    found = [each if isinstance(each, InputError) else next(answers) for each in results]
    for each in found:
        # What is wrong with the wish as a whole is so for each.
        if isinstance(each, BaseException) and not isinstance(each, InputError):
            raise each
    return [_counted(service, each) for each in found]


async def _awaited(future: Awaitable[Any]) -> Any:
    try:
        return await future
    except InputError as error:
        return error


def _call(service: Service, one: Input, verb: str, asked: dict[str, Any]) -> Call | InputError:
    """Return the call that reads an input."""
    recognizer, value = service.recognizer, one.value
    if verb == "read" and one.kind == "ink":
        return InputError(
            "Ink is one digit, for /v1/predict; send a picture or strokes to be read."
        )
    if one.kind == "picture":
        function = recognizer.predict if verb == "predict" else recognizer.read
        return functools.partial(function, value, **asked), False
    if one.kind == "ink":
        return functools.partial(ink_of, value), True
    if verb == "predict" and one.pen is not None:
        return InputError("'pen' is for reading whole texts, POST /v1/read; leave it out.")
    if verb == "predict":
        return lambda: from_strokes(strokes_of(value)), True
    return lambda: recognizer.read_strokes(strokes_of(value), pen=one.pen, **asked), False


def _counted(service: Service, result: Any) -> Any:
    if isinstance(result, InputError):
        outcome = "unreadable"
    else:
        accepted = result.is_digit if isinstance(result, Prediction) else result.accepted
        outcome = "read" if accepted else "refused"
    service.metrics.count_input(outcome)
    return result


def _value_or_problem(result: Any, *, images: bool) -> dict[str, Any]:
    if isinstance(result, Exception):
        return {"problem": problem_of(result)[1]}
    return _values(result, images=images)


def _values(result: Prediction | Reading, *, images: bool) -> dict[str, Any]:
    """Return an answer as plain values, with what the network saw if wanted."""
    values = result.as_dict()
    if not images:
        return values
    if isinstance(result, Prediction):
        return values | {"image": _packed(result)}
    for line, shown in zip(result.lines, values["lines"], strict=True):
        for digit, inner in zip(line.digits, shown["digits"], strict=True):
            inner["image"] = _packed(digit)
    return values


def _packed(prediction: Prediction) -> str:
    return base64.b64encode(prediction.image.tobytes()).decode()


def _json(values: dict[str, Any]) -> Response:
    content = json.dumps({"schema_version": SCHEMA_VERSION, **values})
    headers = {"cache-control": "no-store"}
    return Response(content, media_type="application/json", headers=headers)
