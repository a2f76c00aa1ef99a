"""What a step at work needs of the run around it: variables, hosts, and somebody to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import Any

from runbook.engine.ears import Ears
from runbook.engine.facts import said_of_run
from runbook.engine.flags import flag
from runbook.engine.state import Frame, HostState, Machine
from runbook.errors import Stopped, TaskFailed
from runbook.events import Event, Mode
from runbook.host import Host, Overlay
from runbook.plan.layers import inventory_layers
from runbook.plan.magic import Place, magic
from runbook.plan.model import Plan, PlannedPlay, StepNode
from runbook.plan.reach import delegate_error
from runbook.templates import render_value
from runbook.units import Secret
from runbook.variables import Layer, Variables

Observer = Callable[[Event], None]


class Stage:
    """Where a plan is played. `machine` is where every local host's steps act, `forks` how many of them at once.

    Whoever tells of a step holds `telling`, so observers hear one event at a time, and none of a step that is over.
    """

    def __init__(
        self,
        plan: Plan,
        machine: Machine,
        observer: Observer,
        *,
        run_id: str,
        mode: Mode,
        diff: bool,
        ears: Ears,
        prompt: Callable[[str, float], None],
        read_file: Callable[[str], str],
        keep_secret: Callable[[Secret], None],
        forks: int = 1,
    ) -> None:
        self.plan, self.machine, self._observer = plan, machine, observer
        self.run_id, self.mode, self.diff, self.forks = run_id, mode, diff, forks
        self.prompt, self.read_file, self.keep_secret = prompt, read_file, keep_secret
        self.listening = ears.listening
        self.telling = RLock()
        self.states: dict[str, HostState] = {}
        self._stopped: Stopped | None = None
        self._magic: dict[str, dict[str, Any]] = {}
        self._known: Callable[[str], dict[str, Any]] = lambda _: {}
        self._layers_of: Callable[[str], Sequence[Layer]] = lambda _: ()
        self._layers: dict[str, tuple[Mapping[str, Any], ...]] = {}

    def emit(self, event: Event) -> None:
        """Tell the observers, one event at a time."""
        with self.telling:
            self._observer(event)

    def halt(self, stopped: Stopped) -> None:
        """End what steps wait for on other threads: a signal has come, of which only this one knows."""
        self._stopped = stopped
        self.machine.stop(stopped.signal)

    def check(self) -> None:
        """Raise `Stopped` once a signal has ended the run."""
        if self._stopped is not None:
            raise Stopped(self._stopped.signal)

    def state(self, name: str) -> HostState:
        """Give what is known of a host, from its first play to its last."""
        return self.states.setdefault(name, HostState(name, self.machine))

    def prepare(self, play: PlannedPlay, batch: tuple[str, ...]) -> None:
        """Ready the variables of a play's hosts, for one batch of them; a host's are laid out when first needed."""
        plan = self.plan
        place = Place(play.name, play.hosts, str(plan.playbook_dir), plan.tags, plan.inventory)
        said = said_of_run(self.machine.host, run_id=self.run_id, mode=self.mode, diff=self.diff, forks=self.forks)

        def known(name: str) -> dict[str, Any]:
            view_of = partial(self._view_of, asks=name)
            return magic(place, name, batch=batch, said=said, view_of=view_of, active=self._is_active)

        def layers_of(name: str) -> Sequence[Layer]:
            return play.layers[name] if name in play.layers else inventory_layers(plan.inventory, name)

        self._known, self._layers_of = known, layers_of
        self._layers, self._magic = {}, {}

    def _view_of(self, name: str, *, asks: str) -> Variables:
        """Give the variables of any host of the inventory, for the `hostvars` of the host that asks."""
        return self.view(self.state(name), None, Frame(), own=name == asks)

    def _is_active(self, name: str) -> bool:
        state = self.state(name)
        return not (state.lost or state.over or state.unreachable)

    def view(self, state: HostState, node: StepNode | None, frame: Frame, *, own: bool = True) -> Variables:
        """Give the variables a step sees, from high to low; what the step at work sets only of its `own` host."""
        name = state.name
        if name not in self._magic:
            self._layers[name] = tuple(layer.values for layer in reversed(self._layers_of(name)))
            self._magic[name] = self._known(name)
        layers = (
            self._magic[name],
            self.plan.extra.values,
            *frame.layers,
            *((state.new_facts, state.facts, state.new_included) if own else (state.facts,)),
            state.included,
            *(node.effect.vars if node else ()),
            *self._layers[name],
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

    @staticmethod
    def label(node: StepNode, name: str) -> str:
        """Name a step as reasons do: `step 4 'restart the API'`."""
        return f"step {node.index} {name!r}"
