"""The web application: the routes of the service behind its guard.

    from digitnet import Recognizer
    from digitnet.serving.web_app import create_app

    app = create_app(Recognizer())   # for any ASGI server, or to be mounted in another application

Guarantees: every address answers, with a problem where there is nothing; the interface is described
by ``/openapi.json`` and, for people, at ``/docs``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from digitnet import __version__
from digitnet.errors import UsageError
from digitnet.reading.recognizer import Recognizer
from digitnet.serving.answer_routes import answer_router
from digitnet.serving.api_page import STYLE, STYLE_NAME, api_page
from digitnet.serving.api_schemas import SCHEMAS
from digitnet.serving.guard import Guard
from digitnet.serving.lesson_routes import lesson_router
from digitnet.serving.page_files import PageFiles, address_of
from digitnet.serving.problems import RefusedError
from digitnet.serving.service import Service
from digitnet.serving.service_settings import ServiceSettings
from digitnet.serving.state_routes import state_router
from digitnet.text import escaped

_ABOUT = (
    "Reads handwritten digits from pictures and pen strokes, says how sure it is, and says when "
    "there is no digit. Pictures are PNG, JPEG, WebP, BMP, TIFF, GIF or PNM; nothing is stored."
)


def create_app(
    recognizer: Recognizer,
    settings: ServiceSettings | None = None,
) -> FastAPI:
    """Return the service as an ASGI application; ``app.state.service`` is its ``Service``.

    Args:
        recognizer: what reads.
        settings: how the service behaves; by default for this machine alone, without a page.
    """
    service = Service(recognizer, settings or ServiceSettings())

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.queue.open()
        yield
        service.queue.close()

    # Its own pages fetch scripts from elsewhere.
    app = FastAPI(
        title="digitnet",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # What is worth counting is counted by the guard.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    app.add_middleware(Guard, service=service)
    for make in (answer_router, state_router, lesson_router):
        app.include_router(make(service))
    _add_documents(app)
    _add_page(app, PageFiles(service.settings.page))
    return app


def _add_documents(app: FastAPI) -> None:
    """Add the OpenAPI document and the page made from it."""

    @functools.cache
    def openapi() -> dict[str, object]:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    async def document(_request: Request) -> Response:
        return JSONResponse(openapi())

    async def page(_request: Request) -> Response:
        return Response(api_page(openapi()), media_type="text/html", headers=_KEPT)

    async def style(_request: Request) -> Response:
        return Response(STYLE, media_type="text/css", headers=_KEPT)

    for name, answer in (("openapi.json", document), ("docs", page), (STYLE_NAME, style)):
        app.add_route(f"/{name}", answer, include_in_schema=False)


def _add_page(app: FastAPI, files: PageFiles) -> None:
    """Serve the files of the page wherever there is no route."""

    async def nothing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            response = files.response(request)
            if response is not None:
                request.scope["digitnet.page"] = True
                return response
            if address_of(request) == "/" and request.method in ("GET", "HEAD"):
                location = f"{request.scope.get('root_path', '')}/docs"
                return Response(status_code=307, headers={"location": location})
        headers = [(n.lower().encode(), v.encode()) for n, v in (error.headers or {}).items()]
        words = _WORDS.get(error.status_code, str(error.detail))
        path = escaped(request.scope["path"])[:200]
        raise RefusedError(error.status_code, UsageError(words.format(path=path)), *headers)

    app.add_exception_handler(HTTPException, nothing)


_KEPT = {"cache-control": "no-cache"}
_WORDS = {
    404: "There is nothing at '{path}'. What there is: /docs",
    405: "'{path}' does not take this method. What it takes: /docs",
}
