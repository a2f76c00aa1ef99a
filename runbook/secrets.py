"""Masking by value: known secrets become `***` once, where events are born."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date
from pathlib import PurePath
from typing import Any, TypeVar

from runbook import events as ev
from runbook.forms import forms_of
from runbook.units import Secret
from runbook.unknown import Unknown
from runbook.wire import shown

MASK = "***"
AnyEvent = TypeVar("AnyEvent", bound=ev.Event)


class Redactor:
    """The secrets of a run. Values of 8 characters or more are masked wherever they show; `short` names the others.

    `known` holds all of them, and grows while the run goes on.
    """

    def __init__(self) -> None:
        self.short: list[str] = []
        self.known: list[Secret] = []
        self._values: set[str] = set()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._forms)

    def add(self, value: str, *, name: str = "") -> None:
        """Know a secret from now on; of a text of several lines each line that is long enough as well."""
        with self._lock:
            if value in self._values:
                return
            self._values.add(value)
        forms = forms_of(value)
        if value and not forms:
            self.short.append(name or "a secret without a name")
        with self._lock:
            self.known.append(Secret(value))
            self._forms = self._forms.union(forms)
            self._pattern = None  # compiled when it is next needed: secrets come in crowds

    def mask(self, text: str) -> str:
        """Give the text with every known secret, in every form, as `***`."""
        spans = list(self.spans(text))
        if not spans:
            return text
        parts, done = [], 0
        for start, end in spans:
            parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:]])

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Give where secrets stand, in order; those that overlap as one, for neither may show its rest."""
        pattern = self._compiled()
        found = pattern.search(text) if pattern else None
        if not found or not pattern:
            return
        start, end = found.span()
        while found := pattern.search(text, found.start() + 1):
            if found.start() >= end:
                yield start, end
                start = found.start()
            end = max(end, found.end())
        yield start, end

    def _compiled(self) -> re.Pattern[str] | None:
        pattern = self._pattern
        if pattern is None and self._forms:
            with self._lock:
                longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
                pattern = self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return pattern

    def mask_value(self, value: Any) -> Any:
        """Give the value masked, however deep in lists, dicts and dataclasses; its shape stays."""
        if value is None or isinstance(value, bool | Unknown | date):
            return value
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, int | float):
            return value if self.mask(str(value)) == str(value) else MASK
        if isinstance(value, dict):
            return {self.mask_value(key): self.mask_value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return _rebuilt(value, [self.mask_value(item) for item in value])
        return self._mask_object(value)

    def _mask_object(self, value: Any) -> Any:
        if isinstance(value, bytes | bytearray):
            return self.mask(bytes(value).decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if isinstance(value, PurePath):
            return type(value)(self.mask(str(value)))
        if is_dataclass(value) and not isinstance(value, type):
            given = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
            return replace(value, **{name: self.mask_value(item) for name, item in given.items()})
        # Anything else would be written as its repr later, when nobody masks any more.
        return value if not self._forms or callable(getattr(value, "tolist", None)) else self.mask(shown(value))

    def event(self, event: AnyEvent) -> AnyEvent:
        """Give the event with its free texts masked; ids, statuses, kinds, hosts, places and times never are."""
        return _masked_event(self, event) if self._forms else event

    def stream(self) -> StreamMask:
        """Give a mask for a text that comes in pieces."""
        return StreamMask(self)

    def opening(self, text: str, start: int) -> int:
        """Give the first position, not before `start`, from which the rest of the text may be the head of a secret."""
        forms = self._forms
        if not forms:
            return len(text)
        heads = {form[0] for form in forms}
        for position in range(max(start, len(text) - max(map(len, forms)) + 1), len(text)):
            if text[position] in heads:
                rest = text[position:]
                if any(len(form) > len(rest) and form.startswith(rest) for form in forms):
                    return position
        return len(text)


class StreamMask:
    """A mask for a stream: what may be the head of a secret is held back until it is known."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece; give what is safe to show by now."""
        text = self._held + piece
        opening = self._redactor.opening(text, 0)
        parts, done = [], 0
        for start, end in self._redactor.spans(text):
            if end > opening:  # a longer secret may begin here, or within
                opening = min(start, opening)
                break
            parts += [text[done:start], MASK]
            done = end
        self._held = text[opening:]
        return "".join([*parts, text[done:opening]])

    def flush(self) -> str:
        """Give what was held back; the stream is at its end."""
        text, self._held = self._held, ""
        return self._redactor.mask(text)


def _rebuilt(value: Any, items: list[Any]) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    return items if isinstance(value, list) else type(value)(items)


def _masked_event(by: Redactor, event: Any) -> Any:
    match event:
        case ev.RunStarted():
            return replace(event, inputs=_values(by, event.inputs))
        case ev.PlayStarted():
            return replace(event, name=by.mask(event.name))
        case ev.StepStarted() | ev.Applied() | ev.Settled() | ev.Rescued():
            return replace(event, step=_step(by, event.step))
        case ev.Planned():
            changes = [_change(by, change) for change in event.changes]
            return replace(event, step=_step(by, event.step), changes=changes, item=by.mask_value(event.item))
        case ev.Progress():
            return replace(event, step=_step(by, event.step), text=by.mask(event.text))
        case ev.Output():
            return replace(event, step=_step(by, event.step), line=by.mask(event.line))
        case ev.ItemFinished() | ev.StepFinished():
            return replace(event, result=_result(by, event.result))
        case ev.Note():
            return replace(event, text=by.mask(event.text))
    return event


def _step(by: Redactor, step: ev.StepId) -> ev.StepId:
    name, play = by.mask(step.name), by.mask(step.play)
    return step if (name, play) == (step.name, step.play) else replace(step, name=name, play=play)


def _result(by: Redactor, result: ev.Result) -> ev.Result:
    error = result.error
    return replace(
        result,
        entry=None,
        step=_step(by, result.step),
        changes=[_change(by, change) for change in result.changes],
        data=None if result.data is None else _values(by, result.data),
        reason=by.mask_value(result.reason),
        error=error and replace(error, message=by.mask(error.message), hint=by.mask_value(error.hint)),
        item=by.mask_value(result.item),
        items=None if result.items is None else [_result(by, item) for item in result.items],
    )


def _values(by: Redactor, named: dict[str, Any]) -> dict[str, Any]:
    """Mask values whose names are a contract, such as `rc` of a command or the names of inputs."""
    return {name: by.mask_value(value) for name, value in named.items()}


def _change(by: Redactor, change: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name == "kind" else by.mask_value(value) for name, value in change.items()}
