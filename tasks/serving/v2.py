"""Servers of the open inference protocol (V2): Triton, KServe, MLServer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from runbook.changes import Exchange, Response, Send
from runbook.errors import TaskFailed

from . import answers
from .adapters import ASK, WHERE, Address, Served

EMPTY = {"BYTES": "", "BOOL": False}
NOT_THERE = "the repository has no model of this name: is `model` spelt right, and are its files in the repository?"
NOT_ALLOWED = "does the server take loads at all? Triton does with --model-control-mode=explicit"
DAMAGED = (
    "the server cannot load what is in its repository: are the files whole, and of this runtime? Its log says more"
)
KEY = "the server wants another key: is `api_key` the token that it takes?"
NO_INPUTS = "give `inputs`, as the protocol has them: [{name: x, shape: [1, 2], datatype: FP32, data: [0, 0]}]"
STATUS = {400: NOT_ALLOWED, 401: KEY, 403: KEY, 404: NOT_THERE, 405: NOT_ALLOWED, 500: DAMAGED}


@dataclass(frozen=True, slots=True)
class V2:
    """Such a server. What it serves is what an inference says: its index tells of versions that never were loaded."""

    at: Address
    version: str | None = None
    inputs: tuple[dict[str, Any], ...] = ()

    @property
    def wanted(self) -> str:
        return f"{self.at.model} {self.version}"

    def served(self, send: Send) -> Served:
        about = send(self._ask("GET", self._model()))
        if about.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):  # Triton says 400 of what is not loaded
            return Served(f"no {self.at.model}")
        told = answers.content(about)
        if about.status != HTTPStatus.OK or not isinstance(told, dict):
            raise TaskFailed(f"GET {self._model()}: {answers.unwanted(about, [200])}", hint=WHERE)
        answer = send(self.question(*self.body(told)))
        said = answers.content(answer)
        name = f"POST {self._model()}/infer"
        if answer.status != HTTPStatus.OK:
            hint = "are `inputs` such as this model takes?" if answer.status < 500 else answers.hint_for(answer.status)
            raise TaskFailed(f"{name}: {answers.unwanted(answer, [200])}", hint=hint)
        version = self.mark(said)
        if version is None:
            hint = "give the model a version in its repository: without one no load can be proven"
            raise TaskFailed(f"{name}: no `model_version` in the answer: {answers.excerpt(answer)}", hint=hint)
        return Served(f"{self.at.model} {version}", None, None, version, told)

    def lack(self, served: Served) -> str | None:
        return None if served.version == self.version else f"an inference is answered by {served}"

    def exchange(self) -> Exchange:
        url = f"{self.at.url}/v2/repository/models/{self.at.model}/load"
        return Exchange("POST", url, self.at.bearer(), {}, timeout=self.at.timeout)

    def load(self, send: Send) -> Response:
        return send(self.exchange())

    def hint(self, answer: Response) -> str:
        said = answers.excerpt(answer).lower()
        if "not allowed" in said or "polling" in said:
            return NOT_ALLOWED
        return STATUS.get(answer.status) or answers.hint_for(answer.status) or DAMAGED

    def question(self, body: bytes, kind: str) -> Exchange:
        url = (self.at.predict_url or self.at.url) + f"/v2/models/{self.at.model}/infer"
        return Exchange(
            "POST", url, {"Content-Type": kind, **self.at.bearer()}, body, timeout=min(ASK, self.at.timeout)
        )

    def mark(self, answer: Any) -> str | None:
        version = answer.get("model_version") if isinstance(answer, dict) else None
        return str(version) if version else None

    def body(self, about: dict[str, Any] | None = None) -> tuple[bytes, str]:
        """Give an inference's body: the inputs, or zeros of those that the server says it takes."""
        inputs = list(self.inputs) or [_zeros(each) for each in (about or {}).get("inputs") or []]
        if not inputs:
            raise TaskFailed(f"the server does not say what {self.at.model} takes", hint=NO_INPUTS)
        return json.dumps({"inputs": inputs}).encode(), "application/json"

    def _model(self) -> str:
        return f"{self.at.url}/v2/models/{self.at.model}"

    def _ask(self, method: str, url: str) -> Exchange:
        return Exchange(method, url, self.at.bearer(), timeout=ASK)


def _zeros(about: Any) -> dict[str, Any]:
    """Give an input of nothing but zeros; a length that is open is 1."""
    try:
        shape = [max(1, int(length)) for length in about["shape"]]
        count = 1
        for length in shape:
            count *= length
        data = [EMPTY.get(about["datatype"], 0)] * count
        return {"name": about["name"], "shape": shape, "datatype": about["datatype"], "data": data}
    except (TypeError, KeyError, ValueError) as error:
        raise TaskFailed("the server does not say what its inputs are like", hint=NO_INPUTS) from error
