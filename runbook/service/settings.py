"""What the service's `.env` file says: its key, its model, and the controls, each of which can be switched off."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from runbook.envfile import Entry, read_env
from runbook.errors import Invalid, Problems
from runbook.service.formats import FORMATS
from runbook.suggest import nearest
from runbook.units import Duration, Secret

ANY = "*"
BITS = {"hex": 4, "text": 6}  # a character of a key holds at most so many random bits
MAKE_KEY = "make one: python3 -c 'import secrets; print(secrets.token_hex(32))'"
TELLTALE = 8  # a random key of 64 characters has never so few different ones


def _words(value: Any) -> Any:
    """Read a list as `.env` files have it: separated by commas."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    words = _words(value)
    return tuple(word.lower() for word in words) if isinstance(words, tuple) else words


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
LowerWords = Annotated[tuple[str, ...], BeforeValidator(_lower)]


class Settings(BaseModel):
    """Each setting by the name that it has in the `.env` file, in lower case."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    api_key: Secret | None = Field(None, description="what `X-API-Key` must be for /reload, /batch and /admin")
    api_key_required: bool = Field(True, description="`off` opens those routes to everybody")
    api_key_min_bytes: NonNegativeInt = Field(32, description="random bytes that a key must have; 0 takes any key")
    model_path: Annotated[Path | None, BeforeValidator(lambda text: text or None)] = Field(
        None, description="the model, where `--model` does not say it"
    )
    cors_allow_origins: Words = Field((), description="origins whose pages may call the service; `*` allows all")
    max_upload_mb: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        20, description="largest request body; 0 takes any"
    )
    allowed_extensions: LowerWords = Field(
        (".png", ".jpg", ".jpeg"), description="endings of names of uploads; `*` takes any"
    )
    allowed_content_types: LowerWords = Field(
        ("image/png", "image/jpeg"), description="declared types of uploads; `*` takes any"
    )
    allowed_formats: LowerWords = Field(
        ("png", "jpeg"), description=f"what the first bytes must show, of {', '.join(FORMATS)}; `*` takes any of them"
    )
    max_pixels: NonNegativeInt = Field(25_000_000, description="pixels of an image; 0 takes any")
    max_batch: PositiveInt = Field(64, description="inputs of one request to /batch")
    warmup_steps: NonNegativeInt = Field(5, description="predictions before a new model serves")
    drain_timeout: Duration = Field(Duration(30), description="how long a replaced model may finish its requests")
    load_timeout: Duration = Field(Duration(120), description="how long a new model may take to load and warm up")

    def upload_limit(self) -> int | None:
        """Give the largest request body in bytes; None without a limit."""
        return int(self.max_upload_mb * 1_000_000) or None


def read_settings(file: Path | None) -> tuple[Settings, list[str]]:
    """Read the settings, with what to warn of; Invalid says what is wrong with the file, at its line."""
    entries = {entry.name: entry for entry in read_env(file, str(file))} if file else {}
    known = {name.upper(): name for name in Settings.model_fields}
    given = {known[name]: _value(entry) for name, entry in entries.items() if name in known}
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise Problems([_problem(found, entries) for found in error.errors(include_url=False)]) from None
    _check_formats(settings, entries)
    if settings.api_key is not None:
        _check_key(settings.api_key.reveal(), settings.api_key_min_bytes, entries)
    return settings, [
        f"{entry.where}: there is no setting {name}; did you mean {near}?"
        for name, entry in entries.items()
        if name not in known and (near := nearest(name, known))
    ]


def _value(entry: Entry) -> Any:
    return Secret(entry.value) if entry.name == "API_KEY" else entry.value


def _problem(error: Any, entries: dict[str, Entry]) -> Invalid:
    name = str(error["loc"][0]).upper()
    return Invalid(f"{name}: {error['msg']}", where=entries[name].where, excerpt="")


def _check_formats(settings: Settings, entries: dict[str, Entry]) -> None:
    for name in settings.allowed_formats:
        if name not in {*FORMATS, ANY}:
            hint = f"known are {', '.join(FORMATS)}, and * for any of them"
            raise Invalid(f"ALLOWED_FORMATS: {name!r} is unknown", where=entries["ALLOWED_FORMATS"].where, hint=hint)
    for origin in settings.cors_allow_origins:
        if origin != ANY and not re.fullmatch(r"https?://[^/\s]+", origin):
            hint = "write scheme and host without a path: https://app.example.com"
            where = entries["CORS_ALLOW_ORIGINS"].where
            raise Invalid(f"CORS_ALLOW_ORIGINS: {origin!r} is no origin", where=where, hint=hint)


def _check_key(key: str, wanted: int, entries: dict[str, Entry]) -> None:
    """Refuse a key that cannot hold the random bytes that are wanted; the key itself is never told."""
    kind = "hex" if re.fullmatch(r"[0-9a-fA-F]*", key) else "text"
    held = len(key) * BITS[kind] // 8
    where = entries["API_KEY"].where
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise Invalid("API_KEY holds characters that no header can carry", where=where, hint=MAKE_KEY, excerpt="")
    if held < wanted:
        text = f"API_KEY is too short: it holds at most {held} random bytes, and {wanted} are wanted"
        raise Invalid(text, where=where, hint=MAKE_KEY, excerpt="")
    if wanted and len(set(key)) <= TELLTALE:
        raise Invalid("API_KEY is not random: it repeats a few characters", where=where, hint=MAKE_KEY, excerpt="")
