"""Readable documents of the interface, made from its OpenAPI document: one page without scripts.

Guarantees: everything on the page is in the OpenAPI document; nothing is fetched from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from digitnet.serving.problems import TITLES

# Beside the page, wherever the service is mounted.
STYLE_NAME = "docs.css"
STYLE = """\
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --strong: #0a6; }
body { font: 1rem/1.55 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.5rem; font-size: 1.2rem; }
h2 code { font-size: 1.1rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
.method { color: #fff; background: var(--strong); border-radius: .3rem; padding: .1rem .45rem;
  font: 700 .85rem/1.4 ui-monospace, monospace; margin-right: .5rem; }
nav ul { columns: 2 18rem; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top;
  padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { background: var(--soft); padding: .8rem; border-radius: .4rem; overflow-x: auto; }
.scroll { overflow-x: auto; }
"""


def api_page(document: dict[str, Any]) -> str:
    """Return the page, HTML, of an OpenAPI document."""
    operations = list(_operations(document))
    title = escape(document["info"]["title"])
    links = "".join(
        f'<li><a href="#{escape(each["operationId"])}">{_code(f"{method} {path}")}</a></li>'
        for method, path, each in operations
    )
    body = "".join(_operation(*each) for each in operations)
    schemas = "".join(
        f'<section><h2 id="schema-{escape(name)}">{escape(name)}</h2>{_fields(schema)}</section>'
        for name, schema in document["components"]["schemas"].items()
    )
    problems = "".join(
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td><td>{escape(text)}.</td></tr>'
        for code, text in TITLES.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="{STYLE_NAME}">'
        # Or browsers ask for one.
        '<link rel="icon" href="data:,"></head><body>'
        f"<main><h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>'
        f'<nav aria-label="Requests"><ul>{links}</ul></nav>{body}'
        "<h2>Problems</h2><p>What goes wrong is answered as <code>application/problem+json</code> "
        "(RFC 9457) with one of these codes.</p>"
        f'<div class="scroll"><table>{problems}</table></div>{schemas}</main></body></html>\n'
    )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section><h2 id="{escape(operation["operationId"])}"><span class="method">{method}</span>'
        f"<code>{escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}.</p>"
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (_code(each["name"]), _kind(each["schema"]), escape(each.get("description", "")))
            for each in parameters
        ]
        parts.append(f"<h3>Parameters of the address</h3>{_table(rows)}")
    if body := operation.get("requestBody"):
        kinds = [(_code(kind), _kind(each["schema"])) for kind, each in body["content"].items()]
        parts.append(f"<h3>Body, one of</h3>{_table(kinds)}")
        examples = [each["example"] for each in body["content"].values() if "example" in each]
        parts += [f"<h3>Example</h3><pre>{escape(json.dumps(each))}</pre>" for each in examples]
    rows = [
        (_code(status), escape(each["description"]), _contents(each.get("content", {})))
        for status, each in operation["responses"].items()
    ]
    return "".join([*parts, f"<h3>Answers</h3>{_table(rows)}", "</section>"])


def _fields(schema: dict[str, Any]) -> str:
    rows = [
        (_code(name), _kind(each), escape(each.get("description", "")))
        for name, each in schema.get("properties", {}).items()
    ]
    return _table(rows)


def _contents(content: dict[str, Any]) -> str:
    return ", ".join(_kind(each["schema"]) for each in content.values() if "schema" in each)


def _kind(schema: dict[str, Any]) -> str:
    """Return in a few words what a value is."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(each) for each in schema[key])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(_code(json.dumps(value)) for value in values)
    kind = "file" if schema.get("format") == "binary" else schema.get("type", "any")
    words = " or ".join(kind) if isinstance(kind, list) else escape(str(kind))
    if "properties" in schema:
        inner = (f"{_code(name)}: {_kind(each)}" for name, each in schema["properties"].items())
        words = f"{{{', '.join(inner)}}}"
    elif "prefixItems" in schema:
        words = f"[{', '.join(map(_kind, schema['prefixItems']))}]"
    elif "items" in schema:
        words = f"list of {_kind(schema['items'])}"
    return words


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{lines}</table></div>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
