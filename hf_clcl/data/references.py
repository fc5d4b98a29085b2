"""Loading of the reference set for distillation: images and texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..config.entries import ReferenceEntry
from ..utils.errors import DataError
from ..utils.required import required
from . import columns
from .expected import check_expected
from .selection import take_some
from .sources.hub import load_hub, stream_hub
from .sources.local import find_local, load_local, reading
from .sources.rendered import RENDERED_COUNTS, RENDERED_TRAIN, render, rendered

if TYPE_CHECKING:
    from datasets import Dataset


class ReferenceImages(NamedTuple):
    """Reference images, with their column.

    Args:
        rows (`Dataset`): The rows.
        column (`str`): The column of images.
    """

    rows: Dataset
    column: str

    @classmethod
    def of(cls, rows: Dataset, column: str | None = None) -> ReferenceImages:
        """The reference images of a dataset, whose column is found by its type where it is not given.

        Raises:
            DataError: Where there is no such column.
        """
        column = columns.find_image_column(rows.features, column, "reference_images")
        return cls(columns.as_images(rows.select_columns(column), column), column)


def resolve_reference_images(entry: ReferenceEntry, data_root: str | None = None, seed: int = 42) -> ReferenceImages:
    """The reference images of a recipe.

    Args:
        entry (`ReferenceEntry`): `reference_images` of the recipe.
        data_root (`str`, *optional*): Folder that relative paths start from.
        seed (`int`, defaults to 42): Seed that `take` draws with.

    Raises:
        DataError: Where there are no such images.
    """
    where = "reference_images"
    rows = _load(entry, data_root, seed, where)
    images = ReferenceImages.of(rows, entry.image_column)
    check_expected(entry, "expect", {"images": len(rows)}, where, ["images"])
    return images


def resolve_reference_texts(entry: ReferenceEntry, data_root: str | None = None, seed: int = 42) -> list[str]:
    """Load the reference texts: lines of a text file, or captions of a dataset. Empty ones are dropped.

    Args:
        entry (`ReferenceEntry`): `reference_texts` of the recipe.
        data_root (`str`, *optional*): Folder that relative paths start from.
        seed (`int`, defaults to 42): Seed that `take` draws with.

    Raises:
        DataError: If there are no texts, or they cannot be read.
    """
    import random

    where = "reference_texts"
    if entry.dataset.endswith(".txt"):
        path = required(find_local(entry.dataset, data_root, where), f"{where}: {entry.dataset}")
        with reading(where, str(path)):
            texts = path.read_text(encoding="utf-8").splitlines()
    else:
        # A row may hold any number of texts. `take` counts texts, so it draws from texts and not from rows.
        rows = _load(entry, data_root, seed, where, whole=True)
        column = entry.text_column or entry.caption_column
        key = "caption_column" if entry.caption_column and not entry.text_column else "text_column"
        column = columns.find_text_column(rows.features, column, where, key)
        cells = columns.values(rows, column).to_pylist()
        texts = [text for cell in cells for text in ([cell] if isinstance(cell, str) else cell or [])]
    texts = [line.strip() for text in texts if text for line in text.splitlines() if line.strip()]
    if not texts:
        raise DataError(f"{where}: {entry.dataset} has no text; give one text per line, or a column of captions")
    if entry.take is not None and entry.take < len(texts):
        texts = random.Random(seed).sample(texts, entry.take)
    check_expected(entry, "expect", {"texts": len(texts)}, where, ["texts"])
    return texts


def _load(entry: ReferenceEntry, data_root: str | None, seed: int, where: str, whole: bool = False) -> Dataset:
    if drawn := rendered(entry, where):
        domain, size = drawn
        default = RENDERED_TRAIN.get(domain, RENDERED_COUNTS["train"])
        return render(where, domain, entry.split, default if whole else entry.take or default, size)
    path = find_local(entry.dataset, data_root, where)
    if path is not None:
        rows = load_local(path, entry.split, where, entry.config)
    elif entry.take is not None and not whole:
        return stream_hub(entry, entry.split, entry.take, seed, where)
    else:
        rows = load_hub(entry, entry.split, where)
    return rows if whole else take_some(rows, entry.take, seed)
