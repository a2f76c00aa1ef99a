import textwrap
from pathlib import Path

import pytest

from runbook.errors import Invalid, Problems, Where
from runbook.hosts import load_inventory
from runbook.hosts.groups import expand

INVENTORY = """
    all:
      vars: {a: all, b: all, c: all}
      hosts: {lonely: {a: host}}
      children:
        web:
          hosts: {"web[01:03]": , extra: {}}
          vars: {b: web}
        db:
          hosts: {db1: {c: host}, db2: }
        site:
          vars: {b: site, d: site}
          children: {web: , db: }
"""


@pytest.fixture
def load(tmp_path):
    def load(text=INVENTORY, **files):
        (tmp_path / "inv").mkdir(exist_ok=True)
        (tmp_path / "play").mkdir(exist_ok=True)
        (tmp_path / "inv" / "hosts.yml").write_text(textwrap.dedent(text))
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path if path.suffix else path.with_suffix(".yml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return load_inventory(tmp_path / "inv" / "hosts.yml", tmp_path / "play")

    return load


def values(inventory, host):
    merged = {}
    for _, layer in inventory.layers(host):
        merged |= {name: value for name, (value, _) in layer.items()}
    return merged


def test_groups_hold_their_hosts_and_their_childrens(load):
    inventory = load()
    webs, dbs = ["web01", "web02", "web03", "extra"], ["db1", "db2"]
    assert inventory.hosts == ["lonely", *webs, *dbs]
    assert inventory.groups == {
        "all": inventory.hosts,
        "ungrouped": ["lonely"],
        "web": webs,
        "db": dbs,
        "site": webs + dbs,
    }
    assert inventory.group_names("web01") == ["site", "web"]
    assert inventory.group_names("lonely") == ["ungrouped"]
    assert inventory.group_names("localhost") == []


def test_parents_are_below_children_and_hosts_on_top(load):
    inventory = load()
    assert values(inventory, "web01") == {"a": "all", "b": "web", "c": "all", "d": "site"}
    assert values(inventory, "db1") == {"a": "all", "b": "site", "c": "host", "d": "site"}
    assert values(inventory, "lonely") == {"a": "host", "b": "all", "c": "all"}
    assert values(inventory, "localhost") == {"a": "all", "b": "all", "c": "all"}
    label, layer = inventory.layers("web02")[2]
    assert label.startswith("group web (")
    assert layer["b"][1].line == 8


def test_files_of_variables_are_above_the_inventory_and_those_of_the_playbook_above_both(load):
    inventory = load(
        **{"inv__group_vars__all": "a: inv all\nb: inv all\n", "play__group_vars__all": "a: play all\n",
           "inv__group_vars__web": "a: inv web\nc: inv web\n", "play__group_vars__site": "c: play site\n",
           "inv__host_vars__web01": "d: inv host\ne: inv host\n", "play__host_vars__web01": "e: play host\n",
           "inv__group_vars__db__10.yml": "x: 10\ny: 10\n", "inv__group_vars__db__20.yml": "x: 20\n",
           "inv__group_vars__db__.hidden.yml": "x: hidden\n", "inv__group_vars__nobody": "x: 1\n",
           "inv__group_vars__db__empty.yml": "# nothing\n"}
    )  # fmt: skip
    assert values(inventory, "web01") == {
        "a": "inv web",
        "b": "inv all",
        "c": "play site",
        "d": "inv host",
        "e": "play host",
    }
    assert values(inventory, "db2")["x"] == 20
    assert values(inventory, "db2")["y"] == 10
    assert [label.split(" (")[0] for label, _ in inventory.layers("web01")] == [
        "group all", "group site", "group web", "group_vars/all", "group_vars/all", "group_vars/web", "group_vars/site",
        "host_vars/web01", "host_vars/web01"]  # fmt: skip


def test_variables_of_hosts_with_dots_and_of_localhost(load):
    inventory = load(
        "all: {hosts: {a.example.com: }}\n",
        **{"inv__host_vars__a.example.com.yml": "x: 1\n", "play__host_vars__localhost": "y: 2\n"},
    )
    assert values(inventory, "a.example.com") == {"x": 1}
    assert values(inventory, "localhost") == {"y": 2}


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        ("all", "lonely web01 web02 web03 extra db1 db2"), ("*", "lonely web01 web02 web03 extra db1 db2"),
        ("db", "db1 db2"), ("db1", "db1"), ("db:lonely", "db1 db2 lonely"), ("db2,db1", "db2 db1"), (["db2", "db"], "db2 db1"),
        ("site:!db", "web01 web02 web03 extra"), ("!db:site", "web01 web02 web03 extra"), ("site:&db", "db1 db2"),
        ("!site", "lonely"), ("web*", "web01 web02 web03 extra"), ("web0?", "web01 web02 web03"), ("web0[12]", "web01 web02"),
        ("~(web|db)0?1", "web01 db1"), ("~^web0[1,2]$", "web01 web02"), ("web[0]", "web01"), ("web[-1]", "extra"),
        ("web[0:1]", "web01 web02"), ("web[2:]", "web03 extra"), ("web[1-2]", "web02 web03"), ("web[0:1]:db", "web01 web02 db1 db2"),
        ("localhost", "localhost"), ("db:localhost", "db1 db2 localhost"), ("ungrouped", "lonely"), ("all:!site:!x*:lonely", None),
        (" db1 , db2 ", "db1 db2"), ("site:&web:!web01", "web02 web03 extra"), ("db1,", "db1"),
    ],
)  # fmt: skip
def test_patterns(load, pattern, hosts):
    inventory = load()
    if hosts is None:
        with pytest.raises(Invalid, match=r"'x\*' matches no host"):
            inventory.select(pattern)
    else:
        assert inventory.select(pattern) == hosts.split()


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("wbe", "'wbe' matches no host or group", "did you mean 'web'?"),
        ("all:!lonly", "'lonly' matches no host or group", "'lonely'"),
        ("nothing*", "'nothing*' matches no host", "the inventory has: all,"),
        ("web[9]", "'web[9]' is beyond the last of 4 hosts", "[0] to [3]"),
        ("wbe[0]", "'wbe' matches no host", "'web'"),
        ("web:&db", "leaves no host", "a:&b"),
        ("~[", "is no regular expression", "~web[0-9]+"),
    ],
)
def test_a_pattern_that_means_nothing_is_an_error_at_its_place(load, pattern, message, hint):
    with pytest.raises(Invalid) as caught:
        load().select(pattern, where=Where("x.yml", 1, 10))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where == Where("x.yml", 1, 10)


def test_a_group_without_hosts_means_nothing(load):
    with pytest.raises(Invalid, match="the group 'empty' has no hosts"):
        load("empty:\nweb: {hosts: {a: }}\n").select("empty")


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [("web[01:03]", "web01 web02 web03"), ("n[8:10].x", "n8.x n9.x n10.x"), ("db[a:c]", "dba dbb dbc"), ("n[0:6:3]", "n0 n3 n6"),
     ("r[1:2]n[1:2]", "r1n1 r1n2 r2n1 r2n2"), ("[1:2]", "1 2"), ("fe80::1", "fe80::1"), ("plain", "plain")],
)  # fmt: skip
def test_ranges(pattern, hosts):
    assert expand(pattern) == hosts.split()


@pytest.mark.parametrize("pattern", ["web[3:1]", "web[1:9999999]", "a b", "web*", "web[1-3]", "we b[1:2]", ""])
def test_names_that_are_no_hosts(pattern):
    with pytest.raises(ValueError, match=r"no name for a host|is empty or longer"):
        expand(pattern)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("- web1\n", (1, 1), "an inventory is a mapping", "INI"),
        ("web: [a]\n", (1, 6), "the group 'web' takes a mapping", "hosts"),
        ("web: {host: {a: }}\n", (1, 7), "a group has no 'host'", "'hosts'"),
        ("web: {web1: }\n", (1, 7), "a group has no 'web1'", "below `hosts:`"),
        ("web: {hosts: [a]}\n", (1, 14), "'hosts' takes a mapping", "hosts:"),
        ("web: {vars: text}\n", (1, 13), "'vars' takes a mapping", "vars: {name: value}"),
        ("web: {vars: {my-var: 1}}\n", (1, 14), "'my-var' is no name", "letters"),
        ("web: {hosts: {a: text}}\n", (1, 18), "the host 'a' takes a mapping", "below it"),
        ("web: {hosts: {a: {my-var: 1}}}\n", (1, 19), "'my-var' is no name", "letters"),
        ("web: {hosts: {'a b': }}\n", (1, 15), "'a b' is no name for a host", "web[01:20]"),
        ("web!: {}\n", (1, 1), "'web!' is no name for a group", "starts with a letter"),
        ("a: {children: {b: }}\nb: {children: {c: }}\nc: {children: {a: }}\n", (1, 16), "within its own child 'b'", "remove"),
        ("a: {children: {a: }}\n", (1, 16), "within its own child 'a'", "remove"),
        ("a: {children: {all: }}\n", (1, 16), "within its own child 'all'", "remove"),
        ("web: {hosts: {web: }}\n", (1, 1), "'web' is a host and a group", "rename"),
        ("web: {hosts: {a: {x: yes}}}\n", (1, 22), "'yes' is a boolean", "true"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_inventory_is_shown_where_it_stands(load, text, place, message, hint):
    with pytest.raises(Problems) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert (problem.where.line, problem.where.column) == place
    assert message in problem.message
    assert hint in problem.hint


def test_everything_wrong_is_told_at_once_across_files(load):
    with pytest.raises(Problems) as caught:
        load("web: {hosts: {'a b': , c: }}\n", inv__group_vars__web="- x\n", inv__host_vars__c="my-var: 1\nb: 22:30\n")
    assert len(caught.value.problems) == 3
    with pytest.raises(Problems) as caught:
        load("web: {hosts: {c: }}\n", inv__group_vars__web="- x\n", inv__host_vars__c="my-var: 1\n")
    assert [Path(p.where.file).name for p in caught.value.problems] == ["web.yml", "c.yml"]


def test_a_folder_of_files_is_one_inventory(tmp_path):
    (tmp_path / "10-web.yml").write_text("web: {hosts: {a: {x: 1}}, vars: {y: 1}}\n")
    (tmp_path / "20-more.yml").write_text("web: {hosts: {b: }, vars: {y: 2}}\nsite: {children: {web: }}\n")
    (tmp_path / "notes.txt").write_text("not an inventory")
    (tmp_path / ".hidden.yml").write_text("[")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "site").write_text("z: 3\n")
    inventory = load_inventory(tmp_path, tmp_path)
    assert inventory.select("site") == ["a", "b"]
    assert values(inventory, "a") == {"x": 1, "y": 2, "z": 3}
    assert inventory.path == tmp_path


def test_a_missing_inventory_is_an_error(tmp_path):
    with pytest.raises(Invalid, match="no such inventory"):
        load_inventory(tmp_path / "none.yml", tmp_path)


def test_the_shipped_inventory_holds_exactly_localhost(tmp_path):
    inventory = load_inventory(Path(__file__).parents[2] / "inventory" / "local.yml", tmp_path)
    assert inventory.hosts == ["localhost"]
    assert inventory.select("all") == ["localhost"]
    pytest.importorskip("runbook.inventory", reason="runbook is not installed")
    assert load_inventory(None, tmp_path).hosts == ["localhost"]
