"""Datasets in local folders: a folder of images per class, Parquet files, webdataset tars, `save_to_disk` folders."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...utils.errors import DataError
from .. import columns

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
LAYOUTS = (
    "`<split>/<class>/*.jpg`, `<class>/*.jpg`, `<split>.parquet`, `<split>-*.parquet`, `<split>/*.tar`, "
    "a `save_to_disk` folder, or a local copy of a Hub dataset"
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Readers = dict[str, Callable[[], "Dataset"]]


def find_local(dataset: str, data_root: str | None, where: str) -> Path | None:
    """Find the local file or folder that a recipe names; `None` if the name can only be a Hub id.

    Args:
        dataset (`str`): Absolute path, or one relative to `data_root` or to the working directory.
        data_root (`str`, *optional*): Folder that is searched first.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If there is no such file or folder and the name cannot be a Hub id.
    """
    if not dataset.strip():
        raise DataError(f"{where}: `dataset` is empty; name a folder, a file, or a dataset of the Hub")
    if data_root is not None and not is_there(home(data_root, where), Path.is_dir):
        raise DataError(f"{where}: data_root {data_root:.300} is not a folder; correct it, or leave it out")
    roots = [home(data_root, where)] if data_root is not None else []
    candidates = [root / home(dataset, where) for root in (*roots, Path())]
    for candidate in candidates:
        if is_there(candidate):
            return candidate
    if HUB_ID.fullmatch(dataset) and Path(dataset).suffix not in (".parquet", ".txt", ".tar"):
        return None
    looked = " or ".join(dict.fromkeys(f"{candidate.absolute()!s:.300}" for candidate in candidates))
    near = next((candidate.parent for candidate in candidates if is_there(candidate.parent, Path.is_dir)), None)
    beside = f" {near!s:.300} holds: {listing(near)}." if near else ""
    raise DataError(
        f"{where}: no dataset {dataset[:100]!r}: looked for {looked}.{beside} "
        "Correct `dataset` or `data_root`; Hub ids have the form owner/name"
    )


def home(name: str, where: str) -> Path:
    """Expand `~` in a path.

    Raises:
        DataError: If there is no such user.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise DataError(
            f"{where}: {name[:100]!r} names the home of a user that does not exist; write the full path"
        ) from None


def is_there(path: Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether a path exists; `False` if its name is too long, or if it may not be read."""
    try:
        return test(path)
    except (OSError, ValueError):
        return False


def load_local(path: Path, split: str, where: str, config: str | None = None) -> Dataset:
    """Load a split of a local dataset.

    Args:
        path (`Path`): The folder, or a single Parquet file.
        split (`str`): Name of the split, or an expression of `datasets` such as `train[:80%]` or `train+test`.
        where (`str`): Prefix of error messages.
        config (`str`, *optional*): Configuration, if a local copy of a Hub dataset has several.

    Raises:
        DataError: If the layout is unknown, the split is missing, or a file cannot be read.
    """
    from datasets import ReadInstruction, concatenate_datasets

    readers = _readers(path, where, config)
    check_splits(split, readers, str(path), where)
    with reading(where, f"split {split!r} of {path}"):
        parts = {name: readers[name]() for name in split_names(split)}
        if split in parts:
            return parts[split]
        sizes = {name: len(part) for name, part in parts.items()}
        slices = ReadInstruction.from_spec(split).to_absolute(sizes)
        return concatenate_datasets([parts[s.splitname].select(range(s.from_ or 0, s.to)) for s in slices])


def check_splits(split: str, known: Iterable[str], what: str, where: str) -> None:
    """Check that all splits of an expression such as `train[:80%]+test` exist.

    Raises:
        DataError: If one is missing; the message lists the existing ones.
    """
    unknown = [name for name in split_names(split) if name not in known]
    if unknown:
        raise DataError(
            f"{where}: {what} has no split {unknown[0]!r}, but {', '.join(known)}. Set `train_split` and "
            "`test_split` (`split` for a reference set), or `test_fraction` to cut a test set from a single split"
        )


def split_names(split: str) -> list[str]:
    """Names of the splits in `train[:80%]+test`."""
    return [part.split("[")[0].strip() for part in split.split("+")]


def listing(folder: Path, most: int = 12) -> str:
    """List the content of a folder, for messages."""
    names = sorted(child.name + "/" * child.is_dir() for child in folder.iterdir() if not child.name.startswith("."))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "nothing"


@contextmanager
def reading(where: str, what: str) -> Iterator[None]:
    """Turn errors of the libraries that read files into a `DataError` that names the file."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # pyarrow, tarfile, PIL and datasets share no base class
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:400].rstrip(".")
        raise DataError(
            f"{where}: {what} cannot be read: {type(cause).__name__}: {reason}. Copy it again, or name other data"
        ) from error


def _readers(path: Path, where: str, config: str | None) -> Readers:
    """For each split in a folder, the function that loads it."""
    if path.is_file():
        if path.suffix != ".parquet":
            raise DataError(f"{where}: {path} is not a dataset; give a .parquet file, or a folder with {LAYOUTS}")
        return _checked({"train": partial(_parquet, [path])}, path, where)
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return _checked(_saved(path, where), path, where)
    if files := _by_split(path.glob("*.parquet")):
        return _checked({split: partial(_parquet, parts) for split, parts in files.items()}, path, where)
    if files := _by_split([*path.glob("*.tar"), *path.glob("*/*.tar")], path):
        return _checked({split: partial(_tars, parts) for split, parts in files.items()}, path, where)
    described = [*path.glob("metadata.*"), *path.glob("*/metadata.*")]
    if described or not (folders := _image_folders(path)):
        return _checked(_as_datasets_reads_it(path, where, config), path, where)
    names = sorted({child.name for folder in folders.values() for child in _subfolders(folder)})
    return {split: partial(_image_folder, folder, names, where) for split, folder in folders.items()}


def _checked(readers: Readers, path: Path, where: str) -> Readers:
    """Make readers check that no image is outside the dataset. Folders of images need no check."""

    def checked(read: Callable[[], Dataset]) -> Dataset:
        return check_images_stay_inside(read(), path, where)

    return {split: partial(checked, read) for split, read in readers.items()}


def _by_split(files: Iterator[Path] | list[Path], root: Path | None = None) -> dict[str, list[Path]]:
    """Group files by split: the part of the name before `-`, or the name of their folder."""
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(files):
        splits[file.stem.split("-")[0] if root in (None, file.parent) else file.parent.name].append(file)
    return dict(splits)


def _parquet(files: list[Path]) -> Dataset:
    from datasets import load_dataset

    return load_dataset("parquet", data_files={"train": [str(file) for file in files]}, split="train")


def _tars(files: list[Path]) -> Dataset:
    from datasets import load_dataset

    return load_dataset("webdataset", data_files={"train": [str(file) for file in files]}, split="train")


def _saved(path: Path, where: str) -> Readers:
    from datasets import Dataset, load_from_disk

    with reading(where, str(path)):
        saved = load_from_disk(str(path))
    splits = {"train": saved} if isinstance(saved, Dataset) else dict(saved)
    return {split: partial(splits.__getitem__, split) for split in splits}


def _as_datasets_reads_it(path: Path, where: str, config: str | None) -> Readers:
    """All other layouts that `datasets` knows: copies of Hub repositories, images beside a metadata file."""
    from datasets import get_dataset_split_names, load_dataset

    try:
        splits = get_dataset_split_names(str(path), config)
    except Exception as error:  # the reader that `datasets` guesses may raise any exception
        reason = " ".join(str(error).split())[:400]
        raise DataError(
            f"{where}: {path} cannot be read as a dataset: {reason}. It holds {listing(path)}; give a folder "
            f"with {LAYOUTS}"
        ) from error
    return {split: partial(load_dataset, str(path), config, split=split) for split in splits}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _images(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.suffix.lower() in IMAGE_SUFFIXES)


def _image_folders(path: Path) -> dict[str, Path]:
    """The folder of each split, one level above the classes. A folder that holds only classes is the split `train`."""
    if any(_subfolders(child) for child in _subfolders(path)):
        return {child.name: child for child in _subfolders(path)}
    flat = [child for child in _subfolders(path) if child.name in ("train", "test", "validation", "valid", "val")]
    if flat and not _images(path):
        return {child.name: child for child in flat}
    return {"train": path} if any(_images(path, "**/*")) else {}


def _image_folder(folder: Path, names: list[str], where: str) -> Dataset:
    from datasets import ClassLabel, Dataset, Features, Image

    classes = {child.name: _images(child, "**/*") for child in _subfolders(folder)}
    if not classes:
        return Dataset.from_dict({"image": [str(f) for f in _images(folder)]}, features=Features({"image": Image()}))
    if empty := [name for name, images in classes.items() if not images]:
        raise DataError(
            f"{where}: class folder {folder / empty[0]} has no image ({len(empty)} of {len(classes)} folders are "
            f"empty); remove it, or add images ({', '.join(IMAGE_SUFFIXES)})"
        )
    images = [str(image) for files in classes.values() for image in files]
    labels = [names.index(name) for name, files in classes.items() for _ in files]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def check_images_stay_inside(dataset: Dataset, folder: Path | None, where: str) -> Dataset:
    """Check that no image refers to a file elsewhere on this machine, and return the dataset unchanged.

    Args:
        dataset (`Dataset`): Rows whose images are stored in them, or are paths.
        folder (`Path`, *optional*): Folder that paths may lead to; if `None`, no path is allowed.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If a path leads elsewhere.
    """
    root = os.path.realpath(folder) + os.sep if folder is not None else None
    for column in (name for name, feature in dataset.features.items() if columns.is_image(feature)):
        for chunk in columns.values(dataset, column).chunks:
            for path in chunk.filter(chunk.field("bytes").is_null()).field("path").drop_null().to_pylist():
                # Links are resolved, since they may lead elsewhere too. URLs are refused.
                if root is None or "://" in path or not os.path.realpath(path).startswith(root):
                    raise DataError(
                        f"{where}: column {column!r} refers to {path:.300}, a file outside the dataset; "
                        "store the images themselves (`Dataset.to_parquet` and `save_to_disk` do so)"
                    )
    return dataset
