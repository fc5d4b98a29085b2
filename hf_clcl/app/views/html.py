"""HTML building blocks that escape all names and values."""

from __future__ import annotations

import html
from collections.abc import Iterable

# `gr.HTML` treats its content as a template, so these characters are escaped too.
_TEMPLATE = {ord(sign): f"&#{ord(sign)};" for sign in "{}$`\\"}

SERIES = 7  # distinguishable colours; further lines reuse them, dashed


def text(value: object) -> str:
    """Escape a name or value for text and attributes."""
    return html.escape(str(value), quote=True).translate(_TEMPLATE)


def percent(share: float, digits: int = 0) -> str:
    """Format a probability as a percentage; small ones as `<1 %`."""
    value = 100 * share
    if digits == 0 and 0 < value < 1:
        return "<1 %"
    return f"{value:.{digits}f} %"


def signed(value: float, digits: int = 1) -> str:
    """Format a difference with its sign: `+`, a minus sign, or `±` for zero."""
    rounded = round(value, digits) + 0.0
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.{digits}f}"


def joined(parts: Iterable[str]) -> str:
    """Concatenate HTML."""
    return "".join(parts)


def notice(words: str, level: str = "info") -> str:
    """A notice of level `info` or `error`."""
    sign = {"info": "i", "error": "!"}[level]
    role = "alert" if level == "error" else "status"
    return (
        f'<div class="notice {level}" role="{role}"><b aria-hidden="true">{sign}</b><span>{text(words)}</span></div>'
    )


def empty(title: str, words: str, icon: str = "◇") -> str:
    """Placeholder for an empty view, with what to do next."""
    return (
        f'<div class="blank"><div class="blank-icon" aria-hidden="true">{icon}</div><h3>{text(title)}</h3>'
        f"<p>{text(words)}</p></div>"
    )


def progress(share: float, words: str) -> str:
    """A progress bar."""
    done = round(100 * min(max(share, 0.0), 1.0))
    return (
        f'<div class="progress" role="progressbar" aria-valuenow="{done}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-label="{text(words)}"><div class="bar"><i style="width:{done}%"></i></div>'
        f"<span>{text(words)}</span><b>{done} %</b></div>"
    )


def section(title: str, body: str, hint: str = "", classes: str = "") -> str:
    """A card with a heading."""
    small = f"<p>{text(hint)}</p>" if hint else ""
    return f'<section class="card {classes}"><header><h3>{text(title)}</h3>{small}</header>{body}</section>'


def swatch(place: int) -> str:
    """Colour mark of a line in a legend."""
    dashed = " dashed" if place >= SERIES else ""
    return f'<i class="swatch s{place % SERIES}{dashed}" aria-hidden="true"></i>'
