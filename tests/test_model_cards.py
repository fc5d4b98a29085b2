"""The cards and plots of our own runs are what the program makes of their records."""

import re
from pathlib import Path

import pytest

from hf_clcl import RunRecord
from hf_clcl.cards import write_card

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = sorted(path.parent for path in ROOT.glob("model_cards/**/results.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_is_that_of_the_record(folder):
    record = RunRecord.load(folder / "results.json")
    assert record.finished
    assert (folder / "README.md").read_text(encoding="utf-8") == write_card(record)
    for image in re.findall(r"!\[[^]]*\]\((.+?)\)", write_card(record)):
        assert (folder / image).exists()


def test_the_quickstart_and_real_images_have_cards():
    names = {folder.name for folder in FOLDERS}
    assert {"quickstart-zscl", "quickstart-finetune", "real_small-zscl", "real_small-finetune"} <= names


def test_the_numbers_of_the_readme_are_those_of_the_records():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        if folder.name.startswith(("quickstart", "real_small")):
            metrics = RunRecord.load(folder / "results.json").metrics
            numbers = [f"{metrics[key]:.1f}" for key in ("transfer", "average", "last", "forgetting")]
            assert re.search(r"\W+".join(map(re.escape, numbers)), readme), (folder.name, numbers)
