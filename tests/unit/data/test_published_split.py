"""The published split is made from file names; without them the split is ours, and both are said."""

import logging

import torch

from helpers import imitations
from helpers.small_datasets import task
from hf_clcl.data.published_split import file_stems

FOLDERS = imitations.EUROSAT_FILES


def folder_of_images(root, names):
    for place, (folder, files) in enumerate(names.items()):
        (root / folder).mkdir(parents=True)
        for file in files:
            (root / folder / file).write_bytes(imitations.picture(place))
    return str(root)


def eurosat(root):
    return task(
        str(root), test_fraction=0.2, split="published", class_names="zscl_mtil/eurosat", templates="zscl_mtil/eurosat"
    )


def test_the_members_follow_from_the_names_of_the_files(tmp_path):
    files = {folder: [f"{folder}_{number}.png" for number in range(1, 12)] for folder in FOLDERS}
    found = eurosat(folder_of_images(tmp_path / "eurosat", files))
    order = [name.removesuffix(".png") for folder in FOLDERS for name in sorted(files[folder])]
    assert order[:3] == ["AnnualCrop_1", "AnnualCrop_10", "AnnualCrop_11"]  # by name, not by number
    drawn = torch.randperm(110, generator=torch.Generator().manual_seed(42)).tolist()
    assert file_stems(found.train, "image") == [order[place] for place in drawn[:88]]
    assert file_stems(found.test, "image") == [order[place] for place in drawn[88:]]
    assert found.split_members == "published" and "published split" in found.split_note


def test_without_these_names_the_split_is_ours_and_the_card_says_so(tmp_path, caplog):
    files = {folder: [f"{number:08d}.png" for number in range(10)] for folder in FOLDERS}
    with caplog.at_level(logging.WARNING):
        found = eurosat(folder_of_images(tmp_path / "eurosat", files))
    assert "cannot be reproduced" in caplog.text and (len(found.train), len(found.test)) == (80, 20)
    assert found.split_members == "seeded" and "The published members need the file names" in found.split_note
