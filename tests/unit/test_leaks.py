"""Secrets are found in content that comes in pieces, in every form that masking knows."""

import base64
import json
from urllib.parse import quote

import pytest

from runbook.host.leaks import Leaks
from runbook.units import Secret

KEY = "p+ss/w=rd 'q\" é\\1"
FORMS = [
    KEY,
    json.dumps(KEY)[1:-1],
    quote(KEY),
    base64.b64encode(KEY.encode()).decode(),
    base64.b64encode(b"user:" + KEY.encode() + b"!").decode(),
    KEY.encode().hex(),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_secret_is_found_however_the_content_is_cut(form, size):
    data = b"\x00weights\xff" * 20 + form.encode() + b"\n" * 40
    leaks = Leaks([Secret(KEY)])
    found = [at for start in range(0, len(data), size) if (at := leaks.feed(data[start : start + size])) is not None]
    assert found
    assert 180 <= found[0] < 180 + len(form)


def test_each_content_begins_anew():
    leaks = Leaks([Secret("0123456789abcdef")])
    assert leaks.feed(b"01234567") is None
    leaks.start()
    assert leaks.feed(b"89abcdef") is None
    assert leaks.feed(b"0123456789abcdef") == 8


def test_what_is_short_is_not_looked_for_and_what_is_said_is():
    leaks = Leaks([Secret("short"), Secret("")], [b"PRIVATE KEY"])
    assert leaks.feed(b"short and sweet") is None
    assert leaks.feed(b": PRIVATE KEY") == 17
    assert Leaks([]).feed(b"anything") is None
