"""weekly.yml: logs that are due are rotated, a release is built, and one at random is restored and predicts."""

import gzip

from runbook.testing import plan_of, play
from tests.releasing import experiment


def test_a_week(tmp_path):
    root, log = experiment(tmp_path / "exp"), tmp_path / "cloudflared.log"
    log.write_text("a line of the tunnel\n" * 1000)
    inputs = {"exp_dir": str(root), "tunnel_log": str(log), "log_max_size": "10kB", "log_max_age": "7d"}
    plan = plan_of("weekly.yml", inputs)

    check = play(plan, mode="check")
    assert check["status"] == "ok"
    assert log.stat().st_size == 21_000
    assert not (root / "releases").exists()

    run = play(plan)
    assert run["status"] == "ok", run["steps"]
    statuses = {step["name"]: step["status"] for step in run["steps"]}
    assert statuses["Rotate the tunnel's log, should that be due still"] == "changed"
    assert statuses["Restore a release at random, and let its model predict"] == "changed"
    (archive,) = tmp_path.glob("cloudflared.log.*.gz")
    assert gzip.decompress(archive.read_bytes()) == b"a line of the tunnel\n" * 1000
    (release,) = (root / "releases").glob("*.tar.gz")
    assert str(release) in run["steps"][-1]["data"]["msg"]

    again = play(plan)
    changed = [step["task"] for step in again["steps"] if step["status"] == "changed"]
    assert changed == ["release.rehearse"], "only the rehearsal acts every time"


def test_without_a_tunnel_and_with_a_rotten_release(tmp_path):
    root = experiment(tmp_path / "exp")
    assert play(plan_of("weekly.yml", {"exp_dir": str(root)}))["status"] == "ok"
    (release,) = (root / "releases").glob("*.tar.gz")
    content = bytearray(release.read_bytes())
    content[len(content) // 2] ^= 1
    release.write_bytes(content)
    ended = play(plan_of("weekly.yml", {"exp_dir": str(root)}, tags=("restore",)))
    assert ended["status"] == "failed"
    assert release.name in ended["steps"][0]["error"]["message"]
