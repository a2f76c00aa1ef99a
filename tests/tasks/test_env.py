"""`env.set` read back by python-dotenv and by a shell; secrets made and set show in no output."""

import io
import json
import os
import subprocess
from pathlib import Path

import dotenv
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runbook.changes import Write
from runbook.errors import TaskFailed
from runbook.registry import Registry
from runbook.testing import MemoryHost
from runbook.units import Secret
from tests.unit.playing import Folder

PATH = Path("/.env")
SPEC = Registry().spec("env.set")
EXAMPLES = 400 if os.environ.get("CI") else 100


def set_in(before: bytes | None, name: str, value: str) -> bytes:
    host = MemoryHost()
    if before is not None:
        Write(PATH, before, mode=0o600).apply(host)
    want = SPEC.params(path=PATH, name=name, value=Secret(value))
    changes = list(SPEC.function(want, host))
    for change in changes:
        change.apply(host)
    assert list(SPEC.function(want, host)) == [], "asked again, it wants more"
    assert host.stat(PATH).mode == 0o600
    return host.read(PATH)


def by_dotenv(content: bytes) -> dict[str, str | None]:
    stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")  # as open() reads it
    return dotenv.dotenv_values(stream=stream)


def by_shell(content: bytes, names: list[str]) -> dict[str, str]:
    """Give what `. file` of a POSIX shell makes of the names."""
    script = ". /dev/stdin; " + " ".join(f"printf '%s\\0' \"${name}\";" for name in names)
    done = subprocess.run(["/bin/sh", "-euc", script], input=content, capture_output=True, env={}, check=True)
    assert done.stderr == b""
    return dict(zip(names, done.stdout.decode("utf-8").split("\0")[:-1], strict=True))


HARD = ["'", '"', "\\", "$", "`", " ", "#", "~", "*", "!", "{", "}", "&", ";", "(", "=", "+", "/", "a", "비", "é", "\t", "\n", "\r", "\x85", "\u2028", "\\n", "${A}", "\ud800"]  # fmt: skip
VALUES = st.one_of(st.lists(st.sampled_from(HARD), max_size=8).map("".join), st.text(max_size=12))
LINES = st.sampled_from(
    [
        "",
        "# KEY=none",
        "A=1",
        "export B='two words' # said",
        'C="it\'s"',
        "D='a\nKEY=no\nb'",
        "A=2",
        "E=x#y",
        "  F=",
        "G=한국어",
    ]
)

OWN = st.sampled_from(["", "KEY=old\n", "export KEY='o l d' # why\n", "KEY=1\nH=1\nKEY='2'\n"])


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(before=st.lists(LINES, max_size=5), after=st.lists(LINES, max_size=3), own=OWN, ended=st.booleans(), value=VALUES)  # fmt: skip
@example(before=[], after=[], own="", ended=True, value="q'\\\\uo\"te+/=")
def test_a_shell_and_python_dotenv_read_the_same(before, after, own, ended, value):
    text = "".join(f"{line}\n" for line in before) + own + "".join(f"{line}\n" for line in after)
    old = (text if ended else text.removesuffix("\n")).encode()
    try:
        new = set_in(old, "KEY", value)
    except TaskFailed as refusal:
        told, hard = str(refusal), "'\\$\t\n\r\x85\u2028"
        assert len(value) < 4 or value not in told
        assert set(value) & {*hard} or not value.isprintable()
        return
    names = sorted({*by_dotenv(new)} - {"KEY"})
    assert by_dotenv(new) == {**by_dotenv(old), "KEY": value}
    assert by_shell(new, ["KEY", *names]) == {**by_shell(old, names), "KEY": value}
    kept = [line for line in old.splitlines(keepends=True) if not line.startswith((b"KEY=", b"export KEY=")) or line == b"KEY=no\n"]  # fmt: skip
    position = 0
    for line in kept:  # in their order, to the byte
        position = new.index(line, position) + len(line)


@pytest.mark.parametrize(
    "value", ["", "0" * 64, "a b", "it's", 'say "no"', "$HOME `id`", "#hash", "~", "a\\tb", "\\' q", "비밀+/=="]
)
def test_what_can_be_written(value):
    new = set_in(b"", "KEY", value)
    assert by_dotenv(new) == {"KEY": value}
    assert by_shell(new, ["KEY"]) == {"KEY": value}


SHAPES = {
    "quotes": "ca'na\"ry-0123",
    "base64": "Y2Fu+YXJ5/Zm9v==",
    "unicode": "kanarién-Ü-비밀번호",
    "newline": "canary-one\ncanary-two",
}


@pytest.mark.parametrize("flags", [(), ("--check",), ("-v", "--diff"), ("--json", "-v", "--diff")], ids=" ".join)
def test_no_value_shows(tmp_path, flags):
    """Neither one that was given nor one that was made, in no output, report or journal; failures included."""
    folder = Folder(tmp_path)
    target = tmp_path / "app.env"
    target.write_text("OTHER='keep-this-to-yourself'\nEMPTY=\n")
    inputs = {name: {"type": "secret", "help": "a canary"} for name in SHAPES}
    given_file = tmp_path / "given.json"
    given_file.write_text(json.dumps(SHAPES))
    steps = [
        {"secret.generate": {}, "register": "key"},
        {"debug": {"msg": "made {{ key.value }} and {{ key.value | b64encode }}"}},
        {"debug": {"var": "key"}},
        {"env.set": {"path": str(target), "name": "API_KEY", "value": "{{ key.value }}"}},
        *(
            {
                "env.set": {"path": str(target), "name": name.upper(), "value": f"{{{{ {name} }}}}"},
                "ignore_errors": True,
            }
            for name in SHAPES
        ),
        {
            "name": "a link",
            "env.set": {"path": "/dev/stdin", "name": "X", "value": "{{ key.value }}"},
            "ignore_errors": True,
        },
        {"fail": {"msg": "it was {{ key.value }}"}, "ignore_errors": True},
        {"shell": {"cmd": "cat; exit 3", "stdin": "{{ key.value }}"}, "ignore_errors": True},
    ]
    folder.book(steps, inputs=inputs)
    ended = folder.play("-e", f"@{given_file}", *flags)
    assert ended.code == 0, ended.out + ended.err
    written = target.read_text()
    kept = [path.read_text() for path in folder.state.rglob("*") if path.suffix in {".json", ".jsonl"}]
    assert len(kept) == 2
    told = "".join([ended.out, ended.err, *kept])
    assert "***" in told
    secrets = {"keep-this-to-yourself", *SHAPES.values(), *SHAPES["newline"].split("\n")}
    if "--check" not in flags:
        values = by_dotenv(target.read_bytes())
        assert len(values["API_KEY"]) == 64
        assert {name: values[name.upper()] for name in SHAPES if name != "newline"} == {
            name: value for name, value in SHAPES.items() if name != "newline"
        }
        assert "NEWLINE" not in values
        assert target.stat().st_mode & 0o777 == 0o600
        secrets.add(values["API_KEY"])
    else:
        assert written == "OTHER='keep-this-to-yourself'\nEMPTY=\n"
    for secret in secrets:
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in told
