"""The types users write: what they read, what they refuse, how they are written back."""

from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from runbook.units import Age, Duration, Mode, Percent, Secret, Size, human_bytes, revealed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("7d", 604_800), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), ("2w", 1_209_600), (" 5m ", 300)],
)
def test_a_duration_is_read(text, seconds):
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "7", "7 d", "d", "-5s", "1h 30m", "1y", "0x10s", "7d!"])
def test_what_is_no_age_says_what_to_write(text):
    with pytest.raises(ValueError, match="7d"):
        Age.parse(text)


@pytest.mark.parametrize("text", ["7d", "1h30m", "15d", "1s500ms", "0s"])
def test_a_duration_is_written_back(text):
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "count"), [("100MB", 10**8), ("100MiB", 100 * 2**20), ("1.5kB", 1500), ("0B", 0), ("2 GB", 2 * 10**9)]
)
def test_a_size_is_read(text, count):
    assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["100", "100M", "MB", "-1B", "1EB"])
def test_what_is_no_size_says_what_to_write(text):
    with pytest.raises(ValueError, match="100MB"):
        Size.parse(text)


def test_a_share_is_of_a_whole():
    assert Percent.parse("20%").of(50) == 10
    for text in ("20", "101%", "%"):
        with pytest.raises(ValueError, match="20%"):
            Percent.parse(text)


def test_a_mode_is_octal_text():
    assert Mode.parse("0644") == 0o644
    assert Mode.parse("1777") == 0o1777
    assert str(Mode.parse("644")) == "0644"
    for text in ("0999", "64", "rw-r--r--", "07777777"):
        with pytest.raises(ValueError, match="octal"):
            Mode.parse(text)


class Asked(BaseModel):
    age: Age
    mode: Mode | None = None


def test_a_number_where_text_belongs_is_refused_with_an_example():
    with pytest.raises(ValidationError, match="write for example 7d"):
        Asked(age=7)
    with pytest.raises(ValidationError, match="0644"):
        Asked(age="7d", mode=420)


def test_a_secret_shows_itself_nowhere():
    secret = Secret("hunter2hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", str([secret]), str([secret])]
    assert not any("hunter2" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_secret_stays_one_when_it_is_joined():
    whole = "Bearer " + Secret("abc") + "!"
    assert isinstance(whole, Secret)
    assert whole.reveal() == "Bearer abc!"
    assert revealed({"a": [whole, 1]}) == {"a": ["Bearer abc!", 1]}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1500, "1.5kB"), (123_456, "123kB"), (10**9, "1GB"), (5 * 10**15, "5000TB")],
)
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text
