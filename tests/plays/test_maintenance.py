"""The nightly upkeep on whole folders: check foretells the run, a second run is idle, and nothing protected is lost."""

import gzip
import hashlib
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.demo_folder import make_experiment
from runbook.testing import changes_of, plan_of, play

NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
DAY = 86400
EXAMPLES = 300 if os.environ.get("CI") else 50  # a slice on a desk, all of them where nobody waits


def tree(root: Path) -> dict[str, tuple]:
    """Give mode, size, time and content of everything, links not followed."""
    found = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        if path.is_symlink():
            inside = os.readlink(path)
        else:
            inside = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        time = 0 if path.is_dir() and not path.is_symlink() else about.st_mtime_ns
        found[str(path.relative_to(root))] = (about.st_mode, about.st_nlink if inside else 0, time, inside)
    return found


def put(path: Path, age: float, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(0, (int(NOW.timestamp()) * 10**6 - round(age * 1e6)) * 1000))


def told(report: dict) -> list[tuple]:
    """Give what is said of each change; the bytes on a disk are another's at any moment."""
    return [
        (change["kind"], change["target"])
        if "/disk_" in change["target"]
        else (change["kind"], change["target"], change["detail"], change["diff"])
        for change in changes_of(report)
    ]


@pytest.fixture(scope="module")
def upkeep():
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # hundreds of folders, and each is flushed to disk
    with TemporaryDirectory(dir=memory) as folder:
        root = Path(folder).resolve() / "exp"
        root.mkdir()
        yield root, plan_of("maintenance.yml", {"exp_dir": str(root), "min_free": "0%"})


def empty(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_run_again(root: Path, plan) -> list[tuple]:
    """Play it in the three ways and hold it to its promises; gives what it did."""
    before = tree(root)
    check = play(plan, mode="check", now=NOW)
    assert (check["status"], check["summary"]["unsure"]) == ("ok", 0), check["steps"]
    assert tree(root) == before, "check mode changed something"
    run = play(plan, now=NOW)
    assert run["status"] == "ok", run["steps"]
    assert told(run) == told(check), "check mode foretold something else"
    after = tree(root)
    again = play(plan, now=NOW)
    assert (again["status"], changes_of(again)) == ("ok", [])
    assert tree(root) == after, "a second run changed something"
    assert not [path for path in after if path.endswith(".runbook-tmp")]
    return told(run)


def test_the_demo_folder(upkeep):
    root, plan = upkeep
    empty(root)
    make_experiment(root, now=NOW.timestamp(), lines=50)
    done = check_run_again(root, plan)
    assert len(done) == 11
    assert sorted(path.name for path in (root / "checkpoints").iterdir()) == ["best.pt", "last_3000.pt", "last_4000.pt"]
    assert sorted(path.name for path in (root / "export").iterdir()) == [
        "latest.onnx",
        *(f"model_{number}.onnx" for number in range(2, 8)),
    ]
    assert sorted(path.name for path in (root / "logs").iterdir()) == [
        "api.2.out",
        "api.out",
        "archive",
        "events.json",
        "worker.err",
    ]
    assert sorted(path.name for path in (root / "logs/archive").iterdir()) == [
        "api.1.out.gz",
        "serve.err.gz",
        "train.err.gz",
    ]


def test_an_experiment_that_has_only_begun(upkeep):
    root, plan = upkeep
    empty(root)
    assert [change[:2] for change in check_run_again(root, plan)] == [
        ("make folder", f"{root}/reports"),
        ("write", f"{root}/reports/disk_20260310.txt"),
        ("write", f"{root}/reports/disk_20260310.json"),
    ]


AGES = st.sampled_from([0, 1, 6.99, 7, 10, 13.99, 14, 20, 29.99, 30, 31, 400, -1])
NAMES = {
    "logs": [
        f"{word}{end}" for word in ("api", "x y", "q'\"", "n\nl", "é") for end in (".out", ".err", ".json", ".gz")
    ],
    "logs/archive": [f"{word}{end}" for word in ("api.out", "x y.err") for end in (".gz", ".1.gz", ".json", "")],
    "checkpoints": ["best.pt", "notes.txt", *(f"last_{number}.pt" for number in range(5))],
    "export": [f"model_{number}.onnx{end}" for number in range(9) for end in ("", "", ".data")],
    "reports": ["metrics.json", "disk_20260309.txt"],
}
PLACES = st.sampled_from(["logs", "logs/archive", "checkpoints", "export", "export", "reports"]).flatmap(
    lambda folder: st.tuples(st.just(folder), st.sampled_from(NAMES[folder]))
)
KINDS = st.sampled_from(["file"] * 5 + ["packed", "link", "hard", "absolute"])
ENTRIES = st.lists(st.tuples(KINDS, PLACES, AGES), max_size=40)


def _rank(entry: tuple) -> int:
    return ["file", "packed", "hard", "link", "absolute"].index(entry[0])


def build(root: Path, entries: list[tuple]) -> None:
    """Make the files, no two alike, and then the links, each to one of the files or links before it."""
    made: list[Path] = []
    for number, (kind, (folder, name), age) in enumerate(sorted(entries, key=_rank)):
        path = root / folder / name
        if os.path.lexists(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file" or not made:
            put(path, age * DAY, b"%d\n" % number)
        elif kind == "packed":
            put(path, age * DAY, gzip.compress(b"%d\n" % (number - 1), mtime=0))
        else:
            near = [other for other in made if other.parent == path.parent] or made
            target = near[int(age) % len(near)]
            if kind == "hard":
                os.link(target, path, follow_symlinks=False)
            else:
                path.symlink_to(target if kind == "absolute" else os.path.relpath(target, path.parent))
        made.append(path)


def precious(root: Path) -> dict[Path, bytes]:
    """Give the content of what must survive: told from the folder alone, by the rules of the requirement."""
    now = NOW.timestamp()
    spared: set[Path] = set()
    for path in root.rglob("*"):
        if path.is_symlink():
            target = path.resolve()
            if target.is_file() and target.parent == path.parent and path.parent.name in {"checkpoints", "export"}:
                spared.add(target)
        elif path.is_file():
            age = now - path.stat().st_mtime
            young = age < 7 * DAY
            kept = path.suffix == ".json" or path.name == "best.pt"
            if path.parent.name != "export" and (young or kept):
                spared.add(path)
            if path.parent.name in {"checkpoints", "export"} and path.stat().st_nlink > 1:
                spared.add(path)
    models = [path for path in root.glob("export/*.onnx") if path.is_file() and not path.is_symlink()]
    spared |= set(sorted(models, key=lambda path: (path.stat().st_mtime_ns, path))[-5:])
    return {path: path.read_bytes() for path in spared}


def logs_to_keep(root: Path) -> list[bytes]:
    """Give the content of each log that is younger than 30 days: it must be somewhere afterwards."""
    now = NOW.timestamp()
    logs = [path for end in ("*.out", "*.err") for path in root.glob(f"logs/{end}") if not path.is_symlink()]
    return [path.read_bytes() for path in logs if now - path.lstat().st_mtime < 30 * DAY]


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(entries=ENTRIES)
def test_any_folder(upkeep, entries):
    root, plan = upkeep
    empty(root)
    build(root, entries)
    spared, logs = precious(root), logs_to_keep(root)
    check_run_again(root, plan)
    assert {path: path.read_bytes() for path in spared if path.exists()} == spared
    left = [path.read_bytes() for end in ("*.out", "*.err") for path in root.glob(f"logs/{end}") if path.is_file()]
    for path in root.glob("logs/archive/*.gz"):
        data = path.read_bytes() if path.is_file() else b""
        left.append(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    assert not [content for content in logs if content not in left]


def test_no_protected_file_is_lost_while_links_are_swapped(upkeep):
    """A deployment flips `latest.onnx` and a checkpoint name all the while; whatever they led to is still there."""
    root, plan = upkeep
    empty(root)
    for number in range(1, 10):
        put(root / "export" / f"model_{number}.onnx", (50 - number) * DAY, b"%d" % number)
        put(root / "elsewhere" / f"model_{number}.onnx", (50 - number) * DAY, b"other %d" % number)
    stop = threading.Event()
    flips = 0
    latest, spare = root / "export/latest.onnx", root / "export/next"
    store, decoy = root / "export/model_1.onnx", root / "elsewhere/model_1.onnx"
    latest.symlink_to("model_8.onnx")

    def flip() -> None:
        nonlocal flips
        while not stop.is_set():
            for target in ("model_8.onnx", "model_9.onnx"):
                spare.symlink_to(target)
                spare.replace(latest)
            if flips % 2:
                put(spare, 49 * DAY)
            else:
                spare.symlink_to(decoy)  # an old model becomes a link to a file elsewhere
            spare.replace(store)
            flips += 1

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _ in range(10):
            for number in range(2, 5):
                put(root / "export" / f"model_{number}.onnx", (50 - number) * DAY)
            play(plan, now=NOW)
            left = {path.name for path in (root / "export").glob("model_*.onnx")}
            assert {"model_5.onnx", "model_6.onnx", "model_7.onnx", "model_8.onnx", "model_9.onnx"} <= left
            assert len(list((root / "elsewhere").iterdir())) == 9
            assert decoy.read_bytes() == b"other 1"
    finally:
        stop.set()
        thread.join()
    assert flips > 10


def test_a_folder_that_becomes_a_link_to_another(upkeep, tmp_path):
    """Between plan and apply the folder is exchanged for a link: the files there are others, and stay."""
    from runbook.changes import Remove
    from runbook.errors import Moved
    from runbook.host import LocalHost

    for name in ("mine", "theirs"):
        put(tmp_path / name / "last_1.pt", 90 * DAY, name.encode())
    host = LocalHost(now=NOW, cwd=tmp_path, env={}, run_id="swap")
    planned = Remove(tmp_path / "mine/last_1.pt", host.stat(tmp_path / "mine/last_1.pt"))
    (tmp_path / "mine").rename(tmp_path / "moved")
    (tmp_path / "mine").symlink_to("theirs")
    with pytest.raises(Moved):
        planned.apply(host)
    assert (tmp_path / "theirs/last_1.pt").read_bytes() == b"theirs"
    assert (tmp_path / "moved/last_1.pt").read_bytes() == b"mine"


def test_the_model_in_use_is_kept(tmp_path):
    for number in range(1, 4):
        put(tmp_path / "exp/export" / f"m{number}.onnx", (50 - number) * DAY)
    dotenv = tmp_path / ".env"
    for line in (f"MODEL_PATH={tmp_path}/exp/export/m1.onnx", f'export MODEL_PATH="{tmp_path}/exp/export/m1.onnx"'):
        dotenv.write_text(f"API_KEY=0123456789abcdef\n{line}\n")
        inputs = {"exp_dir": str(tmp_path / "exp"), "env_file": str(dotenv), "export_keep": "1"}
        report = play(plan_of("maintenance.yml", inputs, tags=("export",)), mode="check", now=NOW)
        assert [change["target"] for change in changes_of(report)] == [f"{tmp_path}/exp/export/m2.onnx"]


def test_too_little_space_fails_the_run_after_the_report(tmp_path):
    report = play(plan_of("maintenance.yml", {"exp_dir": str(tmp_path), "min_free": "900TB"}), now=NOW)
    assert (report["status"], report["exit_code"]) == ("failed", 1)
    assert "less than 900TB" in report["steps"][-1]["error"]["message"]
    assert (tmp_path / "reports/disk_20260310.txt").read_text().startswith("  Size")
    assert [change["kind"] for change in report["steps"][-1]["changes"]] == ["make folder", "write", "write"]


def test_inputs_are_checked_before_anything(tmp_path):
    from runbook.errors import Invalid

    for inputs, said in (
        ({}, "exp_dir"),
        ({"exp_dir": str(tmp_path / "none")}, "there is no folder"),
        ({"exp_dir": str(tmp_path), "compress_after": "7"}, "7d"),
        ({"exp_dir": str(tmp_path), "min_free": "much"}, "does not match"),
        ({"exp_dri": str(tmp_path)}, "exp_dir"),
    ):
        with pytest.raises(Invalid) as caught:
            plan_of("maintenance.yml", inputs)
        assert said in str(caught.value)
