"""ONNX Runtime: the session options under which a model is fastest on this machine."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt

from runbook.changes import Change, Produce, then
from runbook.host import Host
from runbook.host.plans import folders
from runbook.task import task
from runbook.units import Duration

from .measuring.candidates import Level, Measured, Provider, Threads, file_of
from .measuring.child import report_of
from .measuring.planning import refuse_hopeless

Plan = Generator[Change, None, dict[str, Any]]


def _each(value: Any) -> Any:
    """Read a single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _alternatives(value: Any) -> Any:
    """Read each alternative, `CUDA,CPU` or a list."""
    return [one.split(",") if isinstance(one, str) else one for one in _each(value)]


Both = Annotated[tuple[bool, ...], BeforeValidator(_each), Field(min_length=1)]
Alternatives = Annotated[tuple[tuple[Provider, ...], ...], BeforeValidator(_alternatives), Field(min_length=1)]
Levels = Annotated[tuple[Level, ...], BeforeValidator(_each), Field(min_length=1)]


class Optimize(Measured):
    """Which model, what is tried, and for how long.

    Every combination of the lists is tried; those that make no sense (CUDA where there is none, one thread that spins)
    are left out.
    """

    model: Path = Field(description="the `.onnx` file")
    providers: Alternatives = Field(
        (("CUDA",), ("CUDA", "CPU"), ("CPU",)), description="alternatives, each by preference: [`CUDA,CPU`, `CPU`]"
    )
    levels: Levels = Field(("disable_all", "basic", "extended", "layout", "all"), description="graph optimisations")
    threads: Threads | None = Field(
        None, description="within an operator: a list; without it 1, 2, 4 … up to the cores"
    )
    spinning: Both = Field((False, True), description="whether idle threads spin")
    parallel: Both = Field((False,), description="whether independent operators run at the same time")
    inter_threads: Threads = Field((0,), description="between operators, where `parallel`")
    arena: Both = Field((True,), description="whether memory is kept between calls")
    workspace: Both = Field((False, True), description="`cudnn_conv_use_max_workspace`, for CUDA")
    batch: PositiveInt = Field(1, description="samples at once")
    budget: Duration = Field(
        Duration.parse("1m"),
        description="how long the search may take, about; first rounds and final, some 15 s, are always run",
    )
    calls: PositiveInt | None = Field(
        None, description="how many calls the search may make, about; four rounds of everything are always run"
    )
    report: Path = Field(Path("reports/ort_bench.json"), description="the report")


@task(
    kind="action",
    extra="onnx",
    returns={
        "best": "`model`, `providers` and `options`, as a candidate of `bench.infer` takes them; `model` alone where "
        "nothing is faster for certain: then nothing is to be changed",
        "advice": "what is recommended, in a sentence",
        "speedup": "how many times as fast it is as the runtime's default; 1.0 where nothing is faster for certain",
        "interval": "of the speed-up, 95 %",
        "throughput": "samples a second, with its interval",
        "tried": "how many configurations were tried",
        "report": "the report's path",
        "notes": "what was skipped, and why nothing is to be changed",
        "msg": "the tables that are shown",
    },
)
def optimize(want: Optimize, host: Host) -> Plan:
    """Find the session options under which a model is fastest here, and prove it against the default.

    The search is a race: all configurations get a few rounds, the faster half more, and so on, always in rounds with
    the default between them, so that other people's work falls on all alike; what is slower for certain leaves at once.
    It takes less than a third of the calls that twenty rounds of everything would. The winner then runs against the
    default, each in processes of its own; only if it is better for certain is it recommended. The default is what ONNX
    Runtime does by itself: a thread a core, which spin. Where nothing is faster, what is given to `runbook service` or
    `bench.infer` as session options changes nothing there.
    """
    file = file_of(host, str(want.model))
    refuse_hopeless(host, [{**file, "providers": sum(want.providers, ())}], require=want.require)
    cores = int(host.facts["cpus"])
    job = {
        **want.asked(host),
        **file,
        "require": want.require,
        "providers": [list(one) for one in want.providers],
        "level": list(want.levels),
        "threads": list(want.threads or (2**power for power in range(cores.bit_length()))),
        "batch": want.batch,
        "budget": float(want.budget),
        "calls": want.calls,
        **{name: list(getattr(want, name)) for name in ("spinning", "parallel", "inter_threads", "arena", "workspace")},
    }
    yield from folders(host, want.report.parent)
    made = Produce(want.report, lambda out: report_of(host, "optimize", out, **job), was=host.stat(want.report))
    yield made
    found = made.outcome
    return {
        "report": str(want.report),
        "tried": then(found["configurations"], len),
        "msg": found["table"],
        **{name: found[name] for name in ("best", "advice", "speedup", "interval", "throughput", "notes")},
    }
