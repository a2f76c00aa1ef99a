"""What `register` gets of a step: Ansible's keys beside what the task returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbook.unknown import Unknown, reason_of, resolved, unknowns

_ENGINES = frozenset({"changed", "failed", "skipped", "changes"})


def registered(
    data: Any, *, changed: Any, failed: Any = False, changes: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Give the register of a step that ran; what the task returned stays unless it bears an engine's key."""
    given = dict(data) if isinstance(data, Mapping) else ({} if data is None else {"result": data})
    listed = [{key: change[key] for key in ("kind", "target", "detail")} for change in changes]
    return {"skipped": False, **given, "changed": changed, "failed": failed, "changes": listed}


def skipped(reason: str, condition: str | None) -> dict[str, Any]:
    """Give the register of a step whose `when` was false."""
    base = {"changed": False, "failed": False, "skipped": True, "skip_reason": reason}
    said: str | bool | None = {"false": False}.get(condition or "", condition)
    return base | ({"false_condition": said} if said is not None else {})


def failed(message: str, data: Mapping[str, Any], *, changed: bool) -> dict[str, Any]:
    """Give the register of a step that failed: `msg` says why."""
    return {"skipped": False, "msg": message, **data, "changed": changed, "failed": True}


def told(register: Any) -> Any:
    """Give what the report shows of a register: what the task returned, without what its entry says anyway."""
    if not isinstance(register, Mapping):
        return register
    return {name: value for name, value in register.items() if name not in _ENGINES}


def looped(results: Sequence[Any]) -> dict[str, Any]:
    """Give the register of a loop: changed and failed if any item was, skipped if all were."""
    known = [result for result in results if isinstance(result, Mapping)]
    skipped = len(known) == len(results) and all(result.get("skipped") is True for result in known)
    failed = _any(results, "failed")
    said = "One or more items failed" if failed is True else f"All items {'skipped' if skipped else 'completed'}"
    return {
        "results": list(results),
        "changed": _any(results, "changed"),
        "failed": failed,
        "skipped": skipped,
        **({"msg": said} if results else {"skipped_reason": "No items in the list"}),
    }


def item_of(register: Any, variable: str, value: Any) -> Any:
    """Give the register of one item, which names its item."""
    if not isinstance(register, dict):
        return register
    return register | {variable: value, "ansible_loop_var": variable}


def _any(results: Sequence[Any], key: str) -> Any:
    values = [result[key] if isinstance(result, Mapping) else result for result in results]
    if any(value is True for value in values):
        return True
    return next((value for value in values if isinstance(value, Unknown)), False)


def labelled(value: Any, reason: str) -> Any:
    """Give a value whose unknowns say which step they depend on."""
    if next(unknowns(value), None) is None:
        return value
    if isinstance(value, Unknown):
        known = resolved(value)
        if known is not value:
            return known
        return value if reason_of(value).startswith("depends on") else Unknown(reason)
    if isinstance(value, dict):
        return {key: labelled(item, reason) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(labelled(item, reason) for item in value)
    return Unknown(reason)
