"""File systems that are mounted at several places."""

from datetime import UTC, datetime

from runbook.engine.rounds import Record, perform
from runbook.host import LocalHost
from runbook.registry import Registry
from runbook.testing.laws import Silent


def test_a_disk_that_is_mounted_twice_is_listed_once(tmp_path):
    class Bound(LocalHost):
        def mounts(self):
            return [tmp_path / "one", tmp_path / "two"]

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    host = Bound(now=datetime(2026, 3, 10, tzinfo=UTC), cwd=tmp_path, env={}, run_id="disks")
    spec, record = Registry().spec("disk.report"), Record()
    paths = [str(tmp_path / "one"), str(tmp_path / "two")]
    perform(spec, spec.params.model_validate({"paths": paths}), host, record, Silent())
    assert [(each["mount"], each["paths"]) for each in record.data["file_systems"]] == [(paths[0], paths)]
