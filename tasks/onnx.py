"""ONNX models: exported, checked, compared with one another, and quantised to INT8 behind gates."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from runbook.changes import Change, Produce
from runbook.host import Host
from runbook.task import Params, task
from runbook.units import Percent

from .measuring.candidates import Timed, file_of
from .measuring.child import work
from .measuring.planning import refuse_hopeless
from .measuring.publishing import disowned, known, made_by, published
from .measuring.quantised import quantised
from .measuring.samples import SAMPLES, digest_of, samples_at

Plan = Generator[Change, None, dict[str, Any]]
QUALITY = {
    "samples": "how many were judged by",
    "agreement": "the share of samples on which both give the same class",
    "largest_difference": "between any two numbers that they give",
    "mean_difference": "between the numbers that they give",
    "accuracy": "of both, 0 to 1; null without labels",
    "flips": "answers that were right and became wrong (`lost`), the other way (`gained`), and the net loss",
    "drop": "of top-1, in points; null without labels",
    "bound": "the drop that is still likely (95 %) when so few losses were seen, in points",
}


class Check(Params):
    """Which model."""

    model: Path = Field(description="the `.onnx` file; its external data is beside it")


@task(
    kind="probe",
    free="model",
    extra="onnx",
    returns={
        "model": "its absolute path",
        "sha256": "of all its pieces, as the service tells it",
        "bytes": "the size of all its pieces",
        "opset": "the version of each domain of operators",
        "ir_version": "the version of the file's form",
        "producer": "what wrote it",
        "inputs": "name, type and shape of each",
        "outputs": "name, type and shape of each",
        "operators": "how many there are of each",
        "external": "the files with its weights",
    },
)
def check(want: Check, host: Host) -> dict[str, Any]:
    """Fail unless a file is a valid ONNX model with all its external data, by the checker and by shape inference."""
    file = file_of(host, str(want.model))
    found = work(host, "check", None, model=file["model"])
    pieces = [want.model, *(want.model.parent / name for name in found["external"])]
    sizes = [stat.size for path in pieces if (stat := host.stat(path)) is not None]
    return {**file, "bytes": sum(sizes), **found}


class Compare(Params):
    """Which models, on which samples, and how far they may differ."""

    a: Path = Field(description="the model that is trusted")
    b: Path = Field(description="the one that is held against it")
    samples: Path | None = Field(None, description=f"{SAMPLES}; synthetic inputs without it")
    count: PositiveInt = Field(128, description="samples at most")
    min_agreement: Percent = Field(Percent.parse("0%"), description="the share on which both must give the same class")
    max_difference: Annotated[float, Field(ge=0)] | None = Field(None, description="between any two numbers they give")
    dims: dict[str, PositiveInt] = Field(
        default_factory=dict, description="lengths that the models leave open, by name"
    )
    seed: NonNegativeInt = Field(0, description="of the choice of samples, and of synthetic ones")


@task(kind="probe", extra="onnx", returns=QUALITY)
def compare(want: Compare, host: Host) -> dict[str, Any]:
    """Run two models on the same samples, and fail where they differ by more than is allowed."""
    return work(
        host,
        "compare",
        None,
        a=file_of(host, str(want.a))["model"],
        b=file_of(host, str(want.b))["model"],
        samples=samples_at(host, want.samples),
        count=want.count,
        min_agreement=float(want.min_agreement) / 100,
        max_difference=want.max_difference,
        dims=dict(want.dims),
        seed=want.seed,
    )


class Quantize(Timed):
    """Which model, how, and what the result must be to be published."""

    model: Path = Field(description="the FP32 model")
    out: Path | None = Field(
        None,
        description="the INT8 model; `model.int8.onnx` beside `model.onnx` without it, with `on_slower: warn` in"
        " `trial/` there",
    )
    method: Literal["auto", "dynamic", "static"] = Field(
        "auto", description="`auto`: static (calibrated) where convolutions prevail, dynamic elsewhere"
    )
    samples: Path | None = Field(None, description=f"{SAMPLES}, not trained on")
    calibration: Path | None = Field(None, description="samples to find ranges on; without it those not judged by")
    count: PositiveInt = Field(128, description="samples that it is judged by; 598 without a loss certify 0.5 points")
    max_drop: Annotated[float, Field(ge=0, le=100)] = Field(0.5, description="of top-1, in points")
    min_agreement: Percent = Field(Percent.parse("95%"), description="with FP32, where there are no labels")
    on_slower: Literal["fail", "warn"] = Field(
        "fail", description="an INT8 model that is slower; `warn` keeps it, for a trial and not to be served"
    )
    batch: PositiveInt = Field(1, description="samples at once when both are timed")
    threads: NonNegativeInt = Field(0, description="threads of the runtime; 0 is its own choice")
    report: Path | None = Field(None, description="the report; `model.int8.json` beside the INT8 model without it")

    @model_validator(mode="after")
    def _other(self) -> Self:
        if self.out == self.model:
            raise ValueError("`out` is the model itself; write another name, as model.int8.onnx")
        if self.samples is None and self.calibration is not None:
            raise ValueError("`calibration` without `samples`: what it is judged by would be synthetic; give both")
        return self


@task(
    extra="onnx",
    returns={
        "published": "true: what does not pass the gates fails the step; false of a trial (`on_slower: warn`)",
        "path": "the INT8 model",
        "report": "the report's path",
        "method": "dynamic or static",
        **{name: QUALITY[name] for name in ("drop", "flips", "bound", "agreement", "accuracy")},
        "speedup": "how many times as fast it is as FP32",
        "interval": "of the speed-up, 95 %",
        "bytes": "sizes of both models",
        "notes": "what the gate cannot tell, and warnings",
    },
)
def quantize(want: Quantize, host: Host) -> Plan:
    """Make an INT8 model, and publish it only if it is as accurate as FP32 and no slower.

    Both are run on the samples and timed in paired rounds before the new file gets its name. The report beside it
    tells the model, the samples and the settings that it was made of: as long as these are the same, nothing is done.
    One of 128 samples is 0.78 points, so with the default nothing may be lost; `bound` says how much loss may still be
    hidden. With `on_slower: warn` it is made for a trial, in a folder where neither a release nor a rollback takes it
    for a model to be served.
    """
    trial = want.on_slower == "warn"
    beside = want.model.with_suffix(".int8.onnx")
    out = want.out or (beside.parent / "trial" / beside.name if trial else beside)
    told = want.report or out.with_suffix(".json")
    file = file_of(host, str(want.model))
    refuse_hopeless(host, [file])
    job = {
        **want.timing(host),
        "method": want.method,
        "samples": samples_at(host, want.samples),
        "calibration": samples_at(host, want.calibration),
        "max_drop": want.max_drop,
        "min_agreement": float(want.min_agreement) / 100,
        **{name: getattr(want, name) for name in ("count", "on_slower", "batch", "threads")},
    }
    digests = {name: digest_of(host, job[name]) for name in ("samples", "calibration")}
    made_of = {**{name: value for name, value in job.items() if name != "created"}, "sha256": file["sha256"], **digests}
    report: Any = known(host, told, out, made_of)
    if report is None:
        if not trial:
            yield from disowned(host, told, out)
        was = host.stat(out)
        earlier = None if was is None else out
        model = Produce(out, lambda spare: quantised(host, spare, earlier, model=file["model"], **job), was=was)
        yield from published(host, model, told, made_of)
        report = model.outcome
    return _brief(out, told, report) | {"published": not trial}


def _brief(out: Path, told: Path, report: Any) -> dict[str, Any]:
    """Give what is returned of a report, which may be yet to come."""
    return {
        "path": str(out),
        "report": str(told),
        "method": report["method"],
        **{name: report["quality"][name] for name in ("drop", "flips", "bound", "agreement", "accuracy")},
        "speedup": report["speed"]["ratio"],
        "interval": report["speed"]["interval"],
        "bytes": report["bytes"],
        "notes": report["notes"],
    }


class Export(Params):
    """Which torch model, and what it takes."""

    model: str = Field(description="TorchScript `.pt`, an exported `.pt2`, or `file.py:function`, which makes it")
    out: Path = Field(description="the `.onnx` file")
    shape: tuple[PositiveInt, ...] = Field(description="one sample, without the batch: [3, 224, 224]")
    dynamic: bool = Field(True, description="take any number of samples at once")
    batch: PositiveInt = Field(1, description="how many it takes at once, with `dynamic: false`")
    opset: Annotated[int, Field(ge=18)] = Field(18, description="the version of the operators")
    max_difference: Annotated[float, Field(ge=0)] = Field(1e-4, description="between the numbers that both give")
    seed: NonNegativeInt = Field(0, description="of the inputs that both are run on")
    report: Path | None = Field(None, description="the report; `model.export.json` beside `model.onnx` without it")


@task(
    extra="torch,onnx",
    returns={
        "path": "the ONNX model, weights and all in one file",
        "report": "the report's path",
        "difference": "the largest between the numbers that both models give",
        "opset": "the version of each domain of operators",
        "operators": "how many there are of each",
    },
)
def export(want: Export, host: Host) -> Plan:
    """Export a torch model to ONNX, and publish it only if it is valid and gives the same numbers.

    The weights are in the same file, so that nothing can be parted from it: at most 2 GB, which is what such a file can
    hold. As long as the torch file and the settings are those of the report beside it, nothing is done; what else a
    Python file imports is not looked at. TorchScript goes by torch's older exporter, the rest by `torch.export`.
    """
    told = want.report or want.out.with_suffix(".export.json")
    file = file_of(host, want.model)
    settings = want.model_dump(include={"dynamic", "batch", "opset", "max_difference", "seed"}) | {
        "shape": list(want.shape)
    }
    made_of = {**file, **settings}
    report: Any = known(host, told, want.out, made_of)
    if report is None:
        job = {**settings, "model": file["model"], "created": f"{host.now:%Y-%m-%dT%H:%M:%SZ}"}
        model = Produce(want.out, lambda spare: made_by(host, "export", spare, **job), was=host.stat(want.out))
        yield from published(host, model, told, made_of)
        report = model.outcome
    return {
        "path": str(want.out),
        "report": str(told),
        **{name: report[name] for name in ("difference", "opset", "operators")},
    }
