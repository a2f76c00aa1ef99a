"""A service with `GET /version` and `POST /reload`, as the reference service has them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from runbook.changes import Exchange, Response, Send
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from . import answers
from .adapters import ASK, Address, Served
from .modelfile import Seen

KEY = (
    "the service does not take this key. It reads its own, API_KEY, from its .env when it starts: is `api_key` from"
    " that file, and was the service started again since the key was changed?"
)
NO_KEY = (
    "the service wants a key: read it from the service's .env with `env_files` on the play, and give"
    ' `api_key: "{{ API_KEY }}"`'
)
PATH = "the path is the service's: is it spelt right, and does the service see this folder (a mount, a container)?"
PERMISSION = (
    "may the user who runs the service read the file and enter the folders above it? `namei -l PATH` shows them"
)
DAMAGED = "the file is damaged or no ONNX: compare its SHA-256 with the release's manifest, or export it again"
CLASSES = "it was trained for other classes, so clients would get wrong labels: give one with the classes of this one"
BUSY = "another reload is under way: wait for it, then run this again; nothing is lost"
BY_CODE = {
    "missing": PATH,
    "unreadable": PERMISSION,
    "damaged": DAMAGED,
    "class_mismatch": CLASSES,
    "unsuitable": "it is no model for this service, and the answer says why: is it the file that was meant?",
    "timeout": "is the model larger, or the machine busier, than before? LOAD_TIMEOUT in the service's .env bounds it",
    "closed": "the service's .env sets no API_KEY, so it takes no reload: give it one, and start it again",
    "busy": BUSY,
    "changed": "the file changed while it was loaded: let whoever writes it come to an end, then run this again",
}
KEYLESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
BY_STATUS = {400: DAMAGED, 409: BUSY}
BY_WORD = {"class": CLASSES, "permission": PERMISSION, "corrupt": DAMAGED, "damaged": DAMAGED, "no such file": PATH}
REFUSED = f"look into these: {PATH}; {PERMISSION}; {DAMAGED}; {CLASSES}"


@dataclass(frozen=True, slots=True)
class Simple:
    """Such a service, and the file of the model that it shall serve (None: it is only asked)."""

    host: Host
    at: Address
    seen: Seen | None = None

    @property
    def wanted(self) -> str:
        assert self.seen is not None
        name = shown(self.seen.path)
        return f"{name} ({self.seen.sha256[:12]})" if self.seen.sha256 else name

    def served(self, send: Send) -> Served:
        response = send(Exchange("GET", f"{self.at.url}/version", timeout=min(ASK, self.at.timeout)))
        told = answers.content(response)
        name = f"GET {self.at.url}/version"
        if response.status != HTTPStatus.OK:
            hint = "is this the base address of the service, as http://localhost:8000, and the right `adapter`?"
            raise TaskFailed(f"{name}: {answers.unwanted(response, [200])}", hint=hint)
        path = told.get("model_path") if isinstance(told, dict) else None
        if not isinstance(path, str) or not path:
            hint = "is this the service itself, and the right `adapter`?"
            raise TaskFailed(f"{name}: no `model_path` in the answer: {answers.excerpt(response)}", hint=hint)
        digest = told.get("sha256")
        return Served(shown(path), path, digest.lower() if isinstance(digest, str) and digest else None, None, told)

    def lack(self, served: Served) -> str | None:
        assert self.seen is not None
        if not self._same_path(served.model_path or ""):
            return f"it serves {served}"
        if self.seen.sha256 and served.sha256 and self.seen.sha256 != served.sha256:
            return f"it serves another content of that file, {served.sha256[:12]}, not {self.seen.sha256[:12]}"
        return None

    def _same_path(self, path: str) -> bool:
        assert self.seen is not None
        if os.path.normpath(path) == os.path.normpath(self.seen.path):
            return True
        # A link and what it leads to are one model, as far as both can be seen from here.
        return os.path.isabs(path) and self.seen.sha256 is not None and self.host.resolve(Path(path)) == self.seen.real

    def exchange(self) -> Exchange:
        assert self.seen is not None
        headers: dict[str, Any] = {"X-API-Key": self.at.key} if self.at.key else {}
        body = {"model_path": str(self.seen.path)}
        return Exchange("POST", f"{self.at.url}/reload", headers, body, timeout=self.at.timeout)

    def load(self, send: Send) -> Response:
        return send(self.exchange())

    def question(self, body: bytes, kind: str) -> Exchange:
        url = self.at.predict_url or self.at.url
        return Exchange("POST", f"{url}/predict", {"Content-Type": kind}, body, timeout=self.at.timeout)

    def refusal(self, send: Send) -> Response | None:
        """Give the answer to a reload with this key where it would be for the key; nothing is loaded to find out.

        Only a key that another route refuses is tried on this one, and with what names no model.
        """
        headers: dict[str, Any] = {"X-API-Key": self.at.key} if self.at.key else {}
        for route in ("batch", "reload"):
            try:
                answer = send(
                    Exchange("POST", f"{self.at.url}/{route}", headers, {}, timeout=min(ASK, self.at.timeout))
                )
            except TaskFailed:
                return None  # the reload itself tells more
            if answer.status not in KEYLESS:
                return None
        return answer

    def mark(self, answer: Any) -> str | None:
        said = answer.get("sha256") if isinstance(answer, dict) else None
        return said.lower() if isinstance(said, str) else None

    def hint(self, answer: Response) -> str:
        told = answers.content(answer)
        code = told.get("code") if isinstance(told, dict) else None
        if isinstance(code, str) and code in BY_CODE:
            return BY_CODE[code]
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return KEY if self.at.key else NO_KEY
        said = answers.excerpt(answer)
        by_word = next((hint for word, hint in BY_WORD.items() if word in said.lower()), None)
        if by_word:
            return by_word
        if answer.status == HTTPStatus.FORBIDDEN:
            return f"{KEY if self.at.key else NO_KEY} Or, if it is about the file: {PERMISSION}"
        if answer.status == HTTPStatus.NOT_FOUND:
            none = "is this the base address of a service that has POST /reload, and the right `adapter`?"
            return none if said in ("", "Not Found") else PATH
        return BY_STATUS.get(answer.status) or answers.hint_for(answer.status) or REFUSED
