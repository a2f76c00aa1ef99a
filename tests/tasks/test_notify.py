"""Messages reach real receivers, byte for byte what their formats ask for; nothing is sent in check mode."""

import email
import email.policy
import re
from subprocess import list2cmdline

import pytest
import trustme
import yaml

from runbook.registry import Registry
from runbook.testing import MemoryHost, plan_of, play
from tests.receiving import PASSWORD, USER, datagrams, mailbox, stream, udp
from tests.serving import site

TEXT = {"message": "the tunnel is down\nsince 02:00 <now> & ü", "title": "Health", "level": "critical"}


def step(tmp_path, task, params, mode="run", **inputs):
    book = tmp_path / "book.yml"
    named = {name: {"type": "secret"} for name in inputs}
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "inputs": named, "steps": [{task: params}]}]))
    (result,) = play(plan_of(book, inputs), mode=mode)["steps"]
    return result


def test_this_machines_log_gets_what_syslog_3_would_send(tmp_path):
    with datagrams(tmp_path / "log") as line:
        result = step(tmp_path, "notify.syslog", TEXT | {"socket": str(tmp_path / "log")})
        data = line.recv(9000).decode()
    assert result["status"] == "changed", result["error"]
    assert re.fullmatch(
        r"<26>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d runbook: Health: the tunnel is down since 02:00 <now> & ü", data
    )


def test_a_server_gets_rfc_5424_by_udp(tmp_path):
    with udp() as (port, line):
        params = TEXT | {"server": "127.0.0.1", "port": port, "facility": "local3", "app": "health"}
        assert step(tmp_path, "notify.syslog", params)["status"] == "changed"
        data = line.recv(9000)
    head, mark, text = data.partition(b"\xef\xbb\xbf")
    assert re.fullmatch(rb"<154>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]{1,255} health - - - ", head)
    assert (mark, text.decode()) == (b"\xef\xbb\xbf", "Health: the tunnel is down since 02:00 <now> & ü")


def test_by_tcp_the_octets_are_counted(tmp_path):
    with stream() as (port, got):
        params = TEXT | {"server": "127.0.0.1", "port": port, "protocol": "tcp"}
        assert step(tmp_path, "notify.syslog", params)["status"] == "changed"
    count, _, rest = got[0].partition(b" ")
    assert int(count) == len(rest)
    assert rest.startswith(b"<26>1 ")


def test_a_long_message_is_cut_between_two_characters(tmp_path):
    with udp() as (port, line):
        step(tmp_path, "notify.syslog", {"message": "ü" * 9000, "server": "127.0.0.1", "port": port})
        text = line.recv(65535).partition(b"\xef\xbb\xbf")[2].decode()
    assert len(text.encode()) <= 8000
    assert text.endswith("ü...")


def test_a_webhook_of_each_form(tmp_path):
    with site({"POST /T0/B0": (200, b"ok")}) as server:
        url = {"url": f"{server.url}/T0/B0"}
        assert step(tmp_path, "notify.webhook", TEXT | url)["status"] == "changed"
        assert step(tmp_path, "notify.webhook", TEXT | url | {"format": "slack"})["status"] == "changed"
    plain, slack = (asked.json() for asked in server.asked)
    assert plain.keys() == {"title", "text", "level", "host", "key", "time"}
    assert (plain["title"], plain["text"], plain["level"]) == ("Health", TEXT["message"], "critical")
    host = plain["host"]
    assert slack == {
        "text": f"*Health* (critical, {host})\nthe tunnel is down\nsince 02:00 &lt;now&gt; &amp; ü",
    }


def test_the_address_of_a_webhook_is_shown_nowhere(tmp_path):
    with site({"POST /T0/B0/very-secret-token": (500, b"no")}) as server:
        url = f"{server.url}/T0/B0/very-secret-token"
        result = step(tmp_path, "notify.webhook", TEXT | {"url": "{{ hook }}"}, hook=url)
    assert result["status"] == "failed"
    assert "did not take it: the answer is 500" in result["error"]["message"]
    spec = Registry().spec("notify.webhook")
    assert "very-secret-token" not in repr(spec.params(message="x", url=url))


def test_a_mail_arrives_whole(tmp_path, monkeypatch):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with mailbox("starttls", ca, login=True) as inbox:
        params = {"server": "localhost", "port": inbox.port, "sender": "runbook@example.com", "to": "ops@example.com"}
        login = {"user": USER, "password": "{{ password }}"}
        result = step(tmp_path, "notify.email", TEXT | params | login, password=PASSWORD)
        assert result["status"] == "changed", result["error"]
    (envelope,) = inbox.mails
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert (mail["Subject"], mail["From"], mail["To"]) == ("[critical] Health", params["sender"], params["to"])
    assert re.fullmatch(r"<[0-9a-f]{32}@example.com>", mail["Message-ID"])
    assert mail.get_content().splitlines()[:3] == [*TEXT["message"].splitlines(), ""]


@pytest.mark.parametrize("task", ["webhook", "syslog", "email", "console"])
def test_a_check_sends_nothing(tmp_path, task):
    with site() as server, mailbox() as inbox, udp() as (port, line):
        line.setblocking(False)
        params = {
            "webhook": {"url": server.url},
            "syslog": {"server": "127.0.0.1", "port": port},
            "email": {"server": "localhost", "port": inbox.port, "security": "none", "sender": "a@b", "to": "c@d"},
            "console": {},
        }[task]
        result = step(tmp_path, f"notify.{task}", TEXT | params, mode="check")
        assert (result["status"], len(result["changes"])) == ("changed", 1)
        assert (server.asked, inbox.mails) == ([], [])
        with pytest.raises(BlockingIOError):
            line.recv(100)


def test_eventcreate_to_the_byte():
    spec = Registry().spec("notify.eventlog")
    want = spec.params(message='he said "no"', title="Health", level="warning", source="pills", id=7)
    (change,) = spec.function(want, MemoryHost())
    assert list2cmdline(change.command.argv) == (
        r'eventcreate.exe /L APPLICATION /T WARNING /SO pills /ID 7 /D "Health: he said \"no\""'
    )


def test_no_syslog_daemon(tmp_path):
    result = step(tmp_path, "notify.syslog", TEXT | {"socket": str(tmp_path / "nobody")})
    assert "there is no such socket" in result["error"]["message"]
