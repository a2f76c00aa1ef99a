"""The items of a loop, and the variables that each of them brings."""

from __future__ import annotations

from typing import Any

from runbook.errors import TaskFailed, Unsure
from runbook.plan.model import Loop
from runbook.templates import render_value
from runbook.unknown import Unknown, first_unknown, reason_of
from runbook.variables import Variables


def items_of(loop: Loop, view: Variables) -> list[Any]:
    """Give the items, rendered once, before the first; Unsure where only a run can tell them."""
    items = render_value(loop.items, view)
    if isinstance(items, Unknown):
        raise Unsure(reason_of(items))
    if loop.kind == "dict" and isinstance(items, dict):
        return [{"key": key, "value": value} for key, value in items.items()]
    if not isinstance(items, list | tuple):
        raise TaskFailed(
            f"loop needs a list, not {type(items).__name__}: {items!r}",
            hint='write a list, or make one: `loop: "{{ name | dict2items }}"`, `loop: "{{ [name] }}"`',
        )
    if loop.kind == "items":
        return [part for item in items for part in (item if isinstance(item, list) else [item])]
    return list(items)


def variables_of(loop: Loop, items: list[Any], position: int) -> dict[str, Any]:
    """Give what the item at a position (from 0) brings: itself, its index, and `ansible_loop`."""
    extended = {
        "index": position + 1,
        "index0": position,
        "first": position == 0,
        "last": position == len(items) - 1,
        "length": len(items),
        "revindex": len(items) - position,
        "revindex0": len(items) - position - 1,
        "allitems": items,
    }
    if position:
        extended["previtem"] = items[position - 1]
    if position + 1 < len(items):
        extended["nextitem"] = items[position + 1]
    brought = {loop.variable: items[position], "ansible_loop": extended, "ansible_loop_var": loop.variable}
    return brought | ({loop.index: position, "ansible_index_var": loop.index} if loop.index else {})


def label_of(loop: Loop, item: Any, view: Variables) -> str:
    """Name an item as output does."""
    value = render_value(loop.label, view) if loop.label is not None else item
    return "(known after the run)" if first_unknown(value) is not None else str(value)
