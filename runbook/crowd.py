"""What a step came to on many hosts: failures in full, a few of the rest, and one line that counts them all."""

from __future__ import annotations

from collections.abc import Iterator

from runbook import events as ev
from runbook.lines import Line, listed, said_of, word_of

FEW = 10  # results of a step that are told one by one where there are many hosts
_SHOWN = ("ok", "changed", "would change", "skipped", "unsure", "failed", "FAILED", "UNREACHABLE")


class Crowd:
    """The results of the step at work, folded; a failure that counts is always told, and its host named in the line."""

    def __init__(self, mode: ev.Mode) -> None:
        self.mode = mode
        self._step: ev.StepId | None = None
        self._counts: dict[str, int] = {}
        self._told = 0
        self._failed: list[ev.Result] = []
        self._rescued: dict[int, list[ev.StepId]] = {}

    def shows(self, result: ev.Result) -> bool:
        """Count a result, and say whether it is told by itself."""
        self._step = self._step or result.step
        word = word_of(result, self.mode)
        self._counts[word] = self._counts.get(word, 0) + 1
        if word in ("FAILED", "UNREACHABLE"):
            self._failed.append(result)
            return True
        if result.status in ("ok", "skipped") and not said_of(result):
            return False
        self._told += 1
        return self._told <= FEW

    def rescue(self, step: ev.StepId) -> None:
        """Count a failure as made good."""
        self._rescued.setdefault(step.index, []).append(step)

    def ends(self, event: ev.Event) -> bool:
        """Say whether the event is the first of something else than the step at work."""
        if isinstance(event, ev.StepStarted):
            return self._step is None or event.step.index != self._step.index
        return isinstance(event, ev.PlayStarted | ev.RunFinished)

    def lines(self) -> Iterator[Line]:
        """Give what is to be said of the step at its end, and forget it."""
        told = self._told + len(self._failed)
        if self._step is not None and not (told == sum(self._counts.values()) <= FEW):  # these were all told
            yield self._line(self._step)
        for index, steps in self._rescued.items():
            on = listed([step.host for step in steps], FEW)
            yield f"{index:>3} {'rescued':<12} {steps[0].name} on {on}", "forgiven"
        self._step, self._counts, self._told, self._failed, self._rescued = None, {}, 0, [], {}

    def _line(self, step: ev.StepId) -> Line:
        words = [word for word in _SHOWN if word in self._counts]
        hosts = sum(self._counts.values())
        if len(words) == 1 and not self._failed:
            return f"{step.index:>3} {words[0]:<12} {step.name} on {hosts:,} host{'s' * (hosts > 1)}", _STYLES[words[0]]
        told = ", ".join(f"{self._counts[word]:,} {word.replace('FAILED', 'failed')}" for word in words)
        return f"{step.index:>3} {'all':<12} {step.name}: {told}{self._named()}", _STYLES[words[-1]]

    def _named(self) -> str:
        """Name every host that has failed; of one alone say why."""
        if not self._failed:
            return ""
        error = self._failed[0].error
        why = f" ({error.message.splitlines()[0]})" if len(self._failed) == 1 and error and error.message else ""
        return f": {', '.join(result.step.host for result in self._failed)}{why}"


_STYLES = {word: word.lower() for word in _SHOWN} | {
    "would change": "changed",
    "ignored": "forgiven",
    "rescued": "forgiven",
}
