"""Safe decoding of uploaded images: limits on bytes, pixels and formats."""

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
MAX_SIDE = 1024  # pixels; larger images are shrunk, since no CLIP needs more
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
ALLOWED = "PNG, JPEG, WebP, GIF, BMP or TIFF"


def open_image(path: str | Path) -> Image.Image:
    """Open an image of any mode as RGB: first frame, upright, transparent areas on white.

    Args:
        path (`str` or `Path`): The file; its name and suffix are ignored.

    Raises:
        UserError: If the file is no image, is damaged, or has more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"the file must have at most {MAX_BYTES >> 20} MB, got {path.stat().st_size / 2**20:.0f} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UserError(
                    f"the image must have at most {MAX_PIXELS // 10**6} million pixels, got {width:,} × {height:,}"
                )
            if min(width, height) < 1:
                raise UserError("the image has no pixels; choose another one")
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))
            image.load()
            return _plain(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(
            f"the image must have at most {MAX_PIXELS // 10**6} million pixels; choose a smaller one"
        ) from None
    except UnidentifiedImageError:
        raise UserError(f"this file is not a readable image; use {ALLOWED}") from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, IndexError, TypeError, ArithmeticError):
        raise UserError(f"the image is damaged or truncated; choose another one ({ALLOWED})") from None


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
    """Resize an image so that its longer side is `side` pixels; tiny images are enlarged without blur."""
    image = image.convert("RGB")
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.NEAREST if factor > 2 else Image.Resampling.LANCZOS)


def thumbnail(image: Image.Image, side: int = 144) -> str:
    """A small copy as a `data:` URL."""
    buffer = io.BytesIO()
    enlarged(image, side).save(buffer, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
