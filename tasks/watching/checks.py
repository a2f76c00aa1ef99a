"""What is asked of a service, and what its answer means."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from runbook.changes import Exchange, Response
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params
from runbook.units import Duration, Secret, revealed

from ..serving import answers  # noqa: TID252 - `runbook.tasks` is no folder of runbook/
from ..serving.words import Headers, Statuses, Url, shown  # noqa: TID252
from .logic import Result


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError(f"{value!r} is no name of a check; write letters, digits, `.`, `-` and `_`, as inside")
    return value


class Check(Params):
    """One address that is asked in each pass, and what its answer must be like."""

    name: Annotated[str, AfterValidator(_name)] = Field(description="its name in the log and in alerts, as `inside`")
    url: Url = Field(description="the address that is asked by GET")
    status: Statuses = Field((200,), description="the status that is wanted, or a list of them")
    json_: Any = Field(None, alias="json", description="what the answer, as JSON, must hold; it may hold more")
    headers: Headers = Field(default_factory=dict, description="headers of the request; they may be secrets")
    timeout: Duration = Field(Duration.parse("5s"), description="how long to wait for the whole answer")
    verify: bool = Field(True, description="whether the certificate is checked")
    restart: bool = Field(True, description="whether `restart` is what helps when this one fails")

    @property
    def shown(self) -> str | None:
        """The address as people may see it; None for one that is secret."""
        return None if isinstance(self.url, Secret) else shown(self.url)


def ask(host: Host, want: Check) -> Result:
    """Ask it, and say whether it is well; the reason holds no address, which may be secret."""
    url = str(revealed(want.url))
    exchange = Exchange("GET", url, dict(want.headers), timeout=float(want.timeout), verify=want.verify)
    try:
        response = host.ask(exchange)
    except TaskFailed as error:
        return Result(ok=False, reason=_without(error.message, url, want))
    reason = _fault(want, response)
    return Result(reason is None, reason or "", answers.milliseconds(response.elapsed_s))


def _fault(want: Check, response: Response) -> str | None:
    if response.status not in want.status:
        return f"the answer is {answers.named(response.status)}"
    if want.json_ is None:
        return None
    body = answers.content(response)
    if body is answers.NOTHING:
        return "the answer is no JSON"
    lack = answers.lacking(want.json_, body)
    return f"the answer is not as wanted: {lack}" if lack else None


def _without(message: str, url: str, want: Check) -> str:
    reason = message.removeprefix(f"GET {shown(url)}: ")
    if isinstance(want.url, Secret) and (url in reason or shown(url) in reason):
        return "it did not answer"
    return reason
