"""Conversion of images of any bit depth and shape to 8-bit images that the image processor accepts."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

LONGEST = 100  # largest ratio of the sides; beyond it, pixels are far outside the square that CLIP sees


def eight_bits(image: Image.Image) -> Image.Image:
    """Convert an image to 8 bits per channel. Pillow's `convert` would clip most of its values to white.

    16-bit values are divided by 257. 32-bit integers are unchanged if all are in 0 to 255, divided by 257 if all are
    in 0 to 65,535, and stretched to 0 to 255 otherwise. Floats are multiplied by 255 if all are in 0 to 1, unchanged
    if all are in 0 to 255, and stretched otherwise.
    """
    if not image.mode.startswith("I") and image.mode != "F":
        return image
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    low, high = values.min(), values.max()
    if image.mode.startswith("I;16") or (image.mode == "I" and 0 <= low and 255 < high <= 65535):
        values = values / 257
    elif image.mode == "F" and 0 <= low and high <= 1:
        values = values * 255
    elif low < 0 or high > 255:
        values = (values - low) * (255 / (high - low))
    return Image.fromarray(np.rint(values).astype(np.uint8))


def trimmed(image: Image.Image) -> Image.Image:
    """Crop the centre of an image with sides of a ratio above `LONGEST`, which needs too much memory to resize."""
    width, height = (min(side, LONGEST * min(image.size)) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def upright(image: Image.Image) -> Image.Image:
    """Rotate the first frame of an image as its EXIF data says, and convert it to 8-bit RGB."""
    return eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
