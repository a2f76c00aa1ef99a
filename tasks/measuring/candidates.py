"""Candidates: models with the options they are run with, as steps write them and as the measuring process reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from runbook.changes import Found
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.absent import meant
from runbook.host.refusals import shown
from runbook.task import Params
from runbook.units import Duration, Percent

from ..serving.modelfile import fingerprint  # noqa: TID252 - `runbook.tasks` is no folder of runbook/, so the type checker would not find it

Engine = Literal["onnx", "torch"]
Provider = Literal["CPU", "CUDA", "TensorRT"]
Level = Literal["disable_all", "basic", "extended", "layout", "all"]
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MOST_IMAGES = 256
INSTALL = "pip install 'runbook[torch]'"
TORCH = (".pt", ".pth", ".pt2", ".py")


def _listed(value: Any) -> Any:
    """Read `1,2,4`, and a single value, as a list."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",")]
    return value if isinstance(value, list | tuple) else [value]


def _numbers(value: Any, what: str, least: int) -> list[int]:
    """Read whole numbers, each once; raises ValueError that says what to write."""
    found: dict[int, None] = {}
    for word in _listed(value):
        number = int(word) if isinstance(word, str) and word.isascii() and word.isdigit() else word
        if type(number) is not int or number < least:
            raise ValueError(f"{word!r} is no {what}: write whole numbers from {least}, as {least},4 or [{least}, 4]")
        found[number] = None
    return list(found)


def _batches(value: Any) -> Any:
    return _numbers(value, "batch size", 1)


def _threads(value: Any) -> Any:
    return _numbers(value, "number of threads", 0)


Batches = Annotated[tuple[PositiveInt, ...], BeforeValidator(_batches), Field(min_length=1)]
Threads = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(_threads), Field(min_length=1)]
Providers = Annotated[tuple[Provider, ...], BeforeValidator(_listed), Field(min_length=1)]


class Options(Params):
    """The session options of ONNX Runtime. What `ort.optimize` recommends can be written here as it is."""

    level: Level = Field("all", description="how far the graph is optimised")
    threads: NonNegativeInt = Field(0, description="threads within an operator; 0 is the runtime's choice")
    inter_threads: NonNegativeInt = Field(0, description="threads between operators, with `parallel`")
    parallel: bool = Field(False, description="run independent operators at the same time")
    spinning: bool = Field(False, description="idle threads spin: faster alone, much slower beside other work")
    arena: bool = Field(True, description="keep memory between calls")
    workspace: bool | None = Field(None, description="`cudnn_conv_use_max_workspace`; CUDA only")
    cuda_graph: bool = Field(False, description="capture a CUDA graph; CUDA only")
    config: dict[str, str] = Field(
        default_factory=dict, description="more entries, as `session.use_ort_model_bytes_directly`"
    )


class Candidate(Params):
    """A model, and how it is run."""

    model: str = Field(description="`model.onnx`, TorchScript `.pt`, an exported `.pt2`, or `file.py:function`")
    name: str | None = Field(None, description="what it is called in the report; without it, by its file")
    engine: Engine | None = Field(None, description="by the file's name without it")
    providers: Providers | None = Field(None, description="where it is run, by preference")
    options: Options = Field(default_factory=Options, description="session options, as `{threads: 1, level: basic}`")
    session_options: Path | None = Field(
        None, description="the report of `ort.optimize`, in place of `providers` and `options`"
    )
    cache: bool = Field(
        False, description="load it by the optimised graph that is kept on this machine, as the service does"
    )

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if self.session_options is not None and self.model_fields_set & {"providers", "options"}:
            raise ValueError("`session_options` says what `providers` and `options` would say: write one or the other")
        if self.kind == "torch" and (self.cache or self.session_options is not None):
            raise ValueError("`cache` and `session_options` are ONNX Runtime's: leave them out for the engine torch")
        return self

    @property
    def kind(self) -> Engine:
        return self.engine or (
            "torch" if Path(self.model.partition(".py:")[0]).suffix in TORCH or ".py:" in self.model else "onnx"
        )


class Timed(Params):
    """How models are timed: what all tasks that do so let be said."""

    rounds: Annotated[int, Field(ge=6, le=1000)] = Field(30, description="paired rounds; more make intervals narrower")
    starts: Annotated[int, Field(ge=1, le=10)] = Field(
        5, description="processes of each, one after the other: where memory lies makes one faster than the next"
    )
    block: Duration = Field(
        Duration.parse("50ms"), description="how long a candidate is run in a round, at least one call"
    )
    margin: Percent = Field(
        Percent.parse("3%"),
        description="a difference of less than this is none",
    )
    dims: dict[str, PositiveInt] = Field(
        default_factory=dict, description="lengths that the model leaves open, by name: `{sequence: 128}`"
    )
    seed: NonNegativeInt = Field(0, description="of synthetic inputs and of the order of the rounds")

    def timing(self, host: Host) -> dict[str, Any]:
        """Give it as the measuring process takes it."""
        return {
            "rounds": self.rounds,
            "starts": self.starts,
            "block": float(self.block),
            "margin": float(self.margin) / 100,
            "dims": dict(self.dims),
            "seed": self.seed,
            "created": f"{host.now:%Y-%m-%dT%H:%M:%SZ}",
        }


class Measured(Timed):
    """How candidates are measured, and on what."""

    inputs: str | None = Field(
        None, description="images, prepared as the service does: a folder, or a pattern as `samples/**/*.png`"
    )
    require: bool = Field(False, description="fail before measuring where a provider that is asked for is not there")

    @field_validator("inputs")
    @classmethod
    def _some(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("`inputs` is empty; write a folder or a pattern, or leave it out for synthetic inputs")
        return value

    def asked(self, host: Host) -> dict[str, Any]:
        """Give it as the measuring process takes it."""
        return {**self.timing(host), "images": images(host, self.inputs)}


def images(host: Host, pattern: str | None) -> list[str] | None:
    """Give the images that a folder or pattern leads to, sorted; None without one."""
    if pattern is None:
        return None
    parts = Path(pattern).parts
    wild = next((number for number, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    folder = Path(*parts[:wild])
    if wild == len(parts) and (found := host.stat(folder)) is not None and found.is_file:
        return [str(host.resolve(folder))]
    rest = parts[wild:]
    if len(rest) > 2 or (len(rest) == 2 and rest[0] != "**"):
        raise TaskFailed(
            f"inputs: {shown(pattern)} cannot be searched", hint="write `folder/*.png` or `folder/**/*.png`"
        )
    name, deep = (rest[-1] if rest and rest[-1] != "**" else "*"), len(rest) != 1 or rest[0] == "**"
    matches: list[Found] = host.find(folder, name, recursive=deep)
    chosen = [str(host.resolve(one.path)) for one in matches if one.path.suffix.lower() in IMAGES]
    if not chosen:
        raise TaskFailed(f"inputs: no image matches {shown(pattern)}", hint=f"looked for {', '.join(IMAGES)}")
    return chosen[:MOST_IMAGES]


def asked(host: Host, candidates: Iterable[tuple[str, Candidate]], providers: tuple[str, ...]) -> list[dict[str, Any]]:
    """Give candidates as the measuring process takes them; raises TaskFailed for a model that is not there."""
    chosen = list(candidates)
    needs_torch(one.kind for _, one in chosen)
    return [
        {
            "name": name,
            "engine": one.kind,
            **file_of(host, one.model),
            "providers": list(one.providers or providers),
            "options": one.options.model_dump(),
            **({"cache": True} if one.cache else {}),
        }
        for name, one in chosen
    ]


def needs_torch(engines: Iterable[str]) -> None:
    """Raise TaskFailed where one of the engines is torch, and that is not installed."""
    if "torch" in engines and find_spec("torch") is None:
        raise TaskFailed("the engine torch needs PyTorch, which is not installed", hint=INSTALL)


def file_of(host: Host, model: str) -> dict[str, Any]:
    """Give a model's absolute path, and the SHA-256 of all its pieces."""
    file, colon, function = model.partition(".py:")
    path = Path(f"{file}.py" if colon else file)
    found = host.stat(path)
    if found is None:
        raise TaskFailed(f"there is no model {shown(path)}{meant(host, path)}", hint="is the path spelt right?")
    if not found.is_file:
        raise TaskFailed(f"{shown(path)} is no regular file", hint="give the file of the model itself")
    if found.size == 0:
        raise TaskFailed(f"the model {shown(path)} is empty", hint="it was not written to its end: export it again")
    return {"model": f"{host.resolve(path)}{':' + function if colon else ''}", "sha256": fingerprint(host, path)}


def named(candidates: Iterable[Candidate], threads: tuple[int, ...] | None) -> Iterator[tuple[str, Candidate]]:
    """Give each candidate a name, and one for each number of threads; raises TaskFailed for two of one name."""
    taken: set[str] = set()
    for one in candidates:
        plain = one.name or f"{Path(one.model).name}"
        for count in threads or (None,):
            options = one.options if count is None else one.options.model_copy(update={"threads": count})
            name = plain if count is None or len(threads or ()) == 1 else f"{plain}, {count or 'default'} threads"
            if name in taken:
                raise TaskFailed(f"two candidates are called {shown(name)}", hint="give each a `name`")
            taken.add(name)
            yield name, one.model_copy(update={"options": options})
