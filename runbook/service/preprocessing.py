"""From an image to what a model takes: the model says how in its metadata, or its input's shape does."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Layout = Literal["chw", "hwc", "hw", "flat"]


class Preprocessing(BaseModel):
    """How an image becomes an array: resized, to grey or RGB, times `scale`, minus `mean`, divided by `std`.

    It is stored as JSON under the key `preprocessing` of the model's metadata.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    size: tuple[PositiveInt, PositiveInt] = Field(description="height and width in pixels")
    mode: Literal["L", "RGB"] = "RGB"
    layout: Layout = "chw"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"

    def apply(self, image: Image.Image) -> np.ndarray:
        """Give the array of one image, without a batch dimension."""
        height, width = self.size
        fitting = image.convert(self.mode).resize((width, height), Image.Resampling[self.resample.upper()])
        pixels = np.asarray(fitting, np.float32).reshape(height, width, -1)
        array: np.ndarray = (pixels * self.scale - np.asarray(self.mean)) / np.asarray(self.std)
        if self.layout == "chw":
            array = array.transpose(2, 0, 1)
        elif self.layout == "hw":
            array = array[:, :, 0]
        elif self.layout == "flat":
            array = array.reshape(-1)
        return np.ascontiguousarray(array)


def from_shape(shape: tuple[int, ...], scale: float) -> Preprocessing | None:
    """Give what the shape of an input, without its batch dimension, says of the images; None if it says nothing."""
    match shape:
        case (1 | 3 as channels, height, width):
            return Preprocessing(size=(height, width), mode="L" if channels == 1 else "RGB", layout="chw", scale=scale)
        case (height, width, 1 | 3 as channels):
            return Preprocessing(size=(height, width), mode="L" if channels == 1 else "RGB", layout="hwc", scale=scale)
        case (height, width):
            return Preprocessing(size=(height, width), mode="L", layout="hw", scale=scale)
    return None
