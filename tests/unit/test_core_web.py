"""`uri`, `get_url` and `wait_for` on real sockets: what a check does not send, secrets, large files, downloads that break."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from runbook.testing import plan_of, play

SECRET = "hunter2-hunter2"


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes what it is sent; `/big` is of 80 MB, `/broken` ends before its end."""

    sent: list[tuple[str, str, str, bytes]]

    def log_message(self, *_: object) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.sent.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        self.send_response(200)
        size = {"/big": 80 * 10**6, "/broken": 100}.get(self.path, 2)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        try:
            for _ in range(80 if self.path == "/big" else 1):
                self.wfile.write(b"x" * (10**6 if self.path == "/big" else 2))
        except OSError:
            return  # who has seen enough hangs up
        self.close_connection = True

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls


@pytest.fixture
def server():
    sent: list[Any] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"sent": sent})) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", sent
        httpd.shutdown()
        thread.join()


def run(tmp_path: Path, steps: str, mode: Any = "run", **inputs: str) -> dict[str, Any]:
    text = "- hosts: localhost\n  inputs:\n    url: {type: url, default: 'http://127.0.0.1:1'}\n    key: {type: secret, default: ''}\n  steps:\n"
    (tmp_path / "playbook.yml").write_text(text + steps)
    return play(plan_of(tmp_path / "playbook.yml", inputs), mode=mode)


def test_a_check_asks_and_does_not_send(tmp_path, server):
    url, sent = server
    steps = """
    - uri: {url: "{{ url }}/health"}
    - uri: {url: "{{ url }}/reload", method: POST}
      register: posted
    - debug: {msg: "{{ posted.status }}"}
    - uri: {url: "{{ url }}/version"}
"""
    report = run(tmp_path, steps, "check", url=url)
    assert [step["status"] for step in report["steps"]] == ["ok", "changed", "unsure", "unsure"]
    assert [each[:2] for each in sent] == [("GET", "/health")]
    assert "depends on step 2" in report["steps"][3]["reason"]
    report = run(tmp_path, steps, url=url)
    assert [step["status"] for step in report["steps"]] == ["ok", "changed", "ok", "ok"]
    assert report["steps"][1]["data"]["msg"] == "OK (2 bytes)"


def test_secrets_reach_the_server_and_no_report(tmp_path, server):
    url, sent = server
    steps = f"""
    - uri: {{url: "{{{{ url }}}}/a", method: POST, body_format: json, body: {{k: "{{{{ key }}}}"}}, url_username: u, url_password: "{{{{ key }}}}"}}
    - uri: {{url: "{url.replace("http://", "http://u:pw-of-the-url@")}/b"}}
    - uri: {{url: "{{{{ url }}}}/c", method: POST, body_format: form-multipart, body: {{k: "{{{{ key }}}}"}}}}
    - lineinfile: {{path: {tmp_path}/env, line: "KEY={{{{ key }}}}", create: true}}
    - lineinfile: {{path: {tmp_path}/env, line: "KEY={{{{ key }}}}", state: absent}}
    - uri: {{url: "http://127.0.0.1:1/x", method: POST, body: "{{{{ key }}}}", url_username: u, url_password: "{{{{ key }}}}"}}
      ignore_errors: true
"""
    report = run(tmp_path, steps, url=url, key=SECRET)
    assert [step["status"] for step in report["steps"]] == ["changed", "ok", "changed", "changed", "changed", "failed"]
    assert sent[0][3] == json.dumps({"k": SECRET}).encode()
    assert sent[0][2].startswith("Basic ")
    assert sent[1][2].startswith("Basic ")
    assert SECRET.encode() in sent[2][3]
    text = json.dumps(report)
    assert SECRET not in text
    assert "pw-of-the-url" not in text
    assert report["steps"][5]["data"]["status"] == -1


def test_until_can_ask_for_the_status_of_no_answer(tmp_path, server):
    steps = """
    - uri: {url: "http://127.0.0.1:1/"}
      register: answer
      until: answer.status == 200
      retries: 1
      delay: 0
      ignore_errors: true
    - assert: {that: [answer.status == -1, answer.attempts == 2]}
"""
    assert [step["status"] for step in run(tmp_path, steps)["steps"]] == ["failed", "ok"]


def test_a_large_file_goes_to_disk_in_pieces(tmp_path, server):
    import resource

    url, _ = server
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = run(tmp_path, f"    - get_url: {{url: '{url}/big', dest: {tmp_path}/big, timeout: 60}}\n")
    assert report["steps"][0]["status"] == "changed", report["steps"][0]["error"]
    assert (tmp_path / "big").stat().st_size == 80 * 10**6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_download_that_breaks_leaves_what_was_there(tmp_path, server):
    url, _ = server
    (tmp_path / "f").write_text("old")
    report = run(tmp_path, f"    - get_url: {{url: '{url}/broken', dest: {tmp_path}/f, timeout: 60}}\n")
    assert report["steps"][0]["status"] == "failed"
    assert (tmp_path / "f").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "playbook.yml"]


def test_a_check_does_not_download(tmp_path, server):
    url, _ = server
    report = run(tmp_path, f"    - get_url: {{url: '{url}/x', dest: {tmp_path}/f}}\n", "check")
    assert report["steps"][0]["status"] == "changed"
    assert not (tmp_path / "f").exists()


def test_a_check_waits_for_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        steps = f"    - wait_for: {{port: {port}}}\n    - wait_for: {{path: {tmp_path}/no}}\n    - wait_for: {{timeout: 300}}\n"
        report = run(tmp_path, steps, "check")
    assert [step["status"] for step in report["steps"]] == ["ok", "unsure", "ok"]
    assert report["steps"][1]["reason"] == f"a run would wait for file {tmp_path}/no"


def test_a_port_is_waited_for(tmp_path):
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        timer = threading.Timer(0.2, late.listen)
        timer.start()
        steps = f"    - wait_for: {{port: {late.getsockname()[1]}, sleep: 0.05, timeout: 20}}\n"
        assert run(tmp_path, steps)["steps"][0]["status"] == "ok"
        timer.join()


def test_a_steps_timeout_ends_the_waiting(tmp_path):
    report = run(tmp_path, f"    - wait_for: {{path: {tmp_path}/no}}\n      timeout: 0.2\n")
    assert report["steps"][0]["error"]["type"] == "TimedOut"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("uri: {url: 'http://x', use_proxy: false}", "uri has no param 'use_proxy', as ansible-core's has"),
        ("get_url: {url: 'http://x', dest: /x, owner: me}", "get_url has no param 'owner', as ansible-core's has"),
        ("uri: {url: 'http://x', method: 'GE T'}", "'GE T' is no method of HTTP"),
        ("uri: {url: 'file:///etc/passwd'}", "this is no URL"),
        ("wait_for: {port: 70000}", "'port'"),
        ("wait_for: {port: 80, search_regex: '('}", "is no regular expression"),
    ],
)
def test_what_is_wrong_is_found_before_the_run(tmp_path, step, said):
    from runbook.errors import Invalid

    with pytest.raises(Invalid) as caught:
        run(tmp_path, f"    - {step}\n")
    assert said in str(caught.value)
