"""Datasets on the Hugging Face Hub. Only data files are read; code of a repository is never run."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ...utils.errors import DataError
from ...utils.files import whole_folder
from .local import check_images_stay_inside, check_splits, split_names

if TYPE_CHECKING:
    from datasets import Dataset

    from ...config.entries import DatasetEntry

logger = logging.getLogger(__name__)

SHUFFLE_BUFFER = 10_000
MANIFEST = "drawn.json"


def load_hub(entry: DatasetEntry, split: str, where: str) -> Dataset:
    """Download a split of a Hub dataset to the cache of `datasets`, and load it.

    Args:
        entry (`DatasetEntry`): Names the dataset, its configuration and its revision.
        split (`str`): Name of the split, or an expression of `datasets` such as `train[:80%]` or `train+test`.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If the Hub or the dataset cannot be read; the message says how to use a local copy.
    """
    from datasets import load_dataset

    with _reading(entry, where):
        return check_images_stay_inside(load_dataset(**_arguments(entry, split, where), split=split), None, where)


def stream_hub(entry: DatasetEntry, split: str, take: int, seed: int, where: str) -> Dataset:
    """Draw rows of a Hub dataset by streaming, and store them in the cache of `datasets`. The rest is not downloaded.

    Args:
        entry (`DatasetEntry`): Names the dataset, its configuration and its revision.
        split (`str`): Name of the split.
        take (`int`): Number of rows.
        seed (`int`): Seed of the shuffle: of the shards, and of rows within a buffer of 10,000.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: See [`load_hub`].
    """
    from datasets import Dataset, config, load_dataset, load_from_disk

    drawn_as = [entry.dataset, entry.config, entry.revision, split, take, seed]
    name = hashlib.sha256(json.dumps(drawn_as).encode()).hexdigest()[:24]
    kept = Path(config.HF_DATASETS_CACHE) / "hf_clcl" / name
    if not _is_whole(kept):
        if kept.exists():
            logger.warning(
                "%s: the cached copy of %s in %s is damaged; drawing the rows again", where, entry.dataset, kept
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        with _reading(entry, where), TemporaryDirectory(dir=kept.parent) as scratch, whole_folder(kept) as folder:
            rows = load_dataset(**_arguments(entry, split, where), split=split, streaming=True)
            # Images are not decoded, so the cache holds the same bytes as the repository.
            drawn = rows.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER).take(take).decode(False)
            stored = Dataset.from_generator(_rows, rows.features, scratch, gen_kwargs={"stream": drawn})
            check_images_stay_inside(stored, None, where).save_to_disk(str(folder))
            sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
            (folder / MANIFEST).write_text(json.dumps({"drawn_as": drawn_as, "sizes": sizes}))
    return load_from_disk(str(kept))


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds all files that were written to it, with their sizes."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def hub_class_names(entry: DatasetEntry, where: str) -> list[str] | None:
    """Download the `classnames.txt` of a repository and return its lines; `None` if there is none."""
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


def _arguments(entry: DatasetEntry, split: str, where: str) -> dict:
    # By convention, names of webdatasets start with wds_. By default, `datasets` reads some of them as plain text.
    if entry.dataset.partition("/")[2].startswith("wds_"):
        tars = _tars(entry)
        check_splits(split, tars, entry.dataset, where)
        return {"path": "webdataset", "data_files": {name: tars[name] for name in split_names(split)}}
    return {"path": entry.dataset, "name": entry.config, "revision": entry.revision}


def _tars(entry: DatasetEntry) -> dict[str, list[str]]:
    """The tar files of each split. The split is the name of their folder."""
    from huggingface_hub import HfApi

    root = f"hf://datasets/{entry.dataset}" + (f"@{entry.revision}" if entry.revision else "")
    splits: dict[str, list[str]] = {}
    for file in sorted(HfApi().list_repo_files(entry.dataset, repo_type="dataset", revision=entry.revision)):
        folder, _, name = file.rpartition("/")
        if name.endswith(".tar") and folder:
            splits.setdefault(folder, []).append(f"{root}/{file}")
    return splits


@contextmanager
def _reading(entry: DatasetEntry, where: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # datasets, huggingface_hub, their HTTP client and the readers share no base class
        raise DataError(f"{where}: {_explain(entry.dataset, error)}") from error


def _explain(dataset: str, error: Exception) -> str:
    """What went wrong, and what to do."""
    text = (str(error).strip().splitlines() or [""])[0].rstrip(".") or type(error).__name__
    page = f"https://huggingface.co/datasets/{dataset}"
    if _is_gated(error):
        return (
            f"{dataset} is gated: you must accept its terms. Accept them at {page}, then log in with "
            "`hf auth login`, or set HF_TOKEN to a token of that account; or name an open copy of the data as "
            "`dataset`"
        )
    if "scripts are no longer supported" in text:
        return (
            f"{dataset} needs a loading script, which `datasets` no longer runs. Set `revision: refs/convert/parquet` "
            "if the Hub has converted it, or name another copy of the data"
        )
    if "Unknown split" in text or "hf://" in text:
        return (
            f"{dataset}: {text}. Set `train_split` and `test_split` (`split` for a reference set), or `test_fraction` "
            "to cut a test set from a single split"
        )
    if "config" in text.lower():
        return f"{dataset}: {text}. Set `config`"
    return (
        f"{dataset} is not a local folder and cannot be read from the Hub ({type(error).__name__}: {text}). "
        f"Check the name at {page} and the connection. Without one, download it elsewhere with `hf download {dataset} "
        f"--repo-type dataset --local-dir {dataset.split('/')[-1]}`, and set `dataset` to that folder"
    )


def _is_gated(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that the terms of a dataset must be accepted."""
    from huggingface_hub.errors import GatedRepoError

    while error is not None:
        if isinstance(error, GatedRepoError) or "gated dataset" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
