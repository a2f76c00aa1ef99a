"""The task that speaks HTTP as its user says: `uri`."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, model_validator

from runbook.changes import ABSENT, Change, Chmod, Exchange, Produce, Request, Response, Write, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import mode_bits
from runbook.task import ControllerPath, task

from .addresses import Web, within
from .answers import told
from .bodies import encoded_body
from .describing import described
from .lacking import URI

READING = {"GET", "HEAD", "OPTIONS", "TRACE"}
CONTROLLER = get_args(ControllerPath)[1]
LARGEST_DIFF = 10**6
# What is registered of an answer to a request that is a change, beside its status; a check does not know it.
TOLD = ("url", "redirected", "elapsed", "msg", "cookies", "cookies_string", "json")
HEADERS = ("content_length", "content_type", "date", "etag", "last_modified", "location", "retry_after", "server")
RETURNS = {
    "status": "the status of the answer; -1 if there was none",
    "url": "where it came from",
    "redirected": "whether that is another address than the one asked",
    "json": "what the answer holds, if it is JSON by its type",
    "content": "its text, with `return_content`",
    "msg": "`OK (5 bytes)`, or `HTTP Error 404: Not Found`",
    "elapsed": "how many whole seconds it took",
    "cookies": "cookies that were set, by their names",
    "cookies_string": "the same as a text",
    "path": "the file, with `dest`; and its `mode size uid gid state`",
    "content_type": "each header of the answer, by its name with underscores; of a change, the most usual ones",
}


def _numbers(value: Any) -> Any:
    """Let a number, or a text of several with commas, stand for a list."""
    if isinstance(value, str):
        return [int(part) if part.strip().lstrip("-").isdigit() else part for part in value.split(",")]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


def _verb(method: str) -> str:
    if not re.fullmatch("[A-Za-z]+", method):
        raise ValueError(f"{method!r} is no method of HTTP; write for example GET or POST")
    return method.upper()


class Uri(Web):
    """Where to ask, what to send, and which answers are good."""

    lacks = URI
    method: Annotated[str, AfterValidator(_verb)] = Field("GET", description="the method")
    body: Any = Field(None, description="what is sent; it may hold secrets")
    body_format: Literal["raw", "json", "form-urlencoded", "form-multipart"] = Field(
        "raw", description="how a `body` that is no text is written; it sets the `Content-Type`, too"
    )
    src: Annotated[str | None, CONTROLLER] = Field(None, description="a file whose content is the body")
    remote_src: bool = Field(default=False, description="`src` is a path of the host, not of the controller")
    status_code: Annotated[tuple[int, ...], BeforeValidator(_numbers)] = Field(
        (200,), description="the statuses that are good", min_length=1
    )
    return_content: bool = Field(default=False, description="register the answer's text as `content`")
    follow_redirects: Literal["safe", "all", "none", "urllib2", "yes", "no"] = Field(
        "safe", description="go where the server sends on to: `safe` only with GET and HEAD, `all`, or `none`"
    )
    dest: str | None = Field(
        None, min_length=1, description="the file that the answer is written to, or the folder it goes into"
    )
    creates: Path | None = Field(None, description="do nothing if this path exists")
    removes: Path | None = Field(None, description="do nothing unless this path exists")
    timeout: PositiveFloat = Field(30, description="how many seconds to wait for the whole answer")
    affects: tuple[str, ...] | None = Field(
        None, description="URLs and paths that the request changes beside its own server, as for `command`"
    )

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.src is not None and self.body is not None:
            raise ValueError("`src` and `body` exclude each other; write one of them")
        return self

    @property
    def follows(self) -> bool:
        if self.follow_redirects == "safe":
            return self.method in {"GET", "HEAD"}
        return self.follow_redirects in {"all", "urllib2", "yes"}


@task(kind="action", returns=RETURNS)
def uri(want: Uri, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Ask a server something, or have it do something.

    GET, HEAD, OPTIONS and TRACE only read: they change nothing, and are sent in check mode, too. Any other method is a
    change, and is not sent in check mode, where its answer is unknown. `dest` is written where it differs.
    """
    for path, there in ((want.creates, True), (want.removes, False)):
        if path is not None and (host.stat(path) is not None) == there:
            return {"stdout": f"skipped, since '{path}' {'exists' if there else 'does not exist'}"}
    body, headers = encoded_body(want.body, want.body_format, host)
    if want.src is not None:
        body = host.read(Path(want.src))
    exchange = want.exchange(want.method, follow=want.follows, headers=headers, body=body)
    if want.method not in READING:
        return (yield from _sent(want, exchange, host))
    response = _answered(want, lambda: host.ask(exchange))
    data = _judged(want, response)
    if want.dest is not None:
        path = within(want.dest, response, host)
        yield from _stored(want, path, response.body, host)
        data |= {"path": str(path), **described(path, host)}
    return data


def _sent(want: Uri, exchange: Exchange, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Have the request sent, and give what will be known of its answer."""
    request = Request(exchange, affects=want.affects, conduct=lambda send: _answered(want, lambda: send(exchange)))
    yield request
    names = (*TOLD, *HEADERS, "content") if want.return_content else (*TOLD, *HEADERS)
    data = {name: after(request, _reading(want, name)) for name in names}
    data["status"] = after(request, lambda response: _judged(want, response)["status"])
    if want.dest is not None:
        path = within(want.dest, Response(0, {}, b"", 0.0, exchange.url), host)
        mode = mode_bits(want.mode, None, umask=host.umask)
        yield Produce(path, lambda spare: spare.write_bytes(_good(want, request)), mode=mode, was=host.stat(path))
        data |= {"path": str(path), **described(path, host)}
    return data


def _reading(want: Uri, name: str) -> Callable[[Response], Any]:
    return lambda response: told(want, response, content=want.return_content).get(name, ABSENT)


def _good(want: Uri, request: Request) -> bytes:
    """Give what a request was answered; raises TaskFailed if that is no answer to keep."""
    response: Response = request.cell.get()
    _judged(want, response)
    return response.body


def _stored(want: Uri, path: Path, content: bytes, host: Host) -> Generator[Change, None, None]:
    found = host.stat(path)
    mode = mode_bits(want.mode, found.mode if found else None, umask=host.umask)
    before = host.read(path) if found is not None and found.is_file else None
    if before != content:
        yield Write(path, content, mode=mode, was=found, before=before if len(before or b"") <= LARGEST_DIFF else None)
    elif found is not None and mode is not None and mode != found.mode:
        yield Chmod(path, mode, was=found)


def _answered(want: Uri, send: Callable[[], Response]) -> Response:
    """Give the answer; where there is none, the failure's register says so by a status of -1."""
    try:
        return send()
    except TaskFailed as error:
        data = {"status": -1, "url": want.shown, "redirected": False, "elapsed": 0, "msg": error.message}
        raise TaskFailed(error.message, hint=error.hint, data=data) from None


def _judged(want: Uri, response: Response) -> dict[str, Any]:
    """Give what is registered of an answer; raises TaskFailed if its status is not wanted."""
    data = told(want, response, content=want.return_content)
    if response.status in want.status_code:
        return data
    message = f"Status code was {response.status} and not {list(want.status_code)}: {data['msg']}"
    raise TaskFailed(message, data={**data, "msg": message})
