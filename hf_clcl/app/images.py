"""Images from anybody: decoded within limits, whatever they are."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from ..data.images.pictures import eight_bits
from ..utils.errors import UserError

MAX_PIXELS = 50_000_000
MAX_BYTES = 20 * 2**20
MAX_SIDE = 1024  # of what is kept: no CLIP looks at more
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
ALLOWED = "PNG, JPEG, WebP, GIF, BMP or TIFF"


def open_image(path: str | Path) -> Image.Image:
    """An image of any mode as RGB: the first frame, upright, with what is transparent on white.

    Args:
        path (`str` or `Path`): The file; its name and suffix mean nothing.

    Raises:
        UserError: For what is no image, broken, or larger than `MAX_PIXELS` when decoded.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"the file has {path.stat().st_size / 2**20:.0f} MB; give one of at most {MAX_BYTES >> 20} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UserError(
                    f"the image has {width:,} × {height:,} pixels; give one of at most {MAX_PIXELS // 10**6} million"
                )
            if min(width, height) < 1:
                raise UserError("the image has no pixels; give another")
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            image.load()
            return _plain(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"the image is too large; give one of at most {MAX_PIXELS // 10**6} million pixels") from None
    except UnidentifiedImageError:
        raise UserError(f"this is not an image that can be read; give {ALLOWED}") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, TypeError, ArithmeticError):
        raise UserError(f"the image is broken or cut off; give another ({ALLOWED})") from None


def _plain(image: Image.Image) -> Image.Image:
    image.thumbnail((MAX_SIDE, MAX_SIDE)) if image.mode not in ("P", "1") else None
    image = eight_bits(image)
    if image.mode in ("PA", "LA", "La", "RGBa", "P") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return image


def enlarged(image: Image.Image, side: int = 144) -> Image.Image:
    """A copy whose longer side is `side`, without blur where the image is tiny."""
    image = image.convert("RGB")
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if factor > 2 else Image.Resampling.LANCZOS)


def thumbnail(image: Image.Image, side: int = 144) -> str:
    """A small copy as a `data:` address."""
    buffer = io.BytesIO()
    enlarged(image, side).save(buffer, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
