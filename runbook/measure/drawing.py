"""Lines, dots and words on a white ground, written as SVG or as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from runbook.lines import clean

INK, FAINT = "#333333", "#dddddd"
SCALE, SMOOTH = (
    2,
    2,
)  # pixels of a PNG for each of the SVG; how many times as large it is drawn, so that edges are smooth
FONT = 12

Place = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
LETTERS: dict[Anchor, str] = {"start": "l", "middle": "m", "end": "r"}  # as Pillow calls them


@dataclass(frozen=True, slots=True)
class Line:
    """From place to place; `dash` is the length of a dash, and of the gap after it."""

    points: Sequence[Place]
    colour: str = FAINT
    width: float = 1
    dash: float = 0

    def svg(self) -> str:
        path = " ".join(f"{x:g},{y:g}" for x, y in self.points)
        dashed = f' stroke-dasharray="{self.dash:g}"' if self.dash else ""
        return f'<polyline points="{path}" fill="none" stroke="{self.colour}" stroke-width="{self.width:g}"{dashed}/>'

    def pieces(self) -> list[tuple[Place, Place]]:
        """Give the strokes: the dashes run on around corners."""
        done, strokes = 0.0, []
        for (x, y), (to_x, to_y) in zip(self.points, self.points[1:], strict=False):
            length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
            step = self.dash or length
            at = 0.0
            while at < length:
                end = min(length, at + (step - (done + at) % step if self.dash else length))
                if not self.dash or int((done + at) / step + 1e-9) % 2 == 0:
                    strokes.append(
                        tuple((x + (to_x - x) * part / length, y + (to_y - y) * part / length) for part in (at, end))
                    )
                at = max(end, at + 1e-6)
            done += length
        return [(first, last) for first, last in strokes]


@dataclass(frozen=True, slots=True)
class Dot:
    at: Place
    colour: str
    radius: float = 3.5

    def svg(self) -> str:
        return f'<circle cx="{self.at[0]:g}" cy="{self.at[1]:g}" r="{self.radius:g}" fill="{self.colour}"/>'


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; its base line is at `at`."""

    at: Place
    text: str
    anchor: Anchor = "start"
    size: float = FONT
    bold: bool = False

    def svg(self) -> str:
        anchor = "" if self.anchor == "start" else f' text-anchor="{self.anchor}"'
        style = (f' font-size="{self.size:g}"' if self.size != FONT else "") + (
            ' font-weight="bold"' if self.bold else ""
        )
        return f'<text x="{self.at[0]:g}" y="{self.at[1]:g}"{anchor}{style}>{escape(clean(self.text))}</text>'


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    shapes: Sequence[Line | Dot | Words]

    def svg(self) -> str:
        sizes = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {sizes} font-family="sans-serif" font-size="{FONT}" fill="{INK}">'
        )
        ground = f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        return "\n".join([head, ground, *(shape.svg() for shape in self.shapes), "</svg>", ""])

    def png(self) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        times = SCALE * SMOOTH
        image = Image.new("RGB", (self.width * times, self.height * times), "white")
        pen = ImageDraw.Draw(image)
        for shape in self.shapes:
            match shape:
                case Line():
                    for stroke in shape.pieces():
                        places = [(x * times, y * times) for x, y in stroke]
                        pen.line(places, shape.colour, round(shape.width * times))
                case Dot((x, y), colour, radius):
                    pen.circle((x * times, y * times), radius * times, colour)
                case Words((x, y), text, anchor, size, bold):
                    font, bolder = ImageFont.load_default(size * times), SMOOTH // 2 if bold else 0
                    pen.text((x * times, y * times), clean(text), INK, font, LETTERS[anchor] + "s", stroke_width=bolder)
        out = io.BytesIO()
        image.resize((self.width * SCALE, self.height * SCALE), Image.Resampling.LANCZOS).save(
            out, "PNG", optimize=True
        )
        return out.getvalue()
