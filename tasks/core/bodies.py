"""The bodies of requests, as `body_format` has them."""

from __future__ import annotations

import json
import mimetypes
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.units import Secret, revealed

FORMS = {"json": "application/json", "form-urlencoded": "application/x-www-form-urlencoded"}


def encoded_body(body: Any, form: str, host: Host) -> tuple[Any, dict[str, str]]:
    """Give what is sent for a body, a Secret if there is one in it, and the headers that say what it is."""
    if form == "form-multipart":
        return _multipart(body, host)
    # what a text is sent as without a word on it: the type that the peers' library gives it
    headers = {"Content-Type": FORMS.get(form, FORMS["form-urlencoded"])} if body is not None or form in FORMS else {}
    if isinstance(body, str | Secret):
        return body, headers
    if form == "form-urlencoded" and body is not None:
        return _kept(body, urlencode(_pairs(revealed(body)))), headers
    if form == "json" or isinstance(body, Mapping | list | tuple):
        return _kept(body, json.dumps(revealed(body))), headers
    return (None if body is None else str(body)), headers


def _kept(body: Any, text: str) -> str | Secret:
    """Give the text; as a Secret if the body holds one."""
    return Secret(text) if _secret(body) else text


def _secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_secret, value.values()))
    return any(map(_secret, value)) if isinstance(value, list | tuple) else isinstance(value, Secret)


def _pairs(body: Any) -> list[tuple[str, str]]:
    """Give the names and values of a form: of a mapping, or of a list of pairs; a list as value names it again."""
    pairs = list(body.items()) if isinstance(body, Mapping) else body
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise TaskFailed("`body` is no form", hint="write a mapping, or a list of [name, value]")
    return [
        (str(name), str(value))
        for name, values in pairs
        for value in (values if isinstance(values, list | tuple) else [values])
        if value is not None
    ]


def _multipart(body: Any, host: Host) -> tuple[Any, dict[str, str]]:
    if not isinstance(body, Mapping):
        raise TaskFailed("`body` is no form", hint="write a mapping of names to texts, or to {filename: ...}")
    mark = secrets.token_hex(16)
    pieces: list[bytes] = []
    for name, value in sorted(body.items()):
        headers, content = _part(str(name), value, host)
        if any(sign in text for text in (str(name), *headers) for sign in "\r\n") or '"' in str(name):
            raise TaskFailed(f"the form's field {name!r} has a name or a type that no header can hold")
        pieces += [f"--{mark}\r\n".encode(), "\r\n".join([*headers, "", ""]).encode(), content, b"\r\n"]
    whole = b"".join([*pieces, f"--{mark}--\r\n".encode()])
    sent = Secret(whole.decode("utf-8", "surrogateescape")) if _secret(body) else whole
    return sent, {"Content-Type": f"multipart/form-data; boundary={mark}"}


def _part(name: str, value: Any, host: Host) -> tuple[list[str], bytes]:
    """Give the headers and the content of one field."""
    head = f'Content-Disposition: form-data; name="{name}"'
    if not isinstance(value, Mapping):
        return ["Content-Type: text/plain", head], _bytes(value)
    file, content = value.get("filename"), value.get("content")
    unknown = sorted(set(value) - {"filename", "content", "mime_type"})
    if unknown or not (file or content):
        said = f"has no {', '.join(unknown)}" if unknown else "needs `filename` or `content`"
        raise TaskFailed(f"the form's field {name!r} {said}", hint="it takes filename, content and mime_type")
    kind = value.get("mime_type") or mimetypes.guess_type(str(file or ""))[0] or "application/octet-stream"
    head += f'; filename="{Path(str(file)).name}"' if file else ""
    return [f"Content-Type: {kind}", head], _bytes(content) if content else host.read(Path(str(file)))


def _bytes(value: Any) -> bytes:
    return str(revealed(value)).encode("utf-8", "surrogateescape")
