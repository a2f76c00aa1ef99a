"""A new key for the running service: proven, the old one dead; and back to the old one where the service will not take it."""

import os
import subprocess
import urllib.request

import pytest

from tests.plays.restarted import Running


@pytest.fixture(scope="module")
def running(tmp_path_factory, digits):
    service = Running(tmp_path_factory.mktemp("rotate"), digits.good)
    subprocess.run([service.restart], check=True, timeout=60)
    try:
        yield service
    finally:
        os.kill(int((service.folder / "pid").read_text()), 15)


def test_check_mode_writes_nothing_and_says_what_it_cannot_know(running):
    before = running.env.read_bytes()
    code, out = running.rotate("--check")
    assert code == 0, out
    assert running.env.read_bytes() == before
    assert "unsure" in out
    assert running.takes(running.key())


def test_the_new_key_works_and_the_old_one_is_dead(running):
    old = running.key()
    code, out = running.rotate()
    assert code == 0, out
    new = running.key()
    assert new != old
    assert len(new) == 64
    assert running.env.read_text().startswith(f"# ours\nAPI_KEY={new}\nMODEL_PATH=")
    assert (running.takes(new), running.takes(old)) == (True, False)


def test_a_restart_that_fails_puts_the_old_key_back(running):
    old = running.key()
    (running.folder / "broken").touch()  # the first restart fails, the second does not
    before = running.env.read_bytes()
    code, out = running.rotate()
    assert code == 1
    assert "the key was not changed: 'Start the service again' failed" in out
    assert "no such unit" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def test_a_service_that_does_not_take_the_new_key_keeps_the_old_one(running):
    """Its restart says that all is well, and nothing was started."""
    old, before = running.key(), running.env.read_bytes()
    code, out = running.rotate("-e", "patience=1", restart="/bin/true")
    assert code == 1
    assert "the key was not changed: 'See that the service takes the new key' failed" in out
    assert running.env.read_bytes() == before
    assert running.takes(old)


def test_a_service_that_is_not_the_one_of_the_env_file(running):
    """Nothing is touched where the key at hand is not the one that the service takes."""
    before = running.env.read_bytes()
    running.env.write_text(running.env.read_text().replace(running.key(), "f0" * 32))
    code, out = running.rotate()
    assert code == 1
    assert "has it been started again since the key was written?" in out
    assert running.key() == "f0" * 32
    running.env.write_bytes(before)
    assert urllib.request.urlopen(f"{running.url}/health").status == 200
