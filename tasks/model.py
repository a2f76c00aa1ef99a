"""Models that a service serves: which one it is, and another in its place."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from runbook.changes import Change, Exchange, Request, Response, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Duration, Secret, revealed

from .serving import answers
from .serving.adapters import Served
from .serving.modelfile import look
from .serving.reloading import reload as reloaded
from .serving.samples import body_of, zeros
from .serving.simple import Simple
from .serving.words import Url, shown

RETURNS = {
    "model_path": "the file that is served, as the service names it",
    "sha256": "its SHA-256, if the service says it",
}

UNFIT = (400, 413, 415, 422)


class _Service(Params):
    url: Url = Field(description="the service's base address, as http://localhost:8000")
    adapter: Literal["simple"] = Field("simple", description="what kind of server it is")

    @field_validator("url")
    @classmethod
    def _base(cls, url: str | Secret) -> str | Secret:
        return Secret(url.reveal().rstrip("/")) if isinstance(url, Secret) else url.rstrip("/")


class Version(_Service):
    """Which service is asked, and, if that is known, what it must serve."""

    path: Path | None = Field(None, description="the model's file that must be served")
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for an answer")


@task(kind="probe", returns={**RETURNS, "told": "all that the service says of it"})
def version(want: Version, host: Host) -> dict[str, Any]:
    """Ask a service which model it serves; with `path`, fail unless it is that one.

    After a reload that is yet to come, the answer is unsure in check mode.
    """
    adapter = Simple(host, str(revealed(want.url)), timeout=float(want.timeout))
    served = adapter.served(host.ask)
    if want.path is not None:
        wanted = _simple(want, want.path, served, host)
        if lack := wanted.lack(served):
            hint = "reload it: `model.reload` with this path"
            raise TaskFailed(f"{shown(want.url)} does not serve {wanted.wanted}: {lack}", hint=hint, data=_told(served))
    return {**_told(served), "told": served.told}


class Reload(_Service):
    """Which service, and the file of the model that it shall serve.

    The path is the service's. Where the file is seen from here too, its SHA-256 is compared as well, and a file that is
    missing or empty is refused before the service is asked.
    """

    path: Path = Field(description="the model's file")
    api_key: Secret | None = Field(None, description="the service's key, sent as `X-API-Key`")
    timeout: Duration = Field(Duration.parse("2m"), description="how long the service may take to load the model")


@task(
    returns={**RETURNS, "previous": "the file that was served before", "compared": "what was compared: path, or both"}
)
def reload(want: Reload, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Make a service serve another model, and prove that it does; nothing is sent where it serves that one already.

    The service loads the new model beside the old one, which serves until then. When it refuses, the failure says what
    it answered, what is still served, and what to look at: the path, permissions, a damaged file, other classes, the
    key. An answer that got lost is no failure if the service turns out to serve the model.
    """
    served = Simple(host, str(revealed(want.url))).served(host.ask)
    adapter = _simple(want, want.path, served, host)
    assert adapter.seen is not None
    data = {"previous": served.model_path, "compared": "path and sha256" if adapter.seen.sha256 else "path"}
    if adapter.lack(served) is None:
        return {**_told(served), **data}
    note = f"; compared by path alone: {adapter.seen.why}" if adapter.seen.why else ""
    sent = Request(
        adapter.load(),
        affects=(adapter.url,),
        detail=f"from {served} to {adapter.wanted}{note}",
        conduct=lambda send: reloaded(adapter, served, send),
    )
    yield sent
    now = after(sent, _told)
    return {"model_path": now["model_path"], "sha256": now["sha256"], **data}


class Predict(_Service):
    """Which service, what it is given, and what its answer must hold.

    Without a `sample` and an `array` it is given zeros of the shape that it says it takes: then the answer shows that
    the model works, not that it is right.
    """

    sample: Path | None = Field(None, description="an image that is uploaded, or a `.json` file with an array")
    array: list[Any] | None = Field(None, description="the array itself")
    json_: dict[str, Any] | None = Field(None, alias="json", description="what the answer must hold: `{label: cat}`")
    max_latency: Duration | None = Field(None, description="the time within which the answer must be whole")
    timeout: Duration = Field(Duration.parse("30s"), description="how long to wait for an answer")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if self.sample is not None and self.array is not None:
            raise ValueError("sample and array are two inputs; write one")
        return self


@task(
    kind="probe",
    returns={
        "label": "the answer's label",
        "confidence": "how sure the model is of it, 0 to 1",
        "sha256": "the model that gave the answer, if the service says it",
        "elapsed_ms": "how long it took, in milliseconds",
        "given": "what it was given: the sample, `an array`, or `zeros`",
        "told": "the whole answer",
    },
)
def predict(want: Predict, host: Host) -> dict[str, Any]:
    """Let a service classify one sample, and fail unless it does, with a label.

    It only reads, so it is asked in check mode too. After a reload that is yet to come it is unsure.
    """
    url = str(revealed(want.url))
    given = str(want.sample) if want.sample else "an array" if want.array is not None else "zeros"
    body, kind = _sample(want, url, host)
    response = host.ask(Exchange("POST", f"{url}/predict", {"Content-Type": kind}, body, timeout=float(want.timeout)))
    told = answers.content(response)
    if fault := _fault(want, response, told):
        unfit = "is the sample such as this model takes?" if response.status in UNFIT else None
        raise TaskFailed(
            f"POST {shown(want.url)}/predict, given {given}: {fault}",
            hint=unfit or answers.hint_for(response.status),
            data={"status": response.status, "given": given, "body": answers.excerpt(response)},
        )
    kept = {name: told.get(name) for name in ("label", "confidence", "sha256")}
    return {**kept, "elapsed_ms": answers.milliseconds(response.elapsed_s), "given": given, "told": told}


def _sample(want: Predict, url: str, host: Host) -> tuple[bytes, str]:
    if want.sample is not None:
        return body_of(host, want.sample)
    array = want.array
    if array is None:
        array = zeros(Simple(host, url).served(host.ask).told.get("input_shape"))
    return json.dumps({"array": array}).encode(), "application/json"


def _fault(want: Predict, response: Response, told: Any) -> str | None:
    if response.status != 200:
        return answers.unwanted(response, [200])
    if not isinstance(told, dict) or told.get("label") is None:
        return f"no `label` in the answer: {answers.excerpt(response)}"
    if want.json_ is not None and (lack := answers.lacking(want.json_, told)):
        return f"the answer is not as wanted: {lack}"
    return answers.late(response, want.max_latency)


def _simple(want: Version | Reload, path: Path, served: Served, host: Host) -> Simple:
    """Give the service with the file that it shall serve, as far as that can be seen from here."""
    seen = look(host, path if path.is_absolute() else host.cwd / path, shared=_is_here(host, served))
    key = want.api_key if isinstance(want, Reload) else None
    return Simple(host, str(revealed(want.url)), seen, key, float(want.timeout))


def _is_here(host: Host, served: Served) -> bool:
    """Say whether the file that is served is seen from here, so that any other would be as well."""
    path = Path(served.model_path or "")
    try:
        return path.is_absolute() and host.stat(path) is not None
    except TaskFailed:  # it may not be looked at: then it is not seen
        return False


def _told(served: Served) -> dict[str, Any]:
    return {"model_path": served.model_path, "sha256": served.sha256}
