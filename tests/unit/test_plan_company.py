"""Inputs of which one is required, or which exclude each other: found before the first step, wherever they come from."""

import pytest

from runbook.errors import Invalid
from runbook.hosts import load_inventory
from runbook.plan.compile import Request, compile_plan
from runbook.plan.tags import Tags
from runbook.playbook import load_playbook
from runbook.registry import Registry

BOOK = """
- hosts: localhost
  inputs:
    path: {type: file, required_unless: [folder, url]}
    folder: {type: dir, excludes: url}
    url: {type: url}
  steps:
    - debug: {msg: "{{ path or folder or url }}"}
- hosts: localhost
  tags: [never, later]
  inputs:
    command: {required_unless: script}
    script: {}
  steps:
    - debug: {msg: "{{ command or script }}"}
"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book.yml").write_text(BOOK)
    return tmp_path / "book.yml"


def compiled(book, inputs=None, inventory=None, tags=()):
    registry = Registry([])
    words = tuple(f"{name}={value}" for name, value in (inputs or {}).items())
    asked = Request(book, words, tags=Tags(tags))
    hosts = load_inventory(inventory, book.parent)
    return compile_plan(load_playbook(book, is_task=registry.is_task), hosts, registry, asked)


def wrong(book, inputs=None, **more):
    with pytest.raises(Invalid) as caught:
        compiled(book, inputs, **more)
    found = getattr(caught.value, "problems", [caught.value])
    return [(each.message, each.hint, each.where.line) for each in found]


def test_one_of_them_is_required(book, tmp_path):
    hint = "pass -e path=... or -e folder=... or -e url=...; --help says what they are"
    assert wrong(book) == [("one of the inputs 'path', 'folder' or 'url' is required", hint, 4)]
    for given in ({"path": str(book)}, {"folder": str(tmp_path)}, {"url": "http://a"}):
        compiled(book, given)


def test_two_exclude_each_other(book, tmp_path):
    hint = "pass -e folder=... or -e url=...; --help says what they are"
    found = wrong(book, {"folder": str(tmp_path), "url": "http://a"})
    assert found == [("the inputs 'folder' and 'url' exclude each other", hint, 5)]
    compiled(book, {"path": str(book), "url": "http://a"})


def test_a_play_that_is_left_out_by_its_tags_asks_for_nothing(book):
    (told,) = wrong(book, tags=("later",))
    assert told[0] == "one of the inputs 'command' or 'script' is required"
    compiled(book, {"script": "x"}, tags=("later",))


def test_what_the_inventory_says_is_given_too(book, tmp_path):
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all: {vars: {url: 'http://a'}, hosts: {localhost: {}}}\n")
    compiled(book, inventory=hosts)
    assert "exclude each other" in wrong(book, {"folder": str(tmp_path)}, inventory=hosts)[0][0]


def test_it_is_told_once_and_with_all_else_that_is_wrong(tmp_path):
    book = tmp_path / "book.yml"
    book.write_text(
        "- hosts: all\n  inputs: {a: {required_unless: b, excludes: b}, b: {required_unless: a, excludes: a}}\n"
        "  steps: [debug: {msg: '{{ nothing }}'}]\n"
    )
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all: {hosts: {one: {ansible_connection: local}, two: {ansible_connection: local}}}\n")
    messages = [message for message, _, _ in wrong(book, inventory=hosts)]
    assert messages.count("one of the inputs 'a' or 'b' is required") == 1
    assert any("'nothing' is not defined" in message for message in messages)
    messages = [message for message, _, _ in wrong(book, {"a": "1", "b": "2"}, inventory=hosts)]
    assert messages.count("the inputs 'a' and 'b' exclude each other") == 1
