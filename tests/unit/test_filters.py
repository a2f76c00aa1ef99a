"""The filters and tests that playbooks have beside Jinja's own."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_scope import render

from runbook.units import Mode, Size


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'yes' | bool", True),
        ("' TRUE ' | bool", True),
        ("1 | bool", True),
        ("'off' | bool", False),
        ("0 | bool", False),
        ("none | bool", None),
        ("'3' | int", 3),
        ("'x' | int", 0),
        ("'x' | int(default=5)", 5),
        ("'1.5' | float", 1.5),
        ("3 | string", "3"),
        ("x | mandatory", "a.b-c"),
        ("{'a': [1, none, true]} | to_json", '{"a": [1, null, true]}'),
        ("{'b': 1, 'a': '한'} | to_nice_json(ensure_ascii=false)", '{\n    "a": "한",\n    "b": 1\n}'),
        ("'{\"a\": [1, null]}' | from_json", {"a": [1, None]}),
        ("'a: [1, x]' | from_yaml", {"a": [1, "x"]}),
        ("{'a': [1, 'x']} | to_yaml", "a: [1, x]\n"),
        ("{'a': [1, 'x']} | to_nice_yaml", "a:\n- 1\n- x\n"),
        ("{'a': [1, 'x']} | to_nice_yaml(indent=2) | from_yaml", {"a": [1, "x"]}),
        ("size | to_json", "1000"),
        ("[path, mode] | to_json", '["/a/b", 420]'),
        ("[path, mode, size] | to_yaml", "[/a/b, 420, 1000]\n"),
        ("'v1.22' | regex_search('[0-9.]+')", "1.22"),
        ("'v1.22' | regex_search('(\\\\d+)\\\\.(\\\\d+)', '\\\\1', '\\\\2')", ["1", "22"]),
        ("'v1.22' | regex_search('(?P<major>\\\\d+)', '\\\\g<major>')", ["1"]),
        ("'v' | regex_search('[0-9]')", None),
        ("'ABC' | regex_search('b', ignorecase=true)", "B"),
        ("'a1b2' | regex_replace('[0-9]', '#')", "a#b#"),
        ("'a1b2' | regex_replace('([a-z])([0-9])', '\\\\2\\\\1')", "1a2b"),
        ("'a1b2' | regex_replace('[0-9]', '', count=1)", "ab2"),
        ("'a1b22' | regex_findall('[0-9]+')", ["1", "22"]),
        ("'a.b*' | regex_escape", "a\\.b\\*"),
        ("'/a/b.tar.gz' | basename", "b.tar.gz"),
        ("'/a/b.txt' | dirname", "/a"),
        ("'/a/b.txt' | splitext", ["/a/b", ".txt"]),
        ("'/a/b/c' | relpath('/a')", "b/c"),
        ("['/a', 'b', 'c.txt'] | path_join", "/a/b/c.txt"),
        ("'a' | path_join", "a"),
        ("'/a/../b' | realpath", "/b"),
        ("'한' | b64encode", "7ZWc"),
        ("'7ZWc' | b64decode", "한"),
        ("'test2' | hash('sha1')", "109f4b3c50d7b0df729d299bc6f8e9ef9066971f"),
        ("'test2' | checksum", "109f4b3c50d7b0df729d299bc6f8e9ef9066971f"),
        ("'' | hash('sha256')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("'' | hash('md5')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("{'a': 1, 'b': 2} | combine({'b': 3, 'c': 4})", {"a": 1, "b": 3, "c": 4}),
        ("{'a': 1} | combine({'a': 2}, {'a': 3})", {"a": 3}),
        ("[{'a': 1}, {'b': 2}] | combine", {"a": 1, "b": 2}),
        ("{'a': {'x': 1}} | combine({'a': {'y': 2}})", {"a": {"y": 2}}),
        ("{'a': {'x': 1}} | combine({'a': {'y': 2}}, recursive=true)", {"a": {"x": 1, "y": 2}}),
        ("{'a': [1]} | combine({'a': [2]}, list_merge='append')", {"a": [1, 2]}),
        ("{'a': [1]} | combine({'a': [2]}, list_merge='prepend')", {"a": [2, 1]}),
        ("{'a': [1]} | combine({'a': [2]}, list_merge='keep')", {"a": [1]}),
        ("{'a': [1, 2]} | combine({'a': [2, 3]}, list_merge='append_rp')", {"a": [1, 2, 3]}),
        ("{'a': [1, 2]} | combine({'a': [2, 3]}, list_merge='prepend_rp')", {"a": [2, 3, 1]}),
        ("{'a': 1} | dict2items", [{"key": "a", "value": 1}]),
        ("{'a': 1} | dict2items('name', 'size')", [{"name": "a", "size": 1}]),
        ("[{'key': 'a', 'value': 1}] | items2dict", {"a": 1}),
        ("true | ternary('a', 'b')", "a"),
        ("none | ternary('a', 'b', 'c')", "c"),
        ("'a b' | quote", "'a b'"),
        ("'' | quote", "''"),
        ("[3, 1, 3] | unique", [3, 1]),
        ("[{'a': 1}, {'a': 1}, {'b': 2}] | unique", [{"a": 1}, {"b": 2}]),
        ("['a', 'A'] | unique", ["a"]),
        ("['a', 'A'] | unique(case_sensitive=true)", ["a", "A"]),
        ("[1, 2] | union([2, 3])", [1, 2, 3]),
        ("[1, 2, 2] | intersect([2, 3])", [2]),
        ("[1, 2, 1] | difference([2])", [1]),
        ("[{'a': 1}, {'b': 2}] | difference([{'a': 1}])", [{"b": 2}]),
        ("[{'a': 1}] | intersect([1, {'a': 1}])", [{"a": 1}]),
        ("[1, 2] | symmetric_difference([2, 3])", [1, 3]),
        ("[1, [2, [3, none]]] | flatten", [1, 2, 3]),
        ("[1, [2, [3]]] | flatten(levels=1)", [1, 2, [3]]),
        ("[none, [none]] | flatten(skip_nulls=false)", [None, None]),
        ("[1, 2] | zip(['a', 'b', 'c'])", [[1, "a"], [2, "b"]]),
        ("[1, 2] | zip_longest(['a'], fillvalue='-')", [[1, "a"], [2, "-"]]),
        ("0 | human_readable", "0.00 Bytes"),
        ("1024 | human_readable", "1.00 KB"),
        ("1024 | human_readable(isbits=true)", "1.00 Kb"),
        ("1048576 | human_readable(unit='K')", "1024.00 KB"),
        ("'1.5K' | human_to_bytes", 1536),
        ("'10' | human_to_bytes('M')", 10 * 2**20),
        ("'2 GB' | human_to_bytes", 2 * 2**30),
        ("'%Y-%m-%d' | strftime(0, utc=true)", "1970-01-01"),
        ("'2024-05-06 07:08:09' | to_datetime", datetime(2024, 5, 6, 7, 8, 9)),  # noqa: DTZ001
        ("(('2024-05-06' | to_datetime('%Y-%m-%d')) - ('2024-05-01' | to_datetime('%Y-%m-%d'))).days", 5),
        ("'a,b' | split(',')", ["a", "b"]),
        ("'a b' | split", ["a", "b"]),
        ("1 | extract(['a', 'b'])", "b"),
        ("'k' | extract({'k': {'x': [7]}}, ['x', 0])", 7),
        ("[0, 1] | map('extract', ['a', 'b'])", ["a", "b"]),
        ("x | type_debug", "str"),
        ("[{'n': 'b', 's': 2}, {'n': 'a', 's': 1}] | sort(attribute='s') | map(attribute='n') | join", "ab"),
        ("[{'n': 1, 's': 2}, {'n': 1}] | selectattr('s', 'defined') | list | length", 1),
        ("[1, 2, 3] | select('gt', 1) | sum", 5),
        ("['a.txt', 'b.py'] | select('match', '.*[.]py')", ["b.py"]),
        ("['a.txt', 'b.py'] | reject('search', 'txt')", ["b.py"]),
        ("[1, 2, 3, 4] | batch(2)", [[1, 2], [3, 4]]),
        ("{'b': 1} | items", [("b", 1)]),
        ("{'a': '<'} | tojson", '{"a": "\\u003c"}'),
        ("'<a>' | escape ~ '&'", "&lt;a&gt;&"),
        ("'a b' | urlencode", "a%20b"),
        ("1.25 | round(1)", 1.2),
        ("'%s-%d' | format('a', 3)", "a-3"),
    ],
)
def test_filters(expression, value):
    got = render("{{ " + expression + " }}", x="a.b-c", size=Size(1000), path=Path("/a/b"), mode=Mode(0o644))
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("r is failed", True),
        ("r is succeeded or r is success", False),
        ("r is changed and r is change", True),
        ("r is skipped or r is skip", False),
        ("{'results': [{'changed': false}, {'changed': true}]} is changed", True),
        ("'abc' is match('b')", False),
        ("'abc' is search('b')", True),
        ("'ABC' is match('a', ignorecase=true)", True),
        ("'abc' is regex('b', match_type='fullmatch')", False),
        ("'a\\nb' is search('^b', multiline=true)", True),
        ("'1.10' is version('1.9', '>')", True),
        ("'1.10' is version('1.10.0', '<')", True),
        ("'1.2rc1' is version('1.2.0', 'lt')", True),
        ("'2.0' is version_compare('2.0')", True),
        ("'1.0.0-rc.2' is version('1.0.0', '<', version_type='semver')", True),
        ("'1.0.0-rc.10' is version('1.0.0-rc.9', '>', version_type='semver')", True),
        ("'v1.2.3+build' is version('1.2.3', '==', version_type='semver')", True),
        ("[1] is subset([1, 2])", True),
        ("[1, 2] is superset([1])", True),
        ("[1, 2] is contains(2)", True),
        ("'abc' is contains('bc')", True),
        ("[1, 0] is any", True),
        ("[1, 0] is all", False),
        ("here is directory", True),
        ("here is file", False),
        ("file is file and file is exists", True),
        ("(here ~ '/nope') is exists", False),
        ("link is link", True),
        ("here is abs", True),
        ("'yes' is truthy(convert_bool=true)", True),
        ("'no' is falsy(convert_bool=true)", True),
        ("'no' is truthy", True),
        ("[] is falsy", True),
        ("1 is number and 'a' is string and {} is mapping and [] is sequence", True),
        ("4 is divisibleby(2) and 4 is even and 3 is odd", True),
    ],
)
def test_tests(expression, value, tmp_path):
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("f")
    places = {"here": str(tmp_path), "file": str(tmp_path / "f"), "link": str(tmp_path / "l")}
    assert render("{{ " + expression + " }}", r={"failed": True, "changed": True, "skipped": False}, **places) is value


def test_the_home_folder_and_links_are_those_of_the_controller(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "latest").symlink_to("v1")
    assert render("{{ '~/latest' | expanduser }}") == f"{tmp_path}/latest"
    assert render("{{ p | realpath }}", p=str(tmp_path / "latest")) == os.path.realpath(tmp_path / "v1")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_json)
@settings(max_examples=60, deadline=None)
def test_json_and_base64_come_back_as_they_were(value):
    assert render("{{ v | to_json | from_json }}", v=value) == value
    assert render("{{ v | to_nice_json | b64encode | b64decode | from_json }}", v=value) == value


@given(st.dictionaries(st.sampled_from("abc"), _json), st.dictionaries(st.sampled_from("abc"), _json))
@settings(max_examples=60, deadline=None)
def test_combine_with_itself_changes_nothing_and_later_values_win(one, other):
    assert render("{{ a | combine(a, recursive=true) }}", a=one) == one
    assert render("{{ a | combine(b) }}", a=one, b=other) == {**one, **other}
    assert render("{{ a | dict2items | items2dict }}", a=one) == one
