"""Image input component that accepts uploaded files only, never URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like
from PIL import Image

from ...utils.errors import UserError
from ..images import open_image


def picture(**options: Any) -> gr.Image:
    """Create an image component that decodes uploads safely; its value is a `UserError` if the image is unreadable.

    It is a `gr.Image` with two methods replaced, since Gradio writes a stub file for every subclass.
    """
    component = gr.Image(**options)
    cache_file = component.async_move_resource_to_block_cache

    async def cache_files_only(url_or_file_path: str | Path | None) -> str | None:
        # The server must not download a URL for a client (SSRF).
        if url_or_file_path is not None and is_http_url_like(str(url_or_file_path)):
            raise gr.Error("an image must be sent as a file, not as a URL", print_exception=False)
        return await cache_file(url_or_file_path)

    component.async_move_resource_to_block_cache = cache_files_only  # type: ignore[method-assign]
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


def checked(value: Image.Image | UserError | None) -> Image.Image | None:
    """Return the image of a component's value.

    Raises:
        UserError: If the upload is not a readable image.
    """
    if isinstance(value, UserError):
        raise value
    return value
