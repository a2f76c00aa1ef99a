"""HTTP: a look at whether a server answers as it should, and a request that makes it do something."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from runbook.changes import Change, Exchange, Request, Response, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Duration, Secret, revealed

from .serving import answers
from .serving.answers import NOTHING
from .serving.words import Headers, Statuses, Url, shown

READING = ("GET", "HEAD", "OPTIONS")


class Check(Params):
    """What is asked, and what the answer must be like.

    `json` is what the answer must hold: each name in it is in the answer with that value, whatever else the answer has.
    Names may be nested; lists must be equal in length, and their items are compared in the same way.
    """

    url: Url = Field(description="the address that is asked")
    method: Literal["GET", "HEAD", "OPTIONS"] = Field("GET", description="how it is asked; a check only reads")
    status: Statuses = Field((200,), description="the status that is wanted, or a list of them")
    json_: Any = Field(None, alias="json", description="what the answer, as JSON, must hold")
    headers: Headers = Field(default_factory=dict, description="headers of the request; they may be secrets")
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for the whole answer")
    max_latency: Duration | None = Field(None, description="the time within which the answer must be whole")
    follow_redirects: bool = Field(False, description="whether to go where the server sends on to")
    verify: bool = Field(True, description="whether the certificate is checked")


@task(
    kind="probe",
    returns={
        "status": "the status of the answer",
        "json": "what the answer holds, null where it is no JSON",
        "elapsed_ms": "how long it took, in milliseconds",
    },
)
def check(want: Check, host: Host) -> dict[str, Any]:
    """Ask a server and fail unless it answers as it should, in time.

    The failure says what came, what was wanted, and what to look at. Where a service is still starting, put `until` or
    `retries` on the step. A check that follows a request which has yet to be sent is unsure in check mode.
    """
    response = host.ask(_exchange(want, want.method))
    data = answers.told(response)
    if fault := _fault(want, response):
        raise TaskFailed(
            f"{want.method} {shown(want.url)}: {fault}",
            hint=_hint(want, response),
            data={**data, "body": answers.excerpt(response)},
        )
    return data


def _fault(want: Check, response: Response) -> str | None:
    """Say how an answer differs from the one that is wanted."""
    if response.status not in want.status:
        return answers.unwanted(response, want.status)
    if want.json_ is not None:
        body = answers.content(response)
        if body is NOTHING:
            return f"the answer is no JSON: {answers.excerpt(response) or 'it is empty'}"
        if lack := answers.lacking(want.json_, body):
            return f"the answer is not as wanted: {lack}"
    return answers.late(response, want.max_latency)


def _hint(want: Check, response: Response) -> str | None:
    if response.status not in want.status:
        return answers.hint_for(response.status)
    if want.json_ is not None and answers.content(response) is NOTHING:
        return "is this the address of the service itself, or of a page in front of it?"
    return None


class Send(Params):
    """What is sent, and which statuses mean that it was done.

    `affects` are the URLs and paths that the request changes beside its own server; without it, what later steps of a
    check read may be changed by it, and where they fail they are unsure. GET, HEAD and OPTIONS change nothing.
    """

    url: Url = Field(description="the address")
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "POST", description="the method"
    )
    headers: Headers = Field(default_factory=dict, description="headers of the request; they may be secrets")
    json_: Any = Field(None, alias="json", description="the body, sent as JSON; it may hold secrets")
    body: str | Secret | None = Field(None, description="the body, sent as it is")
    status: Statuses = Field((200, 201, 202, 204), description="the status that is wanted, or a list of them")
    affects: tuple[str, ...] | None = Field(None, description="URLs and paths that it changes beside its own server")
    timeout: Duration = Field(Duration.parse("30s"), description="how long to wait for the whole answer")
    follow_redirects: bool = Field(False, description="whether to go where the server sends on to")
    verify: bool = Field(True, description="whether the certificate is checked")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.json_ is not None and self.body is not None:
            raise ValueError("json and body are two bodies; write one")
        return self


@task(
    kind="action",
    returns={
        "status": "the status of the answer",
        "json": "what the answer holds, null where it is no JSON",
        "elapsed_ms": "how long it took, in milliseconds",
    },
)
def request(want: Send, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Send a request, and fail unless the status of the answer is wanted.

    It is sent every time, so give it a `when` where once is enough. In check mode it is not sent, and what would come
    of it is not known; GET, HEAD and OPTIONS only read, so they are sent in check mode too.
    """
    exchange = _exchange(want, want.method, _payload(want))
    if want.method in READING:
        return _judged(want, host.ask(exchange))
    sent = Request(exchange, affects=want.affects, detail=_detail(want))
    yield sent
    told = after(sent, lambda response: _judged(want, response))
    return {name: told[name] for name in ("status", "json", "elapsed_ms")}


def _judged(want: Send, response: Response) -> dict[str, Any]:
    data = answers.told(response)
    if response.status in want.status:
        return data
    message = f"{want.method} {shown(want.url)}: {answers.unwanted(response, want.status)}"
    raise TaskFailed(message, hint=answers.hint_for(response.status), data={**data, "body": answers.excerpt(response)})


def _detail(want: Send) -> str:
    kind = "JSON" if want.json_ is not None else "a text" if want.body is not None else ""
    return f"with {kind}" if kind else ""


def _payload(want: Send) -> Any:
    import json

    if isinstance(want.json_, str):  # a bare text would go as it is
        return json.dumps(want.json_, ensure_ascii=False)
    return want.body if want.json_ is None else want.json_


def _exchange(want: Check | Send, method: str, body: Any = None) -> Exchange:
    headers = dict(want.headers)
    if isinstance(want.json_, str) and body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return Exchange(
        method,
        str(revealed(want.url)),
        headers,
        body,
        timeout=float(want.timeout),
        follow_redirects=want.follow_redirects,
        verify=want.verify,
    )
