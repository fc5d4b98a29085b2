"""Pictures of any depth and shape, as CLIP's own image processor takes them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

LONGEST = 100  # times as long as wide; what lies beyond is far outside the square that CLIP looks at


def eight_bits(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits a channel as one of 8, where `convert` of Pillow would clip nearly all to white.

    16 bits are divided by 257. Whole numbers of 32 bits stay as they are up to 255, are divided by 257 up to 65,535,
    and else stretched over what they span; so are fractions, which are multiplied by 255 where all lie in 0 to 1.
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
    """The middle of a picture more than `LONGEST` times as long as wide: resizing it whole fills the memory."""
    width, height = (min(side, LONGEST * min(image.size)) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def upright(image: Image.Image) -> Image.Image:
    """The first frame of a picture, turned as its EXIF says, in RGB of 8 bits."""
    return eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
