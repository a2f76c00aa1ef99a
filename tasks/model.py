"""Models that a service serves: which one it is, another in its place, and how it answers."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from runbook.changes import Change, Request, after
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import task
from runbook.units import Duration, Percent

from .archives.previous import Recorded
from .archives.previous import previous as before
from .serving import answers
from .serving.adapters import Served
from .serving.continuity import Continuity, judged
from .serving.reloading import Swap, foreseen
from .serving.scoring import labelled, scored, wrong
from .serving.simple import Simple
from .serving.targets import Service, asking, sample_for, wanting
from .serving.words import Regex, shown

RETURNS = {
    "model_path": "the file that is served, as the service names it, if it names files",
    "sha256": "its SHA-256, if the service says it",
    "version": "its version, if the service goes by versions",
}
UNFIT = "is the sample such as this model takes, and is the key right?"


class Version(Service):
    """Which service is asked, and, if that is known, what it must serve."""

    path: Path | None = Field(None, description="the model's file that must be served")
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for an answer")


@task(kind="probe", returns={**RETURNS, "told": "all that the service says of it"})
def version(want: Version, host: Host) -> dict[str, Any]:
    """Ask a service which model it serves; with `path` or `version`, fail unless it is that one.

    After a reload that is yet to come, the answer is unsure in check mode.
    """
    adapter = asking(want, float(want.timeout), host)
    served = adapter.served(host.ask)
    if want.path is not None or want.version is not None:
        adapter = wanting(adapter, want.path, served, host)
        if lack := adapter.lack(served):
            hint = "reload it: `model.reload` with the same params"
            raise TaskFailed(
                f"{shown(want.url)} does not serve {adapter.wanted}: {lack}", hint=hint, data=_told(served)
            )
    return {**_told(served), "told": served.told}


class Reload(Service):
    """Which service, and the model that it shall serve: by its file, or by its name and version.

    The path is the service's. Where the file is seen from here too, its SHA-256 is compared as well, and a file that is
    missing or empty is refused before the service is asked. A `v2` server loads what its repository holds, so put the
    files of the version there first; for `torchserve` the path is the archive's name in its model store.
    """

    path: Path | None = Field(None, description="the model's file")
    timeout: Duration = Field(Duration.parse("2m"), description="how long the service may take to load the model")
    continuity: Continuity | None = Field(
        None,
        description="watch whether the service goes on answering: `{}`, or clients, every, before, after, and the"
        " budget of requests that may be lost, 0",
    )
    sample: Path | None = Field(None, description="what it is asked meanwhile; zeros without it")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.adapter == "simple" and self.path is None:
            raise ValueError("which model? give `path`")
        if self.adapter != "simple" and self.version is None:
            raise ValueError(f"the adapter {self.adapter} needs `version`: without one no load can be proven")
        return self


@task(
    affects=("url",),
    returns={
        **RETURNS,
        "previous": "what was served before",
        "compared": "what was compared: `path and sha256`, `path` where the file is not seen from here, or `version`",
        "continuity": "requests, asked and failed (before, during, after), faults, backwards, median_ms, longest_ms",
    },
)
def reload(want: Reload, host: Host) -> Generator[Change, None, dict[str, Any]]:
    """Make a service serve another model, and prove that it does; nothing is sent where it serves that one already.

    The service loads the new model beside the old one, which serves until then. When it refuses, the failure says what
    it answered, what is still served, and what to look at: the path, permissions, a damaged file, other classes, the
    key. A key that is refused and an ONNX file that breaks off are found before a reload is sent, in check mode too.
    An answer that got lost is no failure if the service turns out to serve the model.

    With `continuity`, predictions are asked for before, during and after: what fails, and what the old model answers
    after the new one has, counts against the budget; beyond it the step fails, with the new model in place.
    """
    adapter = asking(want, float(want.timeout), host)
    served = adapter.served(host.ask)
    adapter = wanting(adapter, want.path, served, host)
    seen = adapter.seen if isinstance(adapter, Simple) else None
    compared = "version" if seen is None else "path and sha256" if seen.sha256 else "path"
    data = {"previous": served.model_path or served.version, "compared": compared}
    if adapter.lack(served) is None:
        return {**_told(served), **data, "continuity": None}
    foreseen(adapter, served, host)
    body = sample_for(adapter, host, want.sample, None) if want.continuity else None
    swap = Swap(adapter, served, want.continuity, body)
    note = f"; compared by path alone: {seen.why}" if seen and seen.why else ""
    sent = Request(
        adapter.exchange(),
        affects=(want.base,),
        detail=f"from {served} to {adapter.wanted}{note}",
        conduct=swap.conduct,
    )
    yield sent
    now = after(sent, lambda done: _told(done.served))
    watched = after(sent, lambda done: judged(swap.continuity, done.seen))
    return {**{name: now[name] for name in RETURNS}, **data, "continuity": watched}


class Predict(Service):
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
    """Let a service classify one sample, and fail unless it does; one of the adapter `simple` must give a label.

    It only reads, so it is asked in check mode too. After a reload that is yet to come it is unsure.
    """
    adapter = asking(want, float(want.timeout), host)
    given = str(want.sample) if want.sample else "an array" if want.array is not None else "zeros"
    exchange = adapter.question(*sample_for(adapter, host, want.sample, want.array))
    told = answers.content(response := host.ask(exchange))
    if fault := wrong(want, response, told):
        hint = UNFIT if 400 <= response.status < 500 else answers.hint_for(response.status)
        data = {"status": response.status, "given": given, "body": answers.excerpt(response)}
        raise TaskFailed(f"POST {shown(exchange.url)}, given {given}: {fault}", hint=hint, data=data)
    whole = None if told is answers.NOTHING else told
    kept = {name: told.get(name) if isinstance(told, dict) else None for name in ("label", "confidence", "sha256")}
    return {**kept, "elapsed_ms": answers.milliseconds(response.elapsed_s), "given": given, "told": whole}


def _told(served: Served) -> dict[str, Any]:
    return {"model_path": served.model_path, "sha256": served.sha256, "version": served.version}


class Score(Service):
    """Which service, and samples whose labels are known: `cat/1.png` is a cat."""

    samples: Path = Field(description="the folder of the samples, looked through with all below it")
    label: Regex = Field(
        r"([^/]+)/[^/]+$", description="finds the label in a sample's path below the folder: its first group"
    )
    limit: PositiveInt = Field(200, description="how many samples are asked for at most, spread evenly over all")
    min_accuracy: Percent | None = Field(None, description="fail if fewer are right: `90%`")
    timeout: Duration = Field(Duration.parse("30s"), description="how long to wait for an answer")


@task(
    kind="probe",
    returns={
        "accuracy": "the share that is right, 0 to 1",
        "right": "how many are right",
        "samples": "how many there were",
        "wrong": "the first of those that are not, with what was said",
        "median_ms": "how long an answer takes, in milliseconds",
    },
)
def score(want: Score, host: Host) -> dict[str, Any]:
    """Find out how often a service is right, on samples whose labels are known."""
    found = labelled(host, want.samples, want.label, want.limit)
    data = scored(host, asking(want, float(want.timeout), host), found)
    if want.min_accuracy is not None and 100 * data["accuracy"] < want.min_accuracy:
        text = f"{data['right']} of {data['samples']} are right, less than {want.min_accuracy}"
        raise TaskFailed(text, hint="is it the right model, and are the labels of the samples right?", data=data)
    return data


class Previous(Service):
    """Which service, and the experiment folder with its `releases/` and `export/`."""

    root: Path = Field(description="the experiment folder")
    record: Path | None = Field(
        None, description="JSON of the last rollback, with the `sha256` of the model it went to: that one is kept"
    )
    timeout: Duration = Field(Duration.parse("10s"), description="how long to wait for an answer")


@task(
    kind="probe",
    returns={
        "path": "the model to go back to",
        "sha256": "its SHA-256",
        "source": "`release` or `export`, or `record` where a rollback has been done already",
        "archive": "the release that has to be unpacked first, or null",
        "folder": "the folder that it becomes, or null",
        "served": "the model that is served now",
    },
)
def previous(want: Previous, host: Host) -> dict[str, Any]:
    """Say which model to go back to: the previous stable one of the releases, else the previous export.

    The previous one is that of the release before the one with the model that is served; where it is in none, that of
    the newest release. What the `record` says was gone back to already is gone back to no further.
    """
    served = asking(want, float(want.timeout), host).served(host.ask)
    own = next((each.get("sha256") for each in served.told.get("files") or []), served.sha256)
    if own is None or served.model_path is None:
        raise TaskFailed("the service does not say the SHA-256 of its model", hint="give the model to go back to")
    recorded = Recorded(want.record, Path(served.model_path)) if want.record else None
    found = before(host, want.root, own, recorded)
    texts = {name: value and str(value) for name, value in found._asdict().items()}
    return {**texts, "served": served.model_path}
