"""`.env` files: who may read them, what a line may be, and where it stands."""

import os

import pytest

from runbook.envfile import read_env
from runbook.errors import Invalid


def write(tmp_path, text, mode=0o600):
    file = tmp_path / ".env"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return file


def test_each_line_is_given_with_its_place_and_whether_it_is_secret(tmp_path):
    text = "\n# a comment\n\nexport PORT=8000\n\n\nAPI_KEY='a # b'\nURL=\"x y\" # why\nEMPTY=\n"
    entries = list(read_env(write(tmp_path, text), ".env"))
    assert [(entry.name, entry.value, entry.where.line, entry.secret) for entry in entries] == [
        ("PORT", "8000", 4, False),
        ("API_KEY", "a # b", 7, True),
        ("URL", "x y", 8, False),
        ("EMPTY", "", 9, False),
    ]


@pytest.mark.parametrize("text", ["hush hush\n", "2FAST=1\n", "A-B=1\n", "LONELY\n", "A='open\n"])
def test_a_line_that_is_not_understood_is_told_by_its_place_and_not_shown(tmp_path, text):
    with pytest.raises(Invalid) as refused:
        list(read_env(write(tmp_path, f"A=1\n{text}"), ".env"))
    assert refused.value.where.line == 2
    assert text.strip() not in str(refused.value)


def test_a_secret_of_several_lines_is_refused_and_not_shown(tmp_path):
    with pytest.raises(Invalid, match="the secret 'MY_TOKEN' spans lines") as refused:
        list(read_env(write(tmp_path, "MY_TOKEN='one\ntwo'\n"), ".env"))
    assert "one" not in str(refused.value).replace("write it on one", "")


def test_bytes_that_are_no_text_are_told(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        list(read_env(write(tmp_path, b"A=\xff\n"), ".env"))


def test_only_a_regular_file_of_ours_that_no_one_else_may_read_is_taken(tmp_path):
    file = write(tmp_path, "A=1\n", 0o640)
    with pytest.raises(Invalid, match=r"open to others \(0640\)") as refused:
        list(read_env(file, ".env"))
    assert refused.value.hint == "chmod 600 .env"
    file.chmod(0o400)
    assert len(list(read_env(file, ".env"))) == 1
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(file)
    os.mkfifo(pipe)
    for other in (link, pipe, tmp_path):
        with pytest.raises(Invalid, match="must be a regular file"):
            list(read_env(other, "x"))
    with pytest.raises(Invalid, match="no such file"):
        list(read_env(tmp_path / "none", "x"))
