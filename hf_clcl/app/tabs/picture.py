"""The image that somebody gives: a file that was sent here, and never an address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like
from PIL import Image

from ...utils.errors import UserError
from ..images import open_image


def picture(**options: Any) -> gr.Image:
    """An image component whose value is decoded within limits; what cannot be read arrives as the error itself.

    It is a plain `gr.Image` with two of its functions replaced: Gradio writes a stub file for every subclass.
    """
    component = gr.Image(**options)
    keep = component.async_move_resource_to_block_cache

    async def keep_files(url_or_file_path: str | Path | None) -> str | None:
        # This machine fetches nothing for anybody.
        if url_or_file_path is not None and is_http_url_like(str(url_or_file_path)):
            raise gr.Error("an image must be sent as a file, not as an address", print_exception=False)
        return await keep(url_or_file_path)

    component.async_move_resource_to_block_cache = keep_files  # type: ignore[method-assign]
    component.preprocess = _decoded  # type: ignore[method-assign, assignment]
    return component


def _decoded(payload: Any) -> Image.Image | UserError | None:
    if payload is None:
        return None
    if not payload.path or (payload.url or "").startswith("data:"):
        return UserError("an image must be sent as a file")
    try:
        return open_image(payload.path)
    except UserError as error:
        return error


def given(value: Image.Image | UserError | None) -> Image.Image | None:
    """The image.

    Raises:
        UserError: Where what was sent cannot be used.
    """
    if isinstance(value, UserError):
        raise value
    return value
