"""Releases of real models on real files: built, proven, restored, rehearsed and pruned, and all that can go wrong."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from runbook.errors import Moved, TaskFailed, Unsure
from runbook.host import Overlay
from runbook.tasks.archives import pack
from runbook.units import Secret
from tests.releasing import EMPTY_MODEL, NOW, archive, built, entry, experiment, for_everybody, host_at, model, played

ROOT = Path(__file__).parents[2]
KEY = "f00dfeed" * 8
PAIR = ["export/model_2.onnx", "export/model_2.onnx.data"]
SETTINGS = [".env.example", "VERSION.txt", "config.yaml"]
ALL = [*SETTINGS, *PAIR, "reports/metrics.json", "requirements.txt"]


@pytest.fixture
def root(tmp_path):
    return experiment(tmp_path / "exp")


@pytest.fixture
def host(root):
    return host_at(root.parent)


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def kinds(record) -> list[tuple[str, str]]:
    return [(change["kind"], Path(change["target"]).name) for change in record.changes]


def text_of(path: Path, member: str) -> str:
    with tarfile.open(path) as tar:
        return tar.extractfile(member).read().decode()


# Building


def test_a_release_is_what_tar_and_sha256sum_take_it_for(root, host):
    record = played("release.build", host, root=root, version="2.1")
    path = Path(record.data["path"])
    assert path == root / "releases/release-20260310T020000Z-nogit.tar.gz"
    assert record.data["files"] == ALL
    checked = subprocess.run(
        ["sha256sum", "-c", "--strict", f"{path.name}.sha256"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, f"{path.name}: OK\n")
    to = root / "by_tar"
    to.mkdir()
    subprocess.run(["tar", "xzf", path, "-C", to], check=True)
    said = json.loads((to / "MANIFEST.json").read_text())
    assert said["files"] == [
        {
            "path": name,
            "size": (to / name).stat().st_size,
            "sha256": hashlib.sha256((to / name).read_bytes()).hexdigest(),
        }
        for name in ALL
    ]
    assert (to / "export/model_2.onnx.data").read_bytes() == (root / "export/model_2.onnx.data").read_bytes()
    assert (to / "VERSION.txt").read_text() == "utc: 2025-10-09T08:53:20Z\ngit: nogit\nversion: 2.1\n"
    assert subprocess.run(["gzip", "-t", path], check=False).returncode == 0


def test_where_it_comes_from_is_said_beside_it(root, host):
    record = played("release.build", host, root=root)
    path = Path(record.data["path"])
    said = json.loads(path.with_name(f"{path.name}.intoto.json").read_text())
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert said["subject"] == [{"name": path.name, "digest": {"sha256": record.data["sha256"]}}]
    assert {each["name"] for each in said["predicate"]["buildDefinition"]["resolvedDependencies"]} == set(ALL)
    assert set(said["predicate"]["runDetails"]) == {"builder", "metadata"}


def test_what_is_built_already_is_found_whatever_the_times(root, host):
    first = played("release.build", host, root=root)
    for path in root.rglob("*.*"):
        os.utime(path, follow_symlinks=False)
    again = played("release.build", host_at(root, now=NOW + timedelta(days=3)), root=root)
    assert again.changes == []
    assert (again.data["path"], again.data["sha256"]) == (first.data["path"], first.data["sha256"])
    assert (first.data["built"], again.data["built"]) == (True, False)


@pytest.mark.parametrize("what", ["config", "version", "model", "damage"])
def test_another_content_is_another_release(root, host, what):
    first = built(root, host)
    params = {}
    if what == "config":
        (root / "config.yaml").write_text("lr: 0.2\n")
    elif what == "version":
        params["version"] = "2"
    elif what == "model":
        params["models"] = ["export/model_1.onnx"]
    else:
        first.write_bytes(first.read_bytes()[:-1] + b"x")
    second = built(root, host_at(root, now=NOW + timedelta(seconds=1)), **params)
    assert second != first
    assert second.name == "release-20260310T020001Z-nogit.tar.gz"


@pytest.mark.parametrize("lost", [[".sha256"], [".sha256", ".intoto.json"], [".intoto.json"]])
def test_a_build_that_was_ended_is_completed(root, host, lost):
    path = built(root, host)
    before = tree(path.parent)
    for end in lost:
        path.with_name(path.name + end).unlink()
    record = played("release.build", host, root=root)
    assert sorted(kinds(record)) == sorted(("write", path.name + end) for end in lost)
    assert tree(path.parent) == before


def test_one_that_is_damaged_and_was_never_completed_is_not_taken_for_whole(root, host):
    path = built(root, host)
    path.with_name(f"{path.name}.sha256").unlink()
    data = bytearray(path.read_bytes())
    data[-400] ^= 1
    path.write_bytes(bytes(data))
    assert built(root, host) != path
    assert not path.with_name(f"{path.name}.sha256").exists()


def test_all_models_and_each_once(root, host):
    (root / "export/alias.onnx").symlink_to("model_1.onnx")
    os.link(root / "export/model_1.onnx", root / "export/second_name.onnx")
    record = played("release.build", host, root=root, models="all", include=["export/*.onnx", "export/model_1.onnx"])
    models = [name for name in record.data["files"] if ".onnx" in name]
    assert sorted(models) == ["export/model_1.onnx", *PAIR]
    assert record.data["model"] == PAIR[0]


def test_programs_stay_programs_and_other_modes_are_everybodys(root, host):
    (root / "config.yaml").chmod(0o600)
    with tarfile.open(built(root, host, include=["run.sh"])) as tar:
        modes = {each.name: oct(each.mode) for each in tar}
        assert {each.uid for each in tar} == {each.gid for each in tar} == {0}
    assert modes.pop("run.sh") == "0o755"
    assert set(modes.values()) == {"0o644"}


def test_names_of_any_kind_come_back(root, host):
    odd = [
        "a\nb.txt",
        'it\'s "q".txt',
        "모델.txt",
        os.fsdecode(b"caf\xe9\xff.txt"),
        " x.txt",
        "-rf.txt",
        "x" * 250 + ".t",
    ]
    folder = root / ("deep" * 20) / ("er" * 60)
    folder.mkdir(parents=True)
    for name in odd:
        (folder / name).write_bytes(os.fsencode(name))
    path = built(root, host, include=["deep" * 20])
    played("release.verify", host, path=path)
    played("release.restore", host, path=path, dest=root / "back")
    there = root / "back" / folder.relative_to(root)
    assert {path.name: path.read_bytes() for path in there.iterdir()} == {name: os.fsencode(name) for name in odd}


def test_the_releases_themselves_never_go_in(root, host):
    built(root, host)
    (root / "releases/notes.txt").write_text("x")
    second = played("release.build", host, root=root, include=["releases", "*.sh"], version="2")
    assert [name for name in second.data["files"] if "release" in name] == []


def test_a_large_header_is_written_as_posix_says(tmp_path):
    """More than 8 GiB needs an extended header; the size is what counts, so none is written."""
    head = pack._header("export/big.onnx.data", 9 * 2**30, 0, runs=False)
    info = tarfile.TarInfo.frombuf(head[:512], "utf-8", "strict")
    assert info.type == tarfile.XHDTYPE
    assert b" size=9663676416\n" in head


# What must not go in


def test_the_key_of_the_env_file_is_found_in_a_large_file_and_nothing_is_left(root, host):
    (root / ".env").write_text(f"PORT=8000\nexport API_KEY='{KEY}'\n")
    (root / "big.log").write_bytes(b"a line\n" * 300_000 + f"X-API-Key: {KEY}\n".encode())
    before = tree(root)
    with pytest.raises(TaskFailed, match=r"/exp/big.log, line 300001: it holds the value of API_KEY") as failed:
        played("release.build", host, root=root, include=["big.log"])
    assert KEY not in str(failed.value)
    assert {name: content for name, content in tree(root).items() if name != "releases"} == before


def test_a_secret_that_only_the_run_knows(root):
    host = host_at(root, secrets=[Secret(KEY), Secret("short")])
    (root / "config.yaml").write_text(f"a: 1\nsecret: {KEY.encode().hex()}\nshort: short\n")
    with pytest.raises(TaskFailed, match=r"config\.yaml, line 2: it holds a secret of the run"):
        played("release.build", host, root=root)
    with pytest.raises(TaskFailed, match="line 2: it holds a secret of the run"):
        played("release.build", Overlay(host, imagined=True), root=root)  # a check foretells it


def test_a_path_to_a_key_is_no_secret(root, host):
    (root / "key.txt").write_text("x")
    (root / ".env").write_text(f"KEY_FILE={root}/key.txt\nEMPTY_KEY=\nnonsense line\n")
    (root / "config.yaml").write_text(f"key: {root}/key.txt\n")
    assert "config.yaml" in played("release.build", host, root=root).data["files"]


# What changes while it is read


def happen_while_packing(root, happen):
    """Give a host on which something happens to the config, once, as soon as it is opened to be packed."""
    host, target, packing = host_at(root), root / "config.yaml", []
    meter, opened = host.meter, host.open

    def meter_it(text, total):
        packing.append(text)
        return meter(text, total)

    def open_it(path):
        file = opened(path)
        if path == target and packing == [f"packing {root}/releases/release-20260310T020000Z-nogit.tar.gz"]:
            packing.append("done")
            happen(target)
        return file

    host.meter, host.open = meter_it, open_it
    return host


@pytest.mark.parametrize(
    "happen",
    [
        lambda path: path.write_text("lr: 0.2\n"),
        lambda path: path.write_text("longer than it was\n"),
        lambda path: path.write_text(""),
        lambda path: path.unlink(),
    ],
    ids=["same size", "longer", "emptied", "gone"],
)
def test_a_file_that_changes_while_it_is_read(root, happen):
    host = happen_while_packing(root, happen)
    from runbook.engine.rounds import Record, Round, apply, ask
    from runbook.registry import Registry
    from runbook.testing.laws import Silent

    spec = Registry().spec("release.build")
    changes, _ = ask(spec, spec.params.model_validate({"root": root}), host)
    with pytest.raises(Moved, match=r"config\.yaml changed while it was read"):
        apply(changes, host, Record(), Silent(), Round(1, last=True), set())
    assert list((root / "releases").iterdir()) == []
    record = played("release.build", host, root=root)  # the next round sees what is there now
    assert record.data["built"]


@pytest.mark.skipif(os.geteuid() != 0, reason="without root nobody else's files can be made")
def test_what_may_not_be_read_is_a_clean_error():
    with for_everybody() as folder:
        root = experiment(folder / "exp")
        root.chmod(0o777)
        (root / "config.yaml").chmod(0o600)
        ran = subprocess.run(
            [sys.executable, "-c", BY_ANOTHER, root], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert f"cannot read {root}/config.yaml: Permission denied" in ran.stdout, ran.stderr
        assert not (root / "releases").exists()


BY_ANOTHER = """
import os, sys
from pathlib import Path
from tests.releasing import built, experiment, for_everybody
with for_everybody() as folder:
    built(experiment(folder / "exp"))  # so that all is imported, whatever another user may read
os.setuid(65534)
try:
    built(Path(sys.argv[1]))
except Exception as error:
    print(error)
"""


# Verifying and restoring


def test_verify_says_what_is_in_it(root, host):
    path = built(root, host)
    said = played("release.verify", host, path=path).data
    assert said["files"] == ALL
    assert said["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    with tarfile.open(path) as tar:
        assert said["bytes"] == sum(each.size for each in tar if each.name != "MANIFEST.json")


def test_a_release_that_was_packed_by_hand_with_folders_in_it(tmp_path):
    path = archive(tmp_path / "r.tar.gz", [entry("export/m.onnx", EMPTY_MODEL)])
    assert played("release.verify", host_at(tmp_path), path=path).data["files"] == ["export/m.onnx"]


def test_restore_gives_it_back_and_is_idle_then(root, host):
    path = built(root, host, include=["run.sh"])
    first = played("release.restore", host, path=path, dest=root / "srv/model")
    assert kinds(first) == [("make folder", "srv"), ("produce", "model")]
    assert first.data["model"] == str(root / "srv/model/export/model_2.onnx")
    for name in (*PAIR, "config.yaml", "run.sh"):
        assert (root / "srv/model" / name).read_bytes() == (root / name).read_bytes()
    assert os.access(root / "srv/model/run.sh", os.X_OK)
    (root / "srv/model/cache.bin").write_bytes(b"written by the service")
    assert played("release.restore", host, path=path, dest=root / "srv/model").changes == []


@pytest.mark.parametrize("what", ["changed", "missing", "link", "file", "link to it", "empty"])
def test_restore_never_overwrites(root, host, what):
    path, dest = built(root, host), root / "srv"
    if what in {"changed", "missing", "link"}:
        played("release.restore", host, path=path, dest=dest)
        (dest / "config.yaml").unlink()
        if what == "changed":
            (dest / "config.yaml").write_text("lr: 9.9\n")
        elif what == "link":
            (dest / "config.yaml").symlink_to(root / "config.yaml")
    elif what == "file":
        dest.write_text("x")
    elif what == "empty":
        dest.mkdir()
    else:
        dest.symlink_to("nowhere")
    before = tree(root)
    with pytest.raises(TaskFailed, match="is there, and is n") as failed:
        played("release.restore", host, path=path, dest=dest)
    assert "not there yet" in failed.value.hint
    assert tree(root) == before


def test_restore_of_more_than_the_disk_has(root, host):
    path = built(root, host)
    host.usage = lambda _path: Mock(free=100)
    with pytest.raises(TaskFailed, match=r"No space left on device for .*, 100B is free"):
        played("release.restore", host, path=path, dest=root / "srv")


def test_one_that_is_damaged_between_plan_and_apply_leaves_nothing(root, host):
    from runbook.engine.rounds import ask
    from runbook.registry import Registry

    path = built(root, host)
    spec = Registry().spec("release.restore")
    changes, _ = ask(spec, spec.params.model_validate({"path": path, "dest": root / "srv"}), host)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    before = tree(root)
    with pytest.raises(TaskFailed, match="is damaged, or another"):
        changes[0].apply(host)
    assert tree(root) == before


# Rehearsing


def test_a_rehearsal_restores_loads_and_predicts(root, host):
    for day in range(4):
        (root / "config.yaml").write_text(f"lr: {day}\n")
        built(root, host_at(root, now=NOW - timedelta(days=day)))
    record = played("release.rehearse", host, directory=root / "releases")
    assert kinds(record) == [("produce", "rehearsal.json")]
    report = json.loads((root / "releases/rehearsal.json").read_text())
    assert record.data["result"] == report
    assert (report["inputs"], report["outputs"], report["seed"]) == ({"x": [1, 8, 8]}, [[1, 4]], 20260310020000)
    assert report["model"] == PAIR[0]
    again = played("release.rehearse", host, directory=root / "releases", seed=report["seed"])
    assert again.data["path"] == record.data["path"]
    picked = {played_path(root, host, seed) for seed in range(20)}
    assert len(picked) == 4
    assert not [path for path in (root / "releases").iterdir() if "tmp" in path.name]


def played_path(root, host, seed):
    from runbook.tasks.archives.rehearsal import picked

    return picked(host, root / "releases", seed)


def test_a_rehearsal_in_check_only_says_what_it_would_pick(root, host):
    built(root, host)
    check = Overlay(host, imagined=True)
    played("release.rehearse", check, directory=root / "releases")
    assert not (root / "releases/rehearsal.json").exists()
    with pytest.raises(Unsure):
        check.read(root / "releases/rehearsal.json")


def test_a_model_that_does_not_load_fails_the_rehearsal(root, host):
    (root / "export/broken.onnx").write_bytes(EMPTY_MODEL)
    path = built(root, host, models=["export/broken.onnx"])
    before = tree(root)
    with pytest.raises(
        TaskFailed, match=r"the model broken.onnx was restored whole, and cannot be used: .*onnxruntime"
    ):
        played("release.rehearse", host, directory=root / "releases", path=path)
    assert tree(root) == before


def test_the_extra_that_a_rehearsal_needs_is_asked_for_before_anything_runs(tmp_path, monkeypatch):
    from runbook.errors import Problems
    from runbook.plan import extras
    from runbook.testing import plan_of

    book = tmp_path / "p.yml"
    book.write_text("- hosts: localhost\n  steps:\n    - release.rehearse: {directory: /r}\n")
    plan_of(book)
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    with pytest.raises(
        Problems,
        match=r"(?s)p.yml:3:7: release.rehearse needs onnx, onnxruntime and PIL, which are not.*pip install 'runbook\[onnx\]'",
    ):
        plan_of(book)


# Pruning


def test_what_serves_is_never_pruned(root, host):
    paths = []
    for day in range(4):
        model(root / "export/model_9.onnx", seed=day)
        paths.append(built(root, host_at(root, now=NOW - timedelta(days=9 - day)), models=["export/model_9.onnx"]))
        shutil.copy(root / "export/model_9.onnx", root / f"served_{day}.onnx")
    params = {"directory": root / "releases", "keep": 1, "in_use": [root / "served_1.onnx", root / "gone.onnx"]}
    record = played("release.prune", host, **params)
    assert record.data["removed"] == [str(paths[0]), str(paths[2])]
    assert sorted(path.name for path in (root / "releases").iterdir()) == sorted(
        path.name + end for path in (paths[1], paths[3]) for end in ("", ".sha256", ".intoto.json")
    )
    assert played("release.prune", host, **params).changes == []


# What an ONNX model keeps elsewhere


def test_weights_are_found_wherever_a_model_keeps_them(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    def tensor(name, location):
        made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        made.external_data.add(key="offset", value="0")
        made.external_data.add(key="location", value=location)
        return made

    inner = helper.make_graph([], "inner", [], [], [tensor("i", "inner.bin")])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor("c", "sub/constant.bin")),
        helper.make_node("If", ["b"], ["y"], then_branch=inner, else_branch=inner),
    ]
    sparse = helper.make_sparse_tensor(tensor("v", "values.bin"), tensor("n", "indices.bin"), [5])
    graph = helper.make_graph(
        nodes, "g", [], [], [tensor("w", "w.bin"), tensor("z", "w.bin")], sparse_initializer=[sparse]
    )
    function = helper.make_function("d", "F", [], ["c"], [nodes[0]], [helper.make_opsetid("", 17)])
    made = helper.make_model(graph, functions=[function], doc_string="x" * 100_000)
    path = tmp_path / "exp/export/m.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(made.SerializeToString())
    names = ["w.bin", "sub/constant.bin", "inner.bin", "values.bin", "indices.bin"]
    with pytest.raises(TaskFailed, match=r"keeps weights in .*, which is not there") as failed:
        built(tmp_path / "exp")
    assert "export it again, or copy both" in failed.value.hint
    for name in names:
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(name.encode())
    record = played("release.build", host_at(tmp_path), root=tmp_path / "exp")
    assert sorted(record.data["files"]) == sorted(
        ["VERSION.txt", "export/m.onnx", *(f"export/{name}" for name in names)]
    )
    assert onnx.load(path, load_external_data=False) == made


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", ""])
def test_weights_that_are_not_beside_the_model(tmp_path, location):
    import onnx

    model(tmp_path / "exp/export/m.onnx", external="m.data")
    made = onnx.load(tmp_path / "exp/export/m.onnx", load_external_data=False)
    made.graph.initializer[0].external_data[0].value = location
    (tmp_path / "exp/export/m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(TaskFailed, match="which is not beside it"):
        built(tmp_path / "exp")


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_a_model_that_is_cut_off_is_not_released(tmp_path, size):
    path = model(tmp_path / "exp/export/m.onnx")
    path.write_bytes(path.read_bytes()[:-size])
    with pytest.raises(TaskFailed, match="is no ONNX model: "):
        built(tmp_path / "exp")


def test_large_files_are_hashed_by_several_threads_which_the_guard_knows(root, host):
    with (root / "big.bin").open("wb") as file:
        file.write(os.urandom(2**24 + 5))
    first = played("release.build", host, root=root, include=["big.bin"])
    assert first.data["built"]
    assert played("release.build", host, root=root, include=["big.bin"]).changes == []


def test_a_link_to_an_archive_is_as_good_as_its_name(root, host):
    path = built(root, host)
    link = root / "latest.tar.gz"
    link.symlink_to(path)
    assert played("release.verify", host, path=link).data["files"] == ALL
    played("release.restore", host, path=link, dest=root / "srv")
    assert played("release.restore", host, path=link, dest=root / "srv").changes == []


def test_an_archive_that_cannot_be_read_is_not_taken_for_another(root, host):
    """A disk that fails while it is asked again must not lead to a second release, nor a prune to a lost one."""
    path = built(root, host)
    shutil.copy(root / "export/model_2.onnx", root / "served.onnx")
    opened = host.open

    class Failing:
        def __init__(self, file, after):
            self._file, self._left = file, after

        def __getattr__(self, name):
            return getattr(self._file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._file.close()

        def read(self, count=-1):
            self._left -= 1
            if self._left < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self._file.read(count)

        def readinto(self, buffer):
            piece = self.read(len(buffer))
            buffer[: len(piece)] = piece
            return len(piece)

    for after in (0, 1):
        host.open = lambda asked, after=after: Failing(opened(asked), after) if asked == path else opened(asked)
        for task, params in {
            "release.build": {"root": root},
            "release.verify": {"path": path},
            "release.restore": {"path": path, "dest": root / "srv"},
        }.items():
            with pytest.raises(TaskFailed, match=f"cannot read {path}: Input/output error"):
                played(task, host, **params)
    params = {"directory": root / "releases", "keep": 1, "in_use": [root / "served.onnx"]}
    host.open = lambda asked: Failing(opened(asked), 0) if asked == path else opened(asked)
    with pytest.raises(TaskFailed, match="Input/output error"):
        played("release.prune", host, **params)
    assert [found.name for found in (root / "releases").glob("*.tar.gz")] == [path.name]
