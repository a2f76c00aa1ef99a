"""From a play's items to its tree: blocks, includes and imports resolved, what the tags leave out dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from runbook.errors import Invalid, Problems, RunbookError
from runbook.plan.context import Context, compiled, compiled_vars, conditions
from runbook.plan.files import label_of, named_file
from runbook.plan.model import BlockNode, Loop, Node, StepNode
from runbook.plan.names import sets
from runbook.plan.steps import compile_step, loop_of
from runbook.plan.tags import Tags
from runbook.playbook import load_steps_file
from runbook.playbook.model import Block, Include, Item, Step
from runbook.registry import Registry
from runbook.source import Document
from runbook.templates import render_value
from runbook.unknown import Unknown
from runbook.value import record
from runbook.variables import Variables

DEEPEST = 50


@record
class Tree:
    """Compiles the items of one play. `views` are the hosts' variables as known before the run.

    `unsettled` grows with the names that steps set: it is a layer of the views, on top. `index` counts the steps.
    """

    registry: Registry
    tags: Tags
    views: Mapping[str, Variables]
    unsettled: dict[str, Any]
    index: int = 0
    known_tags: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    documents: dict[str, Document] = field(default_factory=dict)
    problems: list[Invalid] = field(default_factory=list)
    _open: list[Path] = field(default_factory=list)

    def nodes(self, items: Sequence[Item], context: Context) -> tuple[Node, ...]:
        found: list[Node] = []
        for item in items:
            self.documents[item.document.file] = item.document
            try:
                found += self._nodes(item, context)
            except Problems as error:
                self.problems += error.problems
            except Invalid as error:
                self.problems.append(error)
        return tuple(found)

    def handlers(self, items: Sequence[Item], context: Context) -> tuple[StepNode, ...]:
        """Compile handlers; whatever the tags, a notified one is run."""
        from runbook.plan.model import flat

        chosen, self.tags = self.tags, Tags(("all", "never"))
        try:
            return tuple(flat(self.nodes(items, context)))
        finally:
            self.tags = chosen

    def _nodes(self, item: Item, context: Context) -> list[Node]:
        if isinstance(item, Step):
            return self._step(item, context)
        if isinstance(item, Block):
            return self._block(item, context)
        return self._import(item, context) if item.kind == "import" else self._include(item, context)

    def _step(self, step: Step, context: Context) -> list[Node]:
        tags = (*context.tags, *step.tags)
        self.known_tags.update(tags)
        chosen = self.tags.choose(tags)
        self.index += chosen
        node = compile_step(step, context, self.registry, self.index, self.views, self.problems)
        names = set(sets(node))
        if not chosen:
            self.left_out |= names
            return []
        self.left_out -= names
        self.unsettled.update(dict.fromkeys(names, Unknown("known in the run")))
        return [node]

    def _block(self, block: Block, context: Context) -> list[Node]:
        inner = context.within(block)
        main, rescue, always = (self.nodes(part, inner) for part in (block.block, block.rescue, block.always))
        if not (main or rescue or always):
            return []
        return [BlockNode(main, rescue, always, where=block.where, name=block.name)]

    def _import(self, item: Include, context: Context) -> list[Node]:
        """Take a file's steps in as if they stood here; its keywords go to each of them."""
        if item.loop is not None:
            raise item.problem("an import cannot loop", item.key, key=True, hint="write `include_steps:`")
        groups = self._files(item, context)
        inner = context.within(item)
        nodes = [self._entered(file, hosts, item, inner, vars={}) for file, hosts in groups.items()]
        return [node for node in nodes if node.block]  # a rescue that tags have left empty is none

    def _include(self, item: Include, context: Context) -> list[Node]:
        """Take a file's steps in as a block that is entered, with its variables, where its condition holds."""
        tags = (*context.tags, *item.tags)
        self.known_tags.update(tags)
        if not self.tags.choose(tags):
            return []
        inner = context if item.apply is None else context.within(item.apply)
        loop = loop_of(item)
        groups = self._files(item, context, loop)
        own = {**compiled_vars(item)}
        when = (*context.when, *conditions(item, "when"))
        once = compiled(item, "run_once", item.run_once)
        found = []
        for file, hosts in groups.items():
            node = self._entered(file, hosts, item, inner, vars=own, loop=loop)
            found.append(replace(node, when=when, vars=own, loop=loop, run_once=once))
        return list(found)

    def _files(self, item: Include, context: Context, loop: Loop | None = None) -> dict[Path, frozenset[str] | None]:
        """Give the file to take in, and on which hosts where they differ."""
        groups: dict[Path, set[str]] = {}
        for host, view in self.views.items():
            inner = view.over(compiled_vars(item), *context.vars)
            if loop:
                inner = inner.over({loop.variable: Unknown("the loop's item")})
            file = named_file(item, item.file, item.file_path, inner, "file of steps")
            groups.setdefault(file, set()).add(host)
        if len(groups) == 1:
            return dict.fromkeys(groups)
        return {file: frozenset(hosts) for file, hosts in groups.items()}

    def _entered(
        self,
        file: Path,
        hosts: frozenset[str] | None,
        item: Include,
        context: Context,
        *,
        vars: Mapping[str, Any],  # noqa: A002 - the language's own word
        loop: Loop | None = None,
    ) -> BlockNode:
        resolved = file.resolve()
        if resolved in self._open or len(self._open) > DEEPEST:
            chain = " -> ".join(label_of(each) for each in (*self._open, resolved))
            raise item.document.problem(f"the file of steps includes itself: {chain}", item.file_path)
        document, items = self._loaded(file, item)
        self.documents[document.file] = document
        self._open.append(resolved)
        before = self.views
        local: dict[str, Any] = dict(vars)
        if loop:
            local[loop.variable] = Unknown("the loop's item")
        self.views = {name: view.over(local) for name, view in before.items()} if local else before
        try:
            return BlockNode(
                self.nodes(items, context), where=item.where, name=item.name or label_of(file), hosts=hosts
            )
        finally:
            self.views = before
            self._open.pop()

    def _loaded(self, file: Path, item: Include) -> tuple[Document, list[Item]]:
        try:
            return load_steps_file(file, is_task=self.registry.is_task)
        except Problems:
            raise
        except RunbookError as error:
            if error.where and error.where.line:
                raise
            message = f"the file of steps {label_of(file)}: {error.message}"
            raise item.document.problem(message, item.file_path, hint=error.hint) from error


def name_of_handler(node: StepNode, view: Variables) -> str:
    return node.task if node.name is None else str(render_value(node.name, view))
