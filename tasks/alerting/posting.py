"""A letter and a channel make a change: applied, it has reached the channel, or it fails."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import singledispatch
from typing import Any

from runbook.changes import Change, Exchange, Request, Response, Run, RunCommand
from runbook.changes.messages import Deliver, Mail, Packet, Words
from runbook.errors import TaskFailed

from ..serving import answers  # noqa: TID252 - `runbook.tasks` is no folder of runbook/, so the type checker would not find it
from .channels import FACILITIES, Channel, Email, EventLog, Syslog, Webhook
from .letters import Letter, one_line

SEVERITY = {"critical": 2, "warning": 4, "info": 6}
TYPES = {"critical": "ERROR", "warning": "WARNING", "info": "INFORMATION"}
LONGEST = 8000  # bytes of a line in a log


def on_console(letter: Letter) -> Change:
    """Give what shows a letter to whoever watches the run."""
    text = f"{letter.level}: {letter.title}\n{letter.text}"
    return Deliver(Words(text), detail=one_line(f"{letter.level}: {letter.title}: {letter.text}", LONGEST))


@singledispatch
def post(channel: Channel, letter: Letter) -> Change:
    """Give what sends a letter by a channel."""
    raise TypeError(f"nobody knows how to send {letter.key} by {type(channel).__name__}")


@post.register
def _(channel: Syslog, letter: Letter) -> Change:
    priority = FACILITIES[channel.facility] * 8 + SEVERITY[letter.level]
    line = one_line(f"{letter.title}: {letter.text}", LONGEST)
    detail = f"{letter.level}: {one_line(letter.title, 200)}"
    if channel.server is None:
        moment = letter.at.astimezone()  # the zone of the machine, as its log has it
        text = f"<{priority}>{moment:%b} {moment.day:>2} {moment:%H:%M:%S} {channel.app}: {line}"
        return Deliver(Packet(f"unix:{channel.socket}", text.encode()), detail)
    time = letter.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = "".join(char for char in letter.host if "!" <= char <= "~")[:255] or "-"
    data = f"<{priority}>1 {time} {host} {channel.app} - - - ".encode() + b"\xef\xbb\xbf" + line.encode()
    if channel.protocol == "tcp":
        data = f"{len(data)} ".encode() + data  # so many octets follow: RFC 6587
    server = f"[{channel.server}]" if ":" in channel.server else channel.server
    return Deliver(Packet(f"{channel.protocol}://{server}:{channel.port}", data), detail)


@post.register
def _(channel: EventLog, letter: Letter) -> Change:
    text = one_line(f"{letter.title}: {letter.text}", LONGEST)
    kind = TYPES[letter.level]
    about = ("/L", channel.log, "/T", kind, "/SO", channel.source, "/ID", str(channel.id), "/D", text)
    return Run(RunCommand(("eventcreate.exe", *about), affects=()), expect=(0,))


@post.register
def _(channel: Webhook, letter: Letter) -> Change:
    exchange = Exchange(
        "POST",
        channel.url.reveal(),
        dict(channel.headers),
        _slack(letter) if channel.format == "slack" else _json(letter),
        timeout=float(channel.timeout),
        verify=channel.verify,
    )
    conduct: Callable[[Callable[[Exchange], Response]], Any] = lambda send: _taken(send(exchange))  # noqa: E731
    detail = f"{letter.level}: {one_line(letter.title, 200)}"
    return Request(exchange, affects=(), detail=detail, conduct=conduct)


def _taken(response: Response) -> Response:
    if not 200 <= response.status < 300:
        raise TaskFailed(
            f"the webhook did not take it: the answer is {answers.named(response.status)}: {answers.excerpt(response)}",
            hint=answers.hint_for(response.status),
        )
    return response


def _json(letter: Letter) -> dict[str, str]:
    time = letter.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return letter.model_dump(include={"title", "text", "level", "host", "key"}) | {"time": time}


def _slack(letter: Letter) -> dict[str, str]:
    text = f"*{one_line(letter.title, 1000)}* ({letter.level}, {letter.host})\n{letter.text}"
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(plain, written)
    return {"text": text}


@post.register
def _(channel: Email, letter: Letter) -> Change:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = one_line(f"[{letter.level}] {letter.title}", 200)
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.to)
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.key}@{channel.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{letter.text}\n\n{letter.host}, {letter.at:%Y-%m-%d %H:%M:%S} UTC\n")
    mail = Mail(
        channel.server,
        channel.its_port,
        channel.sender,
        channel.to,
        message.as_bytes(),
        channel.security,
        channel.user,
        channel.password,
        channel.verify,
        float(channel.timeout),
    )
    return Deliver(mail, f"{letter.level}: {one_line(letter.title, 200)}, to {', '.join(channel.to)}")
