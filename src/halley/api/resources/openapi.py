"""The OpenAPI document, made from the route table and the wire structs. Source: OpenAPI 3.1.1."""

import re
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec

from halley import __version__
from halley.api.context import ApiContext
from halley.api.http.asgi import NO_BODY, Call, Response, json_response
from halley.api.http.routing import Param, Route
from halley.api.presentation.problems import Problem

_TEMPLATE: Final = "#/components/schemas/{name}"
_PROBLEM: Final = {
    "description": "An error (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
# the name of a component: as a key, as a title, or at the end of a reference
_BODY: Final = re.compile(rb'("|"#/components/schemas/)([A-Z][A-Za-z]*)Body"')
_Made = tuple[tuple[dict[str, Any], ...], dict[str, Any]]
_PAGE: Final = {"text/html": {}, "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_OPERATION_LETTERS: Final = re.compile(r"[^A-Za-z0-9]+")


async def get(call: Call, parts: ApiContext) -> Response:
    """The document, the same for all callers; made at the first request."""
    server = call.variant.prefix or "/"
    if parts.description is None or parts.description[0] != server:
        parts.description = server, msgspec.json.encode(document(parts.routes, server))
    return json_response(parts.description[1])


def document(routes: tuple[Route, ...], server: str = "/") -> dict[str, Any]:
    """Describe these routes. `server` is the path at which the caller reaches this server."""
    types = [Problem, *(route.response for route in routes), *(route.request for route in routes)]
    structs = [kind for kind in types if kind is not None and not isinstance(kind, str)]
    schemas, components = _plainly_named(msgspec.json.schema_components(structs, ref_template=_TEMPLATE))
    schema_of = dict(zip([str(kind) for kind in structs], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.pattern if route.at_root else f"/v1{route.pattern}"
        paths.setdefault(path, {})[method_key(route)] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Halley",
            "version": __version__,
            "description": "A self-hosted prediction server that speaks the Replicate HTTP API. "
            "Each path under /v1 is served under /replicate/v1 as well.",
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, `hly_...` unless another prefix was requested.",
                }
            },
        },
    }


def _plainly_named(made: _Made) -> _Made:
    """The components under their public names: `Prediction` for the class PredictionBody."""
    return cast("_Made", msgspec.json.decode(_BODY.sub(rb'\1\2"', msgspec.json.encode(made))))


def method_key(route: Route) -> str:
    """The key of an operation in its path. OpenAPI 3.1 has no key for QUERY, which is an extension there."""
    return "x-query" if route.method == "QUERY" else route.method.lower()


def _operation(route: Route, schema_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.parameter_names
    ]
    parameters += [
        {"name": param.name, "in": param.place, "description": param.description, "schema": _schema(param)}
        for param in route.params
    ]
    operation: dict[str, Any] = {
        "operationId": _OPERATION_LETTERS.sub("_", route.name),
        "summary": route.summary,
        "parameters": parameters,
        "responses": _responses(route, schema_of),
        "security": [] if route.scope is None else [{"key": []}],
    }
    if route.scope is not None:
        operation["x-halley-scope"] = route.scope.value
    if route.body == "multipart":
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD}}}
    elif route.body == "text":
        operation["requestBody"] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    elif route.request is not None:
        content = {"application/json": {"schema": schema_of[str(route.request)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(route: Route, schema_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in route.success:
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        responses[str(status)] = response
        if status in NO_BODY:
            continue
        if isinstance(route.response, str):
            response["content"] = {route.response: {}}
        elif route.response is not None:
            response["content"] = {"application/json": {"schema": schema_of[str(route.response)]}}
        if route.streams:
            response["content"]["text/event-stream"] = {}
    # a page answers errors with a page
    responses["default"] = {"description": "A page", "content": _PAGE} if route.response == "text/html" else _PROBLEM
    return responses


def _schema(param: Param) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": param.type}
    if param.values:
        schema["enum"] = list(param.values)
    if param.format:
        schema["format"] = param.format
    if param.pattern:
        schema["pattern"] = param.pattern
    return schema


_UPLOAD: Final = {
    "type": "object",
    "required": ["content"],
    "properties": {
        "content": {"type": "string", "contentMediaType": "application/octet-stream"},
        "filename": {"type": "string", "description": "At most 255 bytes."},
        "type": {"type": "string", "description": "The media type."},
        "metadata": {"type": "string", "description": "A JSON object."},
    },
}
