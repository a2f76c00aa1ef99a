"""rollback.yml against the real service: it does what its check said, and whatever goes wrong the old model serves."""

import base64
import json
import os
import shutil
import time
import urllib.parse

import psutil
import pytest

from tests.plays.live import KEY, Live
from tests.service import running_service, write_env
from tests.serving import classifier, site


@pytest.fixture(scope="module")
def live(tmp_path_factory, digits_in):
    folder = tmp_path_factory.mktemp("rollback").resolve()
    digits, env_file = digits_in(folder), folder / ".env"
    write_env(env_file, API_KEY=KEY)
    with running_service(digits.good, env_file, log=folder / "api.log") as service:
        yield Live(folder, digits, service, env_file)


@pytest.fixture
def good(live):
    """Have the good model served before the test; the play itself is what does it."""
    if live.served != "good.onnx" or "good.onnx" not in live.env_file.read_text():
        assert live.play("rollback.yml", path=live.digits.good).code == 0
    return live


def test_check_says_it_the_run_does_it_and_a_second_run_does_nothing(good):
    live, before = good, good.version()
    check = live.play("rollback.yml", "--check", path=live.digits.older)
    assert (check.code, taken(check)) == (0, ["ok", "changed", "unsure", "unsure", "unsure", "changed"])
    (change,) = check.step("Reload")["changes"]
    assert change["detail"].startswith(f"from {live.digits.good} (")
    assert f"to {live.digits.older} (" in change["detail"]
    reasons = {step["reason"] for step in check.report["steps"] if step["status"] == "unsure"}
    assert reasons == {"depends on step 6 'Reload the service with the model'"}
    assert live.version() == before, "something was posted"

    run = live.play("rollback.yml", path=live.digits.older, sample=live.digits.samples[7])
    assert (run.code, taken(run)) == (0, ["ok", "changed", "ok", "ok", "ok", "changed"])
    assert run.step("Reload")["data"]["continuity"]["failed"] == {"before": 0, "during": 0, "after": 0}
    assert f"MODEL_PATH={live.digits.older}" in live.env_file.read_text()
    assert [each["detail"] for each in run.step("Reload")["changes"]] == [change["detail"]]
    assert run.step("See that it predicts")["data"]["sha256"] == live.version()["sha256"] != before["sha256"]
    assert live.served == "older.onnx"

    loaded = live.version()["loaded_at"]
    again = live.play("rollback.yml", path=live.digits.older)
    assert (again.code, taken(again)) == (0, ["ok"] * 6)
    assert live.version()["loaded_at"] == loaded


def taken(run):
    """Give the statuses of the steps that were not skipped."""
    return [status for status in run.statuses() if status != "skipped"]


def failed(live, hinted, said, **inputs):
    """Play a rollback that must fail: exit 1, the hint that fits, and the model of before."""
    before = live.version()
    run = live.play("rollback.yml", **{"path": live.digits.older, **inputs})
    assert run.code == 1, run.out
    bad = next(step for step in run.report["steps"] if step["status"] == "failed")
    assert f"MODEL_PATH={live.digits.good}" in live.env_file.read_text()
    assert said in bad["error"]["message"]
    assert hinted in (bad["error"]["hint"] or "")
    assert live.version() == before
    assert run.step("End as failed")["status"] == "failed"
    assert f"Served now: {live.digits.good}" in run.out
    return run


def test_a_damaged_model(good):
    check = good.play("rollback.yml", "--check", path=good.digits.damaged)
    run = failed(good, "compare its SHA-256", "damaged.onnx is damaged: it ", path=good.digits.damaged)
    assert (check.code, check.step("Reload")["error"]) == (1, run.step("Reload")["error"])


def test_a_model_with_other_classes(good):
    run = failed(good, "trained for other classes", "has 5 classes", path=good.digits.five)
    assert run.step("Reload")["changes"][0]["applied"] is False


def test_a_model_that_is_empty(good):
    empty = good.folder / "export/empty.onnx"
    empty.touch()
    failed(good, "export it again", "is empty", path=empty)


def test_a_wrong_key(good):
    other = good.folder / "other.env"
    key = write_env(other)
    check = good.play("rollback.yml", "--check", path=good.digits.older, env_file=other)
    run = failed(good, "API_KEY", "401", env_file=other)
    assert (check.code, check.step("Reload")["error"]) == (1, run.step("Reload")["error"])
    assert key not in run.out
    assert [path for path in kept(good) if key in path.read_text(errors="replace")] == []


def test_no_key_at_all(good):
    bare = good.folder / "bare.env"
    bare.write_text("MODEL_PATH=/x\n")
    bare.chmod(0o600)
    run = good.play("rollback.yml", path=good.digits.older, env_file=bare)
    assert run.code == 4
    assert "'API_KEY' is not defined" in run.out


def test_a_sample_that_the_model_does_not_take(good):
    note = good.folder / "note.txt"
    note.write_text("no image\n")
    run = good.play("rollback.yml", path=good.digits.older, sample=note)
    assert run.code == 1
    assert "taken are .png" in run.step("Reload")["error"]["message"]
    assert f"Served now: {good.digits.older} (before: {good.digits.good})" in run.out


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"path": "export/oldr.onnx"}, "did you mean 'older.onnx'?"),
        ({"env_file": ".envy"}, "there is no file"),
        ({"api_url": "localhost:8000"}, "http://localhost:8000"),
        ({"sample": "samples"}, "is no file"),
        ({"smaple": "x"}, "did you mean 'sample'?"),
    ],
)
def test_what_is_wrong_before_anything_is_asked(good, inputs, said):
    run = good.play("rollback.yml", **{"path": good.digits.older, **inputs})
    assert (run.code, run.report) == (4, {})
    assert said in run.out
    assert good.served == "good.onnx"


def test_an_env_file_that_others_may_read(good):
    loose = good.folder / "loose.env"
    write_env(loose)
    loose.chmod(0o644)
    run = good.play("rollback.yml", path=good.digits.older, env_file=loose)
    assert run.code == 4
    assert "chmod 600" in run.out


def test_the_service_is_down(good):
    with site() as gone:
        pass
    run = good.play("rollback.yml", path=good.digits.older, api_url=gone.url)
    assert run.code == 1
    assert "the connection was refused" in run.step("Ask which model is served now")["error"]["message"]
    assert "the service does not say" in run.out
    assert "start it again" in run.out


def kept(live):
    """Give every file that runs left behind, reports and journals among them, and the service's log."""
    return [
        path for path in live.folder.rglob("*") if path.is_file() and not path.name.endswith((".env", ".onnx", ".png"))
    ]


def test_the_key_is_nowhere(good):
    """Not in any output or record so far, and not among the processes while it is sent."""
    seen: set[str] = set()
    for options in (["-v", "--diff"], ["--json"], ["--check", "-v"]):
        target = good.digits.older if good.served == "good.onnx" else good.digits.good
        with good.start("rollback.yml", *options, path=target) as process:
            while process.poll() is None:
                seen |= {" ".join(other.info["cmdline"] or []) for other in psutil.process_iter(["cmdline"])}
            good.everything.append(process.stdout.read())
        assert process.returncode == 0
    raw = KEY.encode()
    forms = {
        KEY,
        json.dumps(KEY)[1:-1],
        repr(KEY)[1:-1],
        urllib.parse.quote(KEY),
        raw.hex(),
        base64.b64encode(raw).decode(),
    }
    assert len(kept(good)) > 10
    texts = {"the output": "\n".join(good.everything), "the processes": "\n".join(seen)}
    texts |= {str(path): path.read_text(errors="replace") for path in kept(good)}
    leaks = [(name, form) for name, text in texts.items() for form in forms if form in text]
    assert leaks == []
    assert any("rollback.yml" in line for line in seen), "no process was seen at all"


def test_a_service_that_tells_the_key_itself(good):
    with classifier(good.digits.good) as leaky:
        about = {"model_path": str(leaky.model), "sha256": leaky.loaded, "input_shape": [1, 8, 8]}
        leaky.site.routes["GET /version"] = (200, about)
        leaky.site.routes["POST /predict"] = (200, {"label": "1"})
        leaky.site.routes["POST /reload"] = lambda asked: (500, f"no! {asked.headers['x-api-key']} is".encode())
        run = good.play("rollback.yml", "-v", path=good.digits.older, api_url=leaky.url)
    assert run.code == 1
    assert "500 Internal Server Error: no! *** is; still served" in run.step("Reload")["error"]["message"]
    assert KEY not in run.out + json.dumps(run.report)


# Without a path: the previous stable model


@pytest.fixture
def experiment(good):
    """Give the experiment folder, emptied of what an earlier test has put there."""
    for name in ("releases", "restored", "reports"):
        shutil.rmtree(good.folder / name, ignore_errors=True)
    kept = {path: path.read_bytes() for path in (good.folder / "export").iterdir()}
    yield good.folder
    for path, content in kept.items():
        path.write_bytes(content)


def age(path, days):
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment))


def test_without_anything_it_asks_where_to(good):
    run = good.play("rollback.yml")
    assert (run.code, run.report) == (4, {})
    assert "one of the inputs 'path' or 'exp_dir' is required" in run.out


def test_the_export_before_and_not_one_more_each_time(good, experiment):
    for name, days in (("good", 0), ("older", 1), ("five", 2), ("damaged", 3)):
        age(experiment / f"export/{name}.onnx", days)
    run = good.play("rollback.yml", exp_dir=experiment)
    assert (run.code, good.served) == (0, "older.onnx"), run.out
    assert run.step("Find the previous")["data"]["source"] == "export"
    record = json.loads((experiment / "reports/rollback.json").read_text())
    assert (record["from"], record["to"]) == (str(good.digits.good), str(good.digits.older))
    again = good.play("rollback.yml", exp_dir=experiment)
    assert (again.code, again.report["summary"]["changed"], good.served) == (0, 0, "older.onnx")
    assert again.step("Find the previous")["data"]["source"] == "record"
    assert "is what the last rollback went to, and it is served; to go back further: -e path=..." in again.out


def test_the_release_before_is_unpacked_if_its_model_is_gone(good, experiment):
    for model in (good.digits.older, good.digits.good):
        book = experiment / "build.yml"
        step = {"release.build": {"root": str(experiment), "models": [str(model)]}}
        book.write_text(json.dumps([{"hosts": "localhost", "steps": [step]}]))
        assert good.play(str(book), api_url=None, env_file=None).code == 0
    good.digits.older.unlink()
    check = good.play("rollback.yml", "--check", exp_dir=experiment)
    assert (check.code, good.served) == (0, "good.onnx"), check.out
    assert not (experiment / "restored").exists()
    run = good.play("rollback.yml", exp_dir=experiment)
    assert run.code == 0, run.out
    found = run.step("Find the previous")["data"]
    assert (found["source"], found["folder"]) == ("release", str(next((experiment / "restored").iterdir())))
    assert good.version()["model_path"] == found["path"]
    assert good.version()["sha256"] == found["sha256"]
    assert f"MODEL_PATH={found['path']}" in good.env_file.read_text()


def labelled(folder, samples):
    for digit, sample in enumerate(samples):
        (folder / str(digit)).mkdir(parents=True)
        shutil.copy(sample, folder / str(digit) / sample.name)
    return folder


def test_a_service_that_is_less_often_right_than_before(good, tmp_path):
    """The samples are labelled with what the good model says of them, so that the older one cannot be as good."""
    run = good.play("rollback.yml", path=good.digits.older, val_images=labelled(tmp_path / "val", good.digits.samples))
    was, now = (
        run.step("See how often the service is right now"),
        run.step("See how often the service is right with it"),
    )
    assert (was["data"]["samples"], now["data"]["samples"]) == (10, 10)
    better = now["data"]["right"] >= was["data"]["right"]
    assert run.code == (0 if better else 1)
    strict = labelled(tmp_path / "strict", good.digits.samples[::-1])  # every label is wrong but those in the middle
    assert good.play("rollback.yml", path=good.digits.good).code == 0
    run = good.play("rollback.yml", path=good.digits.older, val_images=strict, max_drop=-100)
    assert run.code == 1
    assert "are right, and" in run.step("See that it is not less often right")["error"]["message"]


def test_samples_that_are_not_there_keep_nobody_from_rolling_back(good, tmp_path):
    """A disk that is not mounted: nothing is held against anything, and the report says so."""
    run = good.play("rollback.yml", path=good.digits.older, val_images=tmp_path / "away")
    assert run.code == 0, run.out
    assert "there is no folder" in run.step("See how often the service is right now")["error"]["message"]
    assert run.step("See how often the service is right with it")["status"] == "skipped"


def test_the_world_is_kept_out_only_where_nothing_predicts(good, tmp_path):
    door = tmp_path / "closed"
    close, reopen = f"touch {door}", f"rm {door}"
    failed(good, "compare its SHA-256", "damaged", path=good.digits.damaged, tunnel_stop=close)
    note = tmp_path / "note.txt"
    note.write_text("no image\n")
    assert good.play("rollback.yml", path=good.digits.older, sample=note, tunnel_stop=close).code == 1
    assert not door.exists(), "a model serves, so nobody has to be kept out"
    with site() as gone:
        pass
    run = good.play("rollback.yml", path=good.digits.older, api_url=gone.url, tunnel_stop=close)
    assert (run.code, door.exists()) == (1, True)
    assert "--tags reopen" in run.out
    early = good.play("rollback.yml", "--tags", "reopen", api_url=gone.url, tunnel_start=reopen)
    assert (early.code, door.exists()) == (1, True)
    late = good.play("rollback.yml", "--tags", "reopen", tunnel_start=reopen, external_url=good.service.url)
    assert (late.code, door.exists()) == (0, False), late.out
