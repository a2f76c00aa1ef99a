"""The service's env file: every control has a setting, a wrong one is told at its line, and a weak key is refused."""

import re
import secrets
from pathlib import Path

import pytest

from runbook.errors import Invalid, Problems
from runbook.service.settings import Settings, read_settings

DOC = Path(__file__).parents[2] / "docs/service.md"


def read(tmp_path, text, mode=0o600):
    file = tmp_path / ".env"
    file.touch(mode)
    file.write_text(text)
    file.chmod(mode)
    return read_settings(file)


def test_without_an_env_file_every_control_is_on():
    settings, warnings = read_settings(None)
    assert settings.api_key is None
    assert settings.api_key_required
    assert settings.upload_limit() == 20_000_000
    assert settings.cors_allow_origins == ()
    assert settings.allowed_formats == ("png", "jpeg")
    assert warnings == []


def test_settings_are_read_by_their_types(tmp_path):
    text = "MAX_UPLOAD_MB=0.5\nALLOWED_EXTENSIONS = .PNG , .gif\nAPI_KEY_REQUIRED=off\nDRAIN_TIMEOUT=1m30s\nOTHER=1\n"
    settings, warnings = read(tmp_path, text + "CORS_ALLOW_ORIGINS='https://a.example, http://b.example:8080'\n")
    assert settings.upload_limit() == 500_000
    assert settings.allowed_extensions == (".png", ".gif")
    assert settings.api_key_required is False
    assert settings.drain_timeout == 90
    assert settings.cors_allow_origins == ("https://a.example", "http://b.example:8080")
    assert warnings == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("MAX_UPLOAD_MB=much", "MAX_UPLOAD_MB: .*number"),
        ("MAX_UPLOAD_MB=-1", "MAX_UPLOAD_MB: .*greater than or equal to 0"),
        ("MAX_UPLOAD_MB=inf", "MAX_UPLOAD_MB: .*finite"),
        ("API_KEY_REQUIRED=perhaps", "API_KEY_REQUIRED: .*boolean"),
        ("DRAIN_TIMEOUT=30", "DRAIN_TIMEOUT: .*write a number and ms, s"),
        ("MAX_BATCH=0", "MAX_BATCH: .*greater than 0"),
        ("WARMUP_STEPS=1.5", "WARMUP_STEPS: .*integer"),
        ("ALLOWED_FORMATS=png,exe", "'exe' is unknown"),
        ("CORS_ALLOW_ORIGINS=app.example.com", "'app.example.com' is no origin"),
        ("CORS_ALLOW_ORIGINS=https://app.example.com/", "is no origin"),
    ],
)
def test_a_wrong_setting_is_told_at_its_line(tmp_path, line, reason):
    with pytest.raises(Invalid) as refused:
        read(tmp_path, f"\n{line}\n")
    problem = refused.value.problems[0] if isinstance(refused.value, Problems) else refused.value
    assert re.search(reason, problem.message)
    assert problem.where.line == 2


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    with pytest.raises(Problems) as refused:
        read(tmp_path, "MAX_UPLOAD_MB=x\nMAX_BATCH=y\n")
    assert [problem.where.line for problem in refused.value.problems] == [1, 2]


def test_a_misspelt_setting_is_warned_of(tmp_path):
    _, warnings = read(tmp_path, "CORS_ALLOW_ORIGIN=https://a.example\nPATH_TO_ELSEWHERE=1\n")
    assert len(warnings) == 1
    assert "there is no setting CORS_ALLOW_ORIGIN; did you mean CORS_ALLOW_ORIGINS?" in warnings[0]


@pytest.mark.parametrize("make", [lambda: secrets.token_hex(32), lambda: secrets.token_urlsafe(32)])
def test_keys_of_32_random_bytes_are_taken(tmp_path, make):
    for _ in range(200):
        key = make()
        assert read(tmp_path, f"API_KEY={key}\n")[0].api_key.reveal() == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (secrets.token_hex(31), "at most 31 random bytes"),
        (secrets.token_urlsafe(31), "at most 31 random bytes"),
        ("", "at most 0 random bytes"),
        ("'correct horse battery staple'", "too short"),
        ("a" * 64, "not random"),
        ("'" + "é" * 64 + "'", "no header"),
    ],
)
def test_a_weak_key_is_refused_and_not_told(tmp_path, key, reason):
    with pytest.raises(Invalid, match=reason) as refused:
        read(tmp_path, f"API_KEY={key}\n")
    assert "secrets.token_hex(32)" in refused.value.hint
    assert not key or key.strip("'") not in str(refused.value)


def test_a_weak_key_is_taken_where_the_control_is_off(tmp_path):
    assert read(tmp_path, "API_KEY=short\nAPI_KEY_MIN_BYTES=0\n")[0].api_key.reveal() == "short"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_an_env_file_that_others_may_read_is_refused(tmp_path, mode):
    with pytest.raises(Invalid, match="open to others"):
        read(tmp_path, "", mode)


def test_a_line_that_is_not_understood_is_told_and_not_shown(tmp_path):
    with pytest.raises(Invalid) as refused:
        read(tmp_path, "API_KEY=x\nsecret words here\n")
    assert refused.value.where.line == 2
    assert "secret" not in str(refused.value)


def test_every_setting_is_documented():
    rows = re.findall(r"^\| `([A-Z_]+)` \|", DOC.read_text("utf-8"), re.MULTILINE)
    assert rows == [name.upper() for name in Settings.model_fields]
