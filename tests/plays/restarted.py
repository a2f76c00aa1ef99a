"""A service that can be started again, and the plays that change its key: in a process of its own, looked at while it runs."""

import shlex
import socket
import subprocess
import sys
import time

import dotenv
import httpx
import psutil

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

    def rotate(self, *words, restart=None, way=None, book="rotate_key.yml", end=lambda: False):
        """Change the key; `way` says how the service comes to read it, and the run is killed when `end` says so."""
        argv = [*COMMAND, "play", book, "-e", f"env_file={self.env}", "-e", f"api_url={self.url}"]
        argv += way if way is not None else ["-e", f"restart={shlex.quote(str(restart or self.restart))}"]
        argv += [*words, "--state-dir", str(self.folder / "state"), "-v", "--diff"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            seen = set()
            while process.poll() is None:  # what everybody on the machine could read meanwhile
                seen |= {line for each in psutil.process_iter() if (line := command_line(each))}
                if end():
                    process.kill()
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
