"""The watch on a real service, killed and brought back; with real receivers of its alerts, in a time of the test's own."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from runbook.testing import plan_of, play
from tests.receiving import datagrams, mailbox
from tests.serving import site
from tests.supervised import tiny

START = datetime(2026, 3, 10, 2, tzinfo=UTC)


@pytest.fixture
def served(tmp_path):
    with tiny(tmp_path) as server:
        yield server


class Watch:
    """A watch whose passes are at moments of the test's own; `told` are the alerts that its webhook got."""

    def __init__(self, folder, checks, hook=None, **params):
        self.folder, self.state, self.log = folder, folder / "health.json", folder / "health.log"
        alert = {"console": False, **({"webhook": {"url": f"{hook.url}/hook"}} if hook else {})}
        self.params = {"checks": checks, "state": str(self.state), "log": str(self.log), "alert": alert, **params}
        self.hook, self.at = hook, START

    def once(self, *, after=60, mode="run", now=None, **inputs):
        """Make one pass, so many seconds after the last one."""
        self.at = now or self.at + timedelta(seconds=after)
        book = self.folder / "watch.yml"
        named = {name: {"type": "secret"} for name in inputs}
        book.write_text(
            yaml.safe_dump([{"hosts": "localhost", "inputs": named, "steps": [{"health.watch": self.params}]}])
        )
        (step,) = play(plan_of(book, inputs), mode=mode, now=self.at)["steps"]
        return step

    @property
    def told(self):
        return [asked.json()["title"] for asked in self.hook.asked]

    def known(self):
        return json.loads(self.state.read_text())


@pytest.fixture
def hook():
    with site({"POST /hook": (200, b"ok")}) as server:
        yield server


def up(served):
    """Start the service, and wait until it answers."""
    wait = {"http.check": {"url": served.url}, "retries": 200, "delay": 0.02}
    book = served.folder / "up.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [{"service.start": served.params}, wait]}]))
    assert [step["status"] for step in play(plan_of(book))["steps"]][-1] == "ok"


def awaited(served):
    """Wait until it answers after a restart."""
    book = served.folder / "wait.yml"
    wait = {"http.check": {"url": served.url}, "retries": 200, "delay": 0.02}
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [wait]}]))
    assert play(plan_of(book))["steps"][0]["status"] == "ok"


def test_a_killed_service_is_noticed_restarted_once_and_told_of_once(served, hook):
    up(served)
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart=served.params)
    assert watch.once()["data"]["healthy"] is True
    served.kill()
    first = watch.once()
    assert (first["status"], first["data"]["targets"]["tiny"]["state"]) == ("changed", "failing")
    assert (served.starts, watch.told) == (1, [])
    second = watch.once()
    assert second["status"] == "changed", second["error"]
    assert second["data"]["restarted"] == ["tiny"]
    awaited(served)
    assert served.starts == 2
    third = watch.once()
    assert third["data"]["targets"]["tiny"]["state"] == "up"
    for _ in range(3):
        assert watch.once()["data"]["healthy"] is True
    assert watch.told == ["tiny was down, and is up again after a restart"]
    assert served.starts == 2
    lines = watch.log.read_text().splitlines()
    assert [line.split(", ")[0].split(" ")[1] for line in lines] == ["ok"] * 7
    assert 'tiny=failing 1 in a row "the connection was refused"' in lines[1]
    assert lines[2].endswith("restart of tiny: done")


def test_one_that_never_comes_back_is_told_of_once_and_its_restarts_are_bounded(served, hook):
    up(served)
    served.kill()
    (served.folder / "broken").touch()
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart=served.params | {"stay": "5s"})
    steps = [watch.once() for _ in range(20)]
    assert [step["status"] for step in steps[:4]] == ["changed", "failed", "failed", "failed"]
    assert "tiny could not be restarted" in steps[1]["error"]["message"]
    assert "ended with rc 1 at once: the port is taken by somebody else" in steps[1]["error"]["message"]
    assert all(step["status"] == "failed" for step in steps[1:])
    assert sum(bool(step["data"]["restarted"]) for step in steps) == 3
    assert watch.told == ["tiny is down"]
    assert "The last restart failed" in hook.asked[0].json()["text"]
    (served.folder / "broken").unlink()
    up(served)
    assert watch.once()["data"]["healthy"] is True
    assert watch.told == ["tiny is down", "tiny is up again"]


def test_a_check_says_what_a_run_would_do_and_touches_nothing(served, hook):
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart=served.params)
    watch.once()
    before = {path: path.read_bytes() for path in (watch.state, watch.log)}
    would = watch.once(mode="check")
    assert [(change["kind"], change["target"]) for change in would["changes"]] == [
        ("write", str(watch.state)),
        ("attempt", "restart tiny"),
        ("produce", str(watch.state)),
        ("append", str(watch.log)),
    ]
    assert would["data"]["restarted"] == ["tiny"]
    assert {path: path.read_bytes() for path in before} == before
    assert (served.starts, hook.asked) == (0, [])


def test_an_alert_that_is_not_taken_is_tried_again_and_comes_once(tmp_path, hook):
    hook.routes["POST /hook"] = (503, b"busy")
    with site({"GET /health": (500, {})}) as server:
        watch = Watch(tmp_path, [{"name": "api", "url": f"{server.url}/health"}], hook)
        watch.once()
        second = watch.once()
        assert "could not tell webhook: api is down: the webhook did not take it" in second["error"]["message"]
        assert watch.known()["outbox"][0]["tries"] == 1
        assert watch.once()["data"]["waiting"] == ["api is down"]
        hook.routes["POST /hook"] = (200, b"ok")
        assert watch.once()["data"]["waiting"] == []
        watch.once()
    assert watch.told == ["api is down"] * 3
    assert len({asked.json()["key"] for asked in hook.asked}) == 1
    assert "not delivered: webhook: api is down" in watch.log.read_text()


def test_every_channel_is_told_and_one_that_fails_keeps_none_from_it(tmp_path):
    with (
        mailbox() as inbox,
        datagrams(tmp_path / "log") as syslog,
        site({"POST /a": (200, b""), "POST /b": (500, b"")}) as hooks,
        site() as server,
    ):
        alert = {
            "webhook": [{"url": f"{hooks.url}/b"}, {"url": f"{hooks.url}/a", "format": "slack"}],
            "email": {
                "server": "localhost",
                "port": inbox.port,
                "security": "none",
                "sender": "a@example.com",
                "to": "b@example.com",
            },
            "syslog": {"socket": str(tmp_path / "log")},
        }
        watch = Watch(tmp_path, [{"name": "api", "url": server.url}], failures=1, alert=alert)
        step = watch.once()
        assert b"api is down" in syslog.recv(9000)
    assert [change["target"] for change in step["changes"] if change["kind"] == "attempt"] == [
        f"tell {name}: api is down" for name in ("console", "syslog", "email", "webhook", "webhook 2")
    ]
    assert len(inbox.mails) == 1
    assert [asked.path for asked in hooks.asked] == ["/b", "/a"]
    (waiting,) = watch.known()["outbox"]
    assert waiting["channels"] == ["webhook"]


def test_the_dead_mans_switch_hears_of_every_pass(tmp_path):
    with site({"GET /health": (200, {})}) as server, site() as switch:
        for path in ("/u", "/u/start", "/u/fail", "/u/0", "/u/1"):
            switch.routes[f"GET {path}"] = (200, b"OK")
        watch = Watch(tmp_path, [{"name": "api", "url": f"{server.url}/health"}], failures=1)
        watch.params["ping"] = {"url": f"{switch.url}/u", "start": True}
        watch.once()
        server.routes.clear()
        watch.once()
        watch.params["ping"] = {"url": f"{switch.url}/u", "codes": True}
        watch.once()
        server.routes["GET /health"] = (200, {})
        watch.once()
        assert [asked.path for asked in switch.asked] == ["/u/start", "/u", "/u/start", "/u/fail", "/u/1", "/u/0"]
        switch.routes.clear()
        assert watch.once()["status"] == "changed"  # a switch that is away is no fault of the service


def test_a_pass_that_cannot_keep_its_state_restarts_nothing_and_pings_nobody(served, tmp_path):
    with site({"GET /u": (200, b"OK")}) as switch:
        watch = Watch(tmp_path, [{"name": "tiny", "url": served.url}], restart=served.params, failures=1)
        watch.params["ping"] = {"url": f"{switch.url}/u"}
        watch.state.mkdir()
        step = watch.once()
        assert (step["status"], served.starts, switch.asked) == ("failed", 0, [])
        assert "health.json" in step["error"]["message"]


def test_damaged_state_is_put_aside_and_is_never_well(served, hook):
    up(served)
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart=served.params)
    watch.once()
    watch.state.write_text(watch.state.read_text()[:100])
    step = watch.once()
    assert step["status"] == "failed"
    assert "could not be read: it is no JSON" in step["error"]["message"]
    assert step["data"]["healthy"] is False
    assert len(list(served.folder.glob("health.json.damaged-*"))) == 1
    assert watch.told == ["the health watch has lost its memory"]
    assert watch.once()["status"] == "changed"
    served.kill()
    assert [watch.once()["data"]["restarted"] for _ in range(3)] == [[], [], []]  # how often it was is not known
    assert served.starts == 1


def test_a_clock_that_jumps_leaves_the_watch_at_work(served, hook):
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart={"run": ["true"]})
    for _ in range(4):
        watch.once()
    assert watch.told == ["tiny is down"]
    watch.once(now=START - timedelta(days=2))
    restarts = [watch.once()["data"]["restarted"] for _ in range(20)]
    assert sum(map(bool, restarts)) <= 2
    watch.once(now=START + timedelta(days=400))
    assert watch.told == ["tiny is down"]


@pytest.mark.parametrize("night", ["2026-03-29T00:58:00+00:00", "2026-10-25T00:58:00+00:00"])
def test_the_nights_in_which_the_clocks_are_changed_are_like_any_other(served, hook, night, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart={"run": ["true"]})
    watch.at = datetime.fromisoformat(night)
    restarts = [bool(watch.once()["data"]["restarted"]) for _ in range(8)]
    assert restarts == [False, True, False, False, True, False, False, True]


def test_a_command_that_hangs_is_ended_and_told_of(tmp_path, hook):
    with site() as server:
        restart = {"run": ["sleep", "60"], "timeout": "100ms"}
        watch = Watch(tmp_path, [{"name": "api", "url": server.url}], hook, restart=restart, failures=1)
        step = watch.once()
    assert "sleep 60 could not be restarted: `sleep 60` did not end within 100ms" in step["error"]["message"]
    assert watch.known()["services"]["sleep 60"]["grace_until"] is None


def test_a_program_that_is_missing_keeps_nobody_from_being_told(tmp_path, hook):
    with site() as server:
        watch = Watch(tmp_path, [{"name": "api", "url": server.url}], hook, restart={"run": ["no-such-tool"]})
        steps = [watch.once() for _ in range(4)]
    assert "there is no program no-such-tool" in steps[1]["error"]["message"]
    assert watch.told == ["api is down"]


def test_a_pid_file_that_cannot_be_relied_on_is_a_restart_that_was_refused(served, hook):
    (served.folder / "tiny.pid").write_text("4711\n")
    watch = Watch(served.folder, [{"name": "tiny", "url": served.url}], hook, restart=served.params)
    steps = [watch.once() for _ in range(3)]
    assert "does not say when its process started" in steps[1]["error"]["message"]
    assert watch.told == ["tiny is down"]
    assert served.starts == 0


def test_secrets_are_in_no_file_and_no_alert(tmp_path, hook):
    key = "canary-0123456789/+='\""
    with site({"GET /health": (200, {"status": key})}) as server:
        checks = [
            {
                "name": "one",
                "url": f"{server.url}/health",
                "json": {"status": "healthy"},
                "headers": {"X-API-Key": "{{ key }}"},
            },
            {"name": "two", "url": "{{ address }}"},
        ]
        watch = Watch(tmp_path, checks, hook, failures=1)
        watch.params["restart"] = {"run": ["sh", "-c", f"echo '{key.replace(chr(39), '')}' >&2; exit 1"]}
        step = watch.once(key=key, address="http://127.0.0.1:1/canary-in-the-path-0123456789")
    assert server.asked[0].headers["x-api-key"] == key
    kept = [watch.state.read_text(), watch.log.read_text(), *(asked.body.decode() for asked in hook.asked)]
    assert not any("canary-in" in text or key in text for text in kept)
    assert "holds a secret" in watch.log.read_text()
    assert step["status"] == "failed"


def test_it_asks_for_what_is_needed(tmp_path):
    from runbook.errors import Invalid

    def problem(**params):
        book = tmp_path / "book.yml"
        book.write_text(yaml.safe_dump([{"hosts": "localhost", "steps": [{"health.watch": params}]}]))
        with pytest.raises(Invalid) as wrong:
            plan_of(book)
        return str(wrong.value)

    good = {"checks": [{"name": "a", "url": "http://localhost/"}], "state": "s"}
    assert "there is no 'webhok' in it" in problem(**good, alert={"webhok": {}})
    assert "it needs 'url'" in problem(checks=[{"name": "a"}], state="s")
    assert "this is no URL" in problem(checks=[{"name": "a", "url": "localhost"}], state="s")
    assert "belong to `provider: process`" in problem(
        **good, restart={"name": "x", "provider": "systemd", "command": ["x"]}
    )
    assert "greater than 0" in problem(**good, failures=0)
    assert "is no duration" in problem(**good, grace=90)


def test_a_run_that_is_killed_in_the_restart_has_counted_it(served, tmp_path):
    """The state is written before the restart is tried, so no crash makes one that nobody knows of."""
    watch = Watch(tmp_path, [{"name": "tiny", "url": served.url}], failures=1)
    copy = tmp_path / "seen.json"
    watch.params["restart"] = {"run": ["cp", "health.json", str(copy)], "chdir": str(tmp_path)}
    watch.once()
    assert len(json.loads(copy.read_text())["services"][f"cp health.json {copy}"]["times"]) == 1


def test_the_state_can_be_read_by_people(served, tmp_path):
    watch = Watch(tmp_path, [{"name": "tiny", "url": served.url}])
    watch.once()
    known = watch.known()
    assert known["schema"] == "runbook.health/1"
    assert known["targets"]["tiny"]["since"] == "2026-03-10T02:01:00Z"
    assert known["last_run"] == "2026-03-10T02:01:00Z"
    assert known["boot"]
