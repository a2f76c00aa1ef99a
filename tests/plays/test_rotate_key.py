"""A new key for the running service: proven, the old one dead; and back to the old one where the service will not take it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import dotenv
import httpx
import psutil
import pytest

from tests.service import write_env
from tests.unit.playing import COMMAND

RESTART = """#!/bin/sh
# What an operator's service manager does: end the process, start another, wait until it answers.
cd "$(dirname "$0")" || exit 1
[ -e broken ] && {{ rm broken; echo "no such unit" >&2; exit 5; }}
[ -e pid ] && {{ kill "$(cat pid)"; while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.05; done; }}
setsid "{python}" -m runbook service --model "{model}" --port {port} --env-file .env --log api.log >/dev/null 2>&1 &
echo $! > pid
exec "{python}" - <<END
import time, urllib.request
for _ in range(600):
    try: urllib.request.urlopen("http://127.0.0.1:{port}/health"); break
    except OSError: time.sleep(0.05)
END
"""


class Running:
    def __init__(self, folder, model):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        self.env = folder / ".env"
        self.restart = folder / "restart"
        self.restart.write_text(RESTART.format(python=sys.executable, model=model, port=port))
        self.restart.chmod(0o755)
        self.first = write_env(self.env, MODEL_PATH=model)
        self.env.write_text(f"# ours\n{self.env.read_text()}")

    def key(self):
        return dotenv.dotenv_values(self.env)["API_KEY"]

    def takes(self, key):
        answer = httpx.post(f"{self.url}/batch", headers={"X-API-Key": key}, json={}, trust_env=False)
        assert answer.status_code in (401, 422)
        return answer.status_code == 422

    def rotate(self, *words, restart=None):
        argv = [*COMMAND, "play", "rotate_key.yml", "-e", f"env_file={self.env}", "-e", f"api_url={self.url}"]
        argv += ["-e", f"restart={json.dumps([str(restart or self.restart)])}", *words]
        argv += ["--state-dir", str(self.folder / "state"), "-v", "--diff"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            seen = set()
            while process.poll() is None:  # what everybody on the machine could read meanwhile
                seen |= {line for each in psutil.process_iter() if (line := command_line(each))}
                time.sleep(0.02)
            out = process.stdout.read()
        kept = "".join(path.read_text() for path in (self.folder / "state").rglob("*.json*"))
        told = out + kept + "\n".join(seen) + (self.folder / "api.log").read_text()
        for key in {self.first, self.key()}:
            assert key not in told
            assert key[:32] not in told
        return process.returncode, out


def command_line(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def running(tmp_path_factory, digits):
    service = Running(tmp_path_factory.mktemp("rotate"), digits.good)
    subprocess.run([service.restart], check=True, timeout=60)
    try:
        yield service
    finally:
        os.kill(int((service.folder / "pid").read_text()), 15)


def test_check_mode_writes_nothing_and_says_what_it_cannot_know(running):
    before = running.env.read_bytes()
    code, out = running.rotate("--check")
    assert code == 0, out
    assert running.env.read_bytes() == before
    assert "unsure" in out
    assert running.takes(running.key())


def test_the_new_key_works_and_the_old_one_is_dead(running):
    old = running.key()
    code, out = running.rotate()
    assert code == 0, out
    new = running.key()
    assert new != old
    assert len(new) == 64
    assert running.env.read_text().startswith(f"# ours\nAPI_KEY={new}\nMODEL_PATH=")
    assert (running.takes(new), running.takes(old)) == (True, False)


def test_a_restart_that_fails_puts_the_old_key_back(running):
    old = running.key()
    (running.folder / "broken").touch()  # the first restart fails, the second does not
    before = running.env.read_bytes()
    code, out = running.rotate()
    assert code == 1
    assert "the key was not changed: 'Start the service again' failed" in out
    assert "no such unit" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def test_a_service_that_does_not_take_the_new_key_keeps_the_old_one(running):
    """Its restart says that all is well, and nothing was started."""
    old, before = running.key(), running.env.read_bytes()
    code, out = running.rotate("-e", "patience=1", restart="/bin/true")
    assert code == 1
    assert "the key was not changed: 'See that the service takes the new key' failed" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def test_a_service_that_is_not_the_one_of_the_env_file(running):
    """Nothing is touched where the key at hand is not the one that the service takes."""
    before = running.env.read_bytes()
    running.env.write_text(running.env.read_text().replace(running.key(), "f0" * 32))
    code, out = running.rotate()
    assert code == 1
    assert "has it been started again since the key was written?" in out
    assert running.key() == "f0" * 32
    running.env.write_bytes(before)
    assert urllib.request.urlopen(f"{running.url}/health").status == 200
