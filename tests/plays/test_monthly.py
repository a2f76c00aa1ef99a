"""monthly.yml: the key is changed, every control is tried with the new one, no log holds a key, and the model is held to
the one that was kept the month before.
"""

import os
import subprocess

import pytest

from tests.plays.restarted import Running


@pytest.fixture
def running(tmp_path, digits):
    service = Running(tmp_path, digits.good)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/train.out").write_text("epoch 1\n")
    subprocess.run([service.restart], check=True, timeout=60)
    try:
        yield service
    finally:
        os.kill(int((service.folder / "pid").read_text()), 15)


def test_a_month(running, digits):
    inputs = ("-e", f"exp_dir={running.folder}", "--report", str(running.folder / "told.json"))
    inputs += ("-e", "rounds=6", "-e", "batches=1")
    old = running.key()
    code, out = running.rotate("--check", *inputs, book="monthly.yml")
    assert code == 0, out
    assert running.key() == old

    code, out = running.rotate(*inputs, book="monthly.yml")
    assert code == 0, out
    assert "See that every control holds" in out
    assert running.takes(running.key())
    assert "is the baseline from now on" in out
    assert (running.folder / "reports/baseline/model.onnx").read_bytes() == digits.good.read_bytes()

    code, out = running.rotate(*inputs, "-t", "bench", book="monthly.yml")
    assert code == 0, out
    assert "times as fast as the baseline" in out

    leaked = running.folder / "logs/proxy.log"
    leaked.write_text(f"line one\nGET /version X-API-Key: {running.key()}\n")
    leaked.chmod(0o600)
    code, out = running.rotate(*inputs, "-t", "scan", book="monthly.yml")
    assert code == 1
    assert "proxy.log:2" in out
