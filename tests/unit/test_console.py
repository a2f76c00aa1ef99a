"""What an operator sees: plain, quiet, JSON and live."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_report import STARTED, WRITE, a_run, result, step

from runbook import events as ev
from runbook.console import JsonLines, PlainConsole
from runbook.errors import Where
from runbook.lines import duration, table
from runbook.live import LiveConsole
from runbook.screens import for_terminal
from runbook.unknown import Unknown

ROOT = Path(__file__).parents[2]
ONE = replace(STARTED, hosts=("web1",))
DONE = ev.RunFinished("ok", 0, "2025-03-01T02:00:09Z", 9.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(*events, console=PlainConsole, stream=None, **how):
    stream = stream or io.StringIO()
    tell = console(stream, **how)
    for event in events:
        tell(event)
    tell.close()
    return stream.getvalue()


def test_a_run_is_told_step_by_step_with_changes_failures_and_counts():
    failure = ev.Failure("TaskFailed", "no space left\nin /data", "free some")
    changes = [
        {**WRITE, "applied": True},
        {**WRITE, "target": "/b", "applied": False},
        {**WRITE, "kind": "remove", "target": "/c", "detail": "", "applied": None},
    ]
    text = told(
        ONE,
        ev.PlayStarted("upkeep", ("web1",)),
        result(1, "ok", data={"msg": "all is well"}),
        result(2, "changed", changes=[{**WRITE, "applied": True}], attempts=3),
        result(3, "skipped", reason="when: nightly"),
        result(4, "failed", changes=changes, error=failure, data={"table": "a  1\nb  2", "stderr": "line 1\nline 2\n"}),
        ev.RunFinished("failed", 1, "2025-03-01T02:00:09Z", 90.0),
        report="/state/report.json",
    )
    assert text.splitlines() == [
        "daily.yml: run 20250301T020000Z-abc123",
        "",
        "play 'upkeep' on web1",
        "  1 ok           step 1  (250ms)",
        "      all is well",
        "  2 changed      step 2  (250ms, 1 change, 3 attempts)",
        "      write /a (created, 2B)",
        "  3 skipped      step 3  (250ms, when: nightly)",
        "  4 FAILED       step 4  (250ms, 3 changes)",
        "      error: no space left",
        "             in /data",
        "      hint: free some",
        "      a  1",
        "      b  2",
        "      stderr:",
        "        | line 1",
        "        | line 2",
        "      done: write /a (created, 2B)",
        "      not done: write /b (created, 2B)",
        "      perhaps done: remove /c",
        "      at: daily.yml:4:5",
        "",
        "web1  ok 1, changed 1, failed 1, skipped 1",
        "failed, exit 1, in 1m30s",
        "report: /state/report.json",
    ]


def test_check_mode_says_so_at_both_ends_and_marks_what_ran_for_real():
    text = told(
        replace(ONE, mode="check"),
        result(1, "changed", changes=[WRITE]),
        result(2, "changed", changes=[{**WRITE, "applied": True}], forced=True),
        result(3, "unsure", reason="depends on step 1 'x'"),
        DONE,
    )
    lines = text.splitlines()
    assert lines[0].endswith("(check: nothing is written)")
    assert lines[1] == "  1 would change step 1  (250ms, 1 change)"
    assert lines[3] == "  2 changed      step 2  (250ms, 1 change, ran for real)"
    assert lines[5:7] == ["  3 unsure       step 3  (250ms)", "      because: depends on step 1 'x'"]
    assert lines[-1] == "ok, in 9.0s (check: nothing is written)"


def test_several_hosts_are_named_and_counted():
    text = told(STARTED, result(1, "ok"), result(1, "failed", "web2"), ev.Rescued(step(1, "web2")), DONE)
    assert "  1 ok           step 1 on web1" in text
    assert "      rescued: 1 step 1 on web2\n" in text
    assert "web2  ok 1; rescued 1\n" in text


CROWD = tuple(f"api-{number}" for number in range(1, 1001))
MANY = replace(STARTED, hosts=CROWD)


def of_all(index, status, but=None, **how):
    """Give a step of a thousand hosts, and what it came to on some of them."""
    for host in CROWD:
        yield ev.StepStarted(step(index, host), "2025-03-01T02:00:00Z")
        yield (but or {}).get(host) or result(index, status, host, **how)


def test_of_many_hosts_what_is_as_it_was_is_counted():
    failed = result(3, "failed", "api-17", error=ev.Failure("TaskFailed", "refused\nin full", "is it up?"))
    changed = {host: result(2, "changed", host, changes=[{**WRITE, "applied": True}]) for host in CROWD[:12]}
    text = told(
        MANY,
        ev.PlayStarted("upkeep", CROWD),
        *of_all(1, "ok"),
        *of_all(2, "ok", changed),
        *of_all(3, "ok", {"api-17": failed}),
        *of_all(4, "skipped", {"api-17": ev.Note("api-17 is out")}, reason="when: nightly"),
        ev.RunFinished("failed", 1, "2025-03-01T02:00:09Z", 9.0),
    )
    lines = text.splitlines()
    assert lines[2:4] == [
        "play 'upkeep' on api-1, api-2, api-3, api-4, api-5 and 995 more",
        "  1 ok           step 1 on 1,000 hosts",
    ]
    assert sum(line.startswith("  2 changed") for line in lines) == 10
    assert "  2 all          step 2: 988 ok, 12 changed" in lines
    at = lines.index("  3 FAILED       step 3 on api-17  (250ms)")
    assert lines[at + 1 : at + 6] == [
        "      error: refused",
        "             in full",
        "      hint: is it up?",
        "      at: daily.yml:3:5",
        "  3 all          step 3: 999 ok, 1 failed: api-17 (refused)",
    ]
    assert "  4 skipped      step 4 on 999 hosts" in lines
    assert lines[-5:] == [
        "failed at 3 step 3 on api-17: refused",
        "api-17  ok 2, failed 1",
        "12 hosts  ok 2, changed 1, skipped 1",
        "987 hosts  ok 3, skipped 1",
        "failed, exit 1, in 9.0s",
    ]


def test_of_many_hosts_every_failure_is_named_and_rescues_together():
    failed = {host: result(1, "failed", host, error=ev.Failure("E", f"{host} is down")) for host in CROWD[:40]}
    ignored = {"api-50": result(1, "failed", "api-50", ignored=True, error=ev.Failure("E", "never mind"))}
    rescued = [ev.Rescued(step(1, host)) for host in CROWD[:30]]
    end = ev.RunFinished("failed", 1, "2025-03-01T02:00:09Z", 9.0)
    text = told(MANY, *of_all(1, "ok", failed | ignored), *rescued, *of_all(2, "ok"), end)
    assert text.count("error: api-") == 40
    named = ", ".join(CROWD[:40])
    assert f"  1 all          step 1: 959 ok, 1 failed, 40 failed: {named}\n" in text
    assert (
        "  1 rescued      step 1 on api-1, api-2, api-3, api-4, api-5, api-6, api-7, api-8, api-9, api-10 and 20 more\n"
        in text
    )
    assert f"failed at 1 step 1 on {', '.join(CROWD[30:40])}\n" in text
    quiet = told(MANY, *of_all(1, "ok", failed | ignored), *rescued, end, verbosity=-1)
    assert quiet.count("error: api-") == 10
    assert "959 hosts  ok 1\n" in quiet


def test_of_many_hosts_all_are_told_when_asked_for():
    loud = told(MANY, *of_all(1, "ok"), DONE, verbosity=1)
    assert loud.count("  1 ok           step 1 on api-") == 1000


def test_of_a_few_of_many_hosts_nothing_is_told_twice():
    some = [result(1, "ok", host, data={"msg": f"I am {host}"}) for host in CROWD[:3]]
    lines = told(MANY, *some, DONE).splitlines()
    assert lines[1:5] == [
        "  1 ok           step 1 on api-1  (250ms)",
        "      I am api-1",
        "  1 ok           step 1 on api-2  (250ms)",
        "      I am api-2",
    ]
    assert not any("hosts" in line or "all" in line for line in lines[1:7])


def test_a_terminal_shows_how_many_of_many_hosts_are_through(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    screen = LiveConsole(stream)
    for event in (MANY, ev.PlayStarted("upkeep", CROWD), *of_all(1, "ok")):
        screen(event)
    (task,) = screen._progress.tasks
    assert (task.completed, task.total) == (1000, 1000)
    for host in CROWD[:5]:
        screen(ev.StepStarted(step(2, host), ""))
    (task,) = screen._progress.tasks
    assert (task.completed, task.fields["far"]) == (0, "api-1, api-2, api-3 and 2 more")
    screen.close()


def test_a_loop_shows_the_items_that_matter():
    events = [
        ev.ItemFinished(ev.Result(step(1), "ok", item="a")),
        ev.ItemFinished(ev.Result(step(1), "changed", item="b", changes=[{**WRITE, "applied": True}])),
        ev.ItemFinished(ev.Result(step(1), "failed", item="c", error=ev.Failure("E", "broken"))),
        result(1, "failed", error=ev.Failure("E", "one item failed")),
    ]
    lines = told(ONE, *events).splitlines()[1:]
    assert lines == [
        "  1 FAILED       step 1  (250ms, 1 change)",
        "      changed      b  (1 change)",
        "      write /a (created, 2B)",
        "      FAILED       c",
        "      error: broken",
        "      at: daily.yml:1:5",
    ]
    assert "      ok           a" in told(ONE, *events, verbosity=1)


def test_a_table_that_is_shown_is_not_shown_once_more_as_json():
    failure = ev.Failure("TaskFailed", "no room", None)
    data = {"msg": "a  1\nb  2", "table": "c  3\nd  4", "rc": 0}
    for status, kept in (("ok", '{"table": "c  3\\nd  4", "rc": 0}'), ("failed", '{"msg": "a  1\\nb  2", "rc": 0}')):
        found = result(1, status, data=data, error=failure if status == "failed" else None)
        loud = told(ONE, found, verbosity=1)
        assert f"      data: {kept}\n" in loud


def test_diffs_output_and_data_are_shown_when_asked_for():
    events = (ONE, ev.Output(step(1), "stdout", "10%\r100%\n"), result(1, "changed", changes=[WRITE], data={"rc": 0}))
    assert "+a" not in told(*events)
    assert "100%" not in told(*events)
    assert "\n        +a\n" in told(*events, diff=True)
    loud = told(*events, verbosity=1)
    assert "      | 100%\n" in loud
    assert '      data: {"rc": 0}\n' in loud


def test_what_only_a_run_can_tell_is_not_said_in_a_check():
    unknown = result(1, "changed", data={"msg": Unknown("depends on step 1")})
    assert told(ONE, unknown).splitlines()[1:] == ["  1 changed      step 1  (250ms)"]


def test_quiet_says_nothing_of_success_and_of_forgiven_failures():
    events = [event for event in a_run()[:-1] if event != a_run()[8]]
    assert told(*events, DONE, verbosity=-1, report="/r") == ""


def test_quiet_tells_failures_and_where_the_report_is():
    lines = told(*a_run(), verbosity=-1, report="/r").splitlines()
    assert lines[0] == "daily.yml: run 20250301T020000Z-abc123"
    assert next(line for line in lines if line.startswith("  ")) == "  4 FAILED       step 4 on web1  (250ms)"
    assert sum("FAILED" in line for line in lines) == 2  # the step and its item
    assert lines[-1] == "report: /r"


def test_a_long_output_of_a_failure_is_cut_to_its_end():
    text = told(ONE, result(1, "failed", data={"stdout": "\n".join(map(str, range(100)))}))
    assert "stdout (the last 20 of 100 lines):\n        | 80\n" in text


def test_control_characters_never_reach_the_terminal():
    hostile = {**WRITE, "target": "/tmp/\x1b]0;owned\x07\nfake: ok\u202e"}
    text = told(ONE, result(1, "changed", changes=[hostile]), ev.Output(step(1), "stdout", "\x1b[2J"), verbosity=1)
    assert "write /tmp/\\x1b]0;owned\\x07\\nfake: ok\\u202e (created" in text
    assert "\x1b" not in text


def test_what_the_encoding_lacks_is_escaped():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    PlainConsole(stream)(ev.Note("größe \udcff", Where("a.yml", 1, 2)))
    assert raw.getvalue() == b"note: gr\\xf6\\xdfe \\udcff (a.yml:1:2)\n"


def test_json_lines_hold_every_event_and_nothing_else():
    events = [*a_run(), ev.Note("a\nb")]
    lines = [json.loads(line) for line in told(*events, console=JsonLines).splitlines()]
    assert len(lines) == len(events)
    assert (lines[0]["event"], lines[-1]["text"]) == ("run_started", "a\nb")


@pytest.mark.parametrize(
    ("stream", "env", "how", "kind"),
    [
        (Terminal(), {}, {}, LiveConsole),
        (Terminal(), {"NO_COLOR": "1"}, {}, PlainConsole),
        (Terminal(), {"TERM": "dumb"}, {}, PlainConsole),
        (Terminal(), {}, {"verbosity": -1}, PlainConsole),
        (Terminal(), {}, {"json_lines": True}, JsonLines),
        (io.StringIO(), {}, {}, PlainConsole),
    ],
)
def test_the_display_fits_the_stream(monkeypatch, stream, env, how, kind):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert type(for_terminal(stream, **how)) is kind


def test_the_live_display_shows_the_same_lines_unwrapped_in_colour_and_what_is_at_work(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    long = "/srv/" + "deep/" * 40
    stream = Terminal()
    tell = LiveConsole(stream)
    for event in (ONE, ev.StepStarted(step(1), ""), ev.Progress(step(1), "a.log", 5e6, 1e7)):
        tell(event)
    tell._progress.refresh()
    assert "1/7 step 1" in stream.getvalue()
    assert "5MB of 10MB" in stream.getvalue()
    tell(ev.Output(step(1), "stderr", "round 11 of 40\rround 12 of 40\x1b[2J"))
    tell(ev.Output(step(1), "stderr", "  "))
    tell._progress.refresh()
    assert [task.fields["far"] for task in tell._progress.tasks] == ["round 12 of 40\\x1b[2J"]
    tell(result(1, "changed", changes=[{**WRITE, "target": long}]))
    tell(result(2, "failed", error=ev.Failure("E", "[red]no markup[/red]")))
    tell(DONE)
    tell.close()
    text = stream.getvalue()
    assert f"write {long} (created, 2B)" in text
    assert "error: [red]no markup[/red]" in text
    assert "\x1b[33m" in text
    assert text.rstrip().endswith("ok, in 9.0s\x1b[0m")
    assert "\x1b[?25h" in text  # the cursor is back


def test_rich_is_not_imported_without_a_terminal():
    code = "import io, sys; from runbook.screens import for_terminal; for_terminal(io.StringIO()); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("seconds", "text"), [(0, ""), (0.012, "12ms"), (1.25, "1.2s"), (3725, "1h2m5s")])
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_a_table_has_columns():
    assert list(table([("A", "B", "C"), ("aaa", "b", "c\nd")])) == ["A    B  C", "aaa  b  c\\nd"]
