"""What `uri` and `get_url` have in common: where to ask, as whom, and how the file that comes of it is named."""

from __future__ import annotations

import base64
import re
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import AliasChoices, Field, PositiveFloat

from runbook.changes import Exchange, Response
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.modes import MODE, Permissions
from runbook.task import Params
from runbook.units import Secret, revealed

from ..serving.words import Headers, Url  # noqa: TID252 - what all tasks that speak HTTP share
from .lacking import WEB

MASK = "****"


class Web(Params):
    """Where to ask, and as whom."""

    lacks = WEB
    url: Url = Field(description="the address, with http:// or https://")
    url_username: str | Secret | None = Field(
        None, validation_alias=AliasChoices("url_username", "username", "user"), description="as whom to ask"
    )
    url_password: str | Secret | None = Field(
        None, validation_alias=AliasChoices("url_password", "password"), description="the password"
    )
    force_basic_auth: bool = Field(default=False, description="name and password are sent at once in any case")
    force: bool = Field(default=False, description="take nothing that a server in between has kept")
    headers: Headers = Field(default_factory=dict, description="headers of the request; they may be secrets")
    validate_certs: bool = Field(default=True, description="check the server's certificate")
    mode: Permissions | None = Field(None, description=MODE)
    timeout: PositiveFloat = Field(30, description="how many seconds to wait for an answer")

    def exchange(self, method: str, *, follow: bool, headers: dict[str, Any], body: Any = None) -> Exchange:
        """Give the request, with the credentials out of the address in a header."""
        url, *own = parted(self.url)
        user, password = self.url_username or own[0], self.url_password or own[1]
        said = {**headers, **self.headers}
        given = {name.lower() for name in said}
        if user is not None and "authorization" not in given:
            pair = f"{revealed(user)}:{revealed(password) or ''}".encode()
            said["Authorization"] = Secret(f"Basic {base64.b64encode(pair).decode()}")
        if self.force and "cache-control" not in given:
            said["Cache-Control"] = "no-cache"
        return Exchange(
            method, url, said, body, timeout=self.timeout, follow_redirects=follow, verify=self.validate_certs
        )

    @property
    def shown(self) -> str:
        """The address, with its credentials masked."""
        url, user, password = parted(self.url)
        if user is None:
            return url
        scheme, rest = url.split("://", 1)
        return f"{scheme}://{MASK}{'' if password is None else ':' + MASK}@{rest}"


def parted(url: str | Secret) -> tuple[str, str | None, str | None]:
    """Give an address without its credentials, and these."""
    parts = urlsplit(str(revealed(url)))
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
    return urlunsplit(plain), user, password


def called(response: Response) -> str:
    """Give the name that an answer bears: that of its `Content-Disposition`, else the last of its address."""
    head = Message()
    head["content-disposition"] = response.headers.get("content-disposition", "")
    given = head.get_param("filename", header="content-disposition")
    name = given if isinstance(given, str) else unquote(urlsplit(response.url).path.rstrip("/").rpartition("/")[2])
    name = re.sub(r"[\0\r\n]", "", name.replace("\\", "/").rpartition("/")[2])
    return name if name.strip(".") else "index.html"


def within(dest: str, response: Response, host: Host) -> Path:
    """Give the file that `dest` means: itself, or in the folder that it is, by the answer's name."""
    found = host.stat(Path(dest))
    if found is not None and found.is_folder:
        return Path(dest) / called(response)
    if dest.endswith("/"):
        raise TaskFailed(f"Destination {dest} does not exist", hint="make it before: `file` with `state: directory`")
    return Path(dest)
