"""Theme of the app: colours, fonts and style sheet, without external files."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

FOLDER = Path(__file__).parent
FONT = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

# Shades of the blue of Okabe and Ito's palette, and of a bluish grey.
BLUE = gr.themes.Color(
    "#eef6fb", "#d6eaf6", "#aed5ec", "#7dbbde", "#4a9dcc", "#1d82ba", "#0072b2", "#005f95", "#064c76", "#0a3d5e",
    "#062a42", name="okabe",
)  # fmt: skip
INK = gr.themes.Color(
    "#f7f8fa", "#eef0f4", "#dfe3ea", "#c5ccd6", "#94a0b0", "#667385", "#4a5666", "#364150", "#222b37", "#161d27",
    "#0e131a", name="ink",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """The Gradio theme."""
    return gr.themes.Base(
        primary_hue=BLUE, secondary_hue=BLUE, neutral_hue=INK, font=FONT, font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md, text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f4f6f9", body_background_fill_dark="#0d1218",
        background_fill_primary="#ffffff", background_fill_primary_dark="#151c25",
        background_fill_secondary="#f7f8fa", background_fill_secondary_dark="#111821",
        block_background_fill="#ffffff", block_background_fill_dark="#151c25",
        block_border_color="#dfe3ea", block_border_color_dark="#263140",
        border_color_primary="#dfe3ea", border_color_primary_dark="#263140",
        input_background_fill="#ffffff", input_background_fill_dark="#0f151d",
        input_border_color="#c5ccd6", input_border_color_dark="#334052",
        block_label_text_color="#4a5666", block_label_text_color_dark="#a9b4c2",
        block_title_text_color="#364150", block_title_text_color_dark="#c5ccd6",
        block_info_text_color="#667385", block_info_text_color_dark="#94a0b0",
        block_title_text_weight="600", block_shadow="none", block_radius="12px", input_radius="8px",
        button_primary_background_fill="#0072b2", button_primary_background_fill_hover="#005f95",
        button_primary_background_fill_dark="#1d82ba", button_primary_background_fill_hover_dark="#4a9dcc",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        input_border_width="1px", button_large_radius="8px", button_small_radius="8px", layout_gap="14px",
    )  # fmt: skip


def css() -> str:
    """The style sheet."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def head() -> str:
    """HTML for the head of the page: the tooltip script."""
    return f"<script>{(FOLDER / 'tips.js').read_text(encoding='utf-8')}</script>"
