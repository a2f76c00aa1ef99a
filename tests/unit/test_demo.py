"""The demo's folder is made of real files, and no folder of anybody else's is touched."""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runbook.demo.telling import in_short
from runbook.demo.upkeep import changes, judge, live_log, tree
from runbook.demo_folder import MARK, fresh, make_experiment, tiny_model
from runbook.errors import Invalid

NOW = 1_800_000_000.0
DAY = 86400


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return make_experiment(tmp_path_factory.mktemp("demo"), now=NOW, lines=200)


def age_in_days(path: Path) -> float:
    return (NOW - path.lstat().st_mtime) / DAY


def test_the_same_folder_every_time(experiment, tmp_path):
    assert tree(make_experiment(tmp_path / "again", now=NOW, lines=200)) == tree(experiment)


def test_logs_lie_on_both_sides_of_both_ages(experiment):
    logs = [path for path in (experiment / "logs").iterdir() if path.suffix in {".out", ".err"}]
    archives = list((experiment / "logs/archive").iterdir())
    assert {age_in_days(path) >= 7 for path in logs} == {True, False}
    assert any(age_in_days(path) >= 30 for path in logs), "one log is past both ages at once"
    assert {age_in_days(path) >= 30 for path in archives} == {True, False}
    for path in archives:
        assert gzip.decompress(path.read_bytes()).count(b"\n") == 20
    for path in logs:
        assert path.read_bytes().endswith(b"\n")
    assert age_in_days(experiment / "logs/events.json") > 30
    assert json.loads((experiment / "logs/events.json").read_text())


def test_latest_leads_to_a_model_that_would_otherwise_go(experiment):
    models = sorted(
        (path for path in (experiment / "export").glob("model_*.onnx")), key=lambda path: path.stat().st_mtime
    )
    assert len(models) == 7
    assert (experiment / "export/latest.onnx").resolve() in models[:2]


def test_best_checkpoint_is_the_oldest(experiment):
    checkpoints = list((experiment / "checkpoints").iterdir())
    assert max(checkpoints, key=age_in_days).name == "best.pt"
    assert {age_in_days(path) >= 14 for path in checkpoints if path.name.startswith("last_")} == {True, False}


def fields(message: bytes) -> dict[int, list[bytes | int]]:
    """Read a protobuf message one level deep: by the wire format's rules, written apart from the writer's."""
    found: dict[int, list[bytes | int]] = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 2:
            size = number()
            value, at = message[at : at + size], at + size
            assert len(value) == size
        else:
            assert key & 7 == 0
            value = number()
        found.setdefault(key >> 3, []).append(value)
    return found


def test_models_are_onnx(experiment):
    model = fields((experiment / "export/model_3.onnx").read_bytes())
    assert model[1] == [8], "ir_version"
    assert fields(model[8][0]) == {2: [13]}, "opset"
    graph = fields(model[7][0])
    node, weights = fields(graph[1][0]), fields(graph[5][0])
    assert node == {1: [b"image", b"weights"], 2: [b"logits"], 3: [b"dense"], 4: [b"MatMul"]}
    assert (weights[1], weights[2], len(weights[9][0])) == ([12, 5], [1], 12 * 5 * 4)
    assert [fields(value)[1] for value in (graph[11][0], graph[12][0])] == [[b"image"], [b"logits"]]


def test_models_pass_the_onnx_checker(experiment):
    onnx = pytest.importorskip("onnx")
    for path in (experiment / "export").glob("*.onnx"):
        onnx.checker.check_model(onnx.load(path), full_check=True)


def test_these_bytes_passed_the_onnx_checker():
    # onnx 1.23.2, check_model(full_check=True), and run by onnxruntime
    digest = "65ff6427a2a3fff213224af52096037aeea2eb2ca470e34873d16160e9c3d3d4"
    assert hashlib.sha256(tiny_model(random.Random(7))).hexdigest() == digest


def test_models_differ():
    dice = random.Random(1)
    assert tiny_model(dice) != tiny_model(dice)


def test_the_live_log_grows_and_its_writer_ends(tmp_path):
    log = tmp_path / "api.out"
    log.write_text("first\n")
    with live_log(log):
        size = log.stat().st_size
        deadline = time.monotonic() + 5
        while log.stat().st_size == size and time.monotonic() < deadline:
            time.sleep(0.01)
        assert log.stat().st_size > size
    text = log.read_text()
    assert text.startswith("first\n")
    assert text.endswith("200\n")
    size = log.stat().st_size
    time.sleep(0.06)
    assert log.stat().st_size == size


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    with pytest.raises(Invalid, match="was not made by a demo"), fresh(tmp_path):
        pass
    assert precious.read_text() == "mine"


def test_a_demo_folder_is_made_anew(tmp_path):
    root = tmp_path / "demo"
    with fresh(root):
        (root / "old").write_text("x")
    with fresh(root):
        assert os.listdir(root) == [MARK]


def test_prepare_only(tmp_path):
    root = tmp_path / "exp"
    subprocess.run([sys.executable, "-m", "runbook.demo", "--prepare-only", root], check=True)
    assert (root / "export/latest.onnx").is_symlink()


def test_it_shows_what_it_promises(tmp_path):
    command = [sys.executable, "-m", "runbook.demo", "--folder", tmp_path / "demo"]
    shown = subprocess.run(command, check=False, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    reports = [Path(line) for line in shown.stdout.splitlines() if line.endswith(".json") and os.path.isfile(line)]
    found = [json.loads(path.read_text()) for path in reports]
    assert [(Path(each["playbook"]).stem, each["mode"]) for each in found] == [
        ("daily", "check"),
        ("daily", "run"),
        ("rollback", "check"),
        ("rollback", "run"),
        ("maintenance", "dry-run"),
        ("maintenance", "check"),
        ("maintenance", "run"),
        ("maintenance", "run"),
    ]
    before, after = (line for line in shown.stdout.splitlines() if line.startswith('{"model_path"'))
    assert ("digits_2.onnx" in before, "digits_1.onnx" in after) == (True, True)
    assert "All as promised" in shown.stdout
    key = (tmp_path / "demo/.env").read_text().split("=")[1].split()[0]
    assert key not in shown.stdout + "".join(path.read_text() for path in reports)
    assert running(tmp_path) == []


def test_all_of_verify_holds_on_its_service(tmp_path):
    command = [sys.executable, "-m", "runbook.demo", "--verify", "--folder", tmp_path / "demo"]
    shown = subprocess.run(command, check=False, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "All parts hold, and the service serves what it served before." in shown.stdout
    (report,) = (Path(line) for line in shown.stdout.splitlines() if line.endswith(".json") and os.path.isfile(line))
    steps = {step["name"]: step for step in json.loads(report.read_text())["steps"]}
    played = {name for name, step in steps.items() if step["status"] in ("ok", "changed")}
    assert played >= {
        "See that the service is healthy, from outside",
        "Read all of it back, and compare every file with the manifest",
        "See that an answer does not take too long",
        "Search for better session options",
        "Quantise it, and judge the result",
        "See that the model of before is served again",
        "Rotate the tunnel's log, should it be due",
        "Say that all holds that was asked for",
    }
    assert steps["Quantise it, and judge the result"]["data"]["accuracy"][0] > 0.8
    assert running(tmp_path) == []


def running(folder: Path) -> list[str]:
    """Give the processes that have to do with a folder."""
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder) in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_when_it_is_interrupted(tmp_path, number):
    command = [sys.executable, "-m", "runbook.demo", "--folder", tmp_path / "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        while (line := demo.stdout.readline()) and not line.startswith("The service runs at"):
            pass
        assert len(running(tmp_path)) > 1
        os.killpg(demo.pid, number) if number == signal.SIGINT else demo.send_signal(number)
        demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert running(tmp_path) == []


@pytest.mark.parametrize(
    ("trees", "left", "message"),
    [
        ([{"a": 1}, {"a": 1}, {"a": 2}, {}, {}], [], "check mode changed a file"),
        ([{}, {}, {}, {"b": 1}, {"b": 2}], [], "the second run changed something"),
        ([{}, {}, {}, {}, {}], [{"kind": "write", "target": "x"}], "the second run changed something"),
    ],
)
def test_a_broken_promise_fails(trees, left, message):
    report = {"steps": [], "summary": {"changed": 0}}
    last = {"steps": [{"changes": left}], "summary": {"changed": len(left)}}
    with pytest.raises(Exception, match=message):
        judge(trees, [report, report, report, last])


def test_a_step_in_a_line():
    step = {"status": "changed", "name": "Keep few", "changes": [{}, {}]}
    assert in_short(step, "check") == "would change Keep few  (2 changes)"
    assert in_short({**step, "changes": [], "items": [{"changes": [{}]}]}, "run") == "changed      Keep few  (1 change)"
    assert in_short({**step, "status": "ok", "changes": []}, "check") == "ok           Keep few"


def test_changes_of_loops_are_counted_by_item():
    item = {"changes": [{"kind": "remove", "target": "a", "detail": ""}]}
    assert changes({"steps": [{"items": [item, item], "changes": []}]}) == [("remove", "a")] * 2
