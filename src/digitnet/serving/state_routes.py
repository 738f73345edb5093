"""The routes that say how the service is: its health, its model, its counters, its interface.

Guarantees: ``/healthz`` answers as long as the process does, ``/readyz`` only while requests should
be sent here; neither waits for a picture.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Response

from digitnet import __version__
from digitnet.serving.answer_routes import SCHEMA_VERSION
from digitnet.serving.api_schemas import problem_response, state_responses
from digitnet.serving.problems import refused_for_now
from digitnet.serving.service import Service
from digitnet.serving.service_metrics import MEDIA_TYPE
from digitnet.text import are_digits

_FRESH = {"cache-control": "no-store"}


def state_router(service: Service) -> APIRouter:
    """Return the routes about a service."""
    router = APIRouter(tags=["service"])
    card = json.dumps(_card(service))
    stopping = problem_response("The service is stopping.")

    @router.get(
        "/v1/model",
        summary="The model that reads",
        operation_id="model",
        response_class=Response,
        responses=state_responses("Model", "What the model file says about itself."),
    )
    async def model() -> Response:
        return Response(card, media_type="application/json", headers={"cache-control": "no-cache"})

    @router.get(
        "/healthz",
        summary="Whether the process answers",
        operation_id="healthz",
        response_class=Response,
        responses=state_responses("Status", "It does."),
    )
    async def healthz() -> Response:
        return Response('{"status": "ok"}', media_type="application/json", headers=_FRESH)

    @router.get(
        "/readyz",
        summary="Whether requests should be sent here",
        operation_id="readyz",
        response_class=Response,
        responses={**state_responses("Status", "They should."), 503: stopping},
    )
    async def readyz() -> Response:
        if service.draining:
            raise refused_for_now("The service is stopping; send requests elsewhere.")
        return Response('{"status": "ready"}', media_type="application/json", headers=_FRESH)

    @router.get(
        "/metrics",
        summary="Counters, for Prometheus",
        operation_id="metrics",
        response_class=Response,
        responses={
            200: {"description": "In Prometheus's text format.", "content": {"text/plain": {}}}
        },
    )
    async def metrics() -> Response:
        text = service.metrics.as_text()
        return Response(text, headers={"content-type": MEDIA_TYPE, **_FRESH})

    return router


def _card(service: Service) -> dict[str, Any]:
    recognizer = service.recognizer
    return {
        "schema_version": SCHEMA_VERSION,
        # Not where its file is.
        "name": recognizer.metadata.get("recipe", "digitnet"),
        "sha256": recognizer.sha256,
        "class_names": list(recognizer.class_names),
        "ood_threshold": float(recognizer.ood_threshold),
        "reads_numbers": are_digits(recognizer.class_names),
        "digitnet": __version__,
        "metadata": recognizer.metadata,
    }
