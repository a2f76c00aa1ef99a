"""Any sequence of changes ends alike on an overlay and on the real machine: the same errors, the same tree."""

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runbook.errors import TaskFailed, Unsure
from runbook.host import LocalHost, Overlay

NOW = datetime(2026, 3, 1, tzinfo=UTC)

names = st.sampled_from(["a", "b", "l", "h", "x", "new"])
parts = st.lists(st.one_of(names, st.just("..")), min_size=1, max_size=3).filter(
    lambda path: path.count("..") < len(path)
)
paths = parts.map(lambda path: "root/" + "/".join(path)).filter(lambda path: not escapes(path))
modes = st.sampled_from([None, 0o600, 0o755])
plans = st.sampled_from(["fresh", "fresh", "fresh", "fresh", "link", "none", "first"])
OPERATIONS = ["write", "remove", "move", "make_folder", "chmod", "link", "hard", "compress", "produce", "copy"]
changes = st.tuples(st.sampled_from(OPERATIONS), paths, paths, modes, plans)


def escapes(path):
    """Keep `..` from leaving the folder, also after links that lead up."""
    depth = 0
    for part in path.split("/")[1:]:
        depth += -1 if part == ".." else 1
        if depth < 1:
            return True
    return False


def furnish(folder):
    root = folder / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"deep")
    (root / "b").write_bytes(b"file")
    (root / "b").chmod(0o640)
    os.link(root / "b", root / "h")
    (root / "l").symlink_to("a")
    return folder


def apply(host, folder, change, first):
    """Apply one change, planned on what is there now, on the first look or on nothing; gives what became of it."""
    operation, path, other, mode, plan = change
    path, other = folder / path, folder / other
    try:
        follow = operation in {"write", "chmod", "produce", "copy"}
        was = host.stat(path, follow=follow if plan != "link" else not follow)
        first.setdefault(path, was)
        was = {"none": None, "first": first[path]}.get(plan, was)
        if operation in {"remove", "move", "chmod", "compress"} and was is None:
            return "nothing there"
        act(host, operation, path, other, mode, was)
    except TaskFailed as failed:
        return f"{type(failed).__name__}: {failed}".replace(str(folder), "")
    except Unsure:
        return "unsure"
    return "done"


def act(host, operation, path, other, mode, was):
    match operation:
        case "write":
            host.write(path, str(other.name).encode(), mode=mode, was=was)
        case "remove":
            host.remove(path, was=was)
        case "move":
            host.move(path, other, was=was)
        case "make_folder":
            host.make_folder(path, mode=mode)
        case "chmod":
            host.chmod(path, mode or 0o700, was=was)
        case "link":
            host.link(path, other.name, hard=False, was=was)
        case "hard":
            host.link(path, str(other), hard=True, was=was)
        case "compress":
            host.compress(path, other, was=was, level=0)
        case "produce":
            host.produce(path, lambda spare: spare.write_bytes(b"made"), mode=mode, was=was)
        case "copy":
            host.write(path, host.read(other), mode=mode, was=was)


def said(call, folder):
    try:
        return str(call()).replace(str(folder), "")
    except TaskFailed as failed:
        return str(failed).replace(str(folder), "")
    except Unsure:
        return None


def view(host, folder):
    """Give the tree as it is read: kinds, modes, links, sizes and contents (None: known after the run)."""
    seen = {}
    for found in host.find(folder, recursive=True):
        name, stat = str(found.path.relative_to(folder)), found.stat
        seen[name, "is"] = (stat.kind, None if stat.is_link else stat.mode, None if stat.is_folder else stat.links)
        seen[name, "again"] = host.stat(found.path, follow=False) == stat
        seen[name, "leads to"] = said(lambda path=found.path: getattr(host.stat(path), "kind", None), folder)
        seen[name, "says"] = said(lambda path=found.path: host.readlink(path), folder)
        seen[name, "resolves to"] = said(lambda path=found.path: host.resolve(path), folder)
        seen[name, "holds"] = said(lambda path=found.path: host.read(path), folder)
        seen[name, "hash"] = said(lambda path=found.path: host.sha256(path), folder)
        seen[name, "lists"] = said(lambda path=found.path: [f.path.name for f in host.find(path)], folder)
        if not stat.is_folder:
            seen[name, "size"] = said(lambda size=stat.size: size + 0 if isinstance(size, int) else bool(size), folder)
    return seen


def same(imagined, real):
    assert imagined.keys() == real.keys()
    for key, value in imagined.items():
        assert value is None or value == real[key], key


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@example([("remove", "root/a/x", "root/b", None, "fresh"), ("remove", "root/a/b", "root/b", None, "fresh"),
          ("remove", "root/a", "root/b", None, "fresh"), ("make_folder", "root/a", "root/b", None, "fresh"),
          ("write", "root/l/x", "root/b", None, "fresh")])  # fmt: skip
@example([("move", "root/a", "root/new", None, "fresh"), ("move", "root/new", "root/new/b", None, "fresh"),
          ("write", "root/l/x", "root/b", None, "fresh"), ("write", "root/new/b/x", "root/b", None, "fresh")])  # fmt: skip
@example([("hard", "root/h", "root/b", None, "fresh"), ("chmod", "root/h", "root/b", 0o600, "fresh")])
@given(st.lists(changes, max_size=12))
def test_an_overlay_ends_as_the_real_machine_does(todo):
    top = Path(tempfile.mkdtemp())
    try:
        folders = [furnish(top / "imagined"), furnish(top / "really")]
        hosts = [LocalHost(now=NOW, cwd=folder, env={}, run_id="run-00000001", umask=0o022) for folder in folders]
        before = view(hosts[0], folders[0])
        overlay = Overlay(hosts[0], imagined=True)
        first = {}, {}
        for change in todo:
            step = Overlay(overlay)
            planned = apply(step, folders[0], change, dict(first[0]))
            imagined = apply(overlay, folders[0], change, first[0])
            assert planned == imagined
            if imagined == "unsure":  # it would copy what is known after the run
                continue
            assert imagined == apply(hosts[1], folders[1], change, first[1])
        same(view(Overlay(overlay), folders[0]), view(overlay, folders[0]))
        hosts[1].settle()
        same(view(overlay, folders[0]), view(hosts[1], folders[1]))
        assert view(hosts[0], folders[0]) == before
        assert not list(top.rglob("*.runbook-tmp"))
    finally:
        shutil.rmtree(top)
