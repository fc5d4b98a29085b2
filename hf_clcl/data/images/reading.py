"""Errors of images that cannot be decoded."""

from __future__ import annotations

from PIL import UnidentifiedImageError

# Errors of decoding a damaged image: Pillow's format readers may raise any exception.
UNREADABLE = Exception


def why(error: Exception) -> str:
    """The reason why an image cannot be read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "it is empty, or not in an image format that Pillow knows"
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
