"""Undefined variables, found before the first step: on every path that may run, knowing the guards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import Any

from runbook.errors import Invalid, Where
from runbook.plan.magic import IN_THE_RUN
from runbook.plan.model import BlockNode, Loop, Node, StepNode
from runbook.suggest import suggest
from runbook.templates import Condition, needs_of
from runbook.value import record
from runbook.variables import Lazy

# What a step's own vars and a loop define for it.
LOOP_NAMES = ("ansible_index_var", "ansible_loop", "ansible_loop_var")
IN_A_RESCUE = frozenset({"ansible_failed_result", "ansible_failed_task"})


@record
class Names:
    """What is defined while a tree of steps is walked in its order on one host.

    `base` is the host's variables from high to low, `so_far` what earlier steps may have registered or set, `left_out`
    what only steps do that the tags leave out.
    """

    base: Sequence[Mapping[str, Any]]
    host: str
    left_out: frozenset[str] = frozenset()
    so_far: set[str] = field(default_factory=set)
    problems: list[Invalid] = field(default_factory=list)
    excerpt: Callable[[Where], str | None] = lambda _: None

    def walk(
        self, nodes: Sequence[Node], outer: tuple[Mapping[str, Any], ...] = (), sure: frozenset[str] = frozenset()
    ) -> None:
        """Check steps in their order; `outer` are the variables of the includes around them, `sure` what those ask."""
        for node in nodes:
            if isinstance(node, StepNode):
                self._step(node, outer, sure)
            else:
                self._block(node, outer, sure)

    def handlers(self, handlers: Sequence[StepNode]) -> None:
        """Check handlers, which run after any step: whatever any of them registers may be there."""
        for handler in handlers:
            self.so_far |= set(sets(handler))
        for handler in handlers:
            self._step(handler, (), frozenset())

    def _block(self, node: BlockNode, outer: tuple[Mapping[str, Any], ...], sure: frozenset[str]) -> None:
        inner = (node.vars, *outer) if node.vars else outer
        self._check(node.run_once, outer, sure)
        if node.loop:
            self._check(node.loop.items, outer, sure | self._guards(node.when))
            inner = (dict.fromkeys(_of_loop(node.loop)), *inner)
        sure = frozenset(self._conditions(node.when, inner, sure))
        if node.loop:
            self._check(node.loop.label, inner, sure)
        self.walk(node.block, inner, sure)
        if node.rescue:
            self.so_far |= IN_A_RESCUE
        self.walk(node.rescue, inner, sure)
        self.walk(node.always, inner, sure)

    def _step(self, node: StepNode, outer: tuple[Mapping[str, Any], ...], sure: frozenset[str]) -> None:
        effect = node.effect
        layers = (*outer, *effect.vars)
        if node.loop:
            guards = sure | self._guards(effect.when)
            self._check(node.loop.items, layers, guards)
            layers = (dict.fromkeys(_of_loop(node.loop)), *layers)
            self._check([node.loop.label, node.loop.pause], layers, guards)
        guarded = self._conditions(effect.when, layers, sure)
        rest = (
            *(node.name, node.params, effect.environment, effect.retries, effect.delay, effect.ignore_errors),
            *(effect.no_log, effect.check_mode, effect.diff, effect.timeout, effect.delegate_to, node.notify),
            *(effect.run_once, effect.any_errors_fatal, effect.throttle),
        )
        self._check(rest, layers, guarded)
        self._need(node.needs, layers, guarded, frozenset())
        mine = {node.register: None} if node.register else {}
        for condition in (effect.changed_when, effect.failed_when, effect.until):
            if condition is not None:
                self._conditions((condition,), (mine, *layers), guarded)
        self.so_far |= set(sets(node))

    def _guards(self, conditions: Iterable[Condition]) -> set[str]:
        return {name for condition in conditions for name in condition.defines}

    def _conditions(
        self, conditions: Iterable[Condition], layers: tuple[Mapping[str, Any], ...], guarded: AbstractSet[str]
    ) -> set[str]:
        """Check conditions in their order, each knowing what those before it make sure of."""
        guarded = set(guarded)
        for condition in conditions:
            self._need(condition.needs, layers, guarded, frozenset())
            guarded |= condition.defines
        return guarded

    def _check(self, compiled: Any, layers: tuple[Mapping[str, Any], ...], guarded: AbstractSet[str]) -> None:
        self._need(needs_of(compiled), layers, guarded, frozenset())

    def _need(
        self,
        needs: Iterable[Any],
        layers: tuple[Mapping[str, Any], ...],
        guarded: AbstractSet[str],
        seen: frozenset[str],
    ) -> None:
        for need in needs:
            name = need.name
            if name in guarded or name in seen:
                continue
            found, value = self._find(name, layers)
            if not found:
                self.problems.append(self._undefined(name, need.where, layers))
            elif isinstance(value, Lazy):
                self._need(needs_of(value.compiled), layers, guarded, seen | {name})

    def _find(self, name: str, layers: tuple[Mapping[str, Any], ...]) -> tuple[bool, Any]:
        if name in IN_THE_RUN - IN_A_RESCUE or name in self.so_far:
            return True, None
        for layer in (*layers, *self.base):
            if name in layer:
                return True, layer[name]
        return False, None

    def _undefined(self, name: str, where: Where | None, layers: tuple[Mapping[str, Any], ...]) -> Invalid:
        known = {*self.so_far, *(IN_THE_RUN - IN_A_RESCUE), *(n for layer in (*layers, *self.base) for n in layer)}
        hint = suggest(name, sorted(known))
        if name in IN_A_RESCUE:
            hint = "it is there in a `rescue`, and after one"
        if name in self.left_out:
            hint = "the step that sets it is left out by --tags or --skip-tags"
        hint = hint or f"define it in vars, inputs or the inventory, or write `{name} | default(...)`"
        excerpt = self.excerpt(where) if where else None
        return Invalid(f"the variable {name!r} is not defined", where=where, hint=hint, excerpt=excerpt)


def sets(node: StepNode) -> Iterator[str]:
    """Give the names that a step may set for the steps after it."""
    if node.register:
        yield node.register
    short = node.spec.name
    if short == "set_fact":
        yield from (name for name in node.params if name != "cacheable")
    elif short == "include_vars":
        loaded = node.params.get("file")
        if isinstance(node.params.get("name"), str):
            yield node.params["name"]
        elif isinstance(loaded, dict):
            yield from loaded


def _of_loop(loop: Loop) -> tuple[str, ...]:
    return (loop.variable, *LOOP_NAMES, *((loop.index,) if loop.index else ()))
