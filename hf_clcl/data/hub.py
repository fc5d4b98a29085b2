"""Datasets on the Hugging Face Hub. No code of a repository is ever run: files of data are all that is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..errors import DataError
from .local import check_images_stay_inside, split_names

if TYPE_CHECKING:
    from datasets import Dataset

    from ..entries import DatasetEntry

# Repositories of webdataset tars: left to itself, `datasets` reads some of them as plain text.
WEBDATASETS = ("clip-benchmark/wds_",)
SHUFFLE_BUFFER = 10_000


def load_hub(entry: DatasetEntry, split: str, where: str) -> Dataset:
    """The rows of a split of a Hub dataset, downloaded to the cache of `datasets`.

    Args:
        entry (`DatasetEntry`): Names the dataset, its configuration and its revision.
        split (`str`): Name of the split; `train[:80%]` and `train+test` as everywhere in `datasets`.
        where (`str`): What the message of an error starts with.

    Raises:
        DataError: Where the Hub or the dataset cannot be read, and how to use a local copy.
    """
    from datasets import load_dataset

    with _reading(entry, where):
        return check_images_stay_inside(load_dataset(**_arguments(entry, split), split=split), None, where)


def stream_hub(entry: DatasetEntry, split: str, take: int, seed: int, where: str) -> Dataset:
    """Some rows of a Hub dataset too large to download whole; drawn once, then kept in the cache of `datasets`.

    Args:
        entry (`DatasetEntry`): Names the dataset, its configuration and its revision.
        split (`str`): Name of the split.
        take (`int`): How many rows.
        seed (`int`): Seed of the order: shards are shuffled, and rows within a buffer of 10,000.
        where (`str`): What the message of an error starts with.

    Raises:
        DataError: As `load_hub`.
    """
    from datasets import Dataset, config, load_dataset, load_from_disk

    drawn_as = json.dumps([entry.dataset, entry.config, entry.revision, split, take, seed])
    kept = Path(config.HF_DATASETS_CACHE) / "hf_clcl" / hashlib.sha256(drawn_as.encode()).hexdigest()[:24]
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with _reading(entry, where), TemporaryDirectory(dir=kept.parent) as scratch:
            rows = load_dataset(**_arguments(entry, split), split=split, streaming=True)
            # Not decoded on the way: the bytes of the repository are the bytes of the cache.
            drawn = rows.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER).take(take).decode(False)
            stored = Dataset.from_generator(_rows, rows.features, scratch, gen_kwargs={"stream": drawn})
            check_images_stay_inside(stored, None, where).save_to_disk(f"{scratch}/drawn")
            os.replace(f"{scratch}/drawn", kept)
    return load_from_disk(str(kept))


def hub_class_names(entry: DatasetEntry, where: str) -> list[str] | None:
    """The lines of a repository's `classnames.txt`, or `None` where it has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    with _reading(entry, where):
        try:
            file = hf_hub_download(entry.dataset, "classnames.txt", repo_type="dataset", revision=entry.revision)
        except LocalEntryNotFoundError:
            raise
        except RemoteEntryNotFoundError:
            return None
        with open(file, encoding="utf-8") as lines:
            return lines.read().splitlines()


def _rows(stream: Iterator) -> Iterator:
    yield from stream


def _arguments(entry: DatasetEntry, split: str) -> dict:
    if entry.dataset.startswith(WEBDATASETS):
        root = f"hf://datasets/{entry.dataset}" + (f"@{entry.revision}" if entry.revision else "")
        return {"path": "webdataset", "data_files": {name: f"{root}/{name}/*.tar" for name in split_names(split)}}
    return {"path": entry.dataset, "name": entry.config, "revision": entry.revision}


@contextmanager
def _reading(entry: DatasetEntry, where: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # datasets, huggingface_hub, their HTTP client and the readers share no base class
        raise DataError(f"{where}: {_explain(entry.dataset, error)}") from error


def _explain(dataset: str, error: Exception) -> str:
    """What went wrong, and what to do about it."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    page = f"https://huggingface.co/datasets/{dataset}"
    if "gated" in str(error).lower():
        return f"{dataset} is gated. Accept its terms at {page}, then log in with `hf auth login`"
    if "scripts are no longer supported" in text:
        return (
            f"{dataset} needs a loading script, which `datasets` no longer runs. Set `revision: refs/convert/parquet` "
            "where the Hub has converted it, or name another copy of the data"
        )
    if "Unknown split" in text or "hf://" in text:
        return (
            f"{dataset}: {text}. Set `train_split` and `test_split` (`split` for a reference set), or `test_fraction` "
            "to cut a test set from a single split"
        )
    if "config" in text.lower():
        return f"{dataset}: {text}. Set `config`"
    return (
        f"{dataset} lies in no local folder and cannot be read from the Hub ({type(error).__name__}: {text}). "
        f"Check the name at {page} and the connection. Without one, download it elsewhere with `hf download {dataset} "
        f"--repo-type dataset --local-dir {dataset.split('/')[-1]}`, and set `dataset` to that folder"
    )
