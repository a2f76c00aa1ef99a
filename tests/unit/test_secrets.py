"""Masking by value, in every form a secret takes, whole or cut in pieces."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus

import pytest

from runbook.errors import Where
from runbook.events import (
    Failure,
    ItemFinished,
    Note,
    Notified,
    Output,
    Planned,
    Result,
    RunStarted,
    StepFinished,
    StepId,
)
from runbook.secrets import Redactor
from runbook.units import Secret
from runbook.unknown import Unknown

KEY = "s3cr3t/+ké y\"'\\z"
STEP = StepId(4, "upkeep", "reload", "model.reload", "web1", Where("play.yml", 3, 5))


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    return redactor


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        json.dumps(KEY),
        json.dumps({"k": KEY}, ensure_ascii=False),
        quote(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        quote_plus(KEY),
        repr(KEY),
        repr(["it's", KEY + "'"]),
        repr(KEY.encode()),
        shlex.join(["curl", KEY]),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
    ],
)
def test_every_form_of_a_secret_is_masked(form):
    masked = knowing(KEY).mask(f"before {form} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "***" in masked
    for piece in ("s3cr3t", form.strip("\"'")):
        assert piece not in masked


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_base64_is_masked_wherever_the_secret_stands_in_the_text(before, after):
    secret = "hunter2-hunter2"
    masked = knowing(secret).mask(base64.b64encode(f"{before}{secret}{after}".encode()).decode())
    assert "***" in masked
    assert len(masked.replace("***", "")) <= len(base64.b64encode((before + after).encode())) + 8


def test_short_secrets_are_not_masked_by_value_but_named():
    redactor = Redactor()
    redactor.add("1234567", name="pin")
    redactor.add("")
    assert redactor.mask("1234567") == "1234567"
    assert redactor.short == ["pin"]
    assert not redactor


def test_the_longest_secret_wins_and_overlapping_ones_hide_each_other():
    redactor = knowing("abcdefgh", "abcdefghijkl", "ghijklmnop")
    assert redactor.mask("<abcdefghijkl>") == "<***>"
    assert redactor.mask("<abcdefghijklmnop>") == "<***>"
    assert redactor.mask("<abcdefghabcdefgh>") == "<******>"


def test_lines_of_a_multi_line_secret_are_masked_one_by_one():
    redactor = knowing("-----BEGIN KEY-----\nAAAABBBBCCCC\nshort\n-----END KEY-----\n")
    assert redactor.mask("x AAAABBBBCCCC y") == "x *** y"
    assert "short" not in redactor.mask("-----BEGIN KEY-----\nAAAABBBBCCCC\nshort\n-----END KEY-----")
    assert "short" in redactor.mask("short")


class Pair(NamedTuple):
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str


def test_values_are_masked_however_deep_and_keep_their_shape():
    secret = "hunter2-hunter2"
    redactor = knowing(secret, "31415926")
    value = {
        "list": [secret, Secret("tiny")],
        "tuple": (f"a {secret}", 1, None, True),
        "pair": Pair(secret, "b"),
        "login": Login("me", secret),
        "path": Path("/run") / secret,
        "bytes": secret.encode() + b"\xff",
        "number": 31415926,
        secret: 2.5,
    }
    assert redactor.mask_value(value) == {
        "list": ["***", "***"],
        "tuple": ("a ***", 1, None, True),
        "pair": Pair("***", "b"),
        "login": Login("me", "***"),
        "path": Path("/run/***"),
        "bytes": b"***\xff",
        "number": "***",
        "***": 2.5,
    }


def test_objects_whose_repr_would_tell_are_masked_and_unknown_values_stay():
    error = subprocess.CalledProcessError(1, ["curl", "-H", "hunter2-hunter2"])
    unknown = Unknown("known after the run")
    masked = knowing("hunter2-hunter2").mask_value([error, unknown])
    assert "hunter2" not in repr(masked[0])
    assert "***" in masked[0]
    assert masked[1] is unknown


def test_events_are_masked_in_their_free_texts_and_nowhere_else():
    redactor = knowing("hunter2-hunter2", "model.reload", "play.yml", "changed!")
    change = {"kind": "write", "target": "/a/hunter2-hunter2", "detail": "", "diff": "+hunter2-hunter2"}
    result = Result(
        STEP,
        "failed",
        changes=[{**change, "applied": True}],
        data={"model.reload": ["hunter2-hunter2"]},
        reason="hunter2-hunter2",
        error=Failure("TaskFailed", "no hunter2-hunter2", "try hunter2-hunter2"),
        item="hunter2-hunter2",
    )
    for event in (StepFinished(result), ItemFinished(result), StepFinished(Result(STEP, "ok", items=[result]))):
        masked = redactor.event(event).result
        deep = masked.items[0] if masked.items else masked
        assert "hunter2" not in repr(masked)
        assert deep.data == {"model.reload": ["***"]}
        assert deep.changes[0]["applied"] is True
        assert masked.step == STEP
    assert redactor.event(Planned(STEP, [change])).changes[0]["diff"] == "+***"
    assert redactor.event(Output(STEP, "stdout", "x hunter2-hunter2")).line == "x ***"
    assert redactor.event(Note("hunter2-hunter2")).text == "***"
    assert redactor.event(Notified("model.reload", ("play.yml",))) == Notified("model.reload", ("play.yml",))
    started = RunStarted("hunter2-hunter2", "play.yml", "", "run", "", "0", {}, {"key": "hunter2-hunter2"}, ("a",), 1)
    assert redactor.event(started).inputs == {"key": "***"}
    assert redactor.event(started).run_id == "hunter2-hunter2"


def test_without_secrets_an_event_is_given_back_as_it_is():
    event = Output(STEP, "stdout", "hello")
    assert Redactor().event(event) is event


def test_a_stream_cut_anywhere_never_shows_a_secret():
    secrets = ("hunter2-hunter2", "hunter2-hunter2-long-tail", "2-hunter2-")
    text = "say hunter2-hunter2, then hunter2-hunter2-long-tail! hunter hunter2-hunter2"
    for size in range(1, len(text)):
        redactor = knowing(*secrets)
        stream = redactor.stream()
        shown = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.flush()
        assert shown == redactor.mask(text) == "say ***, then ***! hunter ***"


def test_a_stream_holds_back_only_what_may_become_a_secret():
    stream = knowing("hunter2-hunter2").stream()
    assert stream.feed("100% done\n") == "100% done\n"
    assert stream.feed("by hunter") == "by "
    assert stream.feed(" gatherer\n") == "hunter gatherer\n"


def test_many_secrets_do_not_slow_down_ordinary_text():
    redactor = knowing(*(f"secret-{number:04}-{number * 7919:08}" for number in range(200)))
    text = "GET /predict 200 in 12 ms from 10.0.0.1\n" * 1000
    redactor.mask("")
    started = time.process_time()
    assert redactor.mask(text) == text
    assert time.process_time() - started < 2
