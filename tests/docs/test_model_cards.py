"""The cards and plots of our own runs are what the program makes of their records."""

import re

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from markdown_it import MarkdownIt

from helpers import ROOT
from hf_clcl import RunRecord
from hf_clcl.reports.cards import write_card

FOLDERS = sorted(path.parent for path in ROOT.glob("model_cards/**/results.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_is_that_of_the_record(folder):
    record = RunRecord.load(folder / "results.json")
    assert record.finished
    assert (folder / "README.md").read_text(encoding="utf-8") == write_card(record)
    for image in re.findall(r"!\[[^]]*\]\((.+?)\)", write_card(record)):
        assert (folder / image).exists()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_is_valid(folder):
    """Front matter that the client reads and writes without loss, even tables, every section."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    written = yaml.safe_load(text.split("---\n")[1])
    assert yaml.safe_load(data.to_yaml()) == written
    name, results = model_index_to_eval_results(written["model-index"])
    assert eval_results_to_model_index(name, results) == written["model-index"]
    assert all(isinstance(result.metric_value, float) for result in results)
    metrics = RunRecord.load(folder / "results.json").metrics
    assert {"accuracy", "forgetting", *metrics} <= {result.metric_type for result in results}
    assert written["library_name"] == "transformers" and written["pipeline_tag"] == "zero-shot-image-classification"

    body = text.split("\n---\n", 1)[1]
    html = MarkdownIt("commonmark").enable("table").render(body)
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert len(tables) >= 5  # accuracy, metrics, training, data, cost
    for table in tables:
        assert len({len(re.findall("<t[hd]", row)) for row in table.split("<tr>")[1:]}) == 1
    headings = re.findall("<h2>(.*?)</h2>", html)
    wanted = ["Use", "Gained and forgotten", "Training", "Data", "Cost", "Limits", "Reproduce", "Citations"]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert not re.search(r"\b(None|nan|NaN)\b", body)


def test_the_quickstart_and_real_images_have_cards():
    names = {folder.name for folder in FOLDERS}
    assert {"quickstart-zscl", "quickstart-finetune", "real_small-zscl", "real_small-finetune"} <= names


def test_the_numbers_of_the_pages_are_those_of_the_records():
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/results.md")]
    for folder in FOLDERS:
        if folder.name.startswith(("quickstart", "real_small")):
            metrics = RunRecord.load(folder / "results.json").metrics
            numbers = [f"{metrics[key]:.1f}" for key in ("transfer", "average", "last", "forgetting")]
            row = re.compile(r"\W+".join(map(re.escape, numbers)))
            shown = pages if folder.name.startswith("quickstart") else pages[1:]
            assert all(row.search(page) for page in shown), (folder.name, numbers)
