"""Which hosts can be reached: this version acts on the machine that it is started on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook.errors import Invalid, StepError
from runbook.hosts import Inventory
from runbook.hosts.patterns import LOCALHOST
from runbook.plan.layers import inventory_layers
from runbook.plan.model import StepNode
from runbook.playbook.model import Play
from runbook.suggest import suggest
from runbook.templates import MISSING, render_value
from runbook.unknown import first_unknown
from runbook.variables import Variables

CONNECTION = "ansible_connection"
_HINT = f"write `{CONNECTION}: local` for it in the inventory if it stands for this machine; other machines need SSH, "
_HINT += "which this version does not have: run runbook there"


def check_reach(play: Play, views: Mapping[str, Variables]) -> list[Invalid]:
    """Find hosts of a play that are not this machine."""
    if says_local(play):
        return []
    far = [name for name, view in views.items() if not _is_here(name, view)]
    if not far:
        return []
    more = f" and {len(far) - 3} more" if len(far) > 3 else ""
    names = ", ".join(repr(name) for name in far[:3]) + more
    return [play.problem(f"{names} cannot be reached from here", "hosts", hint=_HINT)]


def says_local(play: Play) -> bool:
    return bool(play.document.get((*play.path, "connection")) == "local")


def check_delegates(
    steps: Sequence[StepNode], views: Mapping[str, Variables], inventory: Inventory, *, local: bool
) -> list[Invalid]:
    """Find a `delegate_to` that names no host, or one that cannot be reached, as far as it is known before the run."""
    problems: dict[tuple[Any, str], Invalid] = {}
    for step in steps:
        wanted = step.effect.delegate_to
        for view in views.values() if wanted is not None else ():
            try:
                name = render_value(wanted, view.over(*step.effect.vars))
            except StepError:  # its undefined names are found by themselves
                continue
            if first_unknown(name) is None:
                found = _delegate(str(name), step, inventory, local=local)
                problems |= {} if found is None else {(step.where, str(name)): found}
    return list(problems.values())


def _delegate(name: str, step: StepNode, inventory: Inventory, *, local: bool) -> Invalid | None:
    path = step.params_path[:-1]
    here = (*path, "delegate_to") if "delegate_to" in step.document.get(path) else step.params_path
    wrong = delegate_error(name, inventory, local=local)
    return None if wrong is None else step.document.problem(wrong[0], here, hint=wrong[1])


def delegate_error(name: str, inventory: Inventory, *, local: bool = False) -> tuple[str, str] | None:
    """Say why a step cannot be delegated to a host, and what to write; None if it can."""
    if name not in (*inventory.hosts, LOCALHOST):
        hint = suggest(name, [*inventory.hosts, LOCALHOST]) or "write `delegate_to: localhost`"
        return f"delegate_to: there is no host {name!r}", hint
    layers = [layer.values for layer in reversed(inventory_layers(inventory, name))]
    if local or _is_here(name, Variables(layers, environ={}, reader=str)):
        return None
    return f"delegate_to: {name!r} cannot be reached from here", _HINT


def _is_here(name: str, view: Variables) -> bool:
    try:
        connection = view.get(CONNECTION)
    except StepError:
        return False
    return connection == "local" if connection is not MISSING else name == LOCALHOST
