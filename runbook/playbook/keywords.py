"""Every keyword of the language: what may bear it, what kind of value it takes, what it does."""

from __future__ import annotations

from runbook.value import frozen


@frozen
class Keyword:
    """One keyword; `on` holds play, import_playbook, step, block, include, import or handler.

    `kind` names a reader of `runbook.playbook.kinds`; `field` is the attribute that keeps the value.
    """

    name: str
    on: tuple[str, ...]
    kind: str
    doc: str
    field: str


def _keyword(name: str, on: str, kind: str, doc: str, field: str | None = None) -> Keyword:
    return Keyword(name, tuple(on.split()), kind, doc, field or name)


_STEPS = "step block import"
_ALL = "play step block import"
_EVERY = "play import_playbook step block include import"
_BOTH = "step include"

KEYWORDS: tuple[Keyword, ...] = (
    _keyword("name", _EVERY, "text", "What the play or step is called in output and reports."),
    _keyword("hosts", "play", "patterns", "The hosts to run on: groups, hosts, `a:b`, `!x`, `&x`, globs, `~regex`."),
    _keyword("inputs", "play", "inputs", "What the caller gives with `-e`: typed and documented."),
    _keyword("vars", _EVERY, "vars", "Variables."),
    _keyword("vars_files", "play", "texts", "YAML files of variables, on the controller."),
    _keyword("env_files", "play", "texts", "`.env` files of variables, on the controller; their values are secrets."),
    _keyword("serial", "play", "serial", "How many hosts at a time: a number, a share, or a list of them."),
    _keyword("max_fail_percentage", "play", "percentage", "Stop when more than this share of a batch has failed."),
    _keyword("any_errors_fatal", _ALL, "bool", "A failure on one host ends the play on all."),
    _keyword("lock", "play", "word", "The lock that the play takes; `none` for what only reads."),
    _keyword("force_handlers", "play", "bool", "Run notified handlers also on hosts that have failed."),
    _keyword("when", _EVERY, "conditions", "Run only if the expression is true; a list means all of them."),
    _keyword("tags", _EVERY, "tags", "Words to choose steps by: `--tags`, `--skip-tags`."),
    _keyword("throttle", _ALL, "count", "How many hosts may be at a step at once; `--forks` limits it, too."),
    _keyword("environment", _ALL, "environment", "Variables for the environment of the processes that steps start."),
    _keyword("check_mode", _ALL, "bool", "Always (true) or never (false) only check, whatever the command line says."),
    _keyword("diff", _ALL, "bool", "`false` keeps the differences of files out of output and reports."),
    _keyword("no_log", _ALL + " include", "bool", "Keep values out of output and reports."),
    _keyword("ignore_errors", _ALL + " include", "bool", "Go on after a failure."),
    _keyword("timeout", _ALL, "seconds", "How long each step may take: seconds, or text such as `5m`."),
    _keyword("delegate_to", _STEPS, "text", "Act on this host instead, with the variables of the step's own."),
    _keyword("run_once", _STEPS + " include", "bool", "Run on the first host only, for all of them."),
    _keyword("notify", _STEPS, "texts", "Handlers to run at the end if this step changes something."),
    _keyword("loop", _BOTH, "items", "Run once per item of the list."),
    _keyword("with_list", _BOTH, "items", "The same as `loop`.", "loop"),
    _keyword("with_items", _BOTH, "items", "As `loop`, after flattening lists in the list by one level.", "loop"),
    _keyword("with_dict", _BOTH, "pairs", "Run once per pair of a mapping: `item.key`, `item.value`.", "loop"),
    _keyword("loop_control", _BOTH, "loop_control", "How to loop: loop_var, index_var, label, pause, extended."),
    _keyword("register", "step", "identifier", "The variable that keeps the step's result."),
    _keyword("until", "step", "conditions", "Run again until the expression is true."),
    _keyword("retries", "step", "count", "How often to run again; 3 with `until`."),
    _keyword("delay", "step", "seconds", "How long to wait between two runs: 5 s."),
    _keyword("changed_when", "step", "conditions", "When the step counts as changed."),
    _keyword("failed_when", "step", "conditions", "When the step counts as failed."),
    _keyword("listen", "handler", "texts", "Topics that notify this handler, beside its name."),
    _keyword("block", "block", "steps", "Steps that share keywords."),
    _keyword("rescue", "block", "steps", "Steps to run when one of the block fails."),
    _keyword("always", "block", "steps", "Steps to run after the block, however it ended."),
    _keyword("pre_tasks", "play", "steps", "Steps that run before `steps`.", "steps"),
    _keyword("steps", "play", "steps", "What to do, in this order.", "steps"),
    _keyword("tasks", "play", "steps", "The same as `steps`.", "steps"),
    _keyword("post_tasks", "play", "steps", "Steps that run after `steps`.", "steps"),
    _keyword("handlers", "play", "handlers", "Steps that run at the end, once, if a changed step notifies them."),
)

# Accepted, without effect, with a note.
IGNORED = {
    "gather_facts": "facts are found when they are first read",
    "connection": "the inventory says how a host is reached",
    "collections": "tasks are found by their own names",
}

# Refused, with what to write instead.
REFUSED = {
    "become": "run runbook as the user who may do this, or write `become: false`",
    "become_user": "run runbook as that user",
    "become_method": "run runbook as the user who may do this",
    "roles": "put the steps in a file and write `include_steps: FILE`",
    "async": "write `timeout:` for a limit, or start a service",
    "poll": "write `until:`, `retries:` and `delay:`",
    "vars_prompt": "write `inputs:` and give the values with `-e name=value`",
    "local_action": "write the task as a key, with `delegate_to: localhost` beside it",
    "action": "write the task as a key: `files.present: {path: ...}`",
    "args": "write every param under the task: `command: {cmd: ..., chdir: ...}`",
    "include": "write `include_steps:` or `import_steps:`",
    "include_role": "put the steps in a file and write `include_steps: FILE`",
    "import_role": "put the steps in a file and write `import_steps: FILE`",
    "strategy": "hosts go through a step together; remove it",
    "remote_user": "set `ansible_user` in the inventory",
    "module_defaults": "put the shared params in `vars`",
    "ignore_unreachable": "a host that does not answer fails the step: write `ignore_errors:`",
    "delegate_facts": "what a step sets is its own host's; read it there by `hostvars`",
    "order": "hosts stand in the order of the inventory; remove it",
    "debugger": "run with `-v`, or `--check --diff`; remove it",
    "with_fileglob": "write `loop:` over a list, or find the files with `find:` and `register:`",
    "with_sequence": 'write `loop: "{{ range(1, 5) | list }}"`',
    "with_nested": 'write `loop: "{{ a | product(b) | list }}"`',
    "with_first_found": "write `loop:` over a list, with `when:`",
}

# Keys of a step that lead to other files; all may bear a prefix of `PREFIXES`.
INCLUDES = {
    "include_steps": "include",
    "include_tasks": "include",
    "import_steps": "import",
    "import_tasks": "import",
}
META = ("flush_handlers", "end_play", "end_host", "noop", "clear_host_errors")
PREFIXES = ("ansible.builtin.", "core.")
FREE_TEXT = ("command", "shell", "raw")


def allowed(on: str) -> dict[str, Keyword]:
    """Give the keywords of a play, import_playbook, step, block, include, import or handler, by name.

    A handler takes what a step takes, and `listen`.
    """
    places = ("step", "handler") if on == "handler" else (on,)
    return {keyword.name: keyword for keyword in KEYWORDS if any(place in keyword.on for place in places)}


def bare(task: str) -> str:
    """Give the name of a core task or include without its prefix."""
    for prefix in PREFIXES:
        if task.startswith(prefix):
            return task.removeprefix(prefix)
    return task
