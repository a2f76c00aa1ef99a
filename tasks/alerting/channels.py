"""The channels that people are told by, as they are written in playbooks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from runbook.task import Params
from runbook.units import Duration, Secret

from ..serving.words import Headers, address  # noqa: TID252 - `runbook.tasks` is no folder of runbook/, so the type checker would not find it

FACILITIES = {"kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5} | {
    f"local{number}": 16 + number for number in range(8)
}
PORTS = {"tls": 465, "starttls": 587, "none": 25}


def _named(value: str) -> str:
    if not re.fullmatch(r"[!-~]{1,48}", value):
        raise ValueError("write at most 48 printable characters without a space")
    return value


def _facility(value: str) -> str:
    if value not in FACILITIES:
        raise ValueError(f"{value!r} is no facility; write one of {', '.join(FACILITIES)}")
    return value


def _server(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,253}", value):
        raise ValueError(f"{value!r} is no name of a server; write for example logs.example.com or 192.0.2.1")
    return value


def _mailbox(value: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;\"\x00-\x20\x7f]+@[A-Za-z0-9.\-\[\]:]+", value) or not value.isprintable():
        raise ValueError(f"{value!r} is no address of mail; write for example ops@example.com")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Server = Annotated[str, AfterValidator(_server)]
Port = Annotated[int, Field(ge=1, le=65535)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]


class Syslog(Params):
    """The system's own log, or with `server` one elsewhere, in the form of RFC 5424.

    UDP does not tell whether anybody listens; TCP does. A message is cut to 8,000 bytes.
    """

    server: Server | None = Field(None, description="the server; without it this machine's own log is written to")
    port: Port = Field(514, description="the server's port")
    protocol: Literal["udp", "tcp"] = Field("udp", description="how the server is spoken to")
    facility: Annotated[str, AfterValidator(_facility)] = Field("daemon", description="daemon, user, local0 ... local7")
    app: Annotated[str, AfterValidator(_named)] = Field("runbook", description="who is said to have written it")
    socket: Path = Field(Path("/dev/log"), description="where this machine's syslog daemon listens")


class EventLog(Params):
    """The event log of Windows, by its `eventcreate.exe`: this needs an administrator. It has not been run there."""

    source: Annotated[str, AfterValidator(_named)] = Field("runbook", description="who is said to have written it")
    id: int = Field(100, ge=1, le=1000, description="the event's number")
    log: Literal["APPLICATION", "SYSTEM"] = Field("APPLICATION", description="which log")


class Webhook(Params):
    """An address that a message is posted to; it is a secret, since whoever knows it can post.

    `json` sends `title`, `text`, `level`, `host`, `time` and `key`, `slack` what Slack, Mattermost and their like take.
    Any 2xx is good.
    """

    url: Annotated[Secret, AfterValidator(address)] = Field(description="the address; it is never shown")
    format: Literal["json", "slack"] = Field("json", description="the form of the body")
    headers: Headers = Field(default_factory=dict, description="headers of the request; they may be secrets")
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for the answer")
    verify: bool = Field(True, description="whether the certificate is checked")


class Email(Params):
    """A mail, by an SMTP server. A password is only ever sent within TLS."""

    server: Server = Field(description="the mail server")
    port: Port | None = Field(None, description="its port: 587 for starttls, 465 for tls and 25 for none without it")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="`tls` is so from the first byte")
    user: str | None = Field(None, description="whom to log in as")
    password: Secret | None = Field(None, description="the password to log in with")
    sender: Mailbox = Field(description="whose mail it is, as `runbook@example.com`")
    to: Annotated[tuple[Mailbox, ...], BeforeValidator(_listed)] = Field(
        description="who gets it: an address or a list", min_length=1
    )
    timeout: Duration = Field(Duration.parse("30s"), description="how long to wait for each answer of the server")
    verify: bool = Field(True, description="whether the certificate is checked")

    @model_validator(mode="after")
    def _login_within_tls(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together; write both or none")
        if self.user is not None and self.security == "none":
            raise ValueError("the password would go in the clear; write `security: starttls` or `tls`")
        return self

    @property
    def its_port(self) -> int:
        return self.port or PORTS[self.security]


Channel = Syslog | EventLog | Webhook | Email
