"""The answers of servers, under the names that `uri` registers them by."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urljoin

from runbook.changes import Response

from .addresses import Web, parted


def told(want: Web, response: Response, *, content: bool) -> dict[str, Any]:
    """Give what is known of an answer: its headers by their names, and what they and the body mean."""
    asked, good = parted(want.url)[0], response.status < 300
    size = response.headers.get("content-length", "unknown")
    data: dict[str, Any] = {name.replace("-", "_"): value for name, value in response.headers.items()}
    data |= {
        "status": response.status,
        "url": want.shown if _same(asked, response.url) else response.url,
        "redirected": not _same(asked, response.url),
        "elapsed": int(response.elapsed_s),
        "msg": f"OK ({size} bytes)" if good else f"HTTP Error {response.status}: {_phrase(response)}",
    }
    if good:
        cookies = _cookies(response.headers.get("set-cookie", ""))
        data |= {"cookies": cookies, "cookies_string": "; ".join(f"{name}={text}" for name, text in cookies.items())}
    if "location" in data:
        data["location"] = urljoin(asked, data["location"])
    text = text_of(response)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.rpartition("/")[2].rpartition("+")[2] in {"json", "javascript"} and (found := _parsed(text)):
        data["json"] = found[0]
    return data | ({"content": text} if content else {})


def text_of(response: Response) -> str:
    """Give the body as a text, in the encoding that it says it has."""
    found = re.search(r"""charset\s*=\s*["']?([\w.:-]+)""", response.headers.get("content-type", ""), re.IGNORECASE)
    try:
        return response.body.decode(found[1] if found else "utf-8", "surrogateescape")
    except (LookupError, UnicodeError):
        return response.body.decode("utf-8", "surrogateescape")


def _same(asked: str, came: str) -> bool:
    """Say whether two addresses are one; an empty path is `/`."""
    return came in (asked, f"{asked}/")


def _parsed(text: str) -> list[Any]:
    """Give the value in a list, which is empty where a text only says that it is JSON."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        return []


def _phrase(response: Response) -> str:
    try:
        return HTTPStatus(response.status).phrase
    except ValueError:
        return ""


def _cookies(header: str) -> dict[str, str]:
    """Read the cookies of a header that holds one or, with commas between them, several."""
    found: dict[str, str] = {}
    for each in re.split(r",\s*(?=[^;,=\s]+=)", header):
        try:
            found |= {name: morsel.value for name, morsel in SimpleCookie(each).items()}
        except CookieError:
            continue
    return found
