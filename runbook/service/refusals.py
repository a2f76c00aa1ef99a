"""Why a model or a request is refused: one exception with a stable code, whose HTTP status stands in a table."""

from __future__ import annotations

# What clients may go by; docs/service.md explains each.
STATUS = {
    "missing": 404,
    "unreadable": 403,
    "damaged": 422,
    "unsuitable": 422,
    "class_mismatch": 422,
    "provider": 409,
    "changed": 409,
    "busy": 409,
    "timeout": 504,
    "key": 401,
    "closed": 403,
    "request": 422,
    "too_large": 413,
    "media_type": 415,
    "model": 500,
}


class Refused(Exception):
    """What was asked for is not done: `detail` says why and what to do instead, `code` is for programs."""

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code

    @property
    def status(self) -> int:
        return STATUS[self.code]
