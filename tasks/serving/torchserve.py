"""TorchServe: versions side by side, one of which is the default."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from runbook.changes import Exchange, Response, Send
from runbook.errors import TaskFailed

from . import answers
from .adapters import ASK, WHERE, Address, Served

NOT_THERE = "is the archive in the server's model store, and `path` its name there, or a URL that the server may fetch?"
NO_VERSION = "this version is not registered: give `path`, the archive's name in the server's model store"
DAMAGED = "the server cannot start a worker with it: is the archive whole, and its handler right? Its log says more"
KEY = "the management API wants another key: TorchServe writes its keys to key_file.json when it starts"
STATUS = {
    400: DAMAGED,
    500: DAMAGED,
    401: KEY,
    403: KEY,
    404: NOT_THERE,
    409: "this version is being registered: run this again",
}


@dataclass(frozen=True, slots=True)
class TorchServe:
    """Such a server, by its management address; `archive` is what registers the version where it is not there yet."""

    at: Address
    version: str | None = None
    archive: str | None = None

    @property
    def wanted(self) -> str:
        return f"{self.at.model} {self.version}"

    def served(self, send: Send) -> Served:
        found = self._about(send, f"models/{self.at.model}")
        if not found:
            return Served(f"no {self.at.model}")
        default = found[0]
        version = str(default.get("modelVersion") or "")
        working = [each for each in default.get("workers") or [] if each.get("status") == "READY"]
        name = f"{self.at.model} {version}" + ("" if working else ", without a worker")
        return Served(name, None, None, version if working else None, default, pending=not working)

    def lack(self, served: Served) -> str | None:
        return None if served.version == self.version else f"the default is {served}"

    def exchange(self) -> Exchange:
        url = f"{self.at.url}/models/{self.at.model}/{self.version}/set-default"
        return Exchange("PUT", url, self.at.bearer(), timeout=self.at.timeout)

    def load(self, send: Send) -> Response:
        known = {str(each.get("modelVersion")): each for each in self._about(send, f"models/{self.at.model}/all")}
        if self.version not in known and self.archive is None:
            raise TaskFailed(f"{self.at.url} has no {self.wanted}, but {sorted(known) or 'none'}", hint=NO_VERSION)
        if self.version not in known:
            wanted = {"url": self.archive, "initial_workers": 1, "synchronous": "true"}
            answer = send(self._post(f"models?{urlencode(wanted)}"))
            if answer.status != HTTPStatus.OK:
                return answer
        elif not known[str(self.version)].get("workers"):
            url = f"models/{self.at.model}/{self.version}?min_worker=1&synchronous=true"
            answer = send(Exchange("PUT", f"{self.at.url}/{url}", self.at.bearer(), timeout=self.at.timeout))
            if not 200 <= answer.status < 300:
                return answer
        return send(self.exchange())

    def hint(self, answer: Response) -> str:
        return STATUS.get(answer.status) or answers.hint_for(answer.status) or DAMAGED

    def question(self, body: bytes, kind: str) -> Exchange:
        url = f"{self.at.predict_url or self.at.url}/predictions/{self.at.model}"
        return Exchange(
            "POST", url, {"Content-Type": kind, **self.at.bearer()}, body, timeout=min(ASK, self.at.timeout)
        )

    def mark(self, answer: Any) -> str | None:
        del answer  # which version it is from is not in it
        return None

    def _post(self, path: str) -> Exchange:
        return Exchange("POST", f"{self.at.url}/{path}", self.at.bearer(), timeout=self.at.timeout)

    def _about(self, send: Send, path: str) -> list[dict[str, Any]]:
        answer = send(Exchange("GET", f"{self.at.url}/{path}", self.at.bearer(), timeout=ASK))
        if answer.status == HTTPStatus.NOT_FOUND:
            return []
        told = answers.content(answer)
        if answer.status != HTTPStatus.OK:
            raise TaskFailed(f"GET {self.at.url}/{path}: {answers.unwanted(answer, [200])}", hint=WHERE)
        if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
            raise TaskFailed(f"GET {self.at.url}/{path}: no list of versions: {answers.excerpt(answer)}", hint=WHERE)
        return told
