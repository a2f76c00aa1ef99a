"""Reading request bodies: JSON up to a length, uploads as files, never more than was agreed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from runbook.service.inputs import Upload, parse_json
from runbook.service.refusals import STATUS, Refused

FIELDS = 16  # texts in a form: none is asked for


async def read_json(request: Request, limit: int, wanted: str) -> dict[str, Any]:
    """Read a JSON object of `limit` bytes at most."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise Refused(f"the JSON is larger than {limit} bytes, which suffice for {wanted}", code="too_large")
    return parse_json(bytes(body), wanted)


def is_multipart(request: Request, wanted: str) -> bool:
    """Tell uploads from JSON by the declared type; Refused if it is neither."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared == "multipart/form-data":
        return True
    if declared == "application/json" or declared.endswith("+json"):
        return False
    raise Refused(f"the content type is {declared or 'missing'!r}; send {wanted}", code="media_type")


@asynccontextmanager
async def read_uploads(request: Request, names: tuple[str, ...], most: int) -> AsyncIterator[list[Upload]]:
    """Read the files of a form; large ones lie on disk for as long as the block lasts."""
    try:
        form = await request.form(max_files=most, max_fields=FIELDS)
    except HTTPException as error:
        if error.status_code == STATUS["too_large"]:
            raise
        text = f"the form cannot be read: {error.detail}; send at most {most} files"
        raise Refused(text, code="request") from error
    except (FormParserError, KeyError, ValueError) as error:
        raise Refused(f"the form cannot be read: {error}", code="request") from error
    try:
        found = [value for name, value in form.multi_items() if name in names and isinstance(value, UploadFile)]
        if not found:
            raise Refused(f"the form has no file in the field {names[0]!r}", code="request")
        yield [Upload(one.filename or "", one.content_type or "", one.file) for one in found]
    finally:
        await form.close()
