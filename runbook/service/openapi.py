"""What the service's own description says of the requests that its routes take."""

from __future__ import annotations

from typing import Any

NUMBERS = {"type": "array", "description": "numbers in the model's input shape, nested", "items": {}}
IMAGE = {"type": "string", "format": "binary"}
KEY = {"name": "X-API-Key", "in": "header", "required": True, "schema": {"type": "string"}}


def _json(**properties: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties, "required": [*properties]}}


def _body(**content: Any) -> dict[str, Any]:
    types = {"json": "application/json", "form": "multipart/form-data"}
    return {"requestBody": {"required": True, "content": {types[name]: schema for name, schema in content.items()}}}


REQUESTS: dict[str, dict[str, Any]] = {
    "/predict": _body(json=_json(array=NUMBERS), form=_json(file=IMAGE)),
    "/batch": {
        "parameters": [KEY],
        **_body(
            json=_json(arrays={"type": "array", "items": NUMBERS}), form=_json(files={"type": "array", "items": IMAGE})
        ),
    },
    "/reload": {"parameters": [KEY], **_body(json=_json(model_path={"type": "string"}))},
    "/admin/model/reload": {"parameters": [KEY]},
}
