"""Law 4: everything wrong is found before anything is touched; what comes out can be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from runbook.errors import Invalid, Problems, Where
from runbook.hosts import Inventory
from runbook.hosts.patterns import LOCALHOST
from runbook.plan.batches import batches_of, flag_of, percentage_of
from runbook.plan.company import check_company
from runbook.plan.context import Context
from runbook.plan.extra import extra_layer, inputs_of, refuse_unknown
from runbook.plan.layers import Setting, check_inputs, layers_of, static_view
from runbook.plan.magic import Place, static_magic
from runbook.plan.model import Plan, PlannedPlay, flat
from runbook.plan.names import Names
from runbook.plan.notify import check_handlers
from runbook.plan.reach import check_delegates, check_reach, says_local
from runbook.plan.tags import Tags
from runbook.plan.tree import Tree
from runbook.playbook.model import Item, Play, Playbook
from runbook.registry import Registry
from runbook.source import excerpt_of_file
from runbook.unknown import Unknown
from runbook.value import frozen
from runbook.variables import Layer, Variables

T = TypeVar("T")


@frozen
class Request:
    """What was asked for on the command line. `extra` holds the words of each `-e`."""

    playbook: Path
    extra: tuple[str, ...] = ()
    limit: str | None = None
    tags: Tags = field(default_factory=Tags)
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = field(default_factory=Path.cwd)


def compile_plan(book: Playbook, inventory: Inventory, registry: Registry, request: Request) -> Plan:
    """Compile a playbook for the hosts of an inventory; raises Problems with all that is wrong, at once."""
    compiler = _Compiler(book, inventory, registry, request)
    plays = compiler.plays()
    return Plan(
        playbook=book.document.file,
        playbook_dir=compiler.folder,
        sha256=book.document.sha256,
        plays=plays,
        inventory=inventory,
        extra=compiler.extra,
        inputs=_inputs(compiler, plays),
        notes=tuple(book.notes),
        tags=request.tags.only,
    )


class _Compiler:
    """Compiles play after play; `problems` gathers what is wrong with any of them."""

    def __init__(self, book: Playbook, inventory: Inventory, registry: Registry, request: Request) -> None:
        self.book, self.inventory, self.registry, self.request = book, inventory, registry, request
        self.folder = request.playbook.resolve().parent
        self.problems: list[Invalid] = []
        self.extra = extra_layer(book, request.extra, request.cwd, self.problems)
        self.known_tags: set[str] = set()
        self.unsettled: dict[str, Any] = {}
        # Whether names may be set by what could not be read: a play, a file of variables, a word of `-e`.
        self.misgiven = sum(isinstance(value, Unknown) for value in self.extra.values.values())
        self.unheard = len(self.problems) > self.misgiven
        self.documents = {play.document.file: play.document for play in book.plays}
        self.index = 0

    def plays(self) -> tuple[PlannedPlay, ...]:
        known = len(self.problems)
        hosts = [self._hosts(play) for play in self.book.plays]
        if len(self.problems) > known:
            raise Problems([self._shown(problem) for problem in self.problems])
        hosts = self._limited(hosts)
        found = [self._play(play, names) for play, names in zip(self.book.plays, hosts, strict=True)]
        if all(found):
            names = {name for play in found if play for ls in play.layers.values() for la in ls for name in la.values}
            self._found(lambda: refuse_unknown(self.extra, inputs_of(self.book), names), None)
            self._found(lambda: self.request.tags.refuse_unknown(self.known_tags), None)
        if self.problems:
            raise Problems([self._shown(problem) for problem in self.problems])
        return tuple(play for play in found if play is not None)

    def _shown(self, problem: Invalid) -> Invalid:
        """Show the line of a problem whose finder had only the place."""
        if problem.excerpt is None and problem.where:
            problem.excerpt = self._excerpt(problem.where)
        return problem

    def _hosts(self, play: Play) -> list[str]:
        try:
            document, path = play.origin("hosts")
            return self.inventory.select(play.hosts, where=document.where(path))
        except Invalid as error:
            self.problems.append(error)
            return []

    def _limited(self, hosts: list[list[str]]) -> list[list[str]]:
        """Leave the hosts that `--limit` chooses; where that is wrong all are looked at, for what else there is."""
        limit = self.request.limit
        if limit is None:
            return hosts
        try:
            chosen = set(self.inventory.select(limit))
        except Invalid as error:
            self.problems.append(Invalid(f"--limit: {error.message}", hint=error.hint))
            return hosts
        limited = [[name for name in names if name in chosen] for names in hosts]
        if any(limited):
            return limited
        self.problems.append(Invalid(f"--limit: none of the hosts of {limit!r} is in the playbook"))
        return hosts

    def _play(self, play: Play, hosts: Sequence[str]) -> PlannedPlay | None:
        name = play.name or ", ".join(play.hosts)
        place = Place(name, tuple(hosts), str(self.folder), self.request.tags.only, self.inventory)
        setting = Setting(play, place, self.extra, self.request.environ, self.request.cwd)
        try:
            layers = {host: layers_of(setting, host) for host in hosts}
        except Invalid as error:
            self.problems += error.problems if isinstance(error, Problems) else [error]
            self.unheard = True
            return None
        views = {host: self._view(setting, host, layers[host]) for host in hosts}
        self.problems += check_reach(play, views)
        tree = Tree(self.registry, self.request.tags, views, self.unsettled, self.index)
        tree.documents[play.document.file] = play.document
        sections = tuple(tree.nodes(items, Context().within(play)) for items in _sections(play))
        handlers = tree.handlers(play.handlers, Context().within(play))
        self.index = tree.index
        self.known_tags |= tree.known_tags
        self.documents |= tree.documents
        self.problems += tree.problems
        first = views[hosts[0]] if hosts else static_view(setting, LOCALHOST, ())
        planned = PlannedPlay(
            name,
            tuple(hosts),
            self._found(lambda: batches_of(play, hosts, first), (tuple(hosts),)),
            sections,
            handlers,
            layers,
            play.inputs,
            force_handlers=self._found(lambda: flag_of(play, "force_handlers", first), default=False),
            max_fail_percentage=self._found(lambda: percentage_of(play, first), None),
            any_errors_fatal=self._found(lambda: flag_of(play, "any_errors_fatal", first), default=False),
            where=play.where,
        )
        self._check_names(planned, place, tree)
        self._check_steps(play, planned, views)
        return planned

    def _check_steps(self, play: Play, planned: PlannedPlay, views: Mapping[str, Variables]) -> None:
        every = (*flat(planned.nodes), *planned.handlers)
        self.problems += check_company(play, planned.nodes, views.values())
        self.problems += check_handlers(planned, views)
        self.problems += check_delegates(every, views, self.inventory, local=says_local(play))

    def _view(self, setting: Setting, host: str, layers: Sequence[Layer]) -> Variables:
        """Give a host's variables before the run, and find the inputs that are wrong."""
        wrong = check_inputs(setting, host, layers)
        told = {problem.message for problem in self.problems}  # an input of several plays is given once
        self.problems += [each for each in dict.fromkeys(wrong.values()) if each.message not in told]
        self.unheard |= bool(wrong or self.misgiven) and bool(setting.play.env_files or setting.play.vars_files)
        return static_view(setting, host, layers, self.unsettled, wrong=wrong)

    def _found(self, find: Callable[[], T], default: T) -> T:
        """Give what is found, or keep the problem and go on with another value."""
        try:
            return find()
        except Invalid as error:
            self.problems += error.problems if isinstance(error, Problems) else [error]
            return default

    def _check_names(self, play: PlannedPlay, place: Place, tree: Tree) -> None:
        """Find undefined variables, once for each set of hosts that have the same names."""
        if self.unheard:
            return
        seen: set[frozenset[str]] = set()
        settled = set(self.unsettled) - _set_in(play)
        for host in play.hosts:
            layers = play.layers[host]
            asked = dict.fromkeys(play.inputs)  # one that was not given is told once, not at each use
            written = (layer.values for layer in reversed(layers))
            base = (self.extra.values, static_magic(place, host), *written, asked)
            shape = frozenset(name for values in base for name in values)
            if shape in seen:
                continue
            seen.add(shape)
            names = Names(base, host, frozenset(tree.left_out), set(settled), [], self._excerpt)
            names.walk(play.nodes)
            names.handlers(play.handlers)
            self.problems += names.problems

    def _excerpt(self, where: Where) -> str | None:
        if not where.line:
            return None
        document = self.documents.get(where.file)
        return document.excerpt(where) if document else excerpt_of_file(where)


def _sections(play: Play) -> list[list[Item]]:
    """Give the steps of `pre_tasks`, `steps` and `post_tasks`, as far as they are written."""
    return [list(items) for _, items in groupby(play.steps, key=lambda item: item.path[len(play.path)])]


def _set_in(play: PlannedPlay) -> set[str]:
    from runbook.plan.names import sets

    return {name for step in (*flat(play.nodes), *play.handlers) for name in sets(step)}


def _inputs(compiler: _Compiler, plays: Sequence[PlannedPlay]) -> dict[str, Any]:
    """Give the inputs' values for the report: those of the first host that has them."""
    found: dict[str, Any] = {}
    for play in plays:
        for host in play.hosts[:1]:
            layers: list[Mapping[str, Any]] = [layer.values for layer in reversed(play.layers[host])]
            view = Variables((compiler.extra.values, *layers), environ={}, reader=str)
            found |= {name: view.get(name) for name in play.inputs if name not in found}
    return found


__all__ = ["Layer", "Request", "compile_plan"]
