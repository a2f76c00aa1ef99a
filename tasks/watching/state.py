"""What is kept between two passes, and its JSON in both directions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError

from ..alerting.letters import Letter  # noqa: TID252 - `runbook.tasks` is no folder of runbook/

SCHEMA = "runbook.health/1"
KEPT = 21  # results of a target, as Nagios looks at for flapping
_STRICT = ConfigDict(extra="forbid")
Count = Annotated[int, Field(ge=0)]
Results = Annotated[str, Field(pattern=rf"^[+-]{{0,{KEPT}}}$")]


class Unreadable(Exception):
    """The file is not what was written."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a target is not well: from the first failure until it has answered again for long enough.

    `told` is when people were first told of it, `reminded` when they were last. `refused` says why the last of its
    restarts failed.
    """

    __pydantic_config__ = _STRICT

    since: AwareDatetime
    restarts: Count = 0
    refused: str | None = None
    told: AwareDatetime | None = None
    reminded: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One check: its last results, `+` and `-`, the newest last, and how many alike there were in a row.

    `since` is when that row began, `reason` why it failed last.
    """

    __pydantic_config__ = _STRICT

    state: Literal["unknown", "up", "failing", "restarting", "down", "flapping"] = "unknown"
    since: AwareDatetime | None = None
    failures: Count = 0
    successes: Count = 0
    results: Results = ""
    flapping: bool = False
    incident: Incident | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of one service within the window, and until when its targets' failures do not count."""

    __pydantic_config__ = _STRICT

    times: tuple[AwareDatetime, ...] = ()
    grace_until: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter, and the channels that have not taken it yet."""

    __pydantic_config__ = _STRICT

    letter: Letter
    channels: tuple[str, ...]
    tries: Count = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """All of it. `boot` tells the machine's boot, `quiet_until` is a grace for every target, after a boot."""

    __pydantic_config__ = _STRICT

    targets: Mapping[str, Target] = field(default_factory=dict)
    services: Mapping[str, Restarts] = field(default_factory=dict)
    outbox: tuple[Waiting, ...] = ()
    last_run: AwareDatetime | None = None
    boot: str = ""
    quiet_until: AwareDatetime | None = None


_adapter: TypeAdapter[Watched] = TypeAdapter(Watched)


def encode(state: Watched) -> bytes:
    """Write it as JSON that people can read too."""
    whole = {"schema": SCHEMA, **_adapter.dump_python(state, mode="json")}
    return json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"


def decode(data: bytes) -> Watched:
    """Read it; raises Unreadable, with what is wrong, for anything that `encode` has not written."""
    try:
        whole: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no JSON" if data else "it is empty") from error
    if not isinstance(whole, dict) or whole.pop("schema", None) != SCHEMA:
        raise Unreadable(f"it does not say that it is {SCHEMA}")
    try:
        return _adapter.validate_python(whole)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def earlier(moment: datetime | None, now: datetime) -> datetime | None:
    """Give a moment that is not to be in the future: a clock that was set back must not make it one."""
    return None if moment is None else min(moment, now)
