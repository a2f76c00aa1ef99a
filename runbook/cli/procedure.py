"""A playbook as a procedure for people, in Markdown: its steps in sentences, its inputs, its YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from runbook.errors import Invalid
from runbook.inputs import show_inputs
from runbook.plan.extra import inputs_of, needed
from runbook.playbook import Playbook
from runbook.playbook.load import load_steps_file
from runbook.playbook.model import Block, Include, Item, Play, Step
from runbook.registry import Registry, plain

PARTS = ("about", "inputs", "procedure", "yaml")
SUBJECTS = ("path", "directory", "dest", "url", "name", "to", "root", "model")  # the params that say what it is about
FAILED = "The run stops here, with exit 1: mend what the error names, and run it again. What was done stays done."
GOES_ON = "The run goes on, and the report tells of it."
RESCUED = "The steps for that case are taken, below."
_ADVICE = re.compile(r"\bif it fails:\s*", re.IGNORECASE)


class Telling(NamedTuple):
    """Where a step stands: what is said of it first, what becomes of a failure, and the tags from above."""

    lead: str = ""
    failed: str = FAILED
    tags: tuple[str, ...] = ()


def markdown(name: str, book: Playbook, registry: Registry, parts: Sequence[str] = PARTS) -> str:
    """Write the parts of a playbook that are asked for, in their order."""
    made = {
        "about": lambda: _about(book.document.text),
        "inputs": lambda: _inputs(book),
        "procedure": lambda: _procedure(name, book, registry),
        "yaml": lambda: _yaml(name, book.document.text),
    }
    return "\n".join(text for part in parts if (text := made[part]()))


def _about(text: str) -> str:
    """Give the comment that a playbook begins with; what is indented in it is code."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    out, code = [], False
    for line in lines:
        if line.startswith("  ") != code and line.strip():
            out.append("```sh" if not code else "```")
            code = not code
        if code and not line.strip():
            out.append("```")
            code = False
        out.append(line[2:] if code else _prose(line))
    return "\n".join([*out, *(["```"] if code else [])]) + "\n" if out else ""


def _inputs(book: Playbook) -> str:
    rows = show_inputs(inputs_of(book))
    if not rows:
        return ""
    lines = ["| input | type | default | |", "|---|---|---|---|"]
    lines += [
        "| " + " | ".join([f"`{name}`", kind, default, help_]).replace("\n", " ") + " |"
        for name, kind, default, help_ in (map(_cell, row) for row in rows)
    ]
    return "\n".join(lines) + "\n"


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")


def _procedure(name: str, book: Playbook, registry: Registry) -> str:
    given = "".join(f" -e {name}={name.upper()}" for name in needed(inputs_of(book)))
    writer = _Writer(f"runbook play {name}", given, registry)
    lines = [
        f"See first what it would do: `{writer.command} --check{given}`. Then do it: `{writer.command}{given}`.",
        "",
    ]
    for play in book.plays:
        lines += writer.play(play)
    return "\n".join(lines).rstrip() + "\n"


class _Writer:
    """Writes the steps, and counts them."""

    def __init__(self, command: str, given: str, registry: Registry) -> None:
        self.command, self._given, self._registry = command, given, registry
        self._number = 0

    def play(self, play: Play) -> Iterator[str]:
        hosts = ", ".join(f"`{host}`" for host in play.hosts)
        yield from (f"**{_prose(play.name)}**, on {hosts}:" if play.name else f"On {hosts}:", "")
        yield from self.items(play.steps, Telling(tags=tuple(play.tags)))
        if play.handlers:
            yield from ("At the end, if a step has asked for it:", "")
            yield from self.items(play.handlers, Telling(tags=tuple(play.tags)))

    def items(self, items: Sequence[Item], telling: Telling) -> Iterator[str]:
        for item in items:
            below = telling._replace(tags=(*telling.tags, *item.tags))
            if isinstance(item, Step):
                yield from self._step(item, below)
            elif isinstance(item, Block):
                yield from (f"*{_prose(item.name)}*:", "") if item.name else ()
                failed = RESCUED if item.rescue else below.failed
                yield from self.items(item.block, below._replace(failed=failed))
                lead = "Only if one of the steps above has failed. "
                yield from self.items(item.rescue, below._replace(lead=below.lead + lead))
                yield from self.items(
                    item.always, below._replace(lead=f"{below.lead}Whatever became of the steps above. ")
                )
            else:
                yield from self._include(item, below)

    def _include(self, item: Include, telling: Telling) -> Iterator[str]:
        if "{{" in item.file:
            self._number += 1
            yield from (f"{self._number}. **The steps of `{item.file}`**, whichever that is in the run.", "")
            return
        folder = item.document.path.parent if item.document.path else Path()
        _, items = load_steps_file(folder / item.file, is_task=self._registry.is_task)
        lead = "".join(f"Only when `{each}`. " for each in item.when)
        yield from self.items(items, telling._replace(lead=telling.lead + lead))

    def _step(self, step: Step, telling: Telling) -> Iterator[str]:
        self._number += 1
        title = _prose(step.name or step.task).rstrip(".")
        comment = comment_above(step)
        told = _ADVICE.search(comment)
        why, advice = (comment[: told.start()], comment[told.end() :]) if told else (comment, "")
        conditions = "".join(f"Only when `{each}`. " for each in step.when)
        loop = (
            f"For each of `{step.loop}`. "
            if isinstance(step.loop, str)
            else "For each item of its list. "
            if step.loop
            else ""
        )
        failed = GOES_ON if step.ignore_errors is True else telling.failed
        text = f"{telling.lead}{conditions}{loop}{_prose(why)}".strip()
        only = [tag for tag in telling.tags if tag not in ("always", "never")]
        run = f"{self.command}{f' -t {only[-1]}' if only else ''}{self._given}"
        pad = " " * (len(str(self._number)) + 2)
        yield f"{self._number}. **{title}.**" + (f" {text}" if text else "")
        yield f"{pad}- Run it{'' if only else ', with all the others'}: `{run}`"
        yield f"{pad}- What it changes: {self._changes(step)}"
        yield f"{pad}- If it fails: {_prose(advice[:1].upper() + advice[1:]) if advice else failed}"
        yield ""

    def _changes(self, step: Step) -> str:
        """Say what a step changes: what its task says of itself, and what it is about."""
        if step.task == "meta":
            return "nothing on a machine."
        try:
            spec = self._registry.spec(step.task)
        except Invalid as error:
            raise step.problem(error.message, step.task, key=True, hint=error.hint) from error
        said = spec.doc.partition("\n")[0]
        if spec.kind in ("probe", "directive") or step.changed_when == [False]:
            return f"nothing. `{plain(step.task)}`: {said}"
        params = step.params if isinstance(step.params, dict) else {spec.free or "": step.params}
        about = next((f"`{name}: {params[name]}`" for name in (*SUBJECTS, spec.free) if name in params), "")
        return f"`{plain(step.task)}`{f' ({about})' if about else ''}: {said}"


def comment_above(step: Step) -> str:
    """Give the comment right above a step, at its own depth, as one text."""
    lines = step.document.text.splitlines()
    line = step.where.line - 1
    while line > 0 and not re.match(r"\s*-( |$)", lines[line]):
        line -= 1
    depth = len(lines[line]) - len(lines[line].lstrip())
    found: list[str] = []
    while line > 0 and re.match(rf"\s{{{depth}}}#", lines[line - 1]):
        line -= 1
        found.insert(0, lines[line].strip().lstrip("#").strip())
    return " ".join(found).strip()


def _prose(text: str) -> str:
    """Keep Markdown from reading more into a text than its code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<])", r"\\\1", part) for part in parts).strip()


def _yaml(name: str, text: str) -> str:
    fence = "`" * max(3, *(len(each) + 1 for each in re.findall("`{3,}", text)), 3)
    return f"<details>\n<summary>{name}</summary>\n\n{fence}yaml\n{text.rstrip()}\n{fence}\n\n</details>\n"
