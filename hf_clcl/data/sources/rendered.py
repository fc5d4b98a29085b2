"""The built-in rendered world as datasets of a recipe, named `rendered:<domain>`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...config.entries import DatasetEntry
from ...utils.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

RENDERED = re.compile(r"rendered:(?P<domain>[\w-]+)(@(?P<size>\d+))?")
RENDERED_SIZE = 32
RENDERED_SPLITS = {"train": 0, "test": 1}  # seeds of captioned images, whose seed does not include the split
RENDERED_COUNTS = {"train": 400, "test": 200}
RENDERED_TRAIN = {"reference": 1_000, "captioned": 20_000}

_last: dict[tuple[str, str, int], Dataset] = {}  # the last result: reference texts are captions of reference images


def rendered(entry: DatasetEntry, where: str) -> tuple[str, int] | None:
    """Parse domain and image size of `rendered:<domain>@<size>`; `None` for any other dataset."""
    if not entry.dataset.startswith("rendered:"):
        return None
    match = RENDERED.fullmatch(entry.dataset)
    if match is None:
        raise DataError(f"{where}: {entry.dataset!r} must be `rendered:<domain>` or `rendered:<domain>@<pixels>`")
    return match["domain"], int(match["size"] or RENDERED_SIZE)


def render(where: str, domain: str, split: str, count: int, size: int) -> Dataset:
    """Render a split of a domain. It is the same in each run, since it does not depend on the seed of the run."""
    from .. import world

    if split not in RENDERED_SPLITS:
        raise DataError(f"{where}: rendered:{domain} has no split {split!r}, but {', '.join(RENDERED_SPLITS)}")
    if domain in RENDERED_TRAIN:
        return _captioned(domain, split, count, size)
    if domain not in world.DOMAINS:
        known = ", ".join([*world.DOMAINS, "reference", "captioned"])
        raise DataError(f"{where}: there is no rendered:{domain}; the rendered world has {known}")
    return world.render_domain(domain, split, count, image_size=size)


def _captioned(domain: str, split: str, count: int, size: int) -> Dataset:
    """Captioned images, cached. Each image depends only on its index, so a smaller `count` uses the cache."""
    from .. import world

    key = (domain, split, size)
    if key not in _last or len(_last[key]) < count:
        draw = world.render_reference if domain == "reference" else world.render_captioned
        _last.clear()
        _last[key] = draw(count, RENDERED_SPLITS[split], size)
    return _last[key].select(range(count))
