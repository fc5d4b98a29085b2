"""Pieces of HTML in which no name can turn into markup."""

from __future__ import annotations

import html
from collections.abc import Iterable

# `gr.HTML` reads its content as a template, so these mean something too.
_TEMPLATE = {ord(sign): f"&#{ord(sign)};" for sign in "{}$`\\"}

SERIES = 7  # colours that can be told apart; further lines begin again, dashed


def text(value: object) -> str:
    """A name or value as plain text, also within an attribute."""
    return html.escape(str(value), quote=True).translate(_TEMPLATE)


def percent(share: float, digits: int = 0) -> str:
    """A probability as a percentage; what rounds to nothing or all of it says so."""
    value = 100 * share
    if digits == 0 and 0 < value < 1:
        return "<1 %"
    return f"{value:.{digits}f} %"


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; a true minus, and no sign for nothing."""
    rounded = round(value, digits) + 0.0
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.{digits}f}"


def joined(parts: Iterable[str]) -> str:
    return "".join(parts)


def notice(words: str, level: str = "info") -> str:
    """A line that tells of something: `info` or `error`."""
    sign = {"info": "i", "error": "!"}[level]
    role = "alert" if level == "error" else "status"
    return (
        f'<div class="notice {level}" role="{role}"><b aria-hidden="true">{sign}</b><span>{text(words)}</span></div>'
    )


def empty(title: str, words: str, icon: str = "◇") -> str:
    """What stands where there is nothing yet, and what to do about it."""
    return (
        f'<div class="blank"><div class="blank-icon" aria-hidden="true">{icon}</div><h3>{text(title)}</h3>'
        f"<p>{text(words)}</p></div>"
    )


def progress(share: float, words: str) -> str:
    """A bar."""
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
    """The colour of a line, in a legend."""
    dashed = " dashed" if place >= SERIES else ""
    return f'<i class="swatch s{place % SERIES}{dashed}" aria-hidden="true"></i>'
