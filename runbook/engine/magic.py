"""The variables that are always there: who the host is, what else there is, and what kind of run this is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runbook.engine.clock import stamp
from runbook.engine.params import OMIT
from runbook.events import Mode
from runbook.host import Host
from runbook.plan.model import Plan, PlannedPlay
from runbook.variables import AsMapping, Late, Variables

# Every name, so that compiling knows what is always defined; a test holds it against `magic`.
NAMES = frozenset(
    (
        "ansible_check_mode ansible_date_time ansible_diff_mode ansible_facts ansible_play_batch ansible_play_hosts "
        "ansible_play_hosts_all ansible_play_name ansible_run_tags facts group_names groups hostvars inventory_dir "
        "inventory_file inventory_hostname inventory_hostname_short omit play_hosts playbook_dir run_id vars"
    ).split()
)


def magic(
    plan: Plan,
    play: PlannedPlay,
    name: str,
    host: Host,
    *,
    run_id: str,
    mode: Mode,
    diff: bool,
    batch: tuple[str, ...],
    view_of: Callable[[str], Variables],
) -> dict[str, Any]:
    """Give the magic variables of a host in a play; what costs anything is computed when it is read."""
    source = plan.inventory.path
    return {
        "ansible_check_mode": mode != "run",
        "ansible_date_time": Late(lambda: _date_time(host)),
        "ansible_diff_mode": diff,
        "ansible_facts": Late(lambda: dict(host.facts)),
        "ansible_play_batch": list(batch),
        "ansible_play_hosts": list(play.hosts),
        "ansible_play_hosts_all": list(play.hosts),
        "ansible_play_name": play.name,
        "ansible_run_tags": list(plan.tags) or ["all"],
        "facts": Late(lambda: dict(host.facts)),
        "group_names": Late(lambda: plan.inventory.group_names(name)),
        "groups": Late(lambda: dict(plan.inventory.groups)),
        "hostvars": Late(lambda: _HostVars(play.hosts, view_of)),
        "inventory_dir": str(source.parent) if source else None,
        "inventory_file": str(source) if source else None,
        "inventory_hostname": name,
        "inventory_hostname_short": name.partition(".")[0],
        "omit": OMIT,
        "play_hosts": list(batch),
        "playbook_dir": str(plan.playbook_dir),
        "run_id": run_id,
        "vars": Late(lambda: AsMapping(view_of(name))),
    }


class _HostVars(Mapping[str, Any]):
    """The variables of every host, by its name, rendered in that host's own view."""

    def __init__(self, names: tuple[str, ...], view_of: Callable[[str], Variables]) -> None:
        self._names, self._view_of = names, view_of

    def __getitem__(self, name: str) -> Any:
        return AsMapping(self._view_of(name))

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _date_time(host: Host) -> dict[str, str]:
    """The run's frozen moment in UTC, under the keys that Ansible's fact of the name has."""
    now = host.now
    return {
        "date": f"{now:%Y-%m-%d}",
        "time": f"{now:%H:%M:%S}",
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "day": f"{now:%d}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
        "weekday": f"{now:%A}",
        "epoch": str(int(now.timestamp())),
        "iso8601": stamp(now)[:19] + "Z",
        "iso8601_basic_short": f"{now:%Y%m%dT%H%M%S}",
        "tz": "UTC",
    }
