"""Making a server serve another model: the request, and the proof that it did what it was asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, NamedTuple

from runbook.changes import Response, Send
from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.host.refusals import shown

from . import answers
from .adapters import ASK, Adapter, Served
from .continuity import Continuity, Watch, told, watching
from .modelfile import fault
from .simple import DAMAGED, Simple

EVERY = 0.1  # seconds between two looks at a server that said it would do it later


def reload(adapter: Adapter, before: Served, send: Send) -> Served:
    """Send the request and prove that the wanted model is served; TaskFailed says what is served instead.

    Where the answer is lost the server may have done it all the same, so that is asked, not guessed.
    """
    exchange = adapter.exchange()
    try:
        answer = adapter.load(send)
    except TaskFailed as error:
        now = _now(adapter, send)
        if isinstance(now, Served) and adapter.lack(now) is None:
            return now
        raise TaskFailed(f"{error.message}; {_standing(before, now)}", hint=error.hint) from None
    if not 200 <= answer.status < 300:
        raise refused(adapter, before, _now(adapter, send), answer)
    return _proven(adapter, before, send, answer, until=time.monotonic() + exchange.timeout)


def foreseen(adapter: Adapter, before: Served, host: Host) -> None:
    """Raise what a reload would end with, as far as it can be told without one: a damaged file, a wrong key."""
    if not isinstance(adapter, Simple) or adapter.seen is None:
        return
    if where := fault(host, adapter.seen):
        name = shown(adapter.seen.path)
        raise TaskFailed(f"the model {name} is damaged: {where}; still served: {before}", hint=DAMAGED)
    if answer := adapter.refusal(host.ask):
        raise refused(adapter, before, before, answer)


def refused(adapter: Adapter, before: Served, now: Served | str, answer: Response) -> TaskFailed:
    """Give the failure of a reload that was refused, with what is served now."""
    exchange, said = adapter.exchange(), answers.excerpt(answer) or "(it says nothing)"
    return TaskFailed(
        f"{exchange.method} {exchange.url}: {answers.named(answer.status)}: {said}; {_standing(before, now)}",
        hint=adapter.hint(answer),
        data={"status": answer.status, "served": str(now)},
    )


def _proven(adapter: Adapter, before: Served, send: Send, answer: Response, *, until: float) -> Served:
    """Ask what is served now; of what is under way again and again, for as long as the request might have taken."""
    while True:
        now = _now(adapter, send)
        lack = adapter.lack(now) if isinstance(now, Served) else now
        if lack is None and isinstance(now, Served):
            return now
        patient = answer.status == HTTPStatus.ACCEPTED or (isinstance(now, Served) and now.pending)
        if not patient or time.monotonic() > until:
            break
        time.sleep(EVERY)
    raise TaskFailed(
        f"the service said {answers.named(answer.status)}, and does not serve {adapter.wanted}: {lack}",
        hint="is there one worker behind this address? With several, each has a model of its own",
        data={"served": str(now), "previous": before.model_path or before.version},
    )


def _now(adapter: Adapter, send: Send) -> Served | str:
    """Give what is served, or why that cannot be told."""
    try:
        return adapter.served(send)
    except TaskFailed as error:
        return error.message


def _standing(before: Served, now: Served | str) -> str:
    if isinstance(now, str):
        return f"what is served now cannot be told: {now}"
    return f"still served: {now}" if now == before or str(now) == str(before) else f"now served: {now}"


class Done(NamedTuple):
    """What came of it: what is served, and what was seen meanwhile."""

    served: Served
    seen: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Swap:
    """A reload, watched or not; `body` and its content type are what the service is asked meanwhile."""

    adapter: Adapter
    before: Served
    continuity: Continuity | None
    body: tuple[bytes, str] | None

    def conduct(self, send: Send) -> Done:
        """Do it; TaskFailed says why it was not, with what was seen."""
        if self.continuity is None or self.body is None:
            return Done(reload(self.adapter, self.before, send), None)
        question = self.adapter.question(*self.body)
        question = replace(question, timeout=min(ASK, question.timeout))
        watch = Watch(send, question, self.adapter.mark)
        try:
            with watching(self.continuity, watch):
                now = reload(self.adapter, self.before, send)
        except TaskFailed as error:
            error.data["continuity"] = told(watch, self.before.mark, None)
            raise
        return Done(now, told(watch, self.before.mark, now.mark))
