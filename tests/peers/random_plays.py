"""Small playbooks at random, of what both languages have in common: a seed gives the same one every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.peers.random_steps import CONDITIONS, TAGS, Part, Step, Steps

HOSTS = ("a", "b", "c")


class Maker(Steps):
    """Makes one playbook with all its files."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.files: dict[str, Any] = {}

    def write(self, folder: Path) -> list[str]:
        """Write the playbook, its inventory and its files; give the words for the command."""
        hosts = HOSTS[: self._random.choice((1, 2, 2, 3, 3))]
        known: dict[str, Step] = {name: {"ansible_connection": "local", "n": HOSTS.index(name) + 1} for name in hosts}
        if "b" in known and self._chance(0.3):
            known["b"]["u"] = "host"
        pair = {"hosts": {name: {} for name in hosts[:2]}, "vars": {"u": "group"} if self._chance(0.3) else {"x": 1}}
        self.files["inventory.yml"] = {"all": {"hosts": known, "vars": {"u": "all"}, "children": {"pair": pair}}}
        count = self._random.choice((1, 1, 1, 2)) if self._several else 1
        self.files["playbook.yml"] = [self._play() for _ in range(count)]
        self.files["more.yml"] = {"v": "file", "f1": "file"}
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return self._words()

    def _words(self) -> list[str]:
        words, tags = [], sorted(self._tags)
        if tags and self._chance(0.3):
            words += [self._random.choice(("--tags", "--skip-tags")), self._random.choice(tags)]
        if self._chance(0.1):
            words += ["-e", "v=extra"]
        if self._chance(0.1):
            words += ["--limit", "a"]
        return words

    def _play(self) -> Step:
        self._registers = []
        self._handlers = [self._name("handler") for _ in range(self._random.randint(0, 3))]
        self._topics = ["topic"] if self._handlers and self._chance(0.4) else []
        self._sound = self._chance(0.5)
        play: Step = {"name": self._name("play"), "hosts": "all", "gather_facts": False}
        play["vars"] = {"v": "play", "w": [1, 2], **({"u": "play"} if self._chance(0.1) else {})}
        for keyword, values, share in (
            ("serial", (1, 2, "50%", [1, 2], ["40%", 2]), 0.2 * self._several),
            ("any_errors_fatal", (True,), 0.4 * self._fatal),
            ("max_fail_percentage", (0, 40, 60), 0.15 * (not self._fatal)),
            ("ignore_errors", (True,), 0.05),
            ("throttle", (1,), 0.05),
            ("vars_files", (["more.yml"],), 0.1),
            ("tags", TAGS[:2], 0.1),
        ):
            if self._chance(share):
                play[keyword] = self._random.choice(values)
        if "max_fail_percentage" not in play and self._chance(0.2):  # where that ends the play, no handlers run there
            play["force_handlers"] = True
        self._whole = self._fatal or "max_fail_percentage" in play
        # `clear_host_errors` has hosts go on there that have failed in a block in a block, in an include, or beside an
        # `always`; and `max_fail_percentage` does not count those beside an `always`.
        self._flat, self._deep = self._chance(0.15), False
        self._always = "max_fail_percentage" not in play and not self._flat
        self._note(play)
        depth = 1 if self._flat else 2
        if self._chance(0.2):
            play["pre_tasks"] = self._steps(depth)
        play["tasks"] = self._steps(depth, most=7)
        if self._chance(0.2):
            play["post_tasks"] = self._steps(depth)
        if self._handlers:
            play["handlers"] = [self._handler(place) for place in range(len(self._handlers))]
        return play

    def _handler(self, place: int) -> Step:
        step = {"name": self._handlers[place], **self._task(sound=self._sound)}
        if self._topics and (place == 0 or self._chance(0.4)):
            step["listen"] = self._random.choice(("topic", ["topic", "other"]))
        later = self._handlers[place + 1 :]
        if later and self._chance(0.3):
            step |= {"changed_when": True, "notify": self._random.choice(later)}
        if self._chance(0.2):
            step["when"] = self._random.choice(CONDITIONS)
        if self._chance(0.1):
            step["ignore_errors"] = True
        return step

    def _steps(self, depth: int, most: int = 4) -> list[Step]:
        return [self._step(depth) for _ in range(self._random.randint(1, most))]

    def _step(self, depth: int) -> Step:
        kind = self._random.random()
        if depth and kind < 0.2:
            return self._block(depth - 1)
        if depth and kind < 0.32 and not self._flat:
            return self._include(depth - 1)
        if kind < 0.38:
            return self._meta()
        return self._plain()

    @contextmanager
    def _within(self, name: str, *, rescue: bool = False, always: bool = False) -> Iterator[None]:
        self._parts.append(Part(name, rescue, always))
        yield
        self._parts.pop()

    def _block(self, depth: int) -> Step:
        block: Step = {"name": self._name("block")}
        rescue, always = self._rescues and self._chance(0.6), self._always and self._chance(0.4)
        once = self._chance(0.05) and not rescue and not always and not self._saved()
        if once or any(part.name == "once" for part in self._parts):
            rescue = always = False
        with self._within("once" if once else "tried" if rescue else "block", rescue=rescue, always=always):
            block["block"] = self._steps(depth)
        if rescue:
            with self._within("rescue", always=always):
                block["rescue"] = self._steps(depth)
        if always:
            with self._within("always", always=True):
                block["always"] = self._steps(depth)
        if self._chance(0.3):
            block["when"] = self._random.choice(CONDITIONS)
        if self._chance(0.2):
            block["vars"] = {"v": "block"}
        for keyword, share in (("ignore_errors", 0.1), ("any_errors_fatal", 0.1 * self._fatal), ("run_once", once)):
            if self._chance(share):
                block[keyword] = True
        return self._tagged(block)

    def _include(self, depth: int) -> Step:
        dynamic = self._chance(0.6)
        file = f"steps{self._number}.yml"
        self._number += 1
        kept, self._registers = self._registers, list(self._registers)
        tags = set(self._tags)
        with self._within("include"):
            self.files[file] = self._steps(depth, most=3)
        self._tags = tags if dynamic else self._tags  # a tag that only steps of an include have is an error
        self._registers = kept  # what steps of an include register may be registered by several of its rounds
        key = "include_tasks" if dynamic else "import_tasks"
        step: Step = {"name": self._name("include" if dynamic else "import"), key: file}
        if self._chance(0.3):
            step["when"] = self._random.choice(CONDITIONS)
        if self._chance(0.3):
            step["vars"] = {"v": "include"}
        if dynamic and self._chance(0.3):
            step |= {"loop": [1, 2], "loop_control": {"loop_var": f"each{self._number}"}}
        return self._tagged(step)
