"""daily.yml against the real service: everything is looked at, the upkeep is done, and errors in a log end it as failed."""

import os
import time

import pytest

from runbook.demo_folder import make_experiment
from tests.plays.live import KEY, Live
from tests.service import running_service, write_env


@pytest.fixture(scope="module")
def live(tmp_path_factory, digits_in):
    folder = tmp_path_factory.mktemp("daily").resolve()
    make_experiment(folder / "exp", lines=50)
    digits, env_file = digits_in(folder), folder / ".env"
    write_env(env_file, API_KEY=KEY)
    with running_service(digits.good, env_file, log=folder / "exp/logs/api.log") as service:
        yield Live(folder, digits, service, env_file)


def daily(live, *options, **inputs):
    return live.play("daily.yml", *options, **{"exp_dir": live.folder / "exp", "min_free": "0%", **inputs})


def test_check_run_and_again(live):
    check = daily(live, "--check")
    assert check.code == 0, check.out
    assert "unsure" not in check.statuses()
    run = daily(live)
    assert (run.code, run.statuses()) == (0, check.statuses())
    assert run.report["summary"]["changed"] == 4
    assert run.step("Write down which model")["data"]["model_path"] == str(live.digits.good)
    assert run.step("Look for errors in the service's logs")["data"]["errors"] == 0
    again = daily(live)
    assert (again.code, again.report["summary"]["changed"]) == (0, 0)


def test_errors_in_the_logs_are_told_once_the_upkeep_is_done(live):
    old = live.folder / "exp/logs/old.err"
    old.write_text("an old line\n")
    os.utime(old, (time.time() - 10 * 86400,) * 2)
    tunnel = live.folder / "cloudflared.log"
    tunnel.write_text(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} ERR no route, key {KEY}\n")
    live.play("rollback.yml", path=live.digits.five)
    run = daily(live, tunnel_log=tunnel, max_errors=0)
    assert run.code == 1
    assert not old.exists(), "the upkeep was not done"
    said = run.step("Fail if there were more errors in the service's logs")["error"]["message"]
    assert "1 errors in" in said
    assert "five.onnx has 5 classes" in said
    assert KEY not in run.out
    found = run.step("Look for errors in the tunnel's log")["data"]
    assert (found["errors"], "***" in found["samples"][0]["text"]) == (1, True)
    assert daily(live, tunnel_log=tunnel, max_errors=1).code == 0


def test_a_service_that_is_down_ends_it_at_once(live):
    from tests.serving import site

    with site() as gone:
        pass
    run = daily(live, api_url=gone.url)
    assert (run.code, run.statuses()) == (1, ["failed"])
    assert "started" in run.report["steps"][0]["error"]["hint"]


def test_an_experiment_without_any_log_of_the_service(live, tmp_path):
    (tmp_path / "logs").mkdir()
    run = daily(live, exp_dir=tmp_path)
    assert run.code == 1
    assert "there is no log" in run.step("Look for errors in the service's logs")["error"]["message"]


def test_one_command_line_fits_maintenance_too(live):
    assert live.play("maintenance.yml", exp_dir=live.folder / "exp", min_free="0%").code == 0
