"""A machine as it would be: reads go through to the real one, changes stay here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from runbook.changes import Change, Completed, Content, Exchange, Gate, Response, RunCommand, Send, Stat
from runbook.errors import Unsure
from runbook.host.guard import forbid
from runbook.host.imagined import imagining
from runbook.host.imagined.doubts import Doubts
from runbook.host.imagined.sketch import Sketch
from runbook.host.imagined.view import View
from runbook.host.protocol import Host, Listener, Taker
from runbook.host.refusals import refusing
from runbook.unknown import Unknown

if TYPE_CHECKING:
    from runbook.changes.rotation import Rotated, Rotation

V = TypeVar("V", bound=View)
P = ParamSpec("P")
R = TypeVar("R")


def alone(method: Callable[Concatenate[V, P], R]) -> Callable[Concatenate[V, P], R]:
    """Let no other step look at the overlay, or change it, while a method is at it."""

    def call(self: V, /, *args: P.args, **named: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **named)

    return update_wrapper(call, method)


class Overlay(View):
    """A Host over another, real or an overlay itself, which it never changes. Cheap to make: one per step.

    What the real machine would refuse is refused here in the same words. What only a run can tell is `Unsure`, with
    the label of the step that it depends on (`begin`). A mutator that a plugin calls itself, while it plans, is
    `ImpurePlan`. An `imagined` one is what check mode runs on; on one that plans a step of a run, time passes.
    """

    def __init__(self, base: Host, *, imagined: bool = False) -> None:
        super().__init__(base)
        self._below = base
        self.imagined: bool = imagined or base.imagined
        self._sketch = Sketch(self._tree)
        self.label: str = base.label
        self._altered: dict[Path, str] = {}

    def begin(
        self,
        label: str,
        *,
        deadline: float | None = None,
        env: Mapping[str, str] | None = None,
        listener: Listener | None = None,
    ) -> Overlay:
        """Give this overlay, and the hosts below, as one step has them: what it changes, the others see."""
        step = copy(self)
        base = self._below.begin(label, deadline=deadline, env=env, listener=listener)
        real = base._real if isinstance(base, View) else base  # noqa: SLF001 - of our own kind
        vars(step).update(label=label, _below=base, _base=base, _real=real, _sketch=Sketch(self._tree))
        return step

    def settle(self, changes: Sequence[Change] = ()) -> None:
        """Do nothing: there is nothing to flush."""

    @alone
    def aside(self) -> Overlay:
        """Give the machine as it is, to look at while changes are pending here: what they alter is `Unsure`."""
        machine = Overlay(self._real, imagined=True)
        machine._doubts = Doubts(self._doubts)
        for path, reason in self._altered.items():
            with refusing("look at", path):
                real = Path(self._tree.walk(path, follow=False, lenient=True).path)
            for place in (path, real):
                machine._doubts.path(place, reason)
        return machine

    def doubt(self) -> str | None:
        return self._doubts.latest() or self._below.doubt()

    def sleep(self, seconds: float) -> bool:
        self.check_deadline()
        return not self.imagined and self._below.sleep(seconds)

    # Asking

    def probe(
        self, argv: Sequence[str], *, cwd: Path | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        return self._real.probe(argv, cwd=cwd, stdin=stdin, timeout=timeout)

    def ask(self, exchange: Exchange, take: Taker | None = None) -> Response:
        self._certain_of(exchange.url)
        return self._real.ask(exchange, take)

    def dial(
        self,
        address: str,
        port: int,
        *,
        timeout: float,
        listen: float = 0.0,
        enough: Callable[[bytes], object] = bool,
    ) -> bytes | None:
        for scheme in ("tcp", "http", "https"):
            self._certain_of(f"{scheme}://{address}:{port}")
        return self._real.dial(address, port, timeout=timeout, listen=listen, enough=enough)

    def connections(self, port: int, *, address: str, states: Collection[str], without: Collection[str] = ()) -> int:
        return self._real.connections(port, address=address, states=states, without=without)

    def client(self, name: str) -> Any:
        return self._real.client(name)

    # Changing: called by changes only

    @alone
    def write(
        self,
        path: Path,
        content: Content,
        *,
        mode: int | None,
        was: Stat | None,
        mtime: int | None = None,
        gate: Gate | None = None,  # noqa: ARG002 - asked in a run only
    ) -> None:
        self._sketch.write(self._change("write", path), content, mode=mode, was=was, mtime=mtime)

    @alone
    def remove(self, path: Path, *, was: Stat) -> None:
        self._sketch.remove(self._change("remove", path), was=was)

    @alone
    def move(self, path: Path, to: Path, *, was: Stat) -> None:
        self._sketch.move(self._change("move", path), self._alter(to), was=was)

    @alone
    def make_folder(self, path: Path, *, mode: int | None) -> None:
        self._sketch.make_folder(self._change("make_folder", path), mode=mode)

    @alone
    def chmod(self, path: Path, mode: int, *, was: Stat) -> None:
        self._sketch.chmod(self._change("chmod", path), mode, was=was)

    @alone
    def link(self, path: Path, to: str, *, hard: bool, was: Stat | None) -> None:
        self._sketch.link(self._change("link", path), to, hard=hard, was=was, cwd=self.cwd)

    @alone
    def compress(self, path: Path, to: Path, *, was: Stat, level: int) -> None:
        self._sketch.compress(self._change("compress", path), self._alter(to), self._reason, was=was, level=level)

    @alone
    def produce(
        self,
        path: Path,
        make: Callable[[Path], Any],  # noqa: ARG002 - made in a run only
        *,
        mode: int | None,
        was: Stat | None,
        folder: bool = False,
    ) -> Any:
        path = self._change("produce", path)
        if folder:
            self._sketch.make_folder(path, mode=None)
            self._cast_doubt((str(path),))
        else:
            self._sketch.produce(path, self._reason, mode=mode, was=was)
        return Unknown(self._reason)

    @alone
    def rotate(self, rotation: Rotation) -> Rotated | Unknown:
        from runbook.host.imagined.rehearsal import rehearse

        forbid("rotate")
        rotation = rotation.within(self._alter)
        rehearse(self, self._sketch, rotation, self._reason)
        if isinstance(rotation.tell, Exchange):
            self._doubts.server(rotation.tell.url, self._reason)
        return Unknown(self._reason)

    @alone
    def run(self, command: RunCommand) -> Unknown:
        from runbook.host.imagined.starting import predict_start

        forbid("run")
        self.check_deadline()
        predict_start(self._tree, self._doubts, command, cwd=self.cwd, env=self.env)
        self._cast_doubt(command.affects)
        return Unknown(self._reason)

    alive = imagining.alive
    append = alone(imagining.append)
    start = alone(imagining.start)
    end = alone(imagining.end)
    deliver = alone(imagining.deliver)

    @alone
    def request(
        self, exchange: Exchange, *, affects: tuple[str, ...] | None, conduct: Callable[[Send], Any] | None = None
    ) -> Unknown:
        del conduct  # called in a run only
        forbid("request")
        self.check_deadline()
        self._doubts.server(exchange.url, self._reason)
        self._cast_doubt(affects)
        return Unknown(self._reason)

    # Within

    @alone
    def _certain_of(self, url: str) -> None:
        reason = self._doubts.of_url(url)
        if reason is not None:
            raise Unsure(reason)

    @property
    def _reason(self) -> str:
        return f"depends on {self.label}"

    def _change(self, name: str, path: Path) -> Path:
        forbid(name)
        return self._alter(path)

    def _alter(self, path: Path) -> Path:
        path = self._at(path)
        self._altered[path] = self._reason
        return path

    def _cast_doubt(self, affects: tuple[str, ...] | None) -> None:
        if affects is None:
            self._doubts.everything(self._reason)
            return
        for affected in affects:
            if "://" in affected:
                self._doubts.origin(affected, self._reason)
                continue
            path = self._at(Path(affected))
            self._doubts.path(path, self._reason)
            with refusing("look at", path):
                self._doubts.path(Path(self._tree.walk(path, follow=True, lenient=True).path), self._reason)
