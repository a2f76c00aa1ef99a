"""What random playbooks are made of: single steps, and where each may stand."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

TAGS = ("red", "green", "always", "never")
CONDITIONS = (
    *("n == 1", "n > 1", "n != 2", "v == 'play'", "inventory_hostname == 'b'", "true", "false", "n in [1, 3]"),
    *("u == 'all'", "f0 is defined", "'pair' in group_names"),
)
META = ("flush_handlers", "noop", "end_host", "flush_handlers", "end_play", "clear_host_errors")
LOOPS: tuple[dict[str, Any], ...] = (
    *({"loop": items} for items in ([1, 2, 3], [], "{{ w }}", "{{ range(n) | list }}", [1, 2, 3])),
    {"with_items": [1, [2, 3]]},
    {"with_dict": {"one": 1, "two": 2}},
    {"loop": [1, 2], "loop_control": {"index_var": "at", "label": "x"}},
)
Step = dict[str, Any]


class Part(NamedTuple):
    """What surrounds a step: a part of a block with a rescue or an always, or an include."""

    name: str
    rescue: bool = False
    always: bool = False


class Steps:
    """Makes single steps; names are numbered, so that each result can be told from the others.

    What `docs/language.md` lists as a departure is left out, and nothing else is: such lines name it.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"play {seed}")
        self._number = 0
        self._registers: list[str] = []
        self._handlers: list[str] = []
        self._topics: list[str] = []
        self._tags: set[str] = set()
        self._parts: list[Part] = []
        # A failure of `any_errors_fatal` that is rescued has failed the other hosts there: for later plays and batches.
        self._fatal = self._chance(0.4)
        self._rescues = not self._fatal or self._chance(0.5)
        self._several = not (self._fatal and self._rescues)
        self._always = True
        self._flat = False
        self._sound = False
        self._deep = False
        self._whole = False  # whether the failure of one host may be that of all

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what} {self._number}"

    def _plain(self) -> Step:
        step: Step = {"name": self._name("step"), **self._task()}
        name = f"r{self._number}" if self._chance(0.3) else None
        loops = self._chance(0.2)
        if loops:
            step |= self._random.choice(LOOPS)
        if self._chance(0.3):
            step["when"] = self._condition(loops=loops)
        if self._chance(0.12):
            step["failed_when"] = self._random.choice((*CONDITIONS[:4], ["n == 1", "v == 'play'"]))
        if self._chance(0.1) and not loops:
            tries = ("n == 1", "true", "v == 'x'", *([f"{name}.attempts > 1"] if name and "debug" in step else []))
            step |= {"until": self._random.choice(tries), "retries": 2, "delay": 0}
        sound = not {"failed_when", "until", "fail", "assert"} & step.keys()
        self._deep |= not sound and self._nested()
        if self._chance(0.25):
            step["changed_when"] = self._random.choice((True, "n == 1", "n > 5"))
            if self._handlers and self._chance(0.8) and (sound or not loops):  # then none of its items notifies there
                step["notify"] = self._random.choice((*self._handlers, self._handlers, *self._topics))
        if self._chance(0.15):  # with a template other keywords mean something else there
            step["ignore_errors"] = True if self._whole else self._random.choice((True, "{{ n == 1 }}"))
        if self._chance(0.1) and "{{" not in str(step.get("ignore_errors")) and (sound or not self._saved()):
            step["run_once"] = True
        for keyword, values, share in (
            ("vars", ({"v": "step"}, {"v": "{{ u }} of step"}), 0.08),
            ("delegate_to", ("a", "{{ groups['all'][0] }}"), 0.06),
            ("throttle", (1,), 0.03),
            ("any_errors_fatal", (True,), 0.1 * self._fatal),
        ):
            if self._chance(share):
                step[keyword] = self._random.choice(values)
        if name and (sound or {"debug", "fail", "assert"} & step.keys()):  # the words of other failures are its own
            step["register"] = name
            self._registers.append(name)
        return self._tagged(step)

    def _saved(self) -> bool:
        """Whether a rescue or an `always` waits: of a `run_once` that failed, only the first host gets there."""
        return any(part.name == "tried" or (part.always and part.name != "always") for part in self._parts)

    def _nested(self) -> bool:
        """Whether what surrounds the step is a block in a block, an include or an import."""
        return len(self._parts) > 1 or any(part.name == "include" for part in self._parts)

    def _condition(self, *, loops: bool = False) -> Any:
        found = self._random.choice(CONDITIONS)
        if self._registers and self._chance(0.4):
            name, test = self._random.choice(self._registers), self._random.choice(("changed", "skipped", "failed"))
            found = f"{name} is defined and {name} is {test}"
        if loops and self._chance(0.5):
            return "item != 2"
        return [found, self._random.choice(CONDITIONS)] if self._chance(0.2) else found

    def _task(self, *, sound: bool = False) -> Step:
        kind = self._random.random()
        if kind < 0.14 and not sound:
            return {"fail": {"msg": "no {{ inventory_hostname }}"}}
        if kind < 0.24 and not sound:
            return {"assert": {"that": self._random.choice(CONDITIONS)}}
        if kind < 0.36:
            values = ("{{ n + 1 }}", "{{ v }}", "x", "{{ [n, u] }}")
            return {"set_fact": {self._random.choice(("f0", "f1", "f2", "v")): self._random.choice(values)}}
        if kind < 0.38:
            return {"include_vars": {"file": "more.yml"}}
        return {"debug": {"msg": self._message()}}

    def _message(self) -> str:
        parts = ["inventory_hostname", "v", "u", "f0 | default('none')", "f1 | default('none')", "n", "group_names"]
        if self._registers:
            name = self._random.choice(self._registers)
            parts += [f"{name}.msg | default('none')", f"({name} | default({{}})).results | default([]) | length"]
        if self._several:  # of a failure of `any_errors_fatal` that is rescued, all are in the play again
            parts.append("ansible_play_hosts | join(',')")
        parts.append("hostvars[groups['all'][0]].f0 | default('none')")
        return " ".join(f"{{{{ {part} }}}}" for part in self._random.sample(parts, self._random.randint(1, 3)))

    def _meta(self) -> Step:
        name = self._random.choice([name for name in META if self._has_room(name)])
        self._deep |= name == "flush_handlers" and not self._sound and self._nested()
        step = {"name": self._name("meta"), "meta": name}
        if name.startswith("end"):
            step["when"] = self._random.choice(CONDITIONS)
        return step

    def _has_room(self, meta: str) -> bool:
        """Whether a `meta` means the same here and there where it would stand."""
        parts = [part.name for part in self._parts]
        if meta == "flush_handlers":  # of a handler that failed and was rescued, the next flush begins behind it there
            return self._sound or "tried" not in parts
        if meta == "clear_host_errors":
            return self._flat
        if meta == "end_play" and ("tried" in parts or self._deep):
            return False  # hosts that wait for their rescue, or have failed in a block in a block, are forgiven there
        if meta.startswith("end"):  # in a block within a rescue, or in an `always`, a failure is kept or lost
            return not {"rescue", "always"} & set(parts) or (parts[-1] == "rescue" and "always" not in parts)
        return True

    def _tagged(self, step: Step) -> Step:
        if self._chance(0.15):
            step["tags"] = self._random.choice((*TAGS, list(TAGS[:2]), ["never", "green"]))
        self._note(step)
        return step

    def _note(self, step: Step) -> None:
        tags = step.get("tags", [])
        self._tags |= {tag for tag in ([tags] if isinstance(tags, str) else tags) if tag not in ("always", "never")}
