"""Parcels reach real receivers; what goes wrong is said without what was sent."""

import os
import socket
from datetime import UTC, datetime

import pytest
import trustme

from runbook.changes import Run, RunCommand
from runbook.changes.adding import Append
from runbook.changes.messages import Attempt, Deliver, Mail, Packet, Words
from runbook.errors import ImpurePlan, TaskFailed
from runbook.host import LocalHost, Overlay, guard
from runbook.units import Secret
from runbook.unknown import Unknown, resolved, then
from tests.receiving import PASSWORD, USER, datagrams, mailbox, stream, udp

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
MAIL = {"sender": "watch@example.com", "recipients": ("ops@example.com",), "content": b"Subject: x\r\n\r\nhello\r\n"}


class Ear:
    def __init__(self):
        self.heard = []

    def output(self, stream, line):
        self.heard.append((stream, line))

    def progress(self, *_):
        """Take no notice."""


@pytest.fixture
def host(tmp_path):
    return LocalHost(now=NOW, cwd=tmp_path, env=dict(os.environ), run_id="test", listener=Ear())


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


def send(host, parcel):
    change = Deliver(parcel)
    change.apply(host)
    return change.cell.get()


def test_words_go_to_whoever_watches(host):
    assert send(host, Words("one\ntwo")) == ("console",)
    assert host._listener.heard == [("stdout", "one"), ("stdout", "two")]


def test_packets(host, tmp_path):
    with udp() as (port, line):
        send(host, Packet(f"udp://127.0.0.1:{port}", b"datagram"))
        assert line.recv(100) == b"datagram"
    with stream() as (port, got):
        send(host, Packet(f"tcp://127.0.0.1:{port}", b"9 of bytes"))
    assert got == [b"9 of bytes"]
    with datagrams(tmp_path / "log") as line:
        send(host, Packet(f"unix:{tmp_path / 'log'}", b"<30>text"))
        assert line.recv(100) == b"<30>text"
    with stream(tmp_path / "slog") as (_, got):
        send(host, Packet(f"unix:{tmp_path / 'slog'}", b"<30>text"))
    assert got == [b"<30>text\0"]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("unix:/nowhere/log", "there is no such socket"),
        ("tcp://127.0.0.1:{free}", "refused"),
        ("tcp://no-such-host.invalid:514", "cannot be resolved"),
        ("udp://no-such-host.invalid:514", "cannot be resolved"),
    ],
)
def test_packets_that_cannot_be_sent(host, address, reason):
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        free = spare.getsockname()[1]
    with pytest.raises(TaskFailed, match=f"nothing could be sent to {address.format(free=free)}.*{reason}"):
        send(host, Packet(address.format(free=free), b"x", timeout=5))


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_mail_by_each_kind_of_connection(host, ca, security, monkeypatch, tmp_path):
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    secure = security != "none"
    with mailbox(security, ca if secure else None, login=secure) as inbox:
        known = {"user": USER, "password": Secret(PASSWORD)} if secure else {}
        took = send(host, Mail("localhost", inbox.port, security=security, **known, **MAIL))
    assert took == ("ops@example.com",)
    (mail,) = inbox.mails
    assert (mail.mail_from, mail.rcpt_tos) == ("watch@example.com", ["ops@example.com"])
    assert mail.content.endswith(b"hello\r\n")
    assert inbox.logins == ([True] if secure else [])


def test_a_certificate_that_nobody_knows(host, ca):
    with mailbox("starttls", ca, login=True) as inbox:
        to = {"server": "localhost", "port": inbox.port, "user": USER, "password": Secret(PASSWORD)}
        with pytest.raises(TaskFailed, match="TLS failed"):
            send(host, Mail(**to, **MAIL))
        assert inbox.logins == []
        send(host, Mail(**to, **MAIL, verify=False))
    assert len(inbox.mails) == 1


def test_a_login_that_is_refused_is_told_without_the_password(host, ca):
    with mailbox("tls", ca, login=True) as inbox:
        mail = Mail("localhost", inbox.port, security="tls", user=USER, password=Secret("wrong"), verify=False, **MAIL)
        with pytest.raises(TaskFailed, match=r"the login was refused \(535\)") as failed:
            send(host, mail)
    assert "wrong" not in repr(failed.value)
    assert failed.value.__cause__ is None
    assert "wrong" not in repr(mail)


def test_recipients_that_are_refused(host):
    with mailbox() as inbox:
        inbox.refused = {"nobody@example.com"}
        two = MAIL | {"recipients": ("ops@example.com", "nobody@example.com")}
        with pytest.raises(TaskFailed, match=r"refused some of the recipients: nobody@example.com \(550\)"):
            send(host, Mail("localhost", inbox.port, security="none", **two))
        with pytest.raises(TaskFailed, match=r"every recipient was refused: nobody@example.com \(550\)"):
            send(host, Mail("localhost", inbox.port, security="none", **two | {"recipients": two["recipients"][1:]}))
    assert len(inbox.mails) == 1


def test_a_server_without_starttls(host):
    with mailbox() as inbox, pytest.raises(TaskFailed, match="does not offer STARTTLS"):
        send(host, Mail("localhost", inbox.port, **MAIL))


def test_nothing_is_sent_while_a_plugin_plans_or_on_an_overlay(host):
    with udp() as (port, line):
        line.setblocking(False)
        parcel = Packet(f"udp://127.0.0.1:{port}", b"x")
        assert isinstance(Overlay(host).deliver(parcel), Unknown)
        with pytest.raises(ImpurePlan), guard.planning("test"):
            Overlay(host).deliver(parcel)
        with pytest.raises(BlockingIOError):
            line.recv(10)


def test_an_attempt_goes_on(host, tmp_path):
    bad = Attempt("try it", (Run(RunCommand(("false",)), expect=(0,)),))
    good = Attempt("try it", (Run(RunCommand(("true",)), expect=(0,)),))
    bad.apply(host)
    good.apply(host)
    assert resolved(bad.outcome).error == "`false` ended with rc 1"
    assert (resolved(good.outcome).error, resolved(good.outcome).outcome.rc) == (None, 0)
    assert bad.describe() == "run false"
    Append(tmp_path / "log", then(bad.outcome, lambda done: f"{done.error}\n".encode())).apply(host)
    assert (tmp_path / "log").read_text() == "`false` ended with rc 1\n"


def test_an_attempt_on_an_overlay_is_known_only_where_it_cannot_be_made(host):
    missing = Attempt("try it", (Run(RunCommand(("no-such-program",))),))
    there = Attempt("try it", (Run(RunCommand(("true",))),))
    for attempt in (missing, there):
        attempt.apply(Overlay(host))
    assert "no program" in resolved(missing.outcome).error
    assert isinstance(resolved(there.outcome), Unknown)


def test_appending(host, tmp_path):
    log = tmp_path / "log"
    overlay = Overlay(host, imagined=True)
    for machine in (overlay, host):
        Append(log, b"one\n").apply(machine)
        Append(log, b"two\n").apply(machine)
        assert machine.read(log) == b"one\ntwo\n"
        assert (machine.stat(log).size, machine.stat(log).mode) == (8, 0o644)
    other = Overlay(host, imagined=True)
    Append(log, b"three\n").apply(other)
    assert (other.read(log), log.read_text()) == (b"one\ntwo\nthree\n", "one\ntwo\n")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path in ("folder", "fifo", "missing/log"):
        for machine in (Overlay(host), host):
            with pytest.raises(TaskFailed, match=f"cannot add to .*{path}"):
                Append(tmp_path / path, b"x").apply(machine)


def test_appending_to_a_large_file_holds_none_of_it(host, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 2_000_000)
    overlay = Overlay(host, imagined=True)
    Append(log, b"end\n").apply(overlay)
    assert overlay.stat(log).size == 2_000_004
