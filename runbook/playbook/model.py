"""The typed model of a playbook; templates are still text, and None or an empty list means: not written."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from runbook.errors import Invalid, Where
from runbook.inputs import Input
from runbook.source import Document, KeyPath
from runbook.value import frozen, named, record

Flag = bool | str | None
LoopKind = Literal["list", "items", "dict"]


@frozen
class LoopControl:
    """How a loop goes; `pause` in seconds, or a template. `extended` asks for `ansible_loop`."""

    loop_var: str = "item"
    index_var: str | None = None
    label: Any = None
    pause: float | str | None = None
    extended: Flag = None


@named
class Written:
    """Something with keywords that stands at a path of a document.

    `when` is a list of expressions (text or bool), all of which must hold. `timeout` is in seconds, or a template;
    a flag is a bool, or a template.
    """

    document: Document
    path: KeyPath
    name: str | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    when: list[str | bool] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    environment: dict[str, Any] | str | None = None
    check_mode: Flag = None
    diff: Flag = None
    no_log: Flag = None
    ignore_errors: Flag = None
    any_errors_fatal: Flag = None
    timeout: float | str | None = None
    throttle: int | str | None = None

    @property
    def where(self) -> Where:
        """The place of its first key."""
        return self.document.where(self.path)

    def origin(self, keyword: str, *rest: str | int) -> tuple[Document, KeyPath]:
        """Give document and path of a keyword's value, or of what is in it.

        `rest` counts in the value as this model gives it: `("when", 0)` also where `when` is no list in the file.
        """
        path = (*self.path, keyword)
        for step in rest:
            if isinstance(step, int) and not isinstance(self.document.get(path), list):
                continue
            path = (*path, step)
        return self.document, path

    def problem(
        self, message: str, *keys: str | int, key: bool = False, hint: str | None = None, offset: int = 0
    ) -> Invalid:
        """Build the error that shows the value of `origin(*keys)`, its key, or the character at `offset` of it."""
        document, path = self.origin(str(keys[0]), *keys[1:]) if keys else (self.document, self.path)
        return document.problem(message, path, key=key, hint=hint, offset=offset)


@named
class Step(Written):
    """One call of a task. `task` is the key as written, `params` its value as written, None where it has none.

    `loop` is a list, or a template of one; for `loop_kind` dict a mapping, or a template of one.
    `retries` counts the runs after the first; `delay` is in seconds; either may be a template.
    """

    task: str
    params: Any
    loop: Any = None
    loop_kind: LoopKind = "list"
    loop_control: LoopControl | None = None
    register: str | None = None
    until: list[str | bool] = field(default_factory=list)
    retries: int | str | None = None
    delay: float | str | None = None
    changed_when: list[str | bool] = field(default_factory=list)
    failed_when: list[str | bool] = field(default_factory=list)
    notify: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=list)
    delegate_to: str | None = None
    run_once: Flag = None

    @property
    def params_path(self) -> KeyPath:
        return (*self.path, self.task)

    @property
    def loop_keyword(self) -> str:
        """The keyword that the loop was written with: `loop`, `with_list`, `with_items` or `with_dict`."""
        written = self.document.get(self.path)
        return next((key for key in ("loop", "with_list", "with_items", "with_dict") if key in written), "loop")


@named
class Block(Written):
    """Steps that share keywords, and what to do when one fails."""

    block: list[Item] = field(default_factory=list)
    rescue: list[Item] = field(default_factory=list)
    always: list[Item] = field(default_factory=list)
    notify: list[str] = field(default_factory=list)
    delegate_to: str | None = None
    run_once: Flag = None


@named
class Include(Written):
    """Another file of steps. `import` takes it in before the run, and its keywords go to every step in it.

    `file` may be a template; `apply` are keywords for the steps of an `include`, read as those of a block.
    """

    kind: Literal["include", "import"]
    key: str
    file: str
    apply: Block | None = None
    loop: Any = None
    loop_kind: LoopKind = "list"
    loop_control: LoopControl | None = None
    notify: list[str] = field(default_factory=list)
    delegate_to: str | None = None
    run_once: Flag = None

    @property
    def file_path(self) -> KeyPath:
        """The path of the file's name, which may stand under `file`."""
        path = (*self.path, self.key)
        return (*path, "file") if isinstance(self.document.get(path), dict) else path


Item = Step | Block | Include


@named
class Play(Written):
    """Steps for hosts. What an `import_playbook` says of `vars`, `when` and `tags` is already in them.

    `serial` holds numbers, shares as text (`30%`) and templates. `vars_files` and `env_files` are as written.
    """

    hosts: list[str] = field(default_factory=list)
    inputs: dict[str, Input] = field(default_factory=dict)
    vars_files: list[str] = field(default_factory=list)
    env_files: list[str] = field(default_factory=list)
    serial: list[int | str] = field(default_factory=list)
    max_fail_percentage: float | str | None = None
    lock: str | None = None
    force_handlers: Flag = None
    steps: list[Item] = field(default_factory=list)
    handlers: list[Item] = field(default_factory=list)
    imports: list[Written] = field(default_factory=list)

    def origin(self, keyword: str, *rest: str | int) -> tuple[Document, KeyPath]:
        """As for a step; the `vars`, `when` and `tags` that imports brought are found where those were written."""
        place = rest[0] if rest else None
        for above in self.imports:
            if keyword == "vars" and place in above.vars:
                return above.origin(keyword, *rest)
            brought = above.when if keyword == "when" else above.tags if keyword == "tags" else []
            if isinstance(place, int):
                if place < len(brought):
                    return above.origin(keyword, place, *rest[1:])
                place -= len(brought)
        rest = rest if place is None else (place, *rest[1:])
        return Written.origin(self, keyword, *rest)


@record
class Playbook:
    """The plays of a file and of those that it imports; `notes` tell what was read and has no effect."""

    document: Document
    plays: list[Play]
    notes: list[tuple[Where, str]] = field(default_factory=list)
