"""Measuring models: candidates side by side, in a way that the answer can be trusted on a machine that others use."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from runbook.changes import Change, Produce, after, then
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.plans import folders
from runbook.task import task
from runbook.units import Duration, Percent

from .measuring.candidates import (
    Batches,
    Candidate,
    Measured,
    Options,
    Providers,
    Threads,
    asked,
    file_of,
    named,
    needs_torch,
)
from .measuring.child import report_of, work
from .measuring.earlier import again, read_report
from .measuring.planning import refuse_hopeless
from .measuring.recommended import resolved

Plan = Generator[Change, None, dict[str, Any]]
ACCEPT = "if it is meant to be slower, make it the new baseline: -e renew=true of gate.yml, or bench.infer again"


class Infer(Measured):
    """What is measured, on what, and how long.

    One `model`, or several `candidates`; the first is the one that the others are held against. With `threads` a list,
    each is measured with each number. Models, images and options are read before anything is measured.
    """

    engine: Literal["onnx", "torch", "both"] = Field("onnx", description="what `model` is run by; `both` needs `torch`")
    model: str | None = Field(None, description="the model, where there is one")
    torch: str | None = Field(None, description="the same model for PyTorch, for `engine: both`")
    candidates: tuple[Candidate, ...] = Field((), description="models with their options, instead of `model`")
    batches: Batches = Field((1, 2, 4, 8, 16, 32), description="samples at once: a list, or `1,8,32`")
    threads: Threads | None = Field(None, description="threads of the runtime, 0 its own choice: a number or a list")
    providers: Providers = Field(("CPU",), description="where it is run, by preference: `CUDA,CPU`")
    session_options: Path | None = Field(
        None, description="the report of `ort.optimize`, whose recommendation `model` is run with"
    )
    shape: tuple[PositiveInt, ...] | None = Field(None, description="one sample for a torch model alone: [3, 224, 224]")
    latency_target: Duration | None = Field(None, description="tell the throughput at which p95 is within this")
    report: Path | None = Field(None, description="the report; `reports/bench_<UTC>.json` without it")
    plot: bool | Path = Field(True, description="draw it: true as SVG beside the report, or a file, `.svg` or `.png`")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if bool(self.candidates) == (self.model is not None):
            raise ValueError("write either `model` or `candidates`")
        if (self.engine == "both") != (self.torch is not None):
            raise ValueError("`engine: both` and `torch: model.pt` belong together: the same model for both engines")
        if self.session_options is not None and (self.model is None or "providers" in self.model_fields_set):
            raise ValueError("`session_options` goes with `model` and without `providers`; a candidate has its own")
        return self

    @field_validator("report")
    @classmethod
    def _json(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix != ".json":
            raise ValueError(f"the report must end in .json: write {value}.json")
        return value

    @field_validator("plot")
    @classmethod
    def _drawable(cls, value: bool | Path) -> bool | Path:  # noqa: FBT001 - what the field is
        if isinstance(value, Path) and value.suffix.lower() not in {".svg", ".png"}:
            raise ValueError("`plot` must end in .svg or .png; or write true, or false")
        return value

    def picture(self, report: Path) -> Path | None:
        """Give where the picture goes, if there is to be one."""
        if isinstance(self.plot, Path):
            return self.plot
        return report.with_suffix(".svg") if self.plot else None

    def chosen(self) -> tuple[Candidate, ...]:
        """Give the candidates that are meant."""
        if self.model is None:
            return self.candidates
        if self.torch is None:
            engine: Literal["onnx", "torch"] = "torch" if self.engine == "torch" else "onnx"
            return (Candidate(model=self.model, engine=engine, session_options=self.session_options),)
        return (
            Candidate(name="onnx", engine="onnx", model=self.model, session_options=self.session_options),
            Candidate(name="torch", engine="torch", model=self.torch),
        )


@task(
    kind="action",
    extra="onnx",
    returns={
        "report": "the report's path",
        "plot": "the picture's path, or null",
        "results": "for each candidate and batch: latency_ms, throughput (samples/s), each with its 95 % interval",
        "comparisons": "for each other candidate (b) against the first (a): batch, ratio, interval, verdict, noisy",
        "at_target": "for each candidate the best throughput within `latency_target`, with its batch and p95",
        "notes": "fallbacks of providers, and noise",
        "msg": "the tables that are shown",
    },
)
def infer(want: Infer, host: Host) -> Plan:
    """Measure latency, throughput, memory and CPU time of models, and compare them in paired rounds.

    Every round runs a block of each candidate, each in a process of its own, in changing order; what drifts falls on
    all alike. `ratio` says how many times as fast b is as a, with the interval that holds the true value in 95 of 100
    measurements; the verdict is better, worse, or inconclusive where noise or too small a difference leaves it open.
    Nothing is measured in check mode.
    """
    chosen = [resolved(host, one) for one in want.chosen()]
    models = asked(host, named(chosen, want.threads), want.providers)
    for one in models:
        one["require"] = want.require
    refuse_hopeless(host, models, require=want.require)
    target = None if want.latency_target is None else float(want.latency_target) * 1e3
    job = {
        **want.asked(host),
        "candidates": models,
        "batches": list(want.batches),
        "shape": want.shape,
        "target_ms": target,
        "same": want.engine == "both",
    }
    path = want.report or host.cwd / f"reports/bench_{host.now:%Y%m%dT%H%M%SZ}.json"
    yield from folders(host, path.parent)
    made = Produce(path, lambda out: report_of(host, "bench", out, **job), was=host.stat(path))
    yield made
    picture = want.picture(path)
    if picture is not None:
        yield from folders(host, picture.parent)
        asks = {"report": str(path), "png": picture.suffix.lower() == ".png"}
        yield Produce(picture, lambda out: work(host, "plot", out, **asks), was=host.stat(picture))
    return {
        "report": str(path),
        "plot": str(picture) if picture else None,
        "results": then(made.outcome, lambda report: [_brief(one) for one in report["results"]]),
        "comparisons": made.outcome["comparisons"],
        "at_target": made.outcome["at_target"],
        "notes": made.outcome["notes"],
        "msg": made.outcome["table"],
    }


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "rounds_ms"}


class Gate(Measured):
    """What is new, what it is held against, and by how much it may be slower."""

    baseline: Path = Field(description="an earlier report of `bench.infer`; its numbers are not compared with")
    candidate: str | None = Field(None, description="which candidate of that report; its first without it")
    old_model: Path | None = Field(None, description="where the old model is now, if it was moved")
    model: str | None = Field(None, description="the new model; the old one without it")
    options: Options | None = Field(None, description="the new session options; the old ones without them")
    providers: Providers | None = Field(None, description="where the new one is run; as the old one without it")
    batches: Batches | None = Field(None, description="samples at once; as in the report without it")
    max_slower: Percent = Field(Percent.parse("5%"), description="by how much the new one may be slower")
    report: Path | None = Field(None, description="the report; `reports/gate_<UTC>.json` without it")


@task(
    kind="action",
    extra="onnx",
    returns={
        "report": "the report's path",
        "comparisons": "for each batch the new one (b) against the old one (a): ratio, interval, verdict",
        "passed": "true: a new one that is slower fails the step",
        "notes": "fallbacks of providers, and noise",
        "msg": "the tables that are shown",
    },
)
def gate(want: Gate, host: Host) -> Plan:
    """Fail if a model or its options are slower than those of an earlier report: both are run now, in paired rounds.

    Old numbers were measured on another day, among other people's work, so only the old configuration is taken from the
    report, and run again beside the new one. It fails only where the whole interval is beyond `max_slower` (and beyond
    `margin`, which two processes of one model may differ by): never on noise alone. The report is written in any case.
    A model whose inputs have other shapes is refused before anything is measured.
    """
    report = read_report(host, want.baseline)
    old = again(host, report, want.baseline, want.candidate, want.old_model)
    new = {**old, "require": want.require}
    if want.model is not None:
        new |= {**file_of(host, want.model), "engine": Candidate(model=want.model).kind}
    new |= {"options": want.options.model_dump()} if want.options else {}
    new |= {"providers": list(want.providers)} if want.providers else {}
    needs_torch(one["engine"] for one in (old, new))
    refuse_hopeless(host, [old, new], require=want.require)
    settings = report["settings"]
    job = {
        **want.asked(host),
        "margin": max(float(want.max_slower), float(want.margin)) / 100,
        "candidates": [{"name": "old", **old}, {"name": "new", **new}],
        "alike": True,
        "batches": list(want.batches or settings["batches"]),
        "shape": settings.get("shape"),
        "dims": {**(settings.get("dims") or {}), **want.dims},
    }
    path = want.report or host.cwd / f"reports/gate_{host.now:%Y%m%dT%H%M%SZ}.json"
    yield from folders(host, path.parent)
    made = Produce(path, lambda out: report_of(host, "bench", out, **job), was=host.stat(path))
    yield made
    return {
        "report": str(path),
        "comparisons": made.outcome["comparisons"],
        "passed": after(made, lambda found: _passed(found, want.max_slower)),
        "notes": made.outcome["notes"],
        "msg": made.outcome["table"],
    }


def _passed(report: Mapping[str, Any], allowed: Percent) -> bool:
    """Say yes, or raise TaskFailed with every batch at which the new one is too slow."""
    comparisons = report["comparisons"]
    worse = [
        f"batch {one['batch']}: {one['ratio']:.2f} times as fast ({one['interval'][0]:.2f} to {one['interval'][1]:.2f})"
        for one in comparisons
        if one["verdict"] == "worse"
    ]
    if worse:
        text = f"slower than the old one by more than {allowed}: {'; '.join(worse)}"
        data = {"comparisons": comparisons, "passed": False, "table": report.get("table")}
        raise TaskFailed(text, hint=ACCEPT, data=data)
    return True
