"""Session options out of a file: the report of `ort.optimize`, or what it recommends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runbook.errors import Invalid
from runbook.suggest import suggest

SCHEMA = "runbook.optimize/1"
WANTED = 'give the report of ort.optimize, or its `best`: {"providers": ["CPU"], "options": {"threads": 2}}'
LARGEST = 16_000_000
Threads = Annotated[int, Field(ge=0, le=1024)]
Provider = Literal["CPU", "CUDA", "TensorRT"]


class SessionOptions(BaseModel):
    """The options of a session, as `bench.infer` takes them and `ort.optimize` recommends them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    level: Literal["disable_all", "basic", "extended", "layout", "all"] = "all"
    threads: Threads = 0
    inter_threads: Threads = 0
    parallel: bool = False
    spinning: bool = False
    arena: bool = True
    workspace: bool | None = None
    cuda_graph: Literal[False] = Field(False, description="what the service is asked comes in batches of any size")
    config: dict[str, str] = Field(default_factory=dict)


class Recommendation(BaseModel):
    """What `best` is in the report of `ort.optimize`; which model it was found for is not asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    providers: Annotated[tuple[Provider, ...], Field(min_length=1)] = ("CPU",)
    options: SessionOptions = SessionOptions(threads=1)  # as without a file: what is not said changes nothing
    model: str | None = None
    name: str | None = None
    engine: Literal["onnx"] | None = None


def read_recommendation(file: Path) -> Recommendation:
    """Read the file; Invalid says what is wrong in it, and where."""
    try:
        with file.open("rb") as opened:
            content = json.loads(opened.read(LARGEST))
    except OSError as error:
        raise Invalid(f"the session options {file} cannot be read: {error.strerror or error}", hint=WANTED) from error
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the session options {file} are no JSON: {error}", hint=WANTED) from error
    if isinstance(content, dict) and "schema" in content:
        if content["schema"] != SCHEMA or "best" not in content:
            raise Invalid(f"{file} is a report, and not of ort.optimize: {content['schema']!r}", hint=WANTED)
        content = content["best"]
    if not isinstance(content, dict):
        raise Invalid(f"{file} holds no session options", hint=WANTED)
    try:
        return Recommendation.model_validate(content)
    except ValidationError as error:
        raise _wrong(file, error.errors(include_url=False)[0]) from None


def _wrong(file: Path, error: Mapping[str, Any]) -> Invalid:
    """Say of the first error where in the file it is and what is known there."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return Invalid(f"{file}: {place}: {error['msg']}", hint=WANTED)
    fields = (SessionOptions if error["loc"][0] == "options" else Recommendation).model_fields
    known = f"known are {', '.join(fields)}"
    return Invalid(f"{file}: {place} is unknown", hint=suggest(str(error["loc"][-1]), fields) or known)
