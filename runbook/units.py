"""The types users write in YAML: Age, Duration, Size, Percent, Mode, Secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsIndex

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core.core_schema import CoreSchema

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Written:
    """A value that is written as text in YAML and parsed by `parse`, which raises ValueError."""

    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a text; ValueError says what to write instead."""
        raise TypeError(f"{cls.__name__} does not say how {text!r} is read")

    @classmethod
    def accept(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"{value!r} is no {cls.__name__.lower()}; write for example {cls.example}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.accept, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": cls.__name__.lower(), "examples": [cls.example]}


class Duration(Written, float):
    """A span of time in seconds, written `30s`, `1h30m`, `500ms`."""

    example = "30s"
    _whole = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
    _part = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls._whole.fullmatch(text.strip()):
            raise ValueError(
                f"{text!r} is no {cls.__name__.lower()}; write a number and ms, s, m, h, d or w: {cls.example}"
            )
        return cls(sum(float(number) * SECONDS[unit] for number, unit in cls._part.findall(text)))

    def __str__(self) -> str:
        """Write it back, with the largest units first, `1h30m`, days at most."""
        rest, parts = round(float(self) * 1000), []
        for unit in ("d", "h", "m", "s", "ms"):
            count, rest = divmod(rest, round(SECONDS[unit] * 1000))
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"

    __repr__ = __str__


class Age(Duration):
    """How long ago a file was last modified, in seconds, written `7d`, `12h`."""

    example = "7d"


class Size(Written, int):
    """A number of bytes, written `100MB` (10^6) or `100MiB` (2^20)."""

    example = "100MB"
    _form = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[kKMGT]B|[KMGT]iB)")

    @classmethod
    def parse(cls, text: str) -> Self:
        match = cls._form.fullmatch(text.strip())
        if not match:
            raise ValueError(
                f"{text!r} is no size; write a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB: {cls.example}"
            )
        return cls(float(match[1]) * BYTES[match[2]])

    def __str__(self) -> str:
        return human_bytes(int(self))

    __repr__ = __str__


class Percent(Written, float):
    """A share in percent, 0 to 100, written `20%`."""

    example = "20%"
    _form = re.compile(r"(\d+(?:\.\d+)?)\s*%")

    @classmethod
    def parse(cls, text: str) -> Self:
        match = cls._form.fullmatch(text.strip())
        if not match or float(match[1]) > 100:
            raise ValueError(f"{text!r} is no share; write a number from 0 to 100 and %: {cls.example}")
        return cls(match[1])

    def of(self, whole: float) -> float:
        return whole * float(self) / 100

    def __str__(self) -> str:
        return f"{float(self):g}%"

    __repr__ = __str__


class Mode(Written, int):
    """Permission bits, written in quotes as octal: `"0644"`."""

    example = '"0644"'
    _form = re.compile(r"0?[0-7]{3}|[0-7]{4}")

    @classmethod
    def parse(cls, text: str) -> Self:
        if not cls._form.fullmatch(text):
            raise ValueError(f"{text!r} is no mode; write three or four octal digits in quotes: {cls.example}")
        return cls(text, 8)

    def __str__(self) -> str:
        return f"{int(self):04o}"

    __repr__ = __str__


class Secret(Written):
    """A text that shows `***` in every form; only `reveal` gives it."""

    __slots__ = ("_text",)
    example = '"{{ api_key }}"'

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(text)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce_ex__(self, protocol: SupportsIndex) -> str:
        raise TypeError("a secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return self._text == (other._text if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __add__(self, other: Any) -> Secret:
        return Secret(self._text + _text(other))

    def __radd__(self, other: Any) -> Secret:
        return Secret(_text(other) + self._text)


def _text(value: Any) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value)


def revealed(value: Any) -> Any:
    """Give the value with every secret in it, however deep in lists and dicts, as its text."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(revealed(item) for item in value)
    return value


def human_bytes(count: int) -> str:
    """Write a number of bytes for people, in powers of ten: `1.5GB`."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f}{unit}" if unit == "B" or value >= 100 else f"{value:.3g}{unit}"
