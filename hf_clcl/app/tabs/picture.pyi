"""The image that somebody gives: a file that was sent here, and never an address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like
from PIL import Image

from ...errors import UserError
from ..images import open_image

class Picture(gr.Image):
    """An image component whose value is decoded within limits; what cannot be read arrives as the error itself."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> Image.Image | UserError | None:
        """The image that was sent, the error that tells why it cannot be used, or `None` for none."""
        if payload is None:
            return None
        if not payload.path or (payload.url or "").startswith("data:"):
            return UserError("an image must be sent as a file")
        try:
            return open_image(payload.path)
        except UserError as error:
            return error

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """Keep a file that was sent. Addresses are refused: this machine fetches nothing for anybody."""
        if url_or_file_path is not None and is_http_url_like(str(url_or_file_path)):
            raise gr.Error("an image must be sent as a file, not as an address", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)
    from collections.abc import Callable, Sequence
    from typing import TYPE_CHECKING, Any, Literal

    from gradio.blocks import Block

    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

def given(picture: Image.Image | UserError | None) -> Image.Image | None:
    """The image.

    Raises:
        UserError: Where what was sent cannot be used.
    """
    if isinstance(picture, UserError):
        raise picture
    return picture
