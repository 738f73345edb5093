"""The interface as it is described: the description fits the answers, and its page is whole."""

import base64
import html.parser
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

import serving
from digitnet.serving import api_schemas
from digitnet.serving.problems import TITLES


@pytest.fixture(scope="module")
def call() -> Iterator[serving.Caller]:
    with serving.calling() as caller:
        yield caller


@pytest.fixture(scope="module")
def document(call: serving.Caller) -> Any:
    return call.get("/openapi.json").json()


def closed(schema: Any) -> Any:
    """Return a schema that allows no property that it does not name."""
    if isinstance(schema, dict):
        inner = {key: closed(value) for key, value in schema.items()}
        return inner | ({"additionalProperties": False} if "properties" in inner else {})
    return [closed(each) for each in schema] if isinstance(schema, list) else schema


def check(document: Any, name: str, answer: Any) -> None:
    everything = closed(document["components"]["schemas"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": everything}}
    jsonschema_rs.Draft202012Validator(schema).validate(answer)


def test_every_kind_of_answer_is_described_to_its_last_field(
    call: serving.Caller, document: Any
) -> None:
    packed = base64.b64encode(serving.picture()).decode()
    for body in ({"image": packed}, {"image": packed, "images": True}, {"strokes": []}):
        check(document, "Prediction", call.post("/v1/predict", json=body).json())
        check(document, "Reading", call.post("/v1/read", json=body).json())
    refused = call.post("/v1/read?digits=9", content=serving.picture()).json()
    assert refused["refusal"]
    check(document, "Reading", refused)
    inputs = {"inputs": [{"image": packed}, {"image": "x"}, {"strokes": serving.SEVEN}]}
    check(document, "Predictions", call.post("/v1/predict:batch", json=inputs).json())
    check(document, "Readings", call.post("/v1/read:batch", json=inputs).json())
    check(document, "Problem", call.post("/v1/read", content=b"x").json())
    check(document, "Problem", call.get("/nothing").json())
    check(document, "Model", call.get("/v1/model").json())
    image = call.post("/v1/predict?images=1", content=serving.picture()).json()["image"]
    asked = {"images": image, "wanted": ["maps_1", "logits"]}
    check(document, "Layers", call.post("/v1/layers", json=asked).json())
    for path in ("/healthz", "/readyz"):
        check(document, "Status", call.get(path).json())


def test_the_document_is_valid_and_complete(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        *("/v1/predict", "/v1/predict:batch", "/v1/read", "/v1/read:batch", "/v1/model"),
        *("/healthz", "/readyz", "/metrics", "/v1/layers", "/v1/taught"),
    }
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    for schema in api_schemas.SCHEMAS.values():
        jsonschema_rs.meta.validate(schema)


class Page(html.parser.HTMLParser):
    """Notes what a page refers to, and checks that its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.seen.add(tag)
        self.ids |= {values["id"]} if "id" in values else set()
        self.links |= {str(values[name]) for name in ("href", "src") if name in values}
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_readable_page_is_whole_and_fetches_nothing_from_elsewhere(
    call: serving.Caller, document: Any
) -> None:
    answer = call.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(answer.text)
    assert not page.open
    assert not page.seen & {"script", "style", "img", "iframe"}
    assert "style=" not in answer.text
    for link in page.links - {"data:,"}:
        assert link[1:] in page.ids if link[0] == "#" else call.get(link).status_code == 200, link
    # The type of a problem leads to its words.
    assert set(TITLES) <= page.ids
    for path in document["paths"]:
        assert path in answer.text


# ---- whatever the document allows, and what it does not

with serving.calling() as _described:
    SCHEMA = schemathesis.openapi.from_asgi(
        "/openapi.json", _described.app, headers={"host": "localhost"}
    )


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Any]:
    with serving.calling() as caller:
        yield caller.app


@SCHEMA.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_what_the_document_allows_is_answered_as_it_says(case: Any, fuzzed: Any) -> None:
    if case.path == "/metrics":
        pytest.skip("Prometheus's format has no schema")
    case.operation.app = fuzzed
    response = case.call(headers={"host": "localhost", **(case.headers or {})})
    case.validate_response(
        response,
        checks=[
            checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ],
    )


def test_the_examples_are_answered(call: serving.Caller, document: Any) -> None:
    seen = 0
    for path, methods in document["paths"].items():
        for body in methods.get("post", {}).get("requestBody", {}).get("content", {}).values():
            if "example" in body:
                seen += 1
                answer = call.post(path, json=body["example"])
                assert answer.status_code == 200
                assert "problem" not in answer.text
    assert seen == 4
