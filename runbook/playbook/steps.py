"""Steps, blocks and includes out of plain values; everything wrong is collected with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from runbook.errors import Invalid, Where
from runbook.playbook.keywords import (
    FREE_TEXT,
    IGNORED,
    INCLUDES,
    KEYWORDS,
    META,
    REFUSED,
    Keyword,
    allowed,
    bare,
)
from runbook.playbook.kinds import KINDS, Wrong
from runbook.playbook.model import Block, Include, Item, Step, Written
from runbook.source import Document, KeyPath, uncollected
from runbook.suggest import nearest, suggest

_TABLES = {on: allowed(on) for on in ("play", "import_playbook", "step", "handler", "block", "include", "import")}
_NAMES = {keyword.name: keyword for keyword in KEYWORDS}
_LOOPS = {"loop": "list", "with_list": "list", "with_items": "items", "with_dict": "dict"}
_KEY_VALUE = re.compile(r"\s*[A-Za-z_]\w*=")


class Reader:
    """Reads the items of one document; `is_task` tells a task's key, as written, from a mistyped keyword."""

    def __init__(
        self,
        document: Document,
        is_task: Callable[[str], bool],
        problems: list[Invalid],
        notes: list[tuple[Where, str]],
    ) -> None:
        self.document = document
        self.is_task = is_task
        self.problems = problems
        self.notes = notes

    def items(self, value: Any, path: KeyPath, *, on: str = "step") -> list[Item]:
        """Read a list of steps, or with `on="handler"` of handlers."""
        if not isinstance(value, list) or not value:
            what = "is empty" if value in (None, [], {}) else "takes a list of steps"
            name = f"'{path[-1]}'" if path and isinstance(path[-1], str) else "a file of steps"
            self.problem(f"{name} {what}", path, hint="write `- name: ...` and a task for each, or remove it")
            return []
        with uncollected():
            read = [self._item(raw, (*path, index), on) for index, raw in enumerate(value)]
        return [item for item in read if item is not None]

    def problem(self, message: str, path: KeyPath, *, key: bool = False, hint: str | None = None) -> None:
        self.problems.append(self.document.problem(message, path, key=key, hint=hint))

    def fill(self, item: Written, raw: dict[str, Any], on: str, *, but: Iterable[str] = ()) -> None:
        """Set every keyword of the item; a key that is none of this place and not in `but` is a problem."""
        table, document, path = _TABLES[on], self.document, item.path
        for name, value in raw.items():
            keyword = table.get(name)
            if keyword is None:
                if name not in but:
                    self._stray(name, value, path, on)
                continue
            read = KINDS.get(keyword.kind)
            if read is None:  # steps, handlers and inputs have readers of their own
                continue
            try:
                setattr(item, keyword.field, read(name, value))
            except Wrong as wrong:
                at = (*path, name, *wrong.path)
                self.problems.append(document.problem(wrong.message, at, key=wrong.key, hint=wrong.hint))

    def _item(self, raw: Any, path: KeyPath, on: str) -> Item | None:
        if not isinstance(raw, dict):
            self.problem("a step is a mapping", path, hint="write `- name: ...` and below it `task: {param: value}`")
            return None
        if "block" in raw:
            if on == "handler":
                self.problem("a handler is one step", (*path, "block"), key=True, hint="write a handler for each step")
            return self._block(raw, path)
        for name in ("rescue", "always"):
            if name in raw:
                self.problem(f"'{name}' needs a 'block' beside it", (*path, name), key=True, hint="write `block:`")
                return None
        found = [key for key in raw if key not in _NAMES and key not in _UNUSED]
        task = found[0] if len(found) == 1 else self._task_key(raw, found, path, on)
        if task is None:
            return None
        kind = INCLUDES.get(bare(task))
        return self._include(raw, path, task, kind, found) if kind else self._step(raw, path, task, on, found)

    def _task_key(self, raw: dict[str, Any], found: list[str], path: KeyPath, on: str) -> str | None:
        """Choose the task among the keys that are no keywords; each of the others is a problem."""
        table = _TABLES[on]
        if not found:
            if not any(key in REFUSED for key in raw):
                self.problem("this step has no task", path, hint="write for example `command: uptime` in it")
            for key, value in raw.items():
                if key not in table:
                    self._stray(key, value, path, on)
            return None
        known = [key for key in found if self.is_task(key) or bare(key) in INCLUDES or key == "meta"]
        unlike = [key for key in found if nearest(key, table) is None]
        task = (known or unlike or found)[0]
        for key in found:
            if key != task:
                self._second(key, task, path, on, known=key in known)
        return task

    def _second(self, key: str, task: str, path: KeyPath, on: str, *, known: bool) -> None:
        near = None if known else suggest(key, _TABLES[on])
        if near:
            self.problem(f"'{key}' is no keyword of a {on}", (*path, key), key=True, hint=near)
        elif known or not self.is_task(task):
            hint = "write each as a step of its own"
            self.problem(f"two tasks in a step: '{task}' and '{key}'", (*path, key), key=True, hint=hint)
        else:
            hint = f"the task of this step is '{task}'; remove the key, or indent it under the task"
            self.problem(f"'{key}' is neither a keyword nor a task", (*path, key), key=True, hint=hint)

    def _stray(self, name: str, value: Any, path: KeyPath, on: str) -> None:
        here = (*path, name)
        if name == "become" and value is False:
            self.notes.append((self.document.key_where(here), "'become: false' has no effect: nothing becomes"))
        elif name in IGNORED:
            self.notes.append((self.document.key_where(here), f"'{name}' has no effect: {IGNORED[name]}"))
        elif name in REFUSED:
            self.problem(f"'{name}' is not supported", here, key=True, hint=REFUSED[name])
        elif name in _NAMES:
            places = ", ".join(_NAMES[name].on)
            self.problem(f"'{name}' cannot stand on {_a(on)}", here, key=True, hint=f"it stands on: {places}")
        else:
            table = _TABLES[on]
            hint = suggest(name, table) or f"{_a(on)} has: {', '.join(sorted(table))}"
            self.problem(f"'{name}' is no keyword of {_a(on)}", here, key=True, hint=hint)

    def _step(self, raw: dict[str, Any], path: KeyPath, task: str, on: str, judged: list[str]) -> Step:
        params = raw[task]
        step = Step(document=self.document, path=path, task=task, params=params)
        self.fill(step, raw, on, but=judged)
        self._loop(step, raw)
        if type(params) is not dict and params is not None:
            self._odd_params(task, params, path)
        elif task == "meta":
            self._meta(params, path)
        if on == "handler" and step.name is None and not step.listen:
            self.problem("nothing can notify this handler", path, hint="write `name:` or `listen:` in it")
        return step

    def _loop(self, item: Step | Include, raw: dict[str, Any]) -> None:
        written = [key for key in raw if key in _LOOPS]
        if written:
            item.loop_kind = _LOOPS[written[0]]  # type: ignore[assignment] # the table holds its three words
            for second in written[1:]:
                message = f"two loops on a step: '{written[0]}' and '{second}'"
                self.problem(message, (*item.path, second), key=True, hint="keep one of the two")
        elif "loop_control" in raw:
            self.problem("'loop_control' needs a loop", (*item.path, "loop_control"), key=True, hint="write `loop:`")

    def _odd_params(self, task: str, params: Any, path: KeyPath) -> None:
        here = (*path, task)
        if task == "meta":
            self._meta(params, path)
        elif not isinstance(params, str):
            self.problem(f"'{task}' takes a mapping of params", here, hint=f"write `{task}: {{param: value}}`")
        elif bare(task) not in FREE_TEXT and _KEY_VALUE.match(params):
            pairs = re.findall(r"""([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\{\{.*?\}\}|\S*)""", params)
            mapping = ", ".join(f"{name}: {value}" for name, value in pairs)
            self.problem("params are no text of the form k=v", here, hint=f"write `{task}: {{{mapping}}}`")

    def _meta(self, params: Any, path: KeyPath) -> None:
        if params not in META:
            hint = suggest(str(params), META) or f"write one of: {', '.join(META)}"
            self.problem(f"'meta' does not know {params!r}", (*path, "meta"), hint=hint)

    def _block(self, raw: dict[str, Any], path: KeyPath) -> Block:
        block = Block(document=self.document, path=path)
        self.fill(block, raw, "block")
        for name in ("block", "rescue", "always"):
            if name in raw:
                setattr(block, name, self.items(raw[name], (*path, name)))
        return block

    def _include(self, raw: dict[str, Any], path: KeyPath, key: str, kind: str, judged: list[str]) -> Include:
        value, here = raw[key], (*path, key)
        include = Include(document=self.document, path=path, key=key, kind=kind, file="")  # type: ignore[arg-type]
        self.fill(include, raw, kind, but=judged)
        self._loop(include, raw)
        options = value if isinstance(value, dict) else {"file": value}
        for name in options:
            if name not in ("file", "apply") or (name == "apply" and kind == "import"):
                hint = "write keywords beside it, on the step" if kind == "import" else "it has file and apply"
                self.problem(f"'{key}' has no '{name}'", (*here, name), key=True, hint=hint)
        file = options.get("file")
        if not isinstance(file, str) or not file.strip():
            self.problem(f"'{key}' takes the name of a file", here, hint=f"write `{key}: steps.yml`")
        else:
            include.file = file
        if kind == "include" and "apply" in options:
            include.apply = self._apply(options["apply"], (*here, "apply"))
        return include

    def _apply(self, value: Any, path: KeyPath) -> Block:
        block = Block(document=self.document, path=path)
        if isinstance(value, dict):
            self.fill(block, value, "block")
            for name in ("block", "rescue", "always"):
                if name in value:
                    self.problem(f"'{name}' cannot be applied", (*path, name), key=True, hint="put it in the file")
        else:
            self.problem("'apply' takes a mapping of keywords", path, hint="write `apply: {tags: [a]}`")
        return block


_UNUSED: dict[str, Any] = {**IGNORED, **REFUSED}


def _a(on: str) -> str:
    return f"an {on}" if on[0] == "i" else f"a {on}"


def keywords_of(on: str) -> dict[str, Keyword]:
    """Give the keywords that may stand on a play, step, block and so on, by name."""
    return _TABLES[on]
