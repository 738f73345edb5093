"""The routes that the page explains and teaches with: ``/model/…``, ``/v1/layers``, ``/v1/taught``.

Guarantees:

- What they compute waits in the same queue as everything else.
- Nothing that a request sends is kept; a taught model is given back, not used.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from digitnet.errors import InputError, IntegrityError, UsageError, importing_extras
from digitnet.reading.model_file import checked
from digitnet.serving.answer_routes import SCHEMA_VERSION
from digitnet.serving.api_schemas import LAYERS, TAUGHT
from digitnet.serving.lessons import HOW_TAUGHT, MOST_IMAGES, Lessons
from digitnet.serving.service import Service

_TYPES = {"json": "application/json", "png": "image/png"}
_KEPT = {"cache-control": "no-cache"}
_IMAGE_BYTES = 28 * 28
_MOST_OUTPUTS = 40


def lesson_router(service: Service) -> APIRouter:
    """Return the routes that explain a service's recogniser."""
    router, lessons = APIRouter(tags=["explaining"]), Lessons(service.recognizer)

    async def file(name: str) -> Response:
        content = await service.queue.run(lessons.files[name])
        kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        return Response(content, media_type=kind, headers=_KEPT)

    for name in lessons.files:
        router.add_api_route(
            f"/model/{name}", _named(file, name), methods=["GET"], include_in_schema=False
        )

    @router.post("/v1/layers", response_class=Response, **LAYERS)
    async def layers(request: Request) -> Response:
        service.queue.check_room()
        body = await request.body()
        return await service.queue.run(lambda: _layers(lessons, body))

    @router.post("/v1/taught", response_class=Response, **TAUGHT)
    async def taught(request: Request) -> Response:
        service.queue.check_room()
        body = await request.body()
        return await service.queue.run(lambda: _taught(service, body))

    return router


def _named(file: Any, name: str) -> Any:
    async def answer() -> Response:
        found: Response = await file(name)
        return found

    return answer


def _layers(lessons: Lessons, body: bytes) -> Response:
    values = _fields(body, {"images", "feeds", "wanted"})
    wanted, feeds = values.get("wanted"), values.get("feeds", {})
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise InputError('"wanted" must be a list of names of outputs.')
    if len(set(wanted)) < len(wanted):
        raise InputError('"wanted" names an output twice; name it once.')
    if not isinstance(feeds, dict) or not 1 <= len(wanted) <= _MOST_OUTPUTS:
        raise InputError(f'"feeds" must be an object, "wanted" 1 to {_MOST_OUTPUTS} names.')
    if "images" in feeds:
        raise InputError('"feeds" cannot hold "images"; they have a field of their own.')
    arrays = {name: _array(value, name) for name, value in feeds.items()}
    outputs = lessons.layers_of({"images": _images(values.get("images")), **arrays}, wanted)
    packed = {name: _packed(array) for name, array in zip(wanted, outputs, strict=True)}
    content = json.dumps({"schema_version": SCHEMA_VERSION, "outputs": packed})
    return Response(content, media_type="application/json", headers={"cache-control": "no-store"})


def _taught(service: Service, body: bytes) -> Response:
    with importing_extras():
        from digitnet.serving.layers_graph import with_last_layer
    values = _fields(body, {"last_weight", "last_bias"})
    weight, bias = (_array(values.get(name), name) for name in ("last_weight", "last_bias"))
    if weight.size > 2**20 or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError("The last layer must have finite weights.")
    content = service.recognizer.content
    about = {"taught": HOW_TAUGHT, "taught_from": service.recognizer.sha256}
    taught = with_last_layer(content, weight, bias, about)
    try:
        checked("The taught model", taught)
    except IntegrityError as error:
        raise InputError(f"With this last layer the model makes no sense: {error}") from error
    headers = {"content-disposition": 'attachment; filename="taught.onnx"'}
    return Response(taught, media_type="application/octet-stream", headers=headers)


def _fields(body: bytes, allowed: set[str]) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("The body is not valid JSON.") from error
    if not isinstance(values, dict):
        raise InputError("The body must be a JSON object.")
    if unknown := sorted(values.keys() - allowed):
        raise UsageError(
            f"There is no field '{unknown[0][:40]}'; allowed: {', '.join(sorted(allowed))}."
        )
    return values


def _images(value: Any) -> NDArray[np.float32]:
    content = _bytes(value, "images")
    count, rest = divmod(len(content), _IMAGE_BYTES)
    if rest or not 1 <= count <= MOST_IMAGES:
        raise InputError(
            f'"images" holds {len(content):,} bytes; it must hold 784 for each of 1 to '
            f"{MOST_IMAGES} images."
        )
    pixels = np.frombuffer(content, np.uint8).reshape(count, 1, 28, 28)
    return pixels.astype(np.float32) / np.float32(255)


def _array(value: Any, name: str) -> NDArray[np.float32]:
    """Return an array, ``{"dims": [...], "float32": base64}``."""
    name = re.sub(r"\W", "?", name)[:40]
    if not isinstance(value, dict) or value.keys() != {"dims", "float32"}:
        raise InputError(f'"{name}" must be {{"dims": [...], "float32": base64}}.')
    dims, content = value["dims"], _bytes(value["float32"], name)
    if not isinstance(dims, list) or not all(type(d) is int and 0 < d <= 2**20 for d in dims):
        raise InputError(f'"dims" of "{name}" must be whole numbers above 0.')
    array = np.frombuffer(content, "<f4") if len(content) % 4 == 0 else np.zeros(0, np.float32)
    size = 1
    for side in dims:
        size *= side
    if len(dims) > 4 or size != array.size:
        raise InputError(f'"{name}" has {len(content):,} bytes, which is no array of {dims[:4]}.')
    return array.astype(np.float32).reshape(dims)


def _bytes(value: Any, name: str) -> bytes:
    if not isinstance(value, str):
        raise InputError(f'"{name}" must be base64.')
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f'"{name}" is not valid base64.') from error


def _packed(array: NDArray[np.float32]) -> dict[str, Any]:
    content = np.ascontiguousarray(array, "<f4").tobytes()
    return {"dims": list(array.shape), "float32": base64.b64encode(content).decode()}
