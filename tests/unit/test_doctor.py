"""`runbook doctor` finds what is broken, says what to do about it, and breaks off for nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from textwrap import dedent

import onnx
import pytest

from runbook.checkup import Finding, examine, machine, models
from runbook.measure import usable
from tests.unit.playing import COMMAND


def ask(*argv: str, path: Path | None = None, **env: str):
    """Run the real command with a folder in front of where modules are looked for; give what it found by name."""
    env = {**os.environ, **({"PYTHONPATH": str(path)} if path else {}), **env}
    done = subprocess.run([*COMMAND, "doctor", "--json", *argv], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    found = {one["check"]: one for one in told["checks"]}
    assert done.returncode == any(one["status"] == "fail" for one in told["checks"])
    assert told["status"] in {one["status"] for one in told["checks"]}
    assert all(one["hint"] for one in told["checks"] if one["status"] != "ok")
    return found


def one(check, home=Path("/"), name=None) -> Finding:
    """Make one check in this process and give its finding."""
    found = list(check(home))
    return next(each for each in found if name in {None, each.name})


def module(folder: Path, name: str, text: str) -> Path:
    """Write a package that stands in front of the real one."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(dedent(text))
    return folder


def wheel(folder: Path, name: str, version: str) -> Path:
    """Leave in a folder what pip leaves of an installed wheel."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def test_what_is_here_is_fit(tmp_path):
    began = time.monotonic()
    found = ask("--state-dir", str(tmp_path / "state"))
    assert time.monotonic() - began < 20  # it takes one; the machine may be busy
    fit = ("python", "libyaml", "isal", "state folder", "extra onnx", "extra serve", "onnxruntime", "provider CPU")
    assert [found[name]["status"] for name in fit] == ["ok"] * len(fit)
    assert "provider Azure" not in found, "some wheels list it, and nothing here can ask for it"
    assert "not yet made" in found["state folder"]["text"]
    assert list(tmp_path.iterdir()) == []


def test_people_read_lines_and_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    argv = [*COMMAND, "doctor", "--state-dir", str(tmp_path / "file")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("fail  state folder"))
    assert "is no folder" in lines[place]
    assert lines[place + 1].strip().startswith("-> give another folder by --state-dir or $RUNBOOK_HOME")
    assert lines[-1].endswith(", 1 fail")
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("home", ["/proc/runbook", "/proc", "/sys/kernel/state"])
def test_a_state_folder_that_cannot_be_written(home):
    """Nobody makes files there, root neither."""
    found = one(machine.state_folder, Path(home))
    assert (found.status, "cannot be written" in found.text) == ("fail", True)


def test_a_state_folder_below_a_file_or_a_broken_link(tmp_path):
    (tmp_path / "file").touch()
    assert one(machine.state_folder, tmp_path / "file/deep/state").text.endswith(f"{tmp_path / 'file'} is no folder")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert one(machine.state_folder, tmp_path / "link").status == "fail"


def test_a_full_disk(tmp_path):
    mounting = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", tmp_path]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no mounts here, so no disk can be filled")
    try:
        assert "No space left" in one(machine.state_folder, tmp_path).text
        subprocess.run(["mount", "-o", "remount,size=2m", tmp_path], check=True)
        found = one(machine.state_folder, tmp_path)
        assert (found.status, found.text) == ("warn", f"{tmp_path}; 0.0 GB free")
        assert "runbook runs prune" in found.hint
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_two_wheels_of_one_module(tmp_path):
    wheel(tmp_path, "onnxruntime-gpu", "1.20.0")
    found = ask(path=tmp_path)["onnxruntime"]
    assert found["status"] == "fail"
    assert "onnxruntime-gpu 1.20.0 overwrite each other's files" in found["text"]
    assert found["hint"].startswith("pip uninstall -y onnxruntime onnxruntime-gpu;")


RUNTIME = """
    import os
    __version__ = "0"

    def get_available_providers():
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    class InferenceSession:
        def __init__(self, model, providers):
            self.cuda = providers[0].startswith("CUDA")
            if self.cuda:
                {cuda}

        def get_providers(self):
            return ["CPUExecutionProvider"]

        def run(self, names, feed):
            import numpy as np
            return [-feed["x"]]
"""
GPU, NO_GPU = (sys.executable,), ("/no/such/device",)


@pytest.mark.parametrize(
    ("cuda", "gpu", "status", "text"),
    [
        (r"os.write(2, b'FAIL : with error: libcublas.so.13: not found\nmore\n')", GPU, "fail", "libcublas.so.13: not"),
        ("pass", NO_GPU, "warn", "listed, and not usable: a session gets CPUExecutionProvider in its place"),
        ("raise RuntimeError('driver is\\ntoo old')", GPU, "fail", "listed, and not usable: driver is too old"),
        ("os.abort()", GPU, "fail", "the process that tried was killed by signal 6"),
        ("import time; time.sleep(600)", GPU, "fail", "no answer within 2 s"),
    ],
)
def test_a_provider_that_is_listed_and_not_usable(tmp_path, monkeypatch, cuda, gpu, status, text):
    monkeypatch.setenv("PYTHONPATH", str(module(tmp_path, "onnxruntime", RUNTIME.format(cuda=cuda))))
    monkeypatch.setattr(models, "NVIDIA", gpu)
    monkeypatch.setattr(models, "PATIENCE_S", 2 if "sleep" in cuda else 20)
    found = list(models.usable_providers(Path("/")))
    assert (found[0].name, found[0].status) == ("provider CUDA", status)
    assert text in found[0].text
    assert "onnxruntime-gpu[cuda,cudnn]" in found[0].hint
    lived = "abort" not in cuda and "sleep" not in cuda
    assert [one.status for one in found[1:]] == (["ok"] if lived else []), "of those behind a crash nothing is known"


def test_a_runtime_that_cannot_be_imported(tmp_path):
    found = ask(path=module(tmp_path, "onnxruntime", "raise ImportError('libstdc++.so.6: GLIBCXX is\\ntoo old')"))
    assert found["onnxruntime"]["status"] == "fail"
    assert found["onnxruntime"]["text"] == "cannot be imported: ImportError: libstdc++.so.6: GLIBCXX is too old"


def test_a_gpu_that_the_runtime_does_not_know(monkeypatch):
    monkeypatch.setattr(models, "NVIDIA", GPU)
    found = one(models.usable_providers, name="provider CUDA")
    assert (found.status, found.text) == ("warn", "there is an NVIDIA GPU, and this ONNX Runtime has no CUDA")


def test_the_tiny_model_is_one():
    onnx.checker.check_model(onnx.load_from_string(usable.TINY), full_check=True)
    assert usable.trouble("CPUExecutionProvider") is None


def test_libraries_that_are_missing_and_what_asks_for_them(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        dedent("""
            import importlib.util, sys
            sys.modules["yaml._yaml"] = sys.modules["isal.igzip"] = None
            find = importlib.util.find_spec
            lacking = {"onnx", "torch", "onnxscript", "uvicorn"}
            importlib.util.find_spec = lambda name, *rest: None if name in lacking else find(name, *rest)
        """)
    )
    found = ask(path=tmp_path)
    assert [found[name]["status"] for name in ("libyaml", "isal")] == ["warn", "fail"]
    assert found["extra onnx"]["status"] == "warn"
    assert found["extra onnx"]["text"].startswith("onnx not installed; asked for by bench.gate, bench.infer, ")
    assert "onnx.export" in found["extra onnx"]["text"]
    assert "ort.optimize" in found["extra onnx"]["text"]
    assert found["extra onnx"]["hint"] == "pip install 'runbook[onnx]', or [gpu] for an NVIDIA GPU"
    assert found["extra torch"]["text"] == "torch and onnxscript not installed; asked for by onnx.export"
    assert found["extra serve"]["text"] == "uvicorn not installed; asked for by `runbook service`"


def test_the_runtime_for_gpus_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(wheel(tmp_path, "onnxruntime-gpu", "1.20.0"))
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    assert one(models.extras, name="extra onnx").hint == "pip install 'runbook[gpu]'"


def test_no_runtime_is_no_failure(monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    assert list(models.usable_providers(Path("/"))) == []
    monkeypatch.setattr(models, "WHEELS", ("no-such-wheel",))
    assert list(models.runtimes(Path("/"))) == []


def test_an_old_interpreter(monkeypatch):
    wanted = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == f">={machine.OLDEST[0]}.{machine.OLDEST[1]}"
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    assert one(machine.python).status == "fail"


def test_a_clock_that_is_behind_the_newest_run(tmp_path):
    (tmp_path / "runs").mkdir()
    os.utime(tmp_path / "runs", (time.time() + 3600,) * 2)
    found = one(machine.time_of_day, tmp_path)
    assert (found.status, found.text.endswith("is before the newest run")) == ("fail", True)


@pytest.mark.parametrize(("kept", "status"), [(True, "ok"), (None, "ok"), (False, "warn")])
def test_a_clock_that_nobody_keeps(tmp_path, monkeypatch, kept, status):
    assert machine._synchronised() in {True, False, None}
    monkeypatch.setattr(machine, "_synchronised", lambda: kept)
    assert one(machine.time_of_day, tmp_path).status == status


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd starts jobs here")
def test_who_starts_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "neither cron nor systemd" in one(machine.scheduler).text
    (tmp_path / "crontab").touch(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "_runs", lambda _: False)
        assert "no cron runs that would read it" in one(machine.scheduler).text
    shutil.copy("/bin/sleep", tmp_path / "cron")
    with subprocess.Popen([tmp_path / "cron", "60"]) as process:
        try:
            assert one(machine.scheduler) == Finding("scheduler", "ok", "cron is at work")
        finally:
            process.kill()


def test_a_check_that_breaks_off_is_told_and_the_others_are_made():
    def broken(_home):
        yield Finding("first", "ok", "so far")
        raise KeyError("x")

    found = list(examine(Path("/"), (broken, machine.python)))
    assert [(each.name, each.status) for each in found] == [("first", "ok"), ("broken", "fail"), ("python", "ok")]
    assert found[1].text == "the check broke off: KeyError: 'x'"
