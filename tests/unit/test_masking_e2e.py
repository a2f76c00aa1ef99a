"""No secret shows anywhere: not on the console, in no record, no error, no diff, and not among the processes."""

import base64
import json
import os
import shutil
import urllib.parse

import psutil
import pytest
from playing import Ended, Folder
from test_signals import until

# What each is there for: quotes and shell signs, unicode, the alphabet of base64, escapes of JSON and YAML, templates.
SECRETS = {
    "quotes": "ca'na\"ry-q`$(id)\\x",
    "unicode": "kanarién-Ü-비밀번호",
    "base64": "Y2Fu+YXJ5/Zm9v==",
    "escapes": "tab\\there\\u0041<&>%41",
    "template": "{{ 7 * 7 }}-canary-{% raw %}",
    "spaces": "  canary of words  ",
    "newline": "canary-one'\"-비밀+/=\ncanary-two-비밀+/=\n",
    "url": "https://u:p4ssw0rd@host/canary?x=1&y=2",
}
ENV = {"API_KEY": "sk-0123456789abcdef+/=", "DB_PASSWORD": "p@ss'w0rd\"123"}
EVERY = [*SECRETS.values(), *ENV.values()]
PLUGIN = """
import sys
from pathlib import Path
from typing import Any
from runbook.changes import Run, RunCommand, Write
from runbook.errors import TaskFailed
from runbook.task import Params, task
from runbook.units import Secret, revealed

class All(Params):
    path: Path
    values: dict[str, Any]

@task(kind="action")
def crash(want: All, host):
    \"\"\"It shows everything in an exception.\"\"\"
    everything = revealed(want.values)
    print("printed", everything)
    print("complained", everything, file=sys.stderr)
    raise ValueError(everything)

@task(kind="action")
def fail(want: All, host):
    \"\"\"It shows everything in an error.\"\"\"
    raise TaskFailed(" ".join(revealed(want.values).values()), hint=str(revealed(want.values)), data=revealed(want.values))

@task(kind="probe")
def tell(want: All, host):
    \"\"\"It returns everything.\"\"\"
    return revealed(want.values)

@task
def write(want: All, host):
    \"\"\"It writes everything, with a diff.\"\"\"
    text = "\\n".join(revealed(want.values).values()).encode()
    if host.stat(want.path) is None:
        yield Write(want.path, text, before=b"", mode=0o600)

@task(kind="action")
def say(want: All, host):
    \"\"\"A process says everything, in pieces, and is given it by its environment.\"\"\"
    code = "import os,sys,time\\nfor v in os.environ['ALL'].split(chr(1)):\\n for c in v: sys.stdout.write(c); sys.stdout.flush()\\n print(); print(repr(v), file=sys.stderr)"
    run = Run(RunCommand((sys.executable, "-c", code), env={"ALL": chr(1).join(revealed(want.values).values())}))
    yield run
    return {"rc": run.outcome.rc, "stdout": run.outcome.stdout, "stderr": run.outcome.stderr}
"""


def forms(secret: str) -> set[str]:
    """Give how a secret might show; a hit of any is a leak."""
    lines = {secret, secret.strip(), *secret.splitlines()}
    raw = {line.encode() for line in lines}
    return {
        *lines,
        *(json.dumps(line)[1:-1] for line in lines),
        *(json.dumps(line, ensure_ascii=False)[1:-1] for line in lines),
        *(json.dumps(json.dumps(line)[1:-1])[1:-1] for line in lines),
        *(repr(line)[1:-1] for line in lines),
        *(urllib.parse.quote(line) for line in lines),
        *(urllib.parse.quote_plus(line) for line in lines),
        *(base64.b64encode(line).decode() for line in raw),
        *(line.hex() for line in raw),
    }


FORMS = {form: name for name, secret in [*SECRETS.items(), *ENV.items()] for form in forms(secret)}


def leaks(text: str) -> list[str]:
    return sorted(
        {f"{name}: ...{text[max(0, text.find(form) - 60) :][:160]}" for form, name in FORMS.items() if form in text}
    )


def folder_with_secrets(path) -> Folder:
    folder = Folder(path)
    folder.plugin("bad", PLUGIN)
    dotenv = path / ".env"
    dotenv.write_text(
        "".join(f"{name}='{value}'\n" if "'" not in value else f"{name}={value}\n" for name, value in ENV.items())
    )
    dotenv.chmod(0o600)
    given = path / "given.yml"
    given.write_text(json.dumps(SECRETS))
    given.chmod(0o600)
    return folder


INPUTS = {name: {"type": "secret", "help": "a canary"} for name in SECRETS}
VALUES = {name: f"{{{{ {name} }}}}" for name in [*SECRETS, *ENV]}
MADE = "{{ quotes }} {{ API_KEY | b64encode }} {{ base64 | urlencode }} {{ [unicode, escapes] | to_json }} {{ DB_PASSWORD | quote }} {{ newline }}"


def steps(path) -> list[dict]:
    everything = {"path": str(path / "out"), "values": VALUES}
    loop = ["{{ quotes }}", "{{ API_KEY }}"]
    ignored = {"ignore_errors": True}
    return [
        {"name": "tell {{ quotes }}", "bad.tell": everything, "register": "told"},
        {"name": "debug var", "debug": {"var": "told"}},
        {"name": "debug msg", "debug": {"msg": f"it is {MADE} and {{{{ told }}}}"}},
        {"name": "fail", "bad.fail": everything, **ignored, "register": "failed"},
        {"name": "crash", "bad.crash": everything, **ignored},
        {"name": "write", "bad.write": everything},
        {"name": "say", "bad.say": everything, "register": "said"},
        {"name": "present", "files.present": {"path": str(path / "made"), "content": MADE, "mode": "0600"}},
        {"name": "copy", "copy": {"dest": str(path / "copied"), "content": MADE, "mode": "0600"}},
        {
            "name": "shell",
            "shell": {"cmd": 'cat; echo "$KEY"; exit 3', "stdin": MADE},
            "environment": {"KEY": "{{ API_KEY }}"},
            **ignored,
        },
        {"name": "late", "shell": {"cmd": "cat; sleep 60", "stdin": MADE}, "timeout": "500ms", **ignored},
        {"name": "loop", "debug": {"msg": "{{ item }}"}, "loop": loop},
        {"name": "loop fail", "fail": {"msg": "{{ item }}"}, "loop": loop, **ignored},
        {
            "name": "wrong type",
            "files.present": {"path": str(path / "x"), "content": "x", "mode": "{{ told.quotes }}"},
            **ignored,
        },
        {
            "name": "assert",
            "assert": {"that": ["told.quotes == 'x'"], "fail_msg": "{{ told.quotes }} is no x"},
            **ignored,
        },
        {"name": "not a number", "debug": {"msg": "{{ told.quotes | int + API_KEY | mandatory }}"}, **ignored},
        {"name": "when", "debug": {"msg": "x"}, "when": "quotes == API_KEY"},
        {"name": "facts", "set_fact": {"kept": "{{ quotes }}-{{ API_KEY }}"}},
        {"name": "said", "debug": {"msg": "{{ said.stdout }} {{ kept }}"}},
        {"name": "missing", "slurp": {"src": "/nowhere/{{ told.API_KEY }}"}, **ignored},
        {"name": "no_log", "debug": {"msg": "{{ quotes }}"}, "no_log": True},
    ]


def everywhere(folder: Folder, ended: Ended) -> dict[str, str]:
    """Give every text that a run has left."""
    texts = {"stdout": ended.out, "stderr": ended.err}
    for path in [*folder.state.rglob("*"), folder.path / "report.json"]:
        if path.is_file():
            texts[str(path.relative_to(folder.path))] = path.read_text("utf-8", "surrogateescape")
    return texts


OPTIONS = [
    ["-vv", "--diff"],
    ["--check", "-vv", "--diff"],
    ["--dry-run", "-v"],
    ["--json", "--diff"],
    ["--dry-run", "--json"],
    ["-q"],
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All ways to run it, beside each other."""
    begun = []
    for number, options in enumerate(OPTIONS):
        folder = folder_with_secrets(tmp_path_factory.mktemp(f"run{number}"))
        folder.book(steps(folder.path), inputs=INPUTS, env_files=[".env"])
        report = str(folder.path / "report.json")
        begun.append((folder, folder.start("-e", "@given.yml", "--report", report, *options)))
    return {tuple(options): (folder, folder.ended(run)) for options, (folder, run) in zip(OPTIONS, begun, strict=True)}


@pytest.mark.parametrize("options", [tuple(options) for options in OPTIONS], ids=" ".join)
def test_no_secret_shows(runs, options):
    folder, ended = runs[options]
    assert ended.code == 0, ended.out + ended.err
    texts = everywhere(folder, ended)
    assert {where: found for where, text in texts.items() if (found := leaks(text))} == {}
    assert "***" in texts["report.json"]


def test_the_steps_did_what_they_were_for(runs):
    """What is masked would have shown: each step met its secrets."""
    folder, ended = runs["-vv", "--diff"]
    status = {step["name"].split()[0]: step["status"] for step in ended.report["steps"]}
    assert status["fail"] == status["crash"] == status["late"] == "failed"
    assert status["write"] == status["present"] == status["say"] == "changed"
    assert (folder.path / "out").read_text() == "\n".join(EVERY)
    assert SECRETS["quotes"] in (folder.path / "made").read_text()
    assert ended.step("late")["error"]["type"] == "TimedOut"
    assert ended.step("say")["data"]["rc"] == 0


WRONG = [
    ({"name": "x", "command": {"argv": ["echo", "{{ API_KEY }}"]}}, []),
    ({"name": "x", "assert": {"that": [True], "fail_msg": "{{ quotes }} is no x"}}, []),
    ({"name": "x", "slurp": {"src": "/nowhere/{{ API_KEY }}"}}, []),
    ({"name": "x", "debug": {"msg": "{{ quotes + nothing }}"}}, []),
    ({"name": "x", "files.present": {"path": "/x", "mode": "{{ quotes }}", "contents": "x"}}, []),
    ({"name": "x", "debug": {"msg": "x"}, "when": "{{ quotes }}"}, []),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", f"quoets={SECRETS['quotes']}"]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", SECRETS["quotes"]]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", f"quotes {SECRETS['quotes']}"]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", f"picky={SECRETS['quotes']}"]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", json.dumps([SECRETS["quotes"]])]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", "{" + json.dumps(SECRETS["quotes"])]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", "@torn.yml"]),
    ({"name": "x", "debug": {"msg": "x"}}, ["-e", "@listed.yml"]),
]


@pytest.mark.parametrize(("step", "options"), WRONG)
def test_what_is_wrong_is_said_without_it(tmp_path, step, options):
    folder = folder_with_secrets(tmp_path)
    (tmp_path / "torn.yml").write_text(f"quotes: [{json.dumps(SECRETS['quotes'])}\ncount: 1")
    (tmp_path / "listed.yml").write_text(f"- {json.dumps(SECRETS['quotes'])}")
    inputs = {**INPUTS, "count": {"type": "int", "default": 1}, "picky": {"type": "secret", "pattern": "[0-9]+"}}
    folder.book([step], inputs=inputs, env_files=[".env"])
    ended = folder.play("-e", "@given.yml", *options)
    assert ended.code == 4, ended.out + ended.err
    assert leaks(ended.out + ended.err) == []


@pytest.mark.parametrize(
    "text",
    [
        f"API_KEY='{ENV['API_KEY']}\nDB_PASSWORD {ENV['DB_PASSWORD']}\n",
        f"PLAIN=x\n{ENV['API_KEY']}\n",
        f"API_KEY {ENV['API_KEY']}\n",
        f'API_KEY="{ENV["API_KEY"]}\nmore"\n',
    ],
)
def test_an_env_file_that_is_wrong_is_said_without_what_it_holds(tmp_path, text):
    folder = folder_with_secrets(tmp_path)
    (tmp_path / ".env").write_text(text)
    folder.book([{"debug": {"msg": "x"}}], env_files=[".env"])
    ended = folder.play()
    assert ended.code == 4
    assert ".env:" in ended.err
    assert leaks(ended.out + ended.err) == []


@pytest.mark.skipif(shutil.which("ps") is None and not os.path.isdir("/proc"), reason="no list of processes")
def test_not_among_the_processes(tmp_path):
    """A secret goes to a child by its stdin or its environment, which only its owner can read."""
    folder = folder_with_secrets(tmp_path)
    keeps = {
        "shell": {
            "cmd": 'cat > got; echo "$KEY" >> got; touch there; while test ! -e go; do sleep 0.05; done',
            "stdin": "{{ quotes }}",
        }
    }
    folder.book([{**keeps, "environment": {"KEY": "{{ API_KEY }}"}}], inputs=INPUTS, env_files=[".env"])
    run = folder.start("-e", "@given.yml")
    until((tmp_path / "there").exists)
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    (tmp_path / "go").touch()
    assert folder.ended(run).code == 0
    assert any("while test ! -e go" in line for line in lines)
    assert leaks("\n".join(lines)) == []
    assert (tmp_path / "got").read_text() == f"{SECRETS['quotes']}\n{ENV['API_KEY']}\n"
