"""verify.yml against the real service: all of it holds, nothing is left of it, and each part fails in its own words."""

import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import dotenv
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runbook.errors import Invalid
from runbook.service.digits import write_samples
from runbook.testing import plan_of, play
from tests.measuring import write_mlp
from tests.plays.live import Live
from tests.service import running_service, write_env
from tests.tasks.test_cron import CRONTAB

SMALL = {"batches": "1", "rounds": "6", "budget": "1s", "max_drop": "2"}
PARTS = ["health", "release", "bench", "optimise", "quantise", "rollback", "schedules", "upkeep"]


@pytest.fixture(scope="module")
def live(tmp_path_factory, digits_in):
    folder = tmp_path_factory.mktemp("verify").resolve()
    digits, env_file = digits_in(folder), folder / ".env"
    for name in ("damaged", "five"):
        (folder / f"export/{name}.onnx").rename(folder / f"{name}.onnx")
    for name in ("logs", "checkpoints"):
        (folder / name).mkdir()
    (folder / "logs/train.out").write_text("epoch 1\n")
    write_samples(folder / "val", each=14, by_label=True)
    write_env(env_file, MODEL_PATH=digits.good)
    with running_service(digits.good, env_file, log=folder / "api.log") as service:
        yield Live(folder, digits, service, env_file)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Give the file that a `crontab` of the test's own keeps; that program is the one that is found."""
    program = tmp_path / "bin/crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program.with_name("table")


def schedule(live, *words):
    argv = [sys.executable, "-m", "runbook", "schedule", *words, "--state-dir", str(live.folder / "state")]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def given(live, **more):
    known = {"exp_dir": live.folder, "api_url": live.service.url, "env_file": live.env_file, **SMALL}
    return {name: str(value) for name, value in {**known, **more}.items()}


def failing(live, part, **more):
    """Play a part that must fail, on the spot; give the step's name and what it said."""
    before = live.version()
    report = play(plan_of("verify.yml", given(live, **more), tags=(part,)))
    assert report["status"] == "failed", report["steps"]
    bad = next(step for step in report["steps"] if step["status"] == "failed")
    assert live.version()["sha256"] == before["sha256"], "what was served is served"
    assert not (live.folder / "reports/verify/rehearsal.json").exists()
    return bad["name"], f"{bad['error']['message']} {bad['error']['hint']}"


def test_all_of_it_holds_and_nothing_but_what_it_measured_is_left(live, table):
    log = live.folder / "logs/cron.out"
    schedule(live, "install", "maintenance.yml", "--at", "02:00", "-e", f"exp_dir={live.folder}", "--log", str(log))
    line = table.read_text().splitlines()[1].split(" ", 5)[-1].replace("\\%", "%")
    subprocess.run(["/bin/sh", "-c", line], check=True, timeout=60)  # as cron starts it, the first time
    shutil.rmtree(live.folder / "reports")
    jobs, env = table.read_text(), live.env_file.read_text()
    more = SMALL | {
        "exp_dir": live.folder,
        "external_url": live.service.url.replace("127.0.0.1", "localhost"),
        "val_images": live.folder / "val",
        "sample": live.digits.samples[7],
        "jobs": '[{maintenance: "0 2 * * *"}]',
        "job_logs": log,
        "tunnel_log": live.folder / "api.log",
    }
    check = live.play("verify.yml", "--check", **more)
    assert check.code == 0, check.out
    assert not (live.folder / "releases").exists()
    assert not (live.folder / "reports").exists()
    assert "all holds for" not in check.out

    run = live.play("verify.yml", **more)
    assert run.code == 0, run.out
    assert "all holds for" in run.out
    assert "1 at once: p50 " in run.out
    assert run.step("Reload the service with the previous")["data"]["model_path"] == str(live.digits.older)
    for step in ("Reload the service with the previous", "Reload the service with the model of before"):
        assert run.step(step)["data"]["continuity"]["failed"] == {"before": 0, "during": 0, "after": 0}
    assert run.step("Quantise it")["data"]["flips"]["lost"] < 3
    assert run.step("Search for")["data"]["tried"] > 1
    assert {step["status"] for step in run.report["steps"]} == {"ok", "changed", "skipped"}
    assert live.served == "good.onnx"
    assert (table.read_text(), live.env_file.read_text()) == (jobs, env)
    assert dotenv.dotenv_values(live.env_file)["API_KEY"] not in run.out + json.dumps(run.report)
    assert {path.name for path in (live.folder / "export").iterdir()} == {"good.onnx", "older.onnx"}
    assert {path.name for path in (live.folder / "reports/verify").iterdir()} == {
        "bench.json", "bench.svg", "model.int8.json", "model.int8.onnx", "ort_bench.json"
    }  # fmt: skip
    (archive,) = (live.folder / "releases").glob("*.tar.gz")
    subprocess.run(["sha256sum", "-c", "--strict", f"{archive.name}.sha256"], cwd=archive.parent, check=True)


def test_every_part_can_be_played_alone(live):
    for part in PARTS:
        # Nothing that another part would have found out is lacking, and more is played than what always is.
        assert len(plan_of("verify.yml", given(live), tags=(part,)).steps) > 1, part


def test_a_service_that_is_down_ends_it_at_once(live, tmp_path):
    report = play(plan_of("verify.yml", given(live, api_url="http://127.0.0.1:9", exp_dir=tmp_path)))
    assert [step["status"] for step in report["steps"]] == ["failed"]
    assert "the connection was refused" in report["steps"][0]["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_tunnel_that_is_down(live):
    name, said = failing(live, "health", external_url="http://127.0.0.1:9")
    assert name.endswith("from outside")
    assert "refused" in said


def test_a_release_with_a_secret_in_it(live):
    leaked = live.folder / "config.yaml"
    leaked.write_text(f"key: {dotenv.dotenv_values(live.env_file)['API_KEY']}\n")
    try:
        name, said = failing(live, "release")
    finally:
        leaked.unlink()
    assert name == "Pack the model with what it needs"
    assert "config.yaml" in said


def test_an_answer_that_takes_too_long(live):
    name, said = failing(live, "bench", max_latency="0.0001ms")
    assert name == "See that an answer does not take too long"
    assert "it must be within 0.0001 ms" in said


def test_a_model_that_is_slower_than_the_baseline(live, tmp_path):
    quick = write_mlp(tmp_path / "quick.onnx")
    slow = write_mlp(tmp_path / "slow.onnx", width=512, depth=4)
    small = {**SMALL, "rounds": "10"}
    kept = play(plan_of("gate.yml", {"exp_dir": str(live.folder), "model": str(quick), "batches": "1", "rounds": "10"}))
    assert kept["status"] == "ok"
    try:
        name, said = failing(live, "bench", model=slow, **small)
    finally:
        shutil.rmtree(live.folder / "reports/baseline")
    assert name == "Hold the model against the baseline"
    assert "slower than the old one by more than 5%: batch 1" in said


def test_a_model_that_is_damaged_cannot_be_optimised(live):
    name, _ = failing(live, "optimise", model=live.folder / "damaged.onnx")
    assert name == "Search for better session options"


def test_an_int8_model_that_is_worse_is_refused(live, tmp_path):
    name, said = failing(live, "quantise", model=lopsided(live, tmp_path), val_images=live.folder / "val")
    assert name == "Quantise it, and judge the result"
    assert "not published: top-1 drops by" in said


def lopsided(live, folder):
    """Give the good model with one unit of its layer a million times as large, and taken back after it: the same to
    floats, and too much for eight bits.
    """
    model = onnx.load(live.digits.good)
    weights = {one.name: one for one in model.graph.initializer}
    for name, part, factor in (
        ("weight_0", np.s_[:, 0], 1e6), ("bias_0", np.s_[0], 1e6), ("weight_1", np.s_[0], 1e-6)
    ):  # fmt: skip
        values = numpy_helper.to_array(weights[name]).copy()
        values[part] *= factor
        weights[name].CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, folder / "lopsided.onnx")
    return folder / "lopsided.onnx"


def test_a_stable_model_that_only_a_release_has(live, tmp_path):
    shutil.copytree(live.folder / "export", tmp_path / "export")
    for hours, model in ((2, "older"), (1, "good")):
        inputs = {"exp_dir": str(tmp_path), "model": str(tmp_path / f"export/{model}.onnx")}
        built = play(plan_of("release.yml", inputs), now=datetime.now(UTC) - timedelta(hours=hours))
        assert built["status"] == "ok", built["steps"]
    (tmp_path / "export/older.onnx").unlink()
    plan = plan_of("verify.yml", given(live, exp_dir=tmp_path), tags=("rollback",))
    assert play(plan, mode="check")["status"] == "ok"
    assert not (tmp_path / "restored").exists()
    report = play(plan)
    assert report["status"] == "ok", report["steps"]
    reloaded = [
        step["data"]["model_path"]
        for step in report["steps"]
        if step["task"] == "model.reload" and step["status"] == "changed"
    ]
    (unpacked,) = tmp_path.glob("restored/*/export/older.onnx")
    assert reloaded == [str(unpacked), str(live.digits.good)]
    assert live.served == "good.onnx"


def test_no_model_to_go_back_to(live, tmp_path):
    shutil.copytree(live.folder / "export", tmp_path / "export", ignore=shutil.ignore_patterns("older*"))
    name, said = failing(live, "rollback", exp_dir=tmp_path)
    assert name == "Find the previous stable model"
    assert "no model before" in said


def test_a_stable_model_that_does_not_fit_and_one_that_is_served(live):
    name, said = failing(live, "rollback", stable=live.folder / "five.onnx")
    assert name == "Reload the service with the previous stable model"
    assert "has 5 classes" in said
    _, said = failing(live, "rollback", stable=live.digits.good)
    assert "is served already" in said


def test_a_rehearsal_that_was_killed_is_put_right_by_the_next(live):
    record = live.folder / "reports/verify/rehearsal.json"
    with live.start("verify.yml", "-t", "rollback", exp_dir=live.folder) as process:
        while live.served != "older.onnx" and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert json.loads(record.read_text())["model"] == str(live.digits.good)
    report = play(plan_of("verify.yml", given(live), tags=("health",)))
    assert report["status"] == "ok", report["steps"]
    assert (live.served, record.exists()) == ("good.onnx", False)


def test_what_somebody_has_put_in_place_since_stays(live):
    record = live.folder / "reports/verify/rehearsal.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    told = {"url": live.service.url, "model": str(live.digits.older), "stable": str(live.folder / "third.onnx")}
    record.write_text(json.dumps(told))
    report = play(plan_of("verify.yml", given(live), tags=("health",)))
    assert report["status"] == "ok", report["steps"]
    assert (live.served, record.exists()) == ("good.onnx", False)


def test_numbers_that_nothing_can_be_measured_with_are_refused_at_once(live):
    for wrong in ({"rounds": "5"}, {"batches": "1,0"}, {"max_slower": "a lot"}):
        for book in ("verify.yml", "gate.yml"):
            with pytest.raises(Invalid, match="does not match"):
                plan_of(book, given(live, **wrong))


def test_jobs_that_are_not_there_or_at_another_time(live, table):
    assert failing(live, "schedules") == (
        "See that the jobs are scheduled",
        "not scheduled: daily `runbook schedule install daily.yml --at 02:00 -e ...`; `runbook schedule show` says what there is",
    )
    inputs = given(live, jobs_required="false")
    assert play(plan_of("verify.yml", inputs, tags=("schedules",)))["summary"]["ignored"] == 1
    schedule(live, "install", "daily.yml", "--at", "02:30", "-e", f"exp_dir={live.folder}")
    assert "at '30 2 * * *', not at '0 2 * * *'" in failing(live, "schedules", jobs='[{daily: "0 2 * * *"}]')[1]
    log = live.folder / "logs/nightly.out"
    name, said = failing(live, "schedules", job_logs=log)
    assert name.startswith("Read how the last run")
    assert "nightly.out" in said
    for words in (
        "",
        "ok, in 1s\nreport: /r.json\nfailed, exit 1, in 2s\nreport: /r.json\n",
        "ok, in 1s\nreport: /r\nrunbook: no\n",
    ):
        log.write_text(words)
        name, said = failing(live, "schedules", job_logs=log)
        assert name == "See that it has ended well"
        assert "has not ended, or not well" in said


def test_a_disk_that_is_nearly_full(live):
    name, said = failing(live, "upkeep", min_free="99.9%")
    assert name.startswith("Write down how full the disks are")
    assert "free" in said
