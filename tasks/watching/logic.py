"""One pass as a pure function: what was known, the results and the time give what is known now, and what is to be done.

What a restart or a letter comes to is no matter of this pass: `settle` writes it down, and the next pass acts on it.
So everything that a pass does is known before anything is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from .flapping import flaps
from .state import KEPT, Incident, Restarts, Target, Watched, earlier

Kind = Literal["down", "flapping", "reminder", "up", "restarted", "unwatched"]


@dataclass(frozen=True, slots=True)
class Rules:
    """When it is enough. `restart` names for each target the service that is restarted for it, or None."""

    restart: Mapping[str, str | None]
    failures: int = 2
    successes: int = 1
    grace: timedelta = timedelta(seconds=90)
    budget: int = 3
    window: timedelta = timedelta(hours=1)
    flapping: bool = True
    remind: timedelta | None = None


class Result(NamedTuple):
    """What a check has found: whether it was well, why not, and how long it took in ms."""

    ok: bool
    reason: str = ""
    elapsed_ms: float = 0.0


class News(NamedTuple):
    """What people are to be told: of which target, and of which incident, as it was then."""

    kind: Kind
    target: str
    incident: Incident
    reason: str = ""


class Decisions(NamedTuple):
    """What is to be done now: services to restart, and news to tell."""

    restarts: tuple[str, ...]
    news: tuple[News, ...]


def advance(
    before: Watched, results: Mapping[str, Result], now: datetime, rules: Rules, boot: str = ""
) -> tuple[Watched, Decisions]:
    """Give what is known after a pass, and what it decides."""
    state = _in_time(before, now, rules, boot)
    targets = {name: state.targets.get(name, Target()) for name in results}
    quiet = {name: now < _quiet_until(state, rules.restart.get(name), now) for name in results}
    news = [
        News("unwatched", name, target.incident, target.reason)
        for name, target in state.targets.items()
        if name not in results and target.incident is not None and target.incident.told is not None
    ]
    for name, result in results.items():
        seen = _seen(targets[name], result, now, rules, quiet=quiet[name])
        targets[name], closed = _closed(seen, rules)
        if closed is not None:
            news += _last_news(name, closed)
    due = {name for name, target in targets.items() if _due(target, rules) and not (quiet[name] or results[name].ok)}
    helpless = {name for name in targets if not (results[name].ok or quiet[name]) and _restarted_in_vain(targets[name])}
    services, restarts = _restarts(state, targets, due, now, rules)
    for name, target in targets.items():
        service = rules.restart.get(name)
        mine = service is not None and service in restarts
        targets[name], told = _told(name, target, now, rules, bad=name in helpless or (name in due and not mine))
        news += told
        if mine:
            targets[name] = _forgiven(targets[name])
    final = {name: replace(target, state=_state_of(target)) for name, target in targets.items()}
    after = replace(state, targets=final, services=services, last_run=now, boot=boot or state.boot)
    return after, Decisions(restarts, tuple(news))


def settle(state: Watched, outcomes: Mapping[str, str | None], rules: Rules) -> Watched:
    """Write down how the restarts went: None is well, else why not; a refused one has no grace."""
    services, targets = dict(state.services), dict(state.targets)
    for service, refused in outcomes.items():
        if refused is not None:
            services[service] = replace(services[service], grace_until=None)
        for name, target in targets.items():
            if rules.restart.get(name) == service and target.incident is not None:
                targets[name] = replace(target, incident=replace(target.incident, refused=refused))
    return replace(state, targets=targets, services=services)


def without_memory(services: Sequence[str], now: datetime, rules: Rules) -> Watched:
    """Give what is known where the state was lost: nothing, and that the services may have been restarted just now."""
    return Watched(services={name: Restarts(times=(now,) * rules.budget) for name in services})


def _in_time(state: Watched, now: datetime, rules: Rules, boot: str) -> Watched:
    """Bring what is kept in line with the clock, which may have been set back, and with a new boot of the machine."""
    services = {
        name: replace(each, times=tuple(t for t in each.times if now - min(t, now) < rules.window))
        for name, each in state.services.items()
    }
    if state.last_run is not None and now < state.last_run:
        services = {name: _back(each, now, rules) for name, each in services.items()}
        quiet = None if state.quiet_until is None else min(state.quiet_until, now + rules.grace)
        targets = {name: _earlier(each, now) for name, each in state.targets.items()}
        state = replace(state, targets=targets, quiet_until=quiet)
    if boot and state.boot and boot != state.boot:
        targets = {name: replace(each, failures=0, successes=0) for name, each in state.targets.items()}
        state = replace(state, targets=targets, quiet_until=now + rules.grace)
    known = {name for name in rules.restart.values() if name is not None}
    return replace(state, services={name: each for name, each in services.items() if name in known or each.times})


def _back(service: Restarts, now: datetime, rules: Rules) -> Restarts:
    until = None if service.grace_until is None else min(service.grace_until, now + rules.grace)
    return Restarts(tuple(min(each, now) for each in service.times), until)


def _earlier(target: Target, now: datetime) -> Target:
    incident = target.incident
    if incident is not None:
        told, reminded = earlier(incident.told, now), earlier(incident.reminded, now)
        incident = replace(incident, since=min(incident.since, now), told=told, reminded=reminded)
    return replace(target, since=earlier(target.since, now), incident=incident)


def _quiet_until(state: Watched, service: str | None, now: datetime) -> datetime:
    """Give until when failures do not count: the service is still starting."""
    own = state.services.get(service or "", Restarts()).grace_until
    return max(own or now, state.quiet_until or now)


def _seen(target: Target, result: Result, now: datetime, rules: Rules, *, quiet: bool) -> Target:
    """Take a result in; one that fails in a grace is as if it had not been asked."""
    if not result.ok and quiet:
        return replace(target, reason=result.reason)
    mark = "+" if result.ok else "-"
    first = not target.results.endswith(mark)
    results = (target.results + mark)[-KEPT:]
    flapping = rules.flapping and flaps(results, before=target.flapping)
    target = replace(
        target,
        results=results,
        flapping=flapping,
        since=now if first or target.since is None else target.since,
        failures=0 if result.ok else target.failures + 1,
        successes=target.successes + 1 if result.ok else 0,
        reason=target.reason if result.ok else result.reason,
    )
    if target.incident is None and (flapping or target.failures >= rules.failures):
        return replace(target, incident=Incident(now if result.ok else target.since or now))
    return target


def _closed(target: Target, rules: Rules) -> tuple[Target, tuple[Incident, str] | None]:
    """End the incident of a target that has answered often enough, and is steady."""
    if target.incident is None or target.flapping or target.successes < rules.successes:
        return target, None
    return replace(target, incident=None), (target.incident, target.reason)


def _last_news(name: str, closed: tuple[Incident, str]) -> list[News]:
    incident, reason = closed
    if incident.told is not None:
        return [News("up", name, incident, reason)]
    return [News("restarted", name, incident, reason)] if incident.restarts else []


def _due(target: Target, rules: Rules) -> bool:
    return target.incident is not None and target.failures >= rules.failures


def _restarted_in_vain(target: Target) -> bool:
    return target.incident is not None and target.incident.restarts > 0 and target.failures > 0


def _restarts(
    state: Watched, targets: Mapping[str, Target], due: set[str], now: datetime, rules: Rules
) -> tuple[dict[str, Restarts], tuple[str, ...]]:
    """Decide which services are restarted: each once, whatever number of targets asks for it, within its budget."""
    services, chosen = dict(state.services), []
    wanted = dict.fromkeys(rules.restart.get(name) for name in targets if name in due)
    for name in wanted:
        times = services.get(name, Restarts()).times if name is not None else ()
        if name is not None and len(times) < rules.budget:
            services[name] = Restarts((*times, now), now + rules.grace)
            chosen.append(name)
    return services, tuple(chosen)


def _told(name: str, target: Target, now: datetime, rules: Rules, *, bad: bool) -> tuple[Target, list[News]]:
    """Tell of an incident once, when nothing more can be done about it or a restart has not helped; then remind."""
    incident = target.incident
    if incident is None:
        return target, []
    if incident.told is None and (bad or target.flapping):
        kind: Kind = "flapping" if target.flapping else "down"
        incident = replace(incident, told=now, reminded=now)
    elif incident.reminded is not None and rules.remind is not None and now - incident.reminded >= rules.remind:
        kind = "reminder"
        incident = replace(incident, reminded=now)
    else:
        return target, []
    return replace(target, incident=incident), [News(kind, name, incident, target.reason)]


def _forgiven(target: Target) -> Target:
    """Begin to count anew after a restart, or the next failure would be one too many again."""
    incident = target.incident
    return replace(target, failures=0, incident=incident and replace(incident, restarts=incident.restarts + 1))


def _state_of(target: Target) -> Literal["unknown", "up", "failing", "restarting", "down", "flapping"]:
    if target.flapping:
        return "flapping"
    if target.incident is not None:
        return "restarting" if target.incident.told is None and target.incident.restarts else "down"
    if target.failures:
        return "failing"
    return "up" if target.successes else "unknown"
