"""The upload limit: whatever the pieces and whatever is declared, a byte too many is refused and none is kept."""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.service.limit import LINGER_BYTES, UploadLimit

LIMIT = 1000
pieces = st.lists(st.integers(0, 400), max_size=12)


async def count(request: Request):
    """Answer with the length of the body."""
    return PlainTextResponse(str(len(await request.body())))


async def ignore(_: Request):
    """Answer without reading it."""
    return PlainTextResponse("unread")


def app_with(limit):
    app = FastAPI()
    app.add_api_route("/count", count, methods=["POST"])
    app.add_api_route("/ignore", ignore, methods=["POST"])
    return UploadLimit(app, limit)


APP, FREE = app_with(LIMIT), app_with(None)


def ask(app, sizes, declared=None, *, path="/count", gone=False):
    """Send a body in pieces of these sizes; give the status, the body, the headers, and how many pieces were taken."""
    headers = (
        [(b"content-length", str(declared).encode())] if declared is not None else [(b"transfer-encoding", b"chunked")]
    )
    messages = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in sizes]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    taken, sent = 0, []

    async def receive():
        nonlocal taken
        taken += 1
        return messages[min(taken, len(messages)) - 1]

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    asyncio.run(app({**scope, "headers": headers, "root_path": "", "scheme": "http"}, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    return sent[0]["status"], body.decode(), dict(sent[0]["headers"]), taken


@given(sizes=pieces)
@settings(deadline=None)
def test_a_body_passes_whole_or_is_refused(sizes):
    status, body, headers, _ = ask(APP, sizes)
    if sum(sizes) <= LIMIT:
        assert (status, body) == (200, str(sum(sizes)))
        assert b"connection" not in headers
    else:
        assert status == 413
        assert "split it over several requests to /batch" in body
        assert headers[b"connection"] == b"close"


@given(sizes=pieces, declared=st.integers(0, 3000))
@settings(deadline=None)
def test_what_is_declared_can_only_refuse_it_earlier(sizes, declared):
    status, *_ = ask(APP, sizes, declared)
    assert (status == 413) == (declared > LIMIT or sum(sizes) > LIMIT)


@given(sizes=pieces)
@settings(deadline=None)
def test_without_a_limit_all_passes(sizes):
    assert ask(FREE, sizes)[:2] == (200, str(sum(sizes)))


def test_a_client_that_is_refused_is_heard_out():
    """So that it reads the answer; a connection that is closed under it would be a reset."""
    assert ask(APP, [400] * 10)[3] == 11
    assert ask(APP, [400] * 10, path="/ignore")[:2] == (200, "unread")
    assert ask(APP, [400] * 10, path="/ignore")[3] == 11


def test_a_client_that_never_ends_is_not_heard_out_for_ever():
    piece = 1_000_000
    status, _, _, taken = ask(APP, [piece] * 200, path="/count")
    assert status == 413
    assert taken <= LINGER_BYTES // piece + 2


def test_a_client_that_leaves_ends_it():
    assert ask(APP, [400] * 3, path="/count", gone=True)[3] == 4
