import subprocess
import sys
import time

import pytest
import yaml

from runbook.errors import Invalid, Problems, Where
from runbook.source import parse_document, parse_scalar, read_document
from runbook.source.compose import DEEPEST, compose
from runbook.source.place import excerpt


def refused(text):
    with pytest.raises(Invalid) as caught:
        parse_document(text, "x.yml")
    error = caught.value
    return error.problems[0] if isinstance(error, Problems) and len(error.problems) == 1 else error


def test_plain_values_keep_their_types():
    text = "a: 1\nb: -2.5\nc: true\nd: ~\ne: text\nf: '5'\ng: [1, x]\nh: .5\ni:\nj: 1.2.3\nk: 1.0e-5\nl: 10:99\n"
    assert parse_document(text, "x.yml").value == {
        "a": 1, "b": -2.5, "c": True, "d": None, "e": "text", "f": "5", "g": [1, "x"], "h": 0.5, "i": None,
        "j": "1.2.3", "k": 1e-5, "l": "10:99",
    }  # fmt: skip


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off", "y", "N", "22:30", "0:05", "0644", "0o644", "-017", "08",
                                  "0x1F", "0b11", "1_000", "1e5", "2024-01-01", "2024-01-01 10:00:00", "2024-1-1T1:00:00Z",
                                  "9" * 50])  # fmt: skip
def test_scalars_that_yaml_versions_read_differently_are_refused_and_accepted_in_quotes(word):
    error = refused(f"a:\n  - {word}\n")
    assert (error.where.line, error.where.column) == (2, 5)
    assert "write" in error.hint or "quotes" in error.hint
    assert parse_document(f'a: "{word}"\n', "x.yml").value == {"a": word}
    if word not in "yN":
        assert f'"{word}"' in refused(f"{word}: a\n").hint


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "the key 'a' stands twice", "first on line 1"),
        ("a: {{ x }}\n", (1, 4), "a template must be quoted", 'write "{{ x }}"'),
        ("a: {{ x }}/b\n", (1, 4), "a template must be quoted", 'write "{{ x }}/b"'),
        ('a: {{ x["k"] }}\n', (1, 4), "a template must be quoted", "write '{{ x[\"k\"] }}'"),
        ("- {{ x }} y\n", (1, 3), "a template must be quoted", 'write "{{ x }} y"'),
        ("{{ k }}: 1\n", (1, 1), "a template must be quoted", 'write "{{ k }}"'),
        ("a:\n\tb: 1\n", (2, 1), "a tab cannot indent", "spaces"),
        ("- a\n---\n- b\n", (2, 1), "a second document", "one document"),
        ("a: !vault |\n  6162\n", (1, 4), "vault-encrypted", "env_files"),
        ("a: !!python/object:os.system x\n", (1, 4), "tag !!python/object:os.system", "remove"),
        ("a: !!str 5\n", (1, 4), "tag !!str", "quotes"),
        ("a: !mine [1]\n", (1, 4), "tag !mine", "remove"),
        ("a: &x [*x]\n", (1, 4), "alias of itself", "write"),
        ("1: a\n", (1, 1), "key '1' is no text", 'write "1"'),
        ("true: a\n", (1, 1), "key 'true' is no text", 'write "true"'),
        ("[a]: b\n", (1, 1), "a key must be a text", "text"),
        ("a: *nowhere\n", (1, 4), "no anchor", "quotes"),
        ("a: 'b\n", (1, 4), "never closed", "close"),
        ("a: [1, 2\n", (1, 4), "never closed", "[a, b]"),
        ("a: b: c\n", (1, 5), "':' is out of place", "quotes"),
        ("- a\n b: 1\n", (2, 3), "':' is out of place", "line it up"),
        ("a: @b\n", (1, 4), "cannot start a value", "quotes"),
        ("a: \x01\n", (1, 4), "cannot stand in YAML", "escape"),
        ("<<: 5\n", (1, 5), "merges mappings only", "*name"),
        ("[" * 200_000, (1, DEEPEST), "nest deeper", "flatten"),
    ],
)  # fmt: skip
def test_what_is_refused_is_shown_where_it_stands_with_what_to_write(text, place, message, hint):
    error = refused(text)
    assert (error.where.line, error.where.column) == place
    assert message in error.message
    assert hint in error.hint
    assert error.excerpt.splitlines()[1].endswith("^")


def test_letters_are_fine_as_keys():
    assert parse_document("p: {x: 1, y: 2, n: 3}\n", "x.yml").value == {"p": {"x": 1, "y": 2, "n": 3}}


def test_every_fault_of_a_file_is_told_at_once_in_order():
    error = refused("a: 22:30\nb: ok\nc: [yes, {{ x }}]\na: 2\n")
    assert isinstance(error, Problems)
    assert [(p.where.line, p.where.column) for p in error.problems] == [(1, 4), (3, 5), (3, 10), (4, 1)]


def test_alias_bombs_are_defused_in_no_time():
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    started = time.perf_counter()
    assert "1,000,000" in refused("\n".join(rows)).message
    assert time.perf_counter() - started < 10


def test_merge_keys_are_flattened_and_keep_their_places():
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nall:\n  <<: [*b, *m]\n  x: 9\n"
    document = parse_document(text, "x.yml")
    assert document.value["all"] == {"x": 9, "y": 2, "z": 4}
    assert "<<" not in document.value["all"]
    assert document.where(("all", "x")) == Where("x.yml", 5, 6)
    assert document.where(("all", "y")) == Where("x.yml", 1, 20)
    assert document.where(("all", "z")) == Where("x.yml", 2, 20)


def test_an_alias_is_reported_at_its_anchor_and_where_it_is_used():
    document = parse_document("a: &x 5\nb: 1\nc: *x\nd: [1, *x]\n", "x.yml")
    error = document.problem("no", ("c",), hint="do")
    assert error.where == Where("x.yml", 1, 4)
    assert error.hint == "do; used by an alias at x.yml:3:1"
    assert document.problem("no", ("d", 1)).hint == "used by an alias at x.yml:4:4"
    assert document.problem("no", ("b",)).hint is None


def test_places_of_values_and_keys():
    document = parse_document("- name: a\n  files.present: {path: /x}\n", "x.yml")
    assert document.where(()) == Where("x.yml", 1, 1)
    assert document.where((0, "files.present", "path")) == Where("x.yml", 2, 25)
    assert document.key_where((0, "files.present")) == Where("x.yml", 2, 3)
    assert document.where((0, "absent", "deep")) == Where("x.yml", 1, 3)
    assert document.get((0, "files.present", "path")) == "/x"
    assert document.get((7, "x")) is None


@pytest.mark.parametrize(
    ("text", "needle", "place"),
    [
        ("a: hello {{ x }}\n", "{{", (1, 10)),
        ("a: 'it''s {{ x }}'\n", "{{", (1, 11)),
        ('a: "tab\\t {{ x }}"\n', "{{", (1, 11)),
        ('a: "\\u0041 {{ x }}"\n', "{{", (1, 12)),
        ("a: |\n  one\n\n    two {{ x }}\n", "{{", (4, 9)),
        ("a: |-  # why\n  {{ x }}\n", "x", (2, 6)),
        ("a: >\n  one\n  two\n  {{ x }}\n", "{{", (4, 3)),
        ("a: one\n  two\n  {{ x }}\n", "{{", (3, 3)),
        ("한: 글 {{ x }}\n", "{{", (1, 6)),
    ],
)
def test_a_character_of_a_text_is_found_in_the_file(text, needle, place):
    document = parse_document(text, "x.yml")
    key = next(iter(document.value))
    where = document.where((key,), offset=document.value[key].index(needle))
    assert (where.line, where.column) == place


def test_the_caret_stands_below_the_column_also_after_wide_characters_and_tabs():
    shown = excerpt(["한글: x\ty"], 1, 7).splitlines()
    assert shown[1].index("^") == len("    1 | ") + 2 * 2 + len(": x\t")
    long = excerpt(["x" * 500 + "!" + "y" * 500], 1, 501).splitlines()
    assert long[0][long[1].index("^")] == "!"
    assert len(long[0]) < 200


def test_a_diagnostic_reads_whole():
    assert str(refused("a:\n  b: yes\n")) == (
        "x.yml:2:6: 'yes' is a boolean to some and a text to others\n"
        "    2 |   b: yes\n"
        "      |      ^\n"
        '  hint: write true, or "yes" for the text'
    )


def test_files_are_read_with_their_label_and_digest(tmp_path):
    file = tmp_path / "a.yml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read_document(file, label="a.yml")
    assert document.value == {"a": 1, "b": 2}
    assert document.file == "a.yml"
    assert document.path == file
    assert len(document.sha256) == 64
    assert document.where(("b",)) == Where("a.yml", 2, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"# only a comment\n", "empty"), (b"---\n", "empty"), (b"a: 1\nb: \xff\n", "not UTF-8")],
)
def test_files_without_content_or_encoding_are_refused(tmp_path, content, message):
    file = tmp_path / "a.yml"
    file.write_bytes(content)
    with pytest.raises(Invalid, match=message) as caught:
        read_document(file)
    assert caught.value.where.file == str(file)
    assert caught.value.where.line == (2 if message == "not UTF-8" else 0)
    assert caught.value.hint


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "daily.yml").write_text("a: 1\n")
    with pytest.raises(Invalid, match="no such file") as caught:
        read_document(tmp_path / "dayly.yml")
    assert caught.value.hint == "did you mean 'daily.yml'?"
    with pytest.raises(Invalid, match="no such file") as caught:
        read_document(tmp_path / "nowhere" / "x.yml")
    assert "there is no folder" in caught.value.hint
    with pytest.raises(Invalid, match="cannot be read: is a directory"):
        read_document(tmp_path)


def test_a_huge_file_is_refused(tmp_path):
    file = tmp_path / "a.yml"
    with file.open("wb") as stream:
        stream.truncate(16 * 2**20 + 1)
    with pytest.raises(Invalid, match="larger than 16 MiB"):
        read_document(file)


def test_an_empty_file_may_be_allowed(tmp_path):
    file = tmp_path / "a.yml"
    file.write_text("# nothing yet\n")
    assert read_document(file, allow_empty=True).value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("5", 5), ("1.5", 1.5), ("", ""), ("~", None), ("a: b", "a: b"), ("'22:30'", "22:30"),
     ('"5"', "5"), ("[1, 2]", "[1, 2]"), ("{{ x }}", "{{ x }}"), ("'a' and 'b'", "'a' and 'b'"), ("'", "'"), ("/x", "/x"),
     ("<<", "<<")],
)  # fmt: skip
def test_scalars_of_the_command_line(text, value):
    read = parse_scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["yes", "0644", "22:30", "2024-01-01"])
def test_ambiguous_scalars_of_the_command_line_say_what_to_write(text):
    with pytest.raises(ValueError, match="write"):
        parse_scalar(text)


@pytest.mark.parametrize("text", ["a: [1, {b: 'c'}]\nd: |\n  e\n", "- &x {a: 1}\n- *x\n"])
def test_the_pure_composer_gives_the_same_nodes(text):
    assert yaml.serialize(compose(text)) == yaml.serialize(compose(text, pure=True))


def test_ten_thousand_steps_are_read_in_well_under_a_second():
    step = "  - name: step {0}\n    files.present:\n      path: '/tmp/{{{{ d }}}}/{0}'\n    when: x is defined\n    tags: [a, b]\n"
    text = "- hosts: all\n  steps:\n" + "".join(step.format(i) for i in range(10_000))
    started = time.process_time()
    document = parse_document(text, "x.yml")
    assert time.process_time() - started < 2  # 0.4 s on a quiet machine
    assert len(document.value[0]["steps"]) == 10_000


def test_reading_imports_nothing_heavy():
    code = "import sys, runbook.source, runbook.playbook, runbook.hosts; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"pydantic", "jinja2", "httpx", "rich", "psutil"}.isdisjoint(loaded)
