"""The variables that are always there: who the host is, what else there is, and what kind of run this is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from runbook.hosts import Inventory
from runbook.variables import OMIT, AsMapping, Late, Variables

# What only a run can tell; the rest is known when the playbook is compiled. A test holds both against `magic`.
IN_THE_RUN = frozenset(
    {
        "ansible_check_mode",
        "ansible_date_time",
        "ansible_diff_mode",
        "ansible_facts",
        "ansible_failed_result",
        "ansible_failed_task",
        "ansible_forks",
        "ansible_play_batch",
        "ansible_play_hosts",
        "facts",
        "hostvars",
        "play_hosts",
        "run_id",
        "vars",
    }
)


class Place(NamedTuple):
    """Where a host's variables are read: in which play of which playbook."""

    play: str
    hosts: Sequence[str]
    playbook_dir: str
    tags: Sequence[str]
    inventory: Inventory


def static_magic(place: Place, name: str) -> dict[str, Any]:
    """Give the magic variables that are known before the run."""
    inventory = place.inventory
    return {
        "ansible_play_hosts_all": Late(lambda: list(place.hosts)),
        "ansible_play_name": place.play,
        "ansible_run_tags": list(place.tags) or ["all"],
        "group_names": Late(lambda: inventory.group_names(name)),
        "groups": Late(lambda: dict(inventory.groups)),
        "inventory_dir": str(inventory.path.parent),
        "inventory_file": str(inventory.path),
        "inventory_hostname": name,
        "inventory_hostname_short": name.partition(".")[0],
        "omit": OMIT,
        "playbook_dir": place.playbook_dir,
    }


def magic(
    place: Place,
    name: str,
    *,
    batch: Sequence[str],
    said: Mapping[str, Any],
    view_of: Callable[[str], Variables],
    active: Callable[[str], bool],
) -> dict[str, Any]:
    """Give all of a host's magic variables.

    `said` holds those that are about the run as a whole, `active` says of a host whether it has not failed.
    """
    return {
        **static_magic(place, name),
        **said,
        "ansible_play_batch": Late(lambda: [host for host in batch if active(host)]),
        "ansible_play_hosts": Late(lambda: [host for host in place.hosts if active(host)]),
        "hostvars": Late(lambda: HostVars(dict.fromkeys([*place.inventory.hosts, *place.hosts]), view_of)),
        "play_hosts": Late(lambda: [host for host in batch if active(host)]),
        "vars": Late(lambda: AsMapping(view_of(name))),
    }


class HostVars(Mapping[str, Any]):
    """The variables of every host, by its name, rendered in that host's own view."""

    def __init__(self, names: Collection[str], view_of: Callable[[str], Variables]) -> None:
        self._names, self._view_of = names, view_of

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return AsMapping(self._view_of(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
