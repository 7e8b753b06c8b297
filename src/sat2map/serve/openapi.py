"""The description of the interface, OpenAPI 3.1."""

from typing import Any

import sat2map
from sat2map.serve.names import TYPES

_PROBLEM = {
    "description": "What went wrong, and what to do about it (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_BUSY = {
    **_PROBLEM,
    "description": "Too much to do; come back after Retry-After seconds",
    "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
}
_JOB = {
    "description": "The job",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}},
}
_REFUSALS = {
    str(code): _PROBLEM for code in (400, 401, 403, 404, 405, 408, 410, 413, 414, 415, 421, 422, 507)
}


def _path(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind, **more}}


def _get(summary: str, answer: dict[str, Any], *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": answer, **_REFUSALS, **more},
    }


def _asked(name: str, most: float) -> dict[str, Any]:
    """Return a number in the query that must be there."""
    return {"name": name, "in": "query", "required": True,
            "schema": {"type": "number", "minimum": -most, "maximum": most}}  # fmt: skip


def _json(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"type": "object"}}}}


def document(layers: list[str], models: list[str], *, needs_token: bool) -> dict[str, Any]:
    """Return the description, with the ids of layers and models that there are."""
    layer = _path("layer", enum=layers) if layers else _path("layer")
    number = {"minimum": 0, "maximum": 2**31 - 1}
    image = {
        "description": "The tile, 256 x 256 px; transparent where the scene has no pixel",
        "headers": {"ETag": {"schema": {"type": "string"}}},
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/png", "image/webp")},
    }  # fmt: skip
    model = {
        "name": "model",
        "in": "query",
        "schema": {"type": "string", **({"enum": models} if models else {})},
    }
    heading = {
        "name": "heading",
        "in": "query",
        "schema": {"type": "number", "minimum": -10000, "maximum": 10000},
        "description": "Degrees clockwise from north; 0 if not given",
    }
    wait = {"name": "wait", "in": "query", "schema": {"type": "string", "enum": ["yes", "no"]}}
    text = {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    job = _path("job")
    body = {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "image/jpeg", "image/webp", "image/tiff", "application/octet-stream")
        },
    }
    translated = {
        "description": "The translated picture",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "sat2map serve", "version": sat2map.__version__,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": {
            "/tiles/{layer}/{z}/{x}/{y}.{format}": {
                "get": _get(
                    "A tile of a layer", image, layer, _path("z", "integer", minimum=0, maximum=24),
                    _path("x", "integer", **number), _path("y", "integer", **number),
                    _path("format", enum=["png", "webp"]), **{"304": {"description": "Not changed"}, "503": _BUSY},
                )
            },
            "/tilejson/{layer}.json": {"get": _get("A layer as TileJSON 3.0.0", _json("TileJSON"), layer)},
            "/wmts/WMTSCapabilities.xml": {
                "get": _get("All layers as WMTS 1.0.0", {"description": "Capabilities", "content": {
                    "application/xml": {"schema": {"type": "string"}}}})
            },
            "/layers.json": {"get": _get("Layers, models and their legends", _json("What the page shows"))},
            "/translate": {
                "post": {
                    "summary": "Translate a picture (answered with a PNG) or a GeoTIFF (answered with a job)",
                    "parameters": [model, wait],
                    "requestBody": body,
                    "responses": {"200": translated, "202": _JOB, **_REFUSALS, "503": _BUSY},
                }
            },
            "/extract/{layer}": {
                "post": {
                    "summary": "Write an area of a layer's view to GeoTIFFs in EPSG:3857 and a GeoPackage",
                    "parameters": [
                        layer,
                        {"name": "bbox", "in": "query", "required": True, "schema": {"type": "string"},
                         "description": "West, south, east, north in degrees, with commas"},
                    ],
                    "responses": {"202": _JOB, **_REFUSALS, "503": _BUSY},
                }
            },
            "/jobs/{job}": {
                "get": _get("How a job is getting on", _JOB, job),
                "delete": {"summary": "Cancel a job and forget its files", "parameters": [job],
                           "responses": {"204": {"description": "Done"}, **_REFUSALS}},
            },
            "/jobs/{job}/events": {
                "get": _get("The same, whenever it changes", {"description": "Server-sent events", "content": {
                    "text/event-stream": {}}}, job, **{"503": _BUSY})
            },
            "/jobs/{job}/{result}": {
                "get": _get(
                    "A result of a job", {"description": "The file", "content": {
                        kind: {"schema": {"type": "string", "format": "binary"}} for kind in set(TYPES.values())}},
                    job, _path("result", enum=["colour", "classes", "confidence", "vectors"]),
                )
            },
            "/towns/{style}/{seed}/{picture}.png": {
                "get": _get(
                    "An invented town: its street map, or its imagery as a painter makes it", image,
                    _path("style", enum=["grid", "organic", "radial", "coastal"]),
                    _path("seed", "integer", minimum=0, maximum=2**31 - 1),
                    _path("picture", enum=["map", "imagery"]), **{"503": _BUSY},
                )
            },
            "/view": {
                "get": _get(
                    "What somebody standing at a place of a scene would see, drawn by a ground-view model", image,
                    _asked("lon", 180), _asked("lat", 85), heading, model,
                    {"name": "scene", "in": "query", "schema": {"type": "string"}}, **{"503": _BUSY},
                )
            },
            "/towns/{style}/{seed}/view.png": {
                "get": _get(
                    "The same in an invented town; x and y are metres to the east and north of its middle", image,
                    _path("style", enum=["grid", "organic", "radial", "coastal"]),
                    _path("seed", "integer", minimum=0, maximum=2**31 - 1),
                    _asked("x", 1e6), _asked("y", 1e6), heading, model, **{"503": _BUSY},
                )
            },
            "/healthz": {"get": _get("The server answers", text)},
            "/readyz": {"get": _get("The model is ready", text, **{"503": _BUSY})},
            "/metrics": {"get": _get("Counters for Prometheus", text)},
        },
        "components": {
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["title", "status", "kind", "detail"],
                    "properties": {
                        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                        "kind": {"type": "string"}, "detail": {"type": "string"}, "remedy": {"type": "string"},
                    },
                },
                "Job": {
                    "type": "object",
                    "required": ["id", "state", "done", "total", "results"],
                    "properties": {
                        "id": {"type": "string"},
                        "model": {"type": "string"},
                        "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"]},
                        "done": {"type": "integer"},
                        "total": {"type": "integer"},
                        "note": {"type": "string"},
                        "results": {"type": "object", "additionalProperties": {"type": "string"}},
                        "notices": {"type": "array", "items": {"type": "string"}},
                        "problem": {"type": "object"},
                    },
                },
            }
        },
    }  # fmt: skip
    if needs_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described
