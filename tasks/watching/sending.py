"""Where alerts go, what is still to be delivered, and the dead-man's switch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field

from runbook.changes import Change, Exchange, Request, Response
from runbook.changes.messages import Attempt
from runbook.errors import TaskFailed
from runbook.task import Params
from runbook.units import Secret

from ..alerting import posting  # noqa: TID252 - `runbook.tasks` is no folder of runbook/
from ..alerting.channels import Channel, Email, EventLog, Syslog, Webhook  # noqa: TID252
from ..alerting.letters import Letter  # noqa: TID252
from ..serving import answers  # noqa: TID252
from ..serving.words import address  # noqa: TID252
from .state import Waiting

AT_ONCE = 5  # letters that a channel is tried with in one pass, the oldest first
MOST = 100  # letters that wait at most; then the oldest goes
PATIENCE = 10.0  # seconds


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, dict | Webhook) else () if value is None else value


class Alert(Params):
    """Where alerts go. One that a channel does not take is tried again in every pass, until it is delivered."""

    console: bool = Field(True, description="whether whoever watches the run is told")
    syslog: Syslog | None = Field(None, description="as in notify.syslog; `{}` is this machine's own log")
    eventlog: EventLog | None = Field(None, description="as in notify.eventlog; `{}` is the log of applications")
    webhook: Annotated[tuple[Webhook, ...], BeforeValidator(_several)] = Field(
        (), description="as in notify.webhook: one, or a list of them"
    )
    email: Email | None = Field(None, description="as in notify.email")

    def channels(self) -> dict[str, Channel | None]:
        """Give each by its name; the console, which is none, is None."""
        named: dict[str, Channel | None] = {"console": None} if self.console else {}
        single = {"syslog": self.syslog, "eventlog": self.eventlog, "email": self.email}
        named |= {name: channel for name, channel in single.items() if channel is not None}
        hooks = enumerate(self.webhook, 1)
        return named | {"webhook" if number == 1 else f"webhook {number}": hook for number, hook in hooks}


class Ping(Params):
    """A dead-man's switch, as of healthchecks.io: somebody else, who alerts when this watch is no longer heard of."""

    url: Annotated[Secret, AfterValidator(address)] = Field(
        description="the address that is asked after a pass that is well; `/fail` is added after one that is not"
    )
    start: bool = Field(False, description="whether it is told of the beginning too, by `/start`")
    codes: bool = Field(False, description="whether the exit status is added, `/0` or `/1`, instead of `/fail`")


def due(outbox: tuple[Waiting, ...], channels: Mapping[str, Channel | None]) -> Iterator[tuple[Waiting, str]]:
    """Yield what is tried in this pass: a letter, and the channel that has not taken it yet."""
    for name in channels:
        waiting = [each for each in outbox if name in each.channels]
        yield from ((each, name) for each in waiting[:AT_ONCE])


def posted(letter: Letter, name: str, channel: Channel | None) -> Attempt:
    """Give the attempt to send a letter."""
    change: Change = posting.on_console(letter) if channel is None else posting.post(channel, letter)
    return Attempt(f"tell {name}: {letter.title}", (change,))


def delivered(outbox: tuple[Waiting, ...], taken: Mapping[tuple[str, str], bool]) -> tuple[Waiting, ...]:
    """Give what still waits, when it is known which letters, by key, which channels have taken."""
    left = []
    for each in outbox:
        tried = any(key == each.letter.key for key, _ in taken)
        channels = tuple(name for name in each.channels if not taken.get((each.letter.key, name), False))
        if channels:
            left.append(replace(each, channels=channels, tries=each.tries + tried))
    return tuple(left[-MOST:])


def told_of_the_start(ping: Ping) -> Attempt:
    """Give the attempt to tell the switch that a pass begins."""
    return Attempt("tell the dead-man's switch of the start", (_request(ping, lambda: "/start"),))


def told_of_the_end(ping: Ping, well: Callable[[], bool]) -> Attempt:
    """Give the attempt to tell the switch how the pass was, which is asked when it is over."""

    def end() -> str:
        if ping.codes:
            return "/0" if well() else "/1"
        return "" if well() else "/fail"

    return Attempt("tell the dead-man's switch of the end", (_request(ping, end),))


def _request(ping: Ping, end: Callable[[], str]) -> Request:
    def conduct(send: Callable[[Exchange], Response]) -> Response:
        response = send(replace(exchange, url=_with(ping.url.reveal(), end())))
        if not 200 <= response.status < 300:
            raise TaskFailed(f"the dead-man's switch says {answers.named(response.status)}")
        return response

    exchange = Exchange("GET", ping.url.reveal(), timeout=PATIENCE)
    return Request(exchange, affects=(), conduct=conduct)


def _with(url: str, end: str) -> str:
    """Add to the path of an address, before its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + end if end else parts.path))
