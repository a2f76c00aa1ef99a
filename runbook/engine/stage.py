"""What a step at work needs of the run around it: variables, hosts, and somebody to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runbook.engine.facts import said_of_run
from runbook.engine.flags import flag
from runbook.engine.state import Frame, HostState, Machine
from runbook.errors import TaskFailed
from runbook.events import Event, Mode
from runbook.host import Host, Listener, Overlay
from runbook.plan.layers import inventory_layers
from runbook.plan.magic import Place, magic
from runbook.plan.model import Plan, PlannedPlay, StepNode
from runbook.plan.reach import delegate_error
from runbook.templates import render_value
from runbook.units import Secret
from runbook.variables import Variables

Observer = Callable[[Event], None]


class Ears:
    """Hands what a host's changes say to the step at work."""

    def __init__(self) -> None:
        self.now: Listener | None = None

    def output(self, stream: Any, line: str) -> None:
        if self.now:
            self.now.output(stream, line)

    def progress(self, text: str, done: float, total: float, unit: str = "B") -> None:
        if self.now:
            self.now.progress(text, done, total, unit)


class Stage:
    """Where a plan is played. `emit` masks and hands on events; `machine` is where every local host's steps act."""

    def __init__(
        self,
        plan: Plan,
        machine: Machine,
        emit: Observer,
        *,
        run_id: str,
        mode: Mode,
        diff: bool,
        ears: Ears,
        prompt: Callable[[str, float], None],
        read_file: Callable[[str], str],
        keep_secret: Callable[[Secret], None],
    ) -> None:
        self.plan, self.machine, self.emit = plan, machine, emit
        self.run_id, self.mode, self.diff = run_id, mode, diff
        self.prompt, self.read_file, self.keep_secret = prompt, read_file, keep_secret
        self._ears = ears
        self.states: dict[str, HostState] = {}
        self._magic: dict[str, dict[str, Any]] = {}
        self._known: Callable[[str], dict[str, Any]] = lambda _: {}
        self._layers: dict[str, tuple[Mapping[str, Any], ...]] = {}

    def state(self, name: str) -> HostState:
        """Give what is known of a host, from its first play to its last."""
        return self.states.setdefault(name, HostState(name, self.machine))

    def prepare(self, play: PlannedPlay, batch: tuple[str, ...]) -> None:
        """Lay out the variables of a play's hosts, for one batch of them."""
        plan = self.plan
        place = Place(play.name, play.hosts, str(plan.playbook_dir), plan.tags, plan.inventory)
        said = said_of_run(self.machine.host, run_id=self.run_id, mode=self.mode, diff=self.diff)

        def known(name: str) -> dict[str, Any]:
            return magic(place, name, batch=batch, said=said, view_of=self._view_of, active=self._is_active)

        self._known = known
        for name in play.hosts:
            self._layers[name] = tuple(layer.values for layer in reversed(play.layers[name]))
            self._magic[name] = known(name)

    def _view_of(self, name: str) -> Variables:
        """Give the variables of any host of the inventory, for `hostvars`."""
        if name not in self._layers:
            layers = inventory_layers(self.plan.inventory, name)
            self._layers[name] = tuple(layer.values for layer in reversed(layers))
            self._magic[name] = self._known(name)
        return self.view(self.state(name), None, Frame())

    def _is_active(self, name: str) -> bool:
        return self.state(name).active

    def view(self, state: HostState, node: StepNode | None, frame: Frame) -> Variables:
        """Give the variables a step sees, from high to low."""
        layers = (
            self._magic[state.name],
            self.plan.extra.values,
            *frame.layers,
            state.facts,
            state.included,
            *(node.effect.vars if node else ()),
            *self._layers[state.name],
        )
        return Variables(layers, environ=state.machine.host.env, reader=self.read_file)

    def host_of(self, state: HostState, node: StepNode, view: Variables) -> Host:
        """Give the host that a step acts on: the run's, the real one, or one to rehearse on, as `check_mode` says."""
        if node.effect.delegate_to is not None:
            name = render_value(node.effect.delegate_to, view)
            wrong = delegate_error(str(name), self.plan.inventory)
            if wrong:
                raise TaskFailed(wrong[0], hint=wrong[1])
        wish = flag("check_mode", node.effect.check_mode, view)
        if wish is True:
            return Overlay(state.machine.host, imagined=True)  # of its own: no later step sees what it would do
        return state.machine.real if wish is False else state.machine.host

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        before, self._ears.now = self._ears.now, listener
        try:
            yield
        finally:
            self._ears.now = before

    @staticmethod
    def label(node: StepNode, name: str) -> str:
        """Name a step as reasons do: `step 4 'restart the API'`."""
        return f"step {node.index} {name!r}"
