"""What a step inherits of the play, the blocks and the imports around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runbook.errors import Where
from runbook.playbook.model import Block, Include, Play, Step, Written
from runbook.templates import Condition, compile_condition, compile_value
from runbook.value import frozen
from runbook.variables import Lazy

FLAGS = (
    *("check_mode", "diff", "no_log", "ignore_errors", "any_errors_fatal", "timeout", "delegate_to", "run_once"),
    "throttle",
)


@frozen
class Context:
    """What surrounds a step: `vars` and `flags` the nearest first, `when` the outermost first."""

    when: tuple[Condition, ...] = ()
    vars: tuple[Mapping[str, Any], ...] = ()
    environment: tuple[Any, ...] = ()
    tags: tuple[str, ...] = ()
    notify: tuple[Any, ...] = ()
    flags: Mapping[str, Any] | None = None

    def within(self, outer: Written) -> Context:
        """Give the context of what stands in a play, a block or an import."""
        flags = dict(self.flags or {})
        for name in FLAGS:
            value = getattr(outer, name, None)
            if value is not None:
                flags[name] = compiled(outer, name, value)
        return replace(
            self,
            when=(*self.when, *conditions(outer, "when")),
            vars=(compiled_vars(outer), *self.vars) if outer.vars and not isinstance(outer, Play) else self.vars,
            environment=(*self.environment, *environment(outer)),
            tags=(*self.tags, *outer.tags),
            notify=(*self.notify, *texts(outer, "notify")),
            flags=flags,
        )

    def flag(self, name: str, default: Any) -> Any:
        return (self.flags or {}).get(name, default)


def at(written: Written, *keys: str | int) -> Callable[..., Where]:
    """Give the function that finds the place of what is within a keyword's value."""

    def where(path: tuple[str | int, ...] = (), *, offset: int = 0) -> Where:
        document, start = written.origin(str(keys[0]), *keys[1:], *path)
        return document.where(start, offset=offset)

    return where


def compiled(written: Written, keyword: str, value: Any) -> Any:
    return compile_value(value, at(written, keyword)) if isinstance(value, str | list | dict) else value


def compiled_vars(written: Written) -> dict[str, Any]:
    """Compile a `vars:` mapping: what holds templates becomes Lazy."""
    found = {}
    for name, value in written.vars.items():
        new = compile_value(value, at(written, "vars", name))
        found[name] = value if new is value else Lazy(new)
    return found


def environment(written: Written) -> tuple[Any, ...]:
    return (compiled(written, "environment", written.environment),) if written.environment else ()


def conditions(written: Written, keyword: str) -> tuple[Condition, ...]:
    """Compile `when:` and its like, each part at its own place."""
    parts: list[str | bool] = getattr(written, keyword)
    return tuple(compile_condition(part, at(written, keyword, n)()) for n, part in enumerate(parts))


def joined(written: Step, keyword: str) -> Condition | None:
    """Compile `until`, `changed_when` or `failed_when` as one condition."""
    parts: list[str | bool] = getattr(written, keyword)
    if not parts:
        return None
    where = at(written, keyword)
    return compile_condition(parts if len(parts) > 1 else parts[0], where(()))


def texts(written: Written, keyword: str) -> tuple[Any, ...]:
    values: list[str] = getattr(written, keyword, [])
    return tuple(compile_value(value, at(written, keyword, n)) for n, value in enumerate(values))


__all__ = ["Block", "Context", "Include", "at", "compiled", "compiled_vars", "conditions", "joined", "texts"]
