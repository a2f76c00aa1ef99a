"""`security.scan_logs` finds a key in every form, wherever a piece ends, and never shows it."""

import base64
import gzip
import json
import os
import shlex
import urllib.parse
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.errors import TaskFailed
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.tasks.auditing import traces
from tests.unit.playing import Folder

SPEC = Registry().spec("security.scan_logs")
KEYS = {
    "hex": "6f1d0c9be2a74853a1b0c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50617",
    "quotes": "ca'na\"ry-q`$(id)\\x-0123456789",
    "unicode": "kanarién-Ü-비밀번호-0123456789",
    "base64": "Y2Fu+YXJ5/Zm9vYmFy+/0123456789==",
}
FORMS = {
    "raw": lambda key: key,
    "json": lambda key: json.dumps({"key": key}),
    "json, as it is": lambda key: json.dumps({"key": key}, ensure_ascii=False),
    "repr": lambda key: repr({"key": key}),
    "bytes": lambda key: repr(key.encode()),
    "url": lambda key: "?k=" + urllib.parse.quote(key, safe=""),
    "url, small": lambda key: urllib.parse.quote(key).replace("%2B", "%2b"),
    "form": lambda key: urllib.parse.urlencode({"k": key}),
    "shell": shlex.quote,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "basic": lambda key: "Basic " + base64.b64encode(f"user:{key}".encode()).decode(),
    "base64 in a line": lambda key: base64.b64encode(f'{{"k": "{key}", "x": 1}}'.encode()).decode(),
    "hex": lambda key: key.encode().hex(),
}


def host_in(folder):
    return LocalHost(now=datetime.now(UTC), cwd=folder, env={}, run_id="scan")


def scanned(folder, key, **more):
    return SPEC.function(SPEC.params(path=str(folder), secrets={"KEY": key}, **more), host_in(folder))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", KEYS)
def test_every_form_is_found(tmp_path, key, form):
    text = f"first\nbefore {FORMS[form](KEYS[key])} behind\n"
    (tmp_path / "a.log").write_text(text)
    with gzip.open(tmp_path / "b.log.gz", "wt") as file:
        file.write(f"\n{text}")
    with pytest.raises(TaskFailed) as caught:
        scanned(tmp_path, KEYS[key])
    places = [(each["file"][-5:], each["line"], each["secret"]) for each in caught.value.data["found"]]
    assert sorted(set(places)) == [("a.log", 2, "KEY"), ("og.gz", 3, "KEY")]
    assert KEYS[key] not in str(caught.value)


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(before=st.integers(0, 300), cut=st.integers(1, 63), piece=st.integers(70, 130))
def test_cut_in_two_and_across_pieces(tmp_path, before, cut, piece):
    """Wherever its bytes are torn apart, by a newline or by the end of what is read at a time."""
    key = KEYS["hex"]
    data = b"x\n" * before + f"{key[:cut]}\n 12:00 {key[cut:]}\n{key}\n".encode()
    (tmp_path / "a.log").write_bytes(data)
    patch = pytest.MonkeyPatch()
    patch.setattr(traces, "PIECE", piece)
    try:
        with pytest.raises(TaskFailed) as caught:
            scanned(tmp_path, key)
    finally:
        patch.undo()
    lines = {each["line"] for each in caught.value.data["found"]}
    assert lines & {before + 1, before + 2}
    assert before + 3 in lines
    assert max(lines) == before + 3


def test_a_large_log_is_read_in_pieces(tmp_path):
    """Its lines are counted, and of a log full of keys the first ones are told."""
    key = KEYS["hex"]
    with (tmp_path / "a.log").open("wb") as file:
        for _ in range(64):
            file.write(b"0123456789abcdef" * 2**16 + b"\n")
        file.write(f"{key}\n".encode() * 1000)
    with pytest.raises(TaskFailed) as caught:
        scanned(tmp_path, key)
    lines = [each["line"] for each in caught.value.data["found"]]
    assert lines == list(range(65, 165))
    assert "and 90 more" in caught.value.message


def test_a_log_that_cannot_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "a.log").write_text("x")
    (tmp_path / "a.log").chmod(0)
    with pytest.raises(TaskFailed, match="Permission denied"):
        scanned(tmp_path, KEYS["hex"])


def test_in_a_play_the_secrets_that_it_knows(tmp_path):
    """Those of the env file, without naming them; the place is told, the key in no output, report or journal."""
    folder = Folder(tmp_path)
    env = tmp_path / ".env"
    env.write_text(f"API_KEY={KEYS['hex']}\n")
    env.chmod(0o600)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "api.out").write_text("fine\n")
    folder.book([{"security.scan_logs": {"path": str(logs)}}], env_files=[str(env)])
    assert folder.play().code == 0
    (logs / "api.out").write_text(f"fine\nGET /?key={KEYS['hex']}\n")
    ended = folder.play("-v", "--diff")
    assert ended.code == 1
    assert "logs/api.out:2 (secret 1)" in ended.out
    told = ended.out + ended.err + "".join(path.read_text() for path in folder.state.rglob("*.json*"))
    assert KEYS["hex"] not in told
    assert KEYS["hex"][:32] not in told
