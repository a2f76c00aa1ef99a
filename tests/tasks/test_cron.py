"""`schedule.cron` against a `crontab` program that keeps a file, over many tables, and against the real one."""

import sys
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.host import LocalHost
from runbook.registry import Registry
from tests.private_cron import run_apart, unable

SPEC = Registry().spec("schedule.cron")
NOW = datetime(2026, 3, 10, 2, tzinfo=UTC)
# What crontab(1) does, with its table in a file beside it: it reads, replaces and removes, and wants a newline at the end.
CRONTAB = """#!/bin/sh
table="${0%/*}/table"
case "$1" in
-l) [ -e "$table" ] || { echo "no crontab for tester" >&2; exit 1; }; exec cat "$table" ;;
-r) exec rm "$table" ;;
-) cat > "$table.new"; [ -z "$(tail -c1 "$table.new")" ] || { echo "missing newline before EOF" >&2; exit 1; }
   mv "$table.new" "$table"; echo x >> "$table.writes" ;;
esac
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    (folder / "crontab").write_text(CRONTAB)
    (folder / "crontab").chmod(0o755)
    return folder


def host_with(folder):
    return LocalHost(now=NOW, cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin"}, run_id="cron")


def applied(host, **params) -> int:
    """Plan and apply, as a run does; gives how many changes there were."""
    changes = list(SPEC.function(SPEC.params(**params), host))
    for change in changes:
        change.apply(host)
    return len(changes)


LINES = st.one_of(
    st.sampled_from(
        ["", "# a comment", "MAILTO=ops@example.org", "PATH=/usr/bin:/bin", "*/5 * * * * true", "0 2 * * * date +\\%F",
         "  @reboot  sleep 1 ", "# BEGIN other", "# END other", "# BEGIN runbook: other\n1 1 * * * x\n# END runbook: other",
         "# begin runbook: upkeep", "# Ansible: upkeep", "\t", "# 한국어", "# \udcff\udcfe", "# \x0b\x0c\x85\r"]
    ),
    st.text(st.characters(blacklist_characters="\n\0", blacklist_categories=["Cs"]), max_size=20).map("# ".__add__),
)  # fmt: skip
TABLES = st.lists(LINES, max_size=12, unique=True).map(lambda lines: "".join(f"{line}\n" for line in lines))
JOBS = st.text(st.sampled_from("ab /'\"%&|>$*#비"), min_size=1, max_size=20).map(str.strip).filter(bool)


@settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(table=st.one_of(st.none(), TABLES), job=JOBS, other=JOBS)
def test_any_table(program, table, job, other):
    """Applied twice it is one change; another job replaces it in its place; removed, the bytes are as they were."""
    host, file = host_with(program), program / "table"
    file.unlink(missing_ok=True)
    before = None if table is None else table.encode("utf-8", "surrogateescape")
    if before is not None:
        file.write_bytes(before)
    want = {"name": "upkeep", "minute": 0, "hour": 2}
    assert [applied(host, **want, job=job) for _ in range(2)] == [1, 0]
    line = b"0 2 * * * " + job.replace("%", "\\%").encode()
    block = b"# BEGIN runbook: upkeep\n" + line + b"\n# END runbook: upkeep\n"
    assert file.read_bytes() == (before or b"") + block
    assert [applied(host, **want, job=other) for _ in range(2)] == [int(other != job), 0]
    assert [applied(host, name="upkeep", state="absent") for _ in range(2)] == [1, 0]
    assert (file.read_bytes() if file.exists() else b"") == (before or b"")


def test_a_block_keeps_its_place(program):
    host, file = host_with(program), program / "table"
    file.write_bytes(b"# first\n# BEGIN runbook: a\n1 1 * * * x\n# END runbook: a\n# last\n")
    assert applied(host, name="a", minute=2, job="y") == 1
    assert file.read_bytes() == b"# first\n# BEGIN runbook: a\n2 * * * * y\n# END runbook: a\n# last\n"
    assert applied(host, name="a", state="absent") == 1
    assert file.read_bytes() == b"# first\n# last\n"


def test_a_machine_without_cron(tmp_path):
    from runbook.errors import TaskFailed

    with pytest.raises(TaskFailed, match="crontab"):
        list(SPEC.function(SPEC.params(name="a", minute=2, job="y"), host_with(tmp_path / "none")))


@pytest.mark.skipif(bool(unable()), reason=str(unable()))
def test_the_real_crontab(tmp_path):
    """Read and written by the system's own command, over a spool that nobody else sees."""
    code = (
        "import sys; from datetime import datetime,UTC; from pathlib import Path\n"
        "from runbook.host import LocalHost; from runbook.registry import Registry\n"
        "spec = Registry().spec('schedule.cron')\n"
        "host = LocalHost(now=datetime.now(UTC), cwd=Path('/'), env={'PATH': '/usr/bin:/bin'}, run_id='x')\n"
        "for asked in eval(sys.argv[1]):\n"
        "    changes = list(spec.function(spec.params(**asked), host))\n"
        "    [change.apply(host) for change in changes]; print(len(changes))\n"
    )

    def applied(*asked) -> list[int]:
        done = run_apart(tmp_path, [sys.executable, "-c", code, repr(asked)])
        assert done.returncode == 0, done.stderr
        return [int(line) for line in done.stdout.split()]

    job = {"name": "upkeep", "minute": 0, "hour": 2, "job": "date '+%F %T' >> \"$HOME/o u t\""}
    gone = {"name": "upkeep", "state": "absent"}
    assert applied(job, job) == [1, 0]
    block = b"# BEGIN runbook: upkeep\n0 2 * * * date '+\\%F \\%T' >> \"$HOME/o u t\"\n# END runbook: upkeep\n"
    assert run_apart(tmp_path, ["crontab", "-l"]).stdout == block
    assert applied(gone) == [1]
    assert run_apart(tmp_path, ["crontab", "-l"]).returncode == 1
    old = 'MAILTO=""\n# \x85 비밀 \t\n\n*/5 * * * * true\n'.encode() + b"# \xff\n"
    assert run_apart(tmp_path, ["crontab", "-"], input=old).returncode == 0
    assert applied(job, job, gone, gone) == [1, 0, 1, 0]
    assert run_apart(tmp_path, ["crontab", "-l"]).stdout == old
