"""What will be run: every step with its task, its compiled templates and its hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from runbook.errors import Where
from runbook.hosts import Inventory
from runbook.inputs import Input
from runbook.playbook.model import LoopKind
from runbook.source import Document
from runbook.task import Params, TaskSpec
from runbook.templates import Condition, Need
from runbook.units import Secret
from runbook.value import frozen
from runbook.variables import Layer

NOWHERE = Where("")


@frozen
class Loop:
    """A step's loop, its `items` compiled.

    `kind` says whether a mapping's pairs are looped over ("dict"), or items after lists in the list were flattened by
    one level ("items").
    """

    items: Any
    kind: LoopKind = "list"
    variable: str = "item"
    index: str | None = None
    label: Any = None
    pause: Any = 0


@frozen
class Effect:
    """The keywords that shape what a step does around its task; compiled, the nearest first where that matters."""

    when: tuple[Condition, ...] = ()
    vars: tuple[Mapping[str, Any], ...] = ()
    environment: tuple[Any, ...] = ()
    until: Condition | None = None
    retries: Any = None
    delay: Any = 5
    failed_when: Condition | None = None
    changed_when: Condition | None = None
    ignore_errors: Any = False
    no_log: Any = False
    check_mode: Any = None
    diff: Any = None
    timeout: Any = None
    delegate_to: Any = None
    run_once: Any = False
    throttle: Any = 0
    any_errors_fatal: Any = False


@frozen
class StepNode:
    """One step.

    `params` is compiled; `ready` stands in its place where nothing in it is a template. `needs` are the variables that
    a template file needs beside those of the params.
    """

    index: int
    name: Any
    task: str
    spec: TaskSpec
    params: Mapping[str, Any]
    ready: Params | None
    effect: Effect
    where: Where
    document: Document = field(repr=False)
    params_path: tuple[str | int, ...] = ()
    loop: Loop | None = None
    register: str | None = None
    notify: tuple[Any, ...] = ()
    listen: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    meta: str | None = None


@frozen
class BlockNode:
    """A list of steps with what to do when one fails. An include is one too: with variables, a condition and a loop."""

    block: tuple[Node, ...]
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    where: Where = NOWHERE
    name: str | None = None
    when: tuple[Condition, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    loop: Loop | None = None
    hosts: frozenset[str] | None = None
    run_once: Any = False


Node = StepNode | BlockNode


@frozen
class PlannedPlay:
    """One play on its hosts.

    `layers` are each host's variables from low to high, as far as they are known before the run; `sections` are the
    steps of `pre_tasks`, `steps` and `post_tasks`, after each of which the notified handlers run.
    """

    name: str
    hosts: tuple[str, ...]
    batches: tuple[tuple[str, ...], ...]
    sections: tuple[tuple[Node, ...], ...]
    handlers: tuple[StepNode, ...]
    layers: Mapping[str, tuple[Layer, ...]]
    inputs: Mapping[str, Input]
    force_handlers: bool = False
    max_fail_percentage: float | None = None
    any_errors_fatal: bool = False
    where: Where = NOWHERE

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of all sections."""
        return tuple(node for section in self.sections for node in section)


@frozen
class Plan:
    """A whole run, compiled: what `--dry-run` shows and the engine runs."""

    playbook: str
    playbook_dir: Path
    sha256: str
    plays: tuple[PlannedPlay, ...]
    inventory: Inventory
    extra: Layer
    inputs: Mapping[str, Any]
    notes: tuple[tuple[Where, str], ...]
    tags: tuple[str, ...] = ()

    @property
    def steps(self) -> Sequence[tuple[PlannedPlay, StepNode]]:
        """Every step in the order it stands in, handlers last."""
        return [(play, step) for play in self.plays for step in (*flat(play.nodes), *play.handlers)]

    def secrets(self) -> Iterator[tuple[str, Secret]]:
        """Yield every secret that is known before the run, with the name of its variable."""
        layers = [self.extra, *(layer for play in self.plays for of_host in play.layers.values() for layer in of_host)]
        for values in (*(layer.values for layer in layers), self.inputs):
            yield from ((name, value) for name, value in values.items() if isinstance(value, Secret))


def flat(nodes: Sequence[Node]) -> list[StepNode]:
    """Give the steps of a tree in their order."""
    steps: list[StepNode] = []
    for node in nodes:
        if isinstance(node, StepNode):
            steps.append(node)
        else:
            steps += [*flat(node.block), *flat(node.rescue), *flat(node.always)]
    return steps
