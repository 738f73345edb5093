"""What requests and answers look like, for the OpenAPI document.

Guarantees: the tests check every kind of answer against these schemas, and the schemas against what
``Prediction.as_dict`` and ``Reading.as_dict`` return.
"""

from __future__ import annotations

from typing import Any

from digitnet.serving.bodies import MAX_POINTS
from digitnet.serving.problems import PROBLEM_TYPE, TITLES

Schema = dict[str, Any]

_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1.000001}
_BOX_SIDES = ("left", "top", "width", "height")


def _object(properties: Schema, *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: Schema, **more: Any) -> Schema:
    return {"anyOf": [schema, {"type": "null"}], **more}


def _arrays(description: str) -> Schema:
    return {
        "type": "object",
        "additionalProperties": _ref("Array"),
        "description": description,
    }


_DIGIT: Schema = {
    "digit": {
        "type": ["integer", "null"],
        "description": "Number of the most probable class, accepted or not; null for a blank.",
    },
    "label": {"type": ["string", "null"], "description": "The name of this class."},
    "confidence": _PROBABILITY | {"description": "The largest of the probabilities."},
    "probabilities": {"type": "array", "items": _PROBABILITY, "minItems": 2},
    "ood_score": {"type": "number", "description": "How unlike a digit it is; larger is stranger."},
    "is_digit": {"type": "boolean", "description": "Whether there is one digit."},
    "reason": {
        "enum": [None, "blank", "not_a_digit", "ambiguous", "several"],
        "description": "What to beware of; null: nothing.",
    },
    "box": _nullable(
        _object({side: {"type": "integer"} for side in _BOX_SIDES}),
        description="Where it is in the upright picture, in pixels.",
    ),
    "image": {
        "type": "string",
        "contentEncoding": "base64",
        "description": "With images=1: the 28 × 28 pixels that the network saw, bright on 0.",
    },
}
_VERSION: Schema = {"schema_version": {"const": 1}}
_LINE = _object(
    {
        "text": {"type": "string"},
        "confidence": _PROBABILITY,
        "digits": {"type": "array", "items": _ref("Digit")},
    }
)
_TEXT: Schema = {
    "text": {
        "type": "string",
        "description": "Lines separated by a newline, ? for a sign that is no digit; empty where "
        "it was refused.",
    },
    "confidence": _PROBABILITY | {"description": "How likely the whole text is right."},
    "odds": {"type": ["number", "null"], "description": "How many times likelier than the next."},
    "reason": {"enum": [None, "blank", "no_digits", "uncertain"]},
    "refusal": {"type": ["string", "null"], "description": "Why the text was refused."},
    "turned": {"enum": [0, 90, 180, 270]},
    "lines": {"type": "array", "items": _LINE},
}
_PROBLEM: Schema = {
    "type": {"type": "string", "format": "uri-reference"},
    "title": {"type": "string"},
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": {"type": "string"},
    "code": {"enum": list(TITLES), "description": "The class of digitnet's error."},
    "exit_code": {"type": "integer", "description": "Of the command line for this error."},
    "request_id": {"type": "string"},
}
_INNER_PROBLEM = _object({"problem": _object(_PROBLEM, optional=("request_id",))})
_WHERE: Schema = {"type": "number", "minimum": -1e9, "maximum": 1e9}
_PRESSURE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_POINTS: list[Schema] = [
    {"type": "array", "prefixItems": place, "minItems": len(place), "maxItems": len(place)}
    for place in ([_WHERE, _WHERE], [_WHERE, _WHERE, _PRESSURE])
]
_STROKES: Schema = {
    "type": "array",
    "items": {
        "anyOf": [{"type": "array", "items": each, "maxItems": MAX_POINTS} for each in _POINTS]
    },
    "maxItems": MAX_POINTS,
    "description": "For each time the pen touched the paper its points [x, y], y down, or "
    "[x, y, pressure], pressure in 0 to 1.",
}
_PEN: Schema = {
    "type": "number",
    "exclusiveMinimum": 0,
    "description": "The pen's width in the unit of the strokes; default: a tenth of a sign.",
}
_INK: Schema = {
    "anyOf": [
        {"type": "string", "contentEncoding": "base64", "minLength": 1046, "maxLength": 1048},
        {
            "type": "array",
            "minItems": 1,
            "maxItems": 1024,
            "items": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1024,
                "items": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
    ],
    "description": "Bright strokes on 0: base64 of 28 × 28 bytes, or rows of numbers in 0 to 1.",
}
_IMAGE: Schema = {
    "type": "string",
    "description": "A picture file in base64, or a data URL.",
}
_DIGITS: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 100},
        {"type": "string", "pattern": r"^[1-9][0-9]?(-[1-9][0-9]?)?$"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    ],
    "description": "How many digits there are in all: 6, or 4-6.",
}
_CHECK: Schema = {"enum": ["luhn", "mod97", "ean13"], "description": "The check that they pass."}
_LEAST: Schema = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "description": "A text that is less likely right is refused.",
}
_OPTIONS: dict[str, Schema] = {
    "images": {"type": "boolean", "description": "Send what the network saw, too."},
    "digits": _DIGITS,
    "check": _CHECK,
    "min_confidence": _LEAST,
}
_QUERY = _OPTIONS | {
    "images": {"enum": ["0", "1"], "description": _OPTIONS["images"]["description"]},
    "digits": {
        "type": "string",
        "pattern": r"^[1-9][0-9]?(-[1-9][0-9]?)?$",
        "description": _DIGITS["description"],
    },
}

SCHEMAS: dict[str, Schema] = {
    "Digit": _object(_DIGIT, optional=("image",)),
    "Prediction": _object(_VERSION | _DIGIT, optional=("image",)),
    "Reading": _object(_VERSION | _TEXT),
    "Predictions": _object(
        _VERSION
        | {"answers": {"type": "array", "items": {"anyOf": [_ref("Digit"), _INNER_PROBLEM]}}}
    ),
    "Readings": _object(
        _VERSION
        | {"answers": {"type": "array", "items": {"anyOf": [_object(_TEXT), _INNER_PROBLEM]}}}
    ),
    "Problem": _object(_PROBLEM),
    "Model": _object(
        {
            **_VERSION,
            "name": {"type": "string"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "class_names": {"type": "array", "items": {"type": "string"}},
            "ood_threshold": {"type": "number"},
            "reads_numbers": {"type": "boolean"},
            "digitnet": {"type": "string", "description": "The version of digitnet."},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ),
    "Status": _object({"status": {"type": "string"}}),
    "Array": _object(
        {
            "dims": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": 2**20},
                "minItems": 1,
                "maxItems": 4,
            },
            "float32": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "Its numbers in rows, 32 bits each, the lowest byte first.",
            },
        }
    ),
    "LayersRequest": _object(
        {
            "images": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "784 bytes for each image, as `image` of a digit.",
            },
            "wanted": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "Names of outputs, as in `/model/layers.json`.",
            },
            "feeds": _arrays("Other inputs: filters that are off, another last layer."),
        },
        optional=("feeds",),
        additionalProperties=False,
    ),
    "Layers": _object(_VERSION | {"outputs": _arrays("What the layers make, by name.")}),
    "LastLayer": _object(
        {"last_weight": _ref("Array"), "last_bias": _ref("Array")}, additionalProperties=False
    ),
}

# A 7 in one stroke, and a picture of one white pixel, for examples.
_SEVEN = [[[0, 0], [60, 0], [25, 100]]]
_NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAP///////yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="

_SUMMARIES = {
    ("predict", False): "Read one digit",
    ("predict", True): "Read one digit in each of several pictures or drawings",
    ("read", False): "Read all that is written",
    ("read", True): "Read all that is written in each of several pictures or drawings",
}
_PROBLEMS = {
    400: "A parameter or field does not exist or cannot be so.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    422: "What was sent cannot be read.",
    503: "The service is overloaded or stopping; Retry-After says when to try again.",
}


def operation(verb: str, *, batch: bool, most: int) -> dict[str, Any]:
    """Return what FastAPI is told of a route that reads.

    Args:
        verb: ``predict`` or ``read``.
        batch: whether it takes several inputs.
        most: how many.
    """
    names = ("images",) if verb == "predict" else tuple(_OPTIONS)
    answer = {"predict": "Prediction", "read": "Reading"}[verb] + ("s" if batch else "")
    ok = {"description": "What was read.", "content": _json(_ref(answer))}
    problems = {status: problem_response(text) for status, text in _PROBLEMS.items()}
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": _QUERY[name],
            "description": _QUERY[name].get("description", ""),
        }
        for name in names
    ]
    body = {"required": True, "content": _contents(verb, names, batch, most)}
    return {
        "operation_id": verb + ("_batch" if batch else ""),
        "summary": _SUMMARIES[verb, batch],
        "responses": {200: ok, **problems},
        "openapi_extra": {"parameters": parameters, "requestBody": body},
    }


def lesson_operation(name: str, summary: str, body: str, answer: Schema) -> dict[str, Any]:
    """Return what FastAPI is told of a route that explains.

    Args:
        name: of the operation.
        summary: in words.
        body: the schema of what is sent.
        answer: the contents of what is answered.
    """
    problems = {status: problem_response(text) for status, text in _PROBLEMS.items()}
    return {
        "operation_id": name,
        "summary": summary,
        "responses": {200: {"description": "What was asked for.", "content": answer}, **problems},
        "openapi_extra": {"requestBody": {"required": True, "content": _json(_ref(body))}},
    }


def problem_response(description: str) -> Schema:
    """Return a response that is a problem."""
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}}}


def state_responses(name: str, description: str) -> dict[int | str, Schema]:
    """Return the responses of a route that says something about the service."""
    return {200: {"description": description, "content": _json(_ref(name))}}


def _contents(verb: str, names: tuple[str, ...], batch: bool, most: int) -> Schema:
    """Return the kinds of bodies that a route takes."""
    kinds = {"image": _IMAGE, "strokes": _STROKES} | ({"ink": _INK} if verb == "predict" else {})
    options = {name: _OPTIONS[name] for name in names}
    one = [
        _object({name: schema} | _more(verb, name), optional=("pen",), additionalProperties=False)
        for name, schema in kinds.items()
    ]
    file: Schema = {"type": "string", "format": "binary"}
    if batch:
        inputs = {"type": "array", "items": {"oneOf": one}, "minItems": 1, "maxItems": most}
        whole = _object({"inputs": inputs} | options, optional=names, additionalProperties=False)
        files = {"type": "array", "items": file, "minItems": 1, "maxItems": most}
        form = _object({"file": files})
        example = {"inputs": [{"strokes": _SEVEN}, {"image": _NOTHING}]}
        return _json(whole, example=example) | {"multipart/form-data": {"schema": form}}
    wholes = [
        _object(
            {name: schema} | _more(verb, name) | options,
            optional=("pen", *names),
            additionalProperties=False,
        )
        for name, schema in kinds.items()
    ]
    form = _object({"file": file})
    return (
        _json({"oneOf": wholes}, example={"strokes": _SEVEN})
        | {"multipart/form-data": {"schema": form}}
        | {
            kind: {"schema": file}
            for kind in ("image/png", "image/jpeg", "application/octet-stream")
        }
    )


def _more(verb: str, name: str) -> Schema:
    """Return what may stand beside an input."""
    return {"pen": _PEN} if (verb, name) == ("read", "strokes") else {}


def _json(schema: Schema, **more: Any) -> Schema:
    return {"application/json": {"schema": schema, **more}}


LAYERS = lesson_operation(
    "layers", "What the layers make of images", "LayersRequest", _json(_ref("Layers"))
)
TAUGHT = lesson_operation(
    "taught",
    "The model with another last layer",
    "LastLayer",
    {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
)
