"""A small world of rendered images in eight domains, for runs and tests without downloads."""

from .domains import DOMAINS, Domain
from .render import render_captioned, render_domain, render_reference
from .styles import STYLES

__all__ = ["DOMAINS", "STYLES", "Domain", "render_captioned", "render_domain", "render_reference"]
