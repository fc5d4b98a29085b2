"""Images that cannot be decoded."""

from __future__ import annotations

from PIL import UnidentifiedImageError

# What decoding a damaged image may raise: Pillow's readers of single formats raise whatever Python raises.
UNREADABLE = Exception


def why(error: Exception) -> str:
    """What keeps an image from being read, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "it is empty, or no image of a format that Pillow knows"
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
