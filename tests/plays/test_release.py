"""release.yml and restore.yml: what is built in one place serves in another, and what fails leaves the old model."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook.testing import changes_of, plan_of, play
from tests.plays.live import KEY, Live
from tests.releasing import experiment
from tests.service import Service, running_service, write_env


def test_a_release_is_built_read_back_and_its_path_told(tmp_path):
    root = experiment(tmp_path / "exp")
    plan = plan_of("release.yml", {"exp_dir": str(root)})
    check = play(plan, mode="check")
    assert [step["status"] for step in check["steps"]] == ["changed", "ok", "unsure", "ok", "ok"]
    assert not (root / "releases").exists()
    run = play(plan)
    assert [step["status"] for step in run["steps"]] == ["changed", "ok", "ok", "ok", "ok"]
    assert run["steps"][1]["data"]["msg"] == "export/model_2.onnx"
    assert [change["kind"] for change in changes_of(run)] == [change["kind"] for change in changes_of(check)]
    (path,) = (root / "releases").glob("*.tar.gz")
    assert run["steps"][4]["data"]["msg"] == str(path)
    again = play(plan)
    assert (again["status"], changes_of(again)) == ("ok", [])


def test_old_releases_go_and_the_served_model_stays(tmp_path):
    root, now = experiment(tmp_path / "exp"), datetime(2026, 3, 10, 2, tzinfo=UTC)
    write_env(tmp_path / ".env", MODEL_PATH=root / "export/model_1.onnx")
    inputs = {"exp_dir": str(root), "keep": "1", "older_than": "8d", "env_file": str(tmp_path / ".env")}
    for day, (name, version) in enumerate([("model_1", "1"), ("model_2", "2"), ("model_2", "3"), ("model_2", "4")]):
        plan = plan_of("release.yml", {**inputs, "model": f"{root}/export/{name}.onnx", "version": version})
        assert play(plan, now=now + timedelta(days=4 * day))["status"] == "ok"
    kept = sorted(path.name[8:16] for path in (root / "releases").glob("*.tar.gz"))
    assert kept == ["20260310", "20260318", "20260322"]  # served, younger than eight days, the newest


def test_a_secret_ends_the_run_and_is_shown_nowhere(tmp_path):
    """Of the run itself, by the command: in no output, no report, no journal, and no argument of a process."""
    root, env_file = experiment(tmp_path / "exp"), tmp_path / ".env"
    write_env(env_file, API_KEY=KEY)
    (root / "config.yaml").write_text(f"a: 1\nkey: {KEY}\n")
    command = [
        sys.executable,
        "-m",
        "runbook",
        "play",
        "release.yml",
        "-vv",
        "--diff",
        "--state-dir",
        str(tmp_path / "s"),
    ]
    for mode in ([], ["--check"], ["--json"]):
        done = subprocess.run(
            [*command, *mode, "-e", f"exp_dir={root}", "-e", f"env_file={env_file}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "config.yaml, line 2: it holds the value of API_KEY" in done.stdout
        assert KEY not in done.stdout + done.stderr
    told = [path.read_text() for path in (tmp_path / "s").rglob("*.json*")]
    assert told
    assert not [text for text in told if KEY in text or KEY[9:30] in text]
    assert not (root / "releases").exists() or not list((root / "releases").iterdir())


@pytest.fixture(scope="module")
def live(tmp_path_factory, digits_in):
    folder = tmp_path_factory.mktemp("restore").resolve()
    digits, env_file = digits_in(folder), folder / ".env"
    write_env(env_file, API_KEY=KEY, MODEL_PATH=digits.good)
    with running_service(digits.good, env_file, log=folder / "api.log") as service:
        yield Live(folder, digits, service, env_file)


def released(live: Live, model: Path) -> Path:
    run = live.play("release.yml", api_url=None, exp_dir=live.folder, model=model)
    assert run.code == 0, run.out
    return Path(run.step("Say where")["data"]["msg"])


def named(live: Live) -> str:
    lines = live.env_file.read_text().splitlines()
    return next((line.partition("=")[2].strip("'\"") for line in lines if line.startswith("MODEL_PATH=")), "")


def test_a_release_serves_again_and_a_second_run_does_nothing(live):
    path = released(live, live.digits.older)
    dest = live.folder / "restored" / path.name.removesuffix(".tar.gz")
    check = live.play("restore.yml", "--check", path=path)
    assert check.code == 0, check.out
    assert check.step("Unpack")["status"] == "changed"
    for name in ("See that it is the one", "See that it predicts"):  # of the old model nothing is proven
        step = check.step(name)
        assert (step["status"], step["reason"]) == ("unsure", "depends on step 3 'Reload the service with the model'")
    assert not dest.exists()
    assert (live.served, named(live)) == ("good.onnx", str(live.digits.good))

    run = live.play("restore.yml", path=path)
    assert run.code == 0, run.out
    assert live.version()["model_path"] == named(live) == str(dest / "export/older.onnx")
    assert run.step("See that it predicts")["data"]["sha256"] == live.version()["sha256"]
    again = live.play("restore.yml", path=path)
    assert (again.code, changes_of(again.report)) == (0, [])


def test_a_model_that_the_service_refuses_leaves_the_one_of_before(live):
    before = live.version(), named(live)
    run = live.play("restore.yml", path=released(live, live.digits.five), dest=live.folder / "five")
    assert run.code == 1
    assert "has 5 classes" in run.step("Reload")["error"]["message"]
    assert run.step("End as failed")["status"] == "failed"
    assert "Mend what the failure names" in run.out
    assert (live.version(), named(live)) == before


def test_a_model_that_loads_and_is_not_fit_gives_way_to_the_one_of_before(live):
    before = live.version()["sha256"], named(live)
    note = live.folder / "note.txt"
    note.write_text("no image\n")
    model = live.digits.good if "older" in live.served else live.digits.older
    run = live.play("restore.yml", path=released(live, model), dest=live.folder / "unfit", sample=note)
    assert run.code == 1
    assert run.step("See that it predicts")["status"] == "failed"
    assert run.step("Reload the service with the model of before")["status"] == "changed"
    assert (live.version()["sha256"], named(live)) == before


def test_a_damaged_archive_is_not_unpacked(live):
    path = released(live, live.digits.good)
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    path.write_bytes(bytes(data))
    run = live.play("restore.yml", path=path, dest=live.folder / "damaged")
    assert run.code == 1
    assert "is damaged, or another" in run.step("Unpack")["error"]["message"]
    assert not (live.folder / "damaged").exists()
    path.unlink()


# Stands for the machine's service manager: starts the service as .env says, and waits until it answers.
MANAGER = """
import subprocess, sys, urllib.request
from pathlib import Path
folder, url = Path(sys.argv[1]), sys.argv[2]
command = [sys.executable, "-m", "runbook", "service", "--port", url.rpartition(":")[2], "--env-file", folder / ".env"]
with (folder / "api.out").open("ab") as log:
    child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
(folder / "pid").write_text(str(child.pid))
"""


def test_by_a_restart_too(tmp_path, digits_in):
    """The service is down: only a restart brings it back, with the model of the release."""
    digits = digits_in(tmp_path)
    write_env(tmp_path / ".env", API_KEY=KEY, MODEL_PATH=tmp_path / "gone.onnx")
    (tmp_path / "manage.py").write_text(MANAGER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = Service(f"http://127.0.0.1:{port}", None, tmp_path / "api.out")
    live = Live(tmp_path, digits, service, tmp_path / ".env")
    restart = shlex.join([sys.executable, str(tmp_path / "manage.py"), str(tmp_path), service.url])
    try:
        path = released(live, digits.older)
        check = live.play("restore.yml", "--check", path=path, how="restart", restart=restart)
        assert check.code == 0, check.out
        assert check.step("See that it predicts")["status"] == "unsure"
        run = live.play("restore.yml", path=path, how="restart", restart=restart)
        assert run.code == 0, run.out
        assert run.step("Reload")["status"] == "skipped"
        assert live.version()["model_path"] == named(live)
        assert "older.onnx" in named(live)
        again = live.play("restore.yml", path=path, how="restart", restart=restart)
        assert (again.code, changes_of(again.report)) == (0, [])
    finally:
        if (tmp_path / "pid").exists():
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


def test_what_is_in_a_release_of_the_service(live):
    with tarfile.open(released(live, live.digits.older)) as tar:
        assert {"MANIFEST.json", "VERSION.txt", "export/older.onnx"} <= set(tar.getnames())
