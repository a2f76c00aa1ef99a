"""Making a server serve another model: the request, and the proof that it did what it was asked."""

from __future__ import annotations

import time
from http import HTTPStatus

from runbook.changes import Response, Send
from runbook.errors import TaskFailed

from . import answers
from .adapters import Adapter, Served

EVERY = 0.1  # seconds between two looks at a server that said it would do it later


def reload(adapter: Adapter, before: Served, send: Send) -> Served:
    """Send the request and prove that the wanted model is served; TaskFailed says what is served instead.

    Where the answer is lost the server may have done it all the same, so that is asked, not guessed.
    """
    exchange = adapter.load()
    name = f"{exchange.method} {exchange.url}"
    try:
        answer = send(exchange)
    except TaskFailed as error:
        now = _now(adapter, send)
        if isinstance(now, Served) and adapter.lack(now) is None:
            return now
        raise TaskFailed(f"{error.message}; {_standing(before, now)}", hint=error.hint) from None
    if not 200 <= answer.status < 300:
        now = _now(adapter, send)
        said = answers.excerpt(answer) or "(it says nothing)"
        raise TaskFailed(
            f"{name}: {answers.named(answer.status)}: {said}; {_standing(before, now)}",
            hint=adapter.hint(answer),
            data={"status": answer.status, "served": str(now)},
        )
    return _proven(adapter, before, send, answer, until=time.monotonic() + exchange.timeout)


def _proven(adapter: Adapter, before: Served, send: Send, answer: Response, *, until: float) -> Served:
    """Ask what is served now; after `202 Accepted` again and again, for as long as the request might have taken."""
    while True:
        now = _now(adapter, send)
        lack = adapter.lack(now) if isinstance(now, Served) else now
        if lack is None and isinstance(now, Served):
            return now
        if answer.status != HTTPStatus.ACCEPTED or time.monotonic() > until:
            break
        time.sleep(EVERY)
    raise TaskFailed(
        f"the service said {answers.named(answer.status)}, and does not serve {adapter.wanted}: {lack}",
        hint="is there one worker behind this address? With several, each has a model of its own",
        data={"served": str(now), "previous": before.model_path},
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
