"""Keys that are kept secret, and a service whose controls hold: both looked at from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, PositiveFloat, PositiveInt

from runbook.changes import Exchange
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown
from runbook.task import Params, task
from runbook.units import Duration, Secret, revealed

from .auditing import controls
from .auditing.controls import Target, key_of
from .auditing.traces import MOST, needles_of, places
from .serving.words import Url

Origin = Annotated[str, Field(pattern=r"^https?://[^/\s*]+$")]
FIX = "set them in the service's env file and start it again; docs/SECURITY.md says what each should be"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


class ScanLogs(Params):
    """Which logs are looked through, and for which secrets."""

    paths: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = Field(
        validation_alias=AliasChoices("paths", "path"),
        min_length=1,
        description="files, `.gz` ones too, or folders with all that is in them; a name may be a shell pattern",
    )
    secrets: dict[str, Secret] | None = Field(
        None, description="secrets by the names they are told by; without it, all that the run knows"
    )


@task(
    kind="probe",
    returns={
        "found": "each place: file, line, secret (its name)",
        "files": "how many files were looked through",
        "bytes": "their size",
        "unread": "for each file that could not be read: why",
    },
)
def scan_logs(want: ScanLogs, host: Host) -> dict[str, Any]:
    """Look for secrets in logs, and fail if one is there; the place is told, the secret never.

    A secret is known in every form: as it is, escaped for JSON, Python, a shell or a URL, in hexadecimal, in base64 at
    any offset; of a form of 24 bytes or more either half is enough, so one that was cut in two is found. Files are
    read in pieces, so they may be large. A file that cannot be read fails the step too: nobody knows what is in it.
    """
    given = {f"secret {number}": each for number, each in enumerate(host.secrets, 1)}
    secrets = want.secrets if want.secrets is not None else {n: s for n, s in given.items() if len(s) >= 8}
    if not secrets:
        raise TaskFailed("there is no secret to look for", hint='name some: `secrets: {API_KEY: "{{ API_KEY }}"}`')
    files = _files(want.paths, host)
    needles = needles_of(secrets)
    found: list[dict[str, Any]] = []
    unread: dict[str, str] = {}
    for path in files:
        try:
            found += [{"file": str(path), "line": line, "secret": name} for line, name in places(host, path, needles)]
        except TaskFailed as error:
            unread[str(path)] = error.message
    data = {"found": found, "files": len(files), "bytes": sum(files.values()), "unread": unread}
    if found or unread:
        raise TaskFailed(_verdict(found, unread), hint=_advice(found), data=data)
    return data


def _files(paths: tuple[Path, ...], host: Host) -> dict[Path, int]:
    """Give the regular files, with their sizes; TaskFailed where none is there, for that is no clean bill."""
    found: dict[Path, int] = {}
    for path in paths:
        pattern = re.search(r"[*?\[]", path.name)
        there = None if pattern else host.stat(path)
        if there is not None and not there.is_folder:
            found[path] = there.size
            continue
        matches = host.find(path.parent, path.name) if pattern else host.find(path, recursive=True)
        found |= {each.path: each.stat.size for each in matches if each.stat.is_file}
    if not found:
        raise TaskFailed(f"there is no log {', '.join(map(shown, paths))}", hint="where are they? name them in `paths`")
    return dict(sorted(found.items()))


def _verdict(found: list[dict[str, Any]], unread: dict[str, str]) -> str:
    places = [f"{shown(each['file'])}:{each['line']} ({each['secret']})" for each in found]
    more = f" and {len(places) - 10} more" if len(places) > 10 else ""
    told = [f"a secret stands in {', '.join(places[:10])}{more}"] if found else []
    return "; ".join([*told, *unread.values()])


def _advice(found: list[dict[str, Any]]) -> str | None:
    if not found:
        return "read them as a user who may, or mend them"
    full = ", the first ones of each file" if len(found) >= MOST else ""
    return f"whoever reads the logs has it: make a new one, then remove the lines{full}"


class Audit(Params):
    """Which service, and what its controls should be."""

    url: Url = Field(description="the service")
    env_file: Path = Field(description="its `.env`, with its API_KEY")
    origins: tuple[Origin, ...] = Field((), description="the front ends that may call it, as `https://app.example.com`")
    routes: tuple[str, ...] = Field(
        ("/batch", "/reload"),
        min_length=1,
        description="routes that need the key; each is sent an empty JSON object, which it cannot take",
    )
    key_bytes: PositiveInt = Field(32, description="random bytes that the key should have")
    max_upload_mb: PositiveFloat = Field(20, le=500, description="the largest body that should be taken")
    max_pixels: PositiveInt = Field(25_000_000, description="the most pixels of an image that should be taken")
    uploads: bool = Field(default=True, description="whether it takes images; if not, uploads are not tried")
    timeout: Duration = Field(Duration.parse("30s"), description="how long to wait for each answer")


@task(kind="probe", returns={"controls": "for each control: what is wrong with it, nothing if it holds"})
def audit(want: Audit, host: Host) -> dict[str, Any]:
    """Try every control of a running service from outside, and fail with all that do not hold.

    Tried are: the mode of the env file; the key's length; routes without a key, with a wrong one, with one that is
    nearly right, and with the right one; CORS for foreign, look-alike and listed origins; uploads that are too large,
    of too many pixels, of a wrong name, type or content. Nothing is changed: what is sent is meant to be refused.
    """
    url = str(revealed(want.url)).rstrip("/")
    key = key_of(host, want.env_file)
    target = Target(
        host=host,
        url=url,
        env_file=want.env_file,
        key=key,
        key_bytes=want.key_bytes,
        routes=want.routes,
        origins=want.origins,
        max_upload_mb=want.max_upload_mb,
        max_pixels=want.max_pixels,
        timeout=want.timeout,
    )
    found = {control.__name__: list(control(target)) for control in (*controls.KEYS, controls.cors)}
    if want.uploads:
        found["upload_taken"] = list(controls.upload_taken(target))
        judged = () if found["upload_taken"] else controls.UPLOADS
        found |= {control.__name__: list(control(target)) for control in judged}
    data: dict[str, Any] = {"controls": found}
    faults = [f"{name}: {each}" for name, said in found.items() for each in said]
    if faults:
        raise TaskFailed(
            f"{len(faults)} of {len(found)} controls do not hold: {'; '.join(faults)}", hint=FIX, data=data
        )
    return data


class Key(Params):
    """Which service, which key, and whether it is to be taken."""

    url: Url = Field(description="the service")
    api_key: Secret = Field(description="the key")
    accepted: bool = Field(default=True, description="whether the service is to take it")
    route: str = Field(
        "/batch", description="a route that needs the key; it is sent an empty JSON object", pattern="^/"
    )
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for the answer")


@task(kind="probe", returns={"status": "the status of the answer"})
def key(want: Key, host: Host) -> dict[str, Any]:
    """See that a service takes a key, or that it takes it no more; nothing is changed by it.

    What is sent is refused in any case: with 401 or 403 for the key, with another status for what it holds.
    """
    url = str(revealed(want.url)).rstrip("/")
    headers = {"X-API-Key": want.api_key}
    status = host.ask(Exchange("POST", f"{url}{want.route}", headers, {}, timeout=want.timeout)).status
    data: dict[str, Any] = {"status": status}
    if status >= 500 or status == 404:
        raise TaskFailed(f"POST {want.route} is answered {status}, which tells nothing of the key", data=data)
    if (status not in controls.REFUSED) != want.accepted:
        told = f"POST {want.route} is answered {status}: the service"
        if want.accepted:
            hint = "it has another: has it been started again since the key was written?"
            raise TaskFailed(f"{told} does not take the key", hint=hint, data=data)
        raise TaskFailed(f"{told} still takes the key", hint="start it again, so that it reads its new one", data=data)
    return data
