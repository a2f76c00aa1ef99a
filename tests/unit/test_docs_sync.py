"""`runbook docs sync`: blocks of pages that say what the playbooks say, and cannot drift unseen."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from runbook.cli.session import Options, compiled, opened
from runbook.plan.extra import inputs_of, needed
from runbook.plan.model import flat
from runbook.playbook import find_playbook, load_playbook, shipped_playbooks
from runbook.registry import Registry
from tests.unit.playing import COMMAND

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("OPS_CHECKLIST.md", "ROLLBACK.md", "SECURITY.md", "SCRIPTS.md", "windows.md")

BOOK = """\
# Ship it.
#
#   runbook play ship.yml -e where=/srv
- name: Ship
  hosts: localhost
  tags: shipping
  inputs:
    where: {type: path, required: true, help: the folder | of it}
  steps:
    # The folder is `there` before anything <else>; 2 * 2. If it fails: look at the disk.
    - name: Have the folder
      files.directory: {path: "{{ where }}"}
      tags: [folder]
      notify: tell
    - name: All of it
      block:
        # It may go wrong.
        - name: Look at it.
          stat: {path: "{{ where }}"}
          when: where != '/'
      rescue:
        - name: Say so
          debug: {msg: it is not there}
      always:
        - command: uptime
          changed_when: false
          ignore_errors: true
          loop: "{{ [1, 2] }}"
    - include_steps: more.yml
      when: [more]
  vars: {more: true}
  handlers:
    - name: tell
      debug: {msg: done}
"""
MORE = """\
# For the sake of it.
- name: Copy
  copy: {dest: "{{ where }}/x", content: x}
"""
STOPS = "The run stops here, with exit 1: mend what the error names, and run it again. What was done stays done."
RUN = "runbook play ship.yml"
PROCEDURE = f"""\
before
<!-- runbook: ship.yml procedure -->

See first what it would do: `{RUN} --check -e where=WHERE`. Then do it: `{RUN} -e where=WHERE`.

**Ship**, on `localhost`:

1. **Have the folder.** The folder is `there` before anything \\<else>; 2 \\* 2.
   - Run it: `{RUN} -t folder -e where=WHERE`
   - What it changes: `files.directory` (`path: {{{{ where }}}}`): Have a folder, with a mode if one is given.
   - If it fails: Look at the disk.

*All of it*:

2. **Look at it.** Only when `where != '/'`. It may go wrong.
   - Run it: `{RUN} -t shipping -e where=WHERE`
   - What it changes: nothing. `stat`: Say whether a path exists, and what it is.
   - If it fails: The steps for that case are taken, below.

3. **Say so.** Only if one of the steps above has failed.
   - Run it: `{RUN} -t shipping -e where=WHERE`
   - What it changes: nothing. `debug`: Show a message or the value of an expression.
   - If it fails: {STOPS}

4. **command.** Whatever became of the steps above. For each of `{{{{ [1, 2] }}}}`.
   - Run it: `{RUN} -t shipping -e where=WHERE`
   - What it changes: nothing. `command`: Run a program, without a shell: pipes, `>` and `&&` mean nothing here.
   - If it fails: The run goes on, and the report tells of it.

5. **Copy.** Only when `more`. For the sake of it.
   - Run it: `{RUN} -t shipping -e where=WHERE`
   - What it changes: `copy` (`dest: {{{{ where }}}}/x`): Give a file its content: a text, or that of another file; or copy a folder.
   - If it fails: {STOPS}

At the end, if a step has asked for it:

6. **tell.**
   - Run it: `{RUN} -t shipping -e where=WHERE`
   - What it changes: nothing. `debug`: Show a message or the value of an expression.
   - If it fails: {STOPS}

<!-- /runbook -->
after"""


@pytest.fixture
def project(tmp_path):
    for folder in ("docs/more", "playbooks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "playbooks/ship.yml").write_text(BOOK)
    (tmp_path / "playbooks/more.yml").write_text(MORE)
    return tmp_path


def sync(project, *words):
    argv = [*COMMAND, "docs", "sync", *words]
    return subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)


def page(project, text, name="A.md"):
    path = project / "docs" / name
    path.write_bytes(text.encode())
    return path


BLOCK = "before\n<!-- runbook: ship.yml procedure -->\nold\n<!-- /runbook -->\nafter"


def test_a_procedure_in_sentences(project):
    path = page(project, BLOCK)
    assert sync(project, "--check").returncode == 1
    assert path.read_text() == BLOCK
    assert sync(project).stdout == "1 of 1 blocks written in docs\n"
    assert path.read_text() == PROCEDURE


def test_it_is_in_step_until_a_playbook_changes(project):
    page(project, BLOCK)
    page(project, BLOCK, "more/B.md")
    assert sync(project).returncode == 0
    written = (project / "docs/A.md").stat()
    assert sync(project, "--check").stdout == "2 blocks in docs are in step\n"
    assert sync(project).stdout == "0 of 2 blocks written in docs\n"
    assert (project / "docs/A.md").stat().st_mtime_ns == written.st_mtime_ns
    (project / "playbooks/more.yml").write_text(MORE.replace("Copy", "Carry"))
    checked = sync(project, "--check")
    assert checked.returncode == 1
    assert "docs/A.md:2 (ship.yml), docs/more/B.md:2 (ship.yml)" in checked.stderr
    assert "hint: run `runbook docs sync`" in checked.stderr
    assert sync(project).returncode == 0
    assert "Carry" in (project / "docs/more/B.md").read_text()


def test_parts_and_a_shipped_playbook(project):
    own = "<!-- runbook: ship.yml inputs about -->\n<!-- /runbook -->\n"
    path = page(project, f"{own}\n<!-- runbook: maintenance.yml yaml -->\n<!-- /runbook -->\n")
    assert sync(project).returncode == 0
    text = path.read_text()
    assert "| `where` | path | required | the folder \\| of it |" in text
    assert "Ship it.\n\n```sh\nrunbook play ship.yml -e where=/srv\n```\n" in text
    assert "<summary>maintenance.yml</summary>\n\n```yaml\n# The nightly upkeep" in text
    assert "1. **" not in text


def test_line_ends_and_modes_stay(project):
    path = page(project, BLOCK.replace("\n", "\r\n"))
    path.chmod(0o640)
    assert sync(project).returncode == 0
    content = path.read_bytes()
    assert content.startswith(b"before\r\n<!-- runbook: ship.yml procedure -->\r\n\r\nSee first")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(project / "docs")) == ["A.md", "more"]


def test_what_stands_in_code_is_no_marker(project):
    text = f"```md\n{BLOCK}\n```\n\n~~~\n<!-- /runbook -->\n~~~\n"
    path = page(project, text)
    assert sync(project).stdout == "0 of 0 blocks written in docs\n"
    assert path.read_text() == text


OPEN, CLOSE = "<!-- runbook: ship.yml -->\n", "<!-- /runbook -->\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OPEN, "docs/A.md:1:1: this block does not end"),
        (f"\n{OPEN}{OPEN}{CLOSE}", "docs/A.md:2:1: this block does not end"),
        (f"\n\n{CLOSE}", "docs/A.md:3:1: this ends a block that does not begin"),
        (OPEN.replace("ship", "shop") + CLOSE, "did you mean 'ship.yml'?"),
        (OPEN.replace("ship", "../x/none") + CLOSE, "there is no playbook"),
        (OPEN.replace("ship.yml", "") + CLOSE, "there is no playbook ''"),
        (OPEN.replace("yml", "yml inptus") + CLOSE, "did you mean 'inputs'?"),
    ],
)
def test_wrong_markers_are_errors_with_their_place_and_nothing_is_written(project, text, said):
    page(project, text)
    other = page(project, BLOCK, "B.md")
    done = sync(project)
    assert done.returncode == 4
    assert said in done.stderr
    assert other.read_text() == BLOCK


def test_a_wrong_playbook_is_said_with_its_place(project):
    page(project, BLOCK)
    (project / "playbooks/more.yml").write_text(MORE.replace("copy:", "copi:"))
    done = sync(project)
    assert done.returncode == 4
    assert "more.yml" in done.stderr


def test_a_project_without_docs(tmp_path):
    done = sync(tmp_path)
    assert done.returncode == 1
    assert "there is no folder docs" in done.stderr


@pytest.mark.parametrize("name", PAGES)
def test_what_our_own_pages_name_is_there(name, tmp_path):
    """Playbooks, tasks, and examples; what is in step with the playbooks is seen by `make docs-check`."""
    text = (DOCS / name).read_text("utf-8")
    written = re.sub(r"<!-- runbook:.*?<!-- /runbook -->", "", text, flags=re.DOTALL)
    names = set(Registry().names())
    domains = {each.partition(".")[0] for each in names if "." in each}
    said = set(re.findall(r"`([a-z]+\.[a-z_]+)`", written))
    assert {each for each in said if each.partition(".")[0] in domains and not each.endswith(".yml")} <= names
    assert set(re.findall(r"`(\w+)\.yml`", written)) <= set(shipped_playbooks())
    for number, example in enumerate(re.findall(r"^```yaml\n(.*?)^```", written, re.MULTILINE | re.DOTALL)):
        path = tmp_path / f"{number}.yml"
        path.write_text(example)
        book = load_playbook(path, is_task=Registry().is_task)
        for step in book.plays[0].steps:
            assert set(step.params) <= set(Registry().spec(step.task).names())


PARTS = {
    told.groups()
    for page in DOCS.glob("*.md")
    for told in re.finditer(r"`runbook play ([\w/.]+\.yml) -t (\w+)(?: -e [^`]*)?`", page.read_text())
}


@pytest.mark.parametrize(("name", "tag"), sorted(PARTS))
def test_a_part_may_be_run_alone_as_the_pages_say(name, tag, tmp_path, monkeypatch):
    """What a step without the tag would have registered must not be missing."""
    monkeypatch.chdir(tmp_path)
    env_file = tmp_path / ".env"
    env_file.touch(0o600)
    env_file.write_text("API_KEY=0123456789abcdef0123456789abcdef\n")
    book = load_playbook(find_playbook(name), is_task=Registry([]).is_task)
    fit = {"dir": tmp_path, "file": env_file, "str": "true"}
    inputs = inputs_of(book)
    given = tuple(f"{name}={fit[inputs[name].type]}" for name in needed(inputs))
    plan = compiled(opened(Options(name, "dry-run", given, tags=(tag,), state_dir=tmp_path / "state")))
    assert any(flat(play.nodes) for play in plan.plays)
