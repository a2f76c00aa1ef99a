"""rollback.yml against the real service: it does what its check said, and whatever goes wrong the old model serves."""

import base64
import json
import urllib.parse

import psutil
import pytest

from tests.plays.live import KEY, Live
from tests.service import running_service, write_env


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
    if live.served != "good.onnx":
        assert live.play("rollback.yml", path=live.digits.good).code == 0
    return live


def test_check_says_it_the_run_does_it_and_a_second_run_does_nothing(good):
    live, before = good, good.version()
    check = live.play("rollback.yml", "--check", path=live.digits.older)
    assert (check.code, check.statuses()) == (0, ["ok", "changed", "unsure", "unsure", "unsure"])
    (change,) = check.step("Reload")["changes"]
    assert change["detail"].startswith(f"from {live.digits.good} (")
    assert f"to {live.digits.older} (" in change["detail"]
    assert {step["reason"] for step in check.report["steps"][2:]} == {
        "depends on step 2 'Reload the service with the model'"
    }
    assert live.version() == before, "something was posted"

    run = live.play("rollback.yml", path=live.digits.older, sample=live.digits.samples[7])
    assert (run.code, run.statuses()) == (0, ["ok", "changed", "ok", "ok", "ok"])
    assert [each["detail"] for each in run.step("Reload")["changes"]] == [change["detail"]]
    assert run.step("See that it predicts")["data"]["sha256"] == live.version()["sha256"] != before["sha256"]
    assert live.served == "older.onnx"

    loaded = live.version()["loaded_at"]
    again = live.play("rollback.yml", path=live.digits.older)
    assert (again.code, again.statuses()) == (0, ["ok"] * 5)
    assert live.version()["loaded_at"] == loaded


def failed(live, hinted, said, **inputs):
    """Play a rollback that must fail: exit 1, the hint that fits, and the model of before."""
    before = live.version()
    run = live.play("rollback.yml", **{"path": live.digits.older, **inputs})
    assert run.code == 1, run.out
    bad = next(step for step in run.report["steps"] if step["status"] == "failed")
    assert said in bad["error"]["message"]
    assert hinted in (bad["error"]["hint"] or "")
    assert live.version() == before
    assert run.step("End as failed")["status"] == "failed"
    assert f"Served now: {live.digits.good}" in run.out
    return run


def test_a_damaged_model(good):
    failed(good, "compare its SHA-256", "damaged or no ONNX", path=good.digits.damaged)


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
    run = failed(good, "API_KEY", "401", env_file=other)
    assert key not in run.out


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
    assert "taken are .png" in run.step("See that it predicts")["error"]["message"]
    assert f"Served now: {good.digits.older} (before: {good.digits.good})" in run.out


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"path": "export/oldr.onnx"}, "did you mean 'older.onnx'?"),
        ({"path": None}, "the input 'path' is required"),
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
    from tests.serving import site

    with site() as gone:
        pass
    run = good.play("rollback.yml", path=good.digits.older, api_url=gone.url)
    assert run.code == 1
    assert "the connection was refused" in run.step("Ask which model is served now")["error"]["message"]
    assert "the service does not say" in run.out
    assert "start it again" in run.out


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
    kept = [path for path in (good.folder / "state").rglob("*") if path.is_file()]
    assert len(kept) > 10
    texts = {"the output": "\n".join(good.everything), "the processes": "\n".join(seen)}
    texts |= {str(path): path.read_text(errors="replace") for path in kept}
    leaks = [(name, form) for name, text in texts.items() for form in forms if form in text]
    assert leaks == []
    assert any("rollback.yml" in line for line in seen), "no process was seen at all"
