"""People are told something: on the console, in a log, by a webhook, by mail."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

from pydantic import Field

from runbook.changes import Change
from runbook.host import Host
from runbook.task import Params, task

from .alerting import channels, posting
from .alerting.letters import Letter, Level

Plan = Generator[Change, None, dict[str, Any]]
RETURNS = {"key": "what the message can be known by, if it comes twice", "msg": "its title"}


class Message(Params):
    """What is told."""

    message: str = Field(description="the text", min_length=1)
    title: str | None = Field(None, description="its headline; `runbook on HOST` without it", min_length=1)
    level: Level = Field("info", description="how bad it is: info, warning or critical")


class ToSyslog(Message, channels.Syslog):
    """What is told, and which log it goes to; UDP does not tell whether anybody listens."""


class ToEventLog(Message, channels.EventLog):
    """What is told, and under whose name and number."""


class ToWebhook(Message, channels.Webhook):
    """What is told, and the address it is posted to, which is a secret: whoever knows it can post.

    `json` sends `title`, `text`, `level`, `host`, `time` and `key`, `slack` what Slack, Mattermost and their like take.
    """


class ToPeople(Message, channels.Email):
    """What is told, to whom, and by which server. A password is only ever sent within TLS."""


@task(kind="action", free="message", returns=RETURNS)
def console(want: Message, host: Host) -> Plan:
    """Show a message to whoever watches the run; it is in the report too."""
    letter = _letter(want, host)
    yield posting.on_console(letter)
    return {"key": letter.key, "msg": letter.title}


@task(kind="action", returns=RETURNS)
def syslog(want: ToSyslog, host: Host) -> Plan:
    """Write a message to this machine's log, or to a server's by UDP or TCP in the form of RFC 5424."""
    return (yield from _posted(want, host))


@task(kind="action", returns=RETURNS)
def eventlog(want: ToEventLog, host: Host) -> Plan:
    """Write a message to the event log of Windows, by its `eventcreate.exe`.

    It needs an administrator. Tested to the byte of the command line; it has not been run on Windows.
    """
    return (yield from _posted(want, host))


@task(kind="action", returns=RETURNS)
def webhook(want: ToWebhook, host: Host) -> Plan:
    """Post a message to a webhook, as Slack takes it or as plain JSON; any answer but 2xx fails the step."""
    return (yield from _posted(want, host))


@task(kind="action", returns=RETURNS)
def email(want: ToPeople, host: Host) -> Plan:
    """Send a mail by an SMTP server; a recipient that the server refuses fails the step."""
    return (yield from _posted(want, host))


def _posted(want: ToSyslog | ToEventLog | ToWebhook | ToPeople, host: Host) -> Plan:
    letter = _letter(want, host)
    yield posting.post(want, letter)
    return {"key": letter.key, "msg": letter.title}


def _letter(want: Message, host: Host) -> Letter:
    name = str(host.facts.get("hostname", ""))
    title = want.title or f"runbook on {name}"
    told = f"{host.now.isoformat()}\n{name}\n{title}\n{want.message}"
    key = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return Letter(key=key, level=want.level, title=title, text=want.message, host=name, at=host.now)
