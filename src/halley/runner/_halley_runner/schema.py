"""The model's OpenAPI 3.0.2 document in Cog's shape, which clients and forms read.

Source: Cog's published schemas; clients read `components.schemas.Input` and `.Output`. References point exactly one
level under `#/components/schemas/` and are never circular (contract 10.2).
"""

from __future__ import annotations

import enum
from typing import Any, Dict, List, Optional

import cog
from cog.input import MISSING, FieldInfo

from .frames import to_json
from .predictor import Parameter, Predictor
from .shapes import Shape, text_of_path

Schema = Dict[str, Any]

_RESERVED = frozenset(
    [
        *("Input", "Output", "Status", "PredictionRequest", "PredictionResponse"),
        *("TrainingInput", "TrainingOutput", "TrainingRequest", "TrainingResponse"),
        *("ValidationError", "HTTPValidationError"),
    ]
)


def describe(predictor: Predictor, trainer: Optional[Predictor] = None) -> Schema:
    """The whole document. Equal sources give equal documents, because it is part of a version's id."""
    components: Schema = {}
    paths: Schema = {}
    for described in (predictor, trainer):
        if described is None:
            continue
        kind = "Training" if described.trains else ""
        components[kind + "Input"] = _input(described, kind + "Input", components)
        components[kind + "Output"] = _output(described, kind + "Output", components)
        components.update(_envelopes(kind or "Prediction", kind))
        paths.update(_paths(kind or "Prediction", is_streaming=described.is_streaming))
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def _input(predictor: Predictor, title: str, components: Schema) -> Schema:
    properties = {}
    for order, parameter in enumerate(predictor.parameters):
        properties[parameter.name] = _property(parameter, order, components)
    schema: Schema = {"title": title, "type": "object", "properties": properties}
    required = [parameter.name for parameter in predictor.parameters if not parameter.has_default]
    if required:
        schema["required"] = required
    if predictor.takes_anything:
        schema["additionalProperties"] = True
    return schema


def _property(parameter: Parameter, order: int, components: Schema) -> Schema:
    shape, info = parameter.shape, parameter.info
    schema = _schema(shape, components, parameter.name)
    schema.update(_constraints(shape, info))
    if "allOf" not in schema:
        schema["title"] = _words(parameter.name)
    schema["x-order"] = order
    if info.description is not None:
        schema["description"] = str(info.description)
    if info.deprecated:
        schema["deprecated"] = True
    default = _default(info.default)
    if default is not None and shape.kind != "secret":
        schema["default"] = default
    return schema


def _schema(shape: Shape, components: Schema, name: str) -> Schema:
    schema = _bare(shape, components, name)
    if shape.nullable:
        schema["nullable"] = True
    return schema


def _bare(shape: Shape, components: Schema, name: str) -> Schema:
    kind = shape.kind
    if kind in ("string", "integer", "number", "boolean"):
        return {"type": kind}
    if kind in ("path", "file"):
        return {"type": "string", "format": "uri"}
    if kind == "secret":
        return {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
    if kind == "array":
        # the elements of a named tuple have different types, which OpenAPI 3.0 cannot express
        listed: Schema = {"type": "array", "items": _schema(shape.item, components, name) if shape.item else {}}
        return listed if shape.length is None else {**listed, "minItems": shape.length, "maxItems": shape.length}
    if kind == "object":
        schema: Schema = {"type": "object"}
        if shape.item is not None and shape.item.kind != "any":
            schema["additionalProperties"] = _schema(shape.item, components, name)
        return schema
    if kind == "union":
        return {"anyOf": [_schema(part, components, name) for part in shape.parts]}
    if kind == "model":
        return _model(shape, components)
    if kind == "choice":
        return _choice(shape, components, name)
    return {}  # any, none


def _choice(shape: Shape, components: Schema, name: str) -> Schema:
    while name in _RESERVED or (name in components and components[name]["enum"] != shape.options):
        name += "_choices"
    listed: Schema = {"title": name, "description": "An enumeration.", "enum": shape.options}
    kinds = {type(option) for option in shape.options}
    for python, kind in ((str, "string"), (bool, "boolean"), (int, "integer")):
        if kinds == {python}:
            listed["type"] = kind
    if kinds in ({float}, {int, float}):
        listed["type"] = "number"
    components[name] = listed
    return {"allOf": [{"$ref": "#/components/schemas/" + name}]}


def _model(shape: Shape, components: Schema) -> Schema:
    properties = {}
    for name, (member, _) in shape.members.items():
        properties[name] = _schema(member, components, "%s_%s" % (shape.title, name))
        properties[name].setdefault("title", _words(name))
    schema: Schema = {"type": "object", "title": shape.title, "properties": properties}
    # an Optional member may be left out, with or without a default, as an Optional input may; a TypedDict says by
    # itself which members may
    strict = shape.python is dict
    required = [
        name for name, (member, is_required) in shape.members.items() if is_required and (strict or not member.nullable)
    ]
    if required:
        schema["required"] = required
    return schema


def _constraints(shape: Shape, info: FieldInfo) -> Schema:
    short, long = ("minItems", "maxItems") if shape.kind == "array" else ("minLength", "maxLength")
    named = {
        "minimum": info.ge,
        "maximum": info.le,
        short: info.min_length,
        long: info.max_length,
        "pattern": info.regex,
        "x-cog-accept": info.accept,
    }
    return {name: value for name, value in named.items() if value is not None}


def _default(value: Any) -> Any:
    """The default as JSON; None if there is none, or if JSON cannot express it."""
    if value is MISSING or isinstance(value, cog.Secret):
        return None
    if isinstance(value, enum.Enum):
        value = value.value
    value = text_of_path(value)
    try:
        to_json(value)
    except (TypeError, ValueError):
        return None
    return value


def _output(predictor: Predictor, title: str, components: Schema) -> Schema:
    item = _schema(predictor.output, components, "output_choices")
    if not predictor.streams:
        item["title"] = title
        return item
    schema: Schema = {"title": title, "type": "array", "items": item, "x-cog-array-type": "iterator"}
    if predictor.concatenates:
        schema["x-cog-array-display"] = "concatenate"
    return schema


def _words(name: str) -> str:
    return name.replace("_", " ").title()


# ---- the parts that are the same for every model ------------------------------------------------


def _ref(name: str) -> Schema:
    return {"$ref": "#/components/schemas/" + name}


def _envelopes(noun: str, kind: str) -> Schema:
    """Schemas of the request and its answer (`Prediction` or `Training`); `kind` begins the names of input and
    output.
    """
    text: Schema = {"type": "string"}
    when: Schema = {"type": "string", "format": "date-time"}
    members: Schema = {"id": {"title": "Id", **text}, "created_at": {"title": "Created At", **when}}
    return {
        noun + "Request": {
            "title": noun + "Request",
            "type": "object",
            "properties": {
                **members,
                "input": _ref(kind + "Input"),
                "context": {"title": "Context", "type": "object", "additionalProperties": text, "nullable": True},
                "webhook": {"title": "Webhook", "type": "string", "format": "uri"},
                "webhook_events_filter": {
                    "title": "Webhook Events Filter",
                    "type": "array",
                    "items": {"type": "string", "enum": ["start", "output", "logs", "completed"]},
                },
            },
        },
        noun + "Response": {
            "title": noun + "Response",
            "type": "object",
            "properties": {
                **members,
                "input": _ref(kind + "Input"),
                "output": _ref(kind + "Output"),
                "status": _ref("Status"),
                "error": {"title": "Error", **text},
                "logs": {"title": "Logs", "default": "", **text},
                "metrics": {"title": "Metrics", "type": "object"},
                "started_at": {"title": "Started At", **when},
                "completed_at": {"title": "Completed At", **when},
                "version": {"title": "Version", **text},
            },
        },
        "Status": {
            "title": "Status",
            "description": "An enumeration.",
            "type": "string",
            "enum": ["starting", "processing", "succeeded", "canceled", "failed"],
        },
        **_validation_errors(),
    }


def _validation_errors() -> Schema:
    text: Schema = {"type": "string"}
    return {
        "ValidationError": {
            "title": "ValidationError",
            "type": "object",
            "required": ["loc", "msg", "type"],
            "properties": {
                "loc": {"title": "Location", "type": "array", "items": {"anyOf": [text, {"type": "integer"}]}},
                "msg": {"title": "Message", **text},
                "type": {"title": "Error Type", **text},
            },
        },
        "HTTPValidationError": {
            "title": "HTTPValidationError",
            "type": "object",
            "properties": {"detail": {"title": "Detail", "type": "array", "items": _ref("ValidationError")}},
        },
    }


def _paths(noun: str, *, is_streaming: bool) -> Schema:
    many = "training" if noun == "Training" else "prediction"
    verb = "Train" if noun == "Training" else "Predict"
    word = verb.lower()
    create = _operation(noun, verb, "%s_%ss_post" % (word, many), [])
    if is_streaming:
        create["x-cog-streaming"] = True
    name = many + "_id"
    named = [_parameter(name, "path")]
    idempotent = "%s_idempotent_%ss__%s__put" % (word, many, name)
    return {
        "/%ss" % many: {"post": create},
        "/%ss/{%s}" % (many, name): {"put": _operation(noun, verb + " Idempotent", idempotent, named)},
        "/%ss/{%s}/cancel" % (many, name): {
            "post": {
                "summary": "Cancel",
                "operationId": "cancel_%ss__%s__cancel_post" % (many, name),
                "parameters": named,
                "responses": {"200": {"description": "The cancel was taken."}},
            }
        },
    }


def _operation(noun: str, summary: str, operation_id: str, parameters: List[Schema]) -> Schema:
    return {
        "summary": summary,
        "operationId": operation_id,
        "parameters": [*parameters, _parameter("Prefer", "header")],
        "requestBody": {"content": _json(_ref(noun + "Request"))},
        "responses": {
            "200": {"description": "The %s." % noun.lower(), "content": _json(_ref(noun + "Response"))},
            "422": {"description": "The input does not fit.", "content": _json(_ref("HTTPValidationError"))},
        },
    }


def _parameter(name: str, place: str) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
