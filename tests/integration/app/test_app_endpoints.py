"""The endpoints of the page, as `gradio_client` calls them."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs Gradio: pip install -e '.[app]'")

from gradio_client import Client, handle_file

RUN, AGAIN = "finetuned", "again"


@pytest.fixture(scope="module")
def client(app_page) -> Client:
    return Client(app_page.url, verbose=False, analytics_enabled=False)


def ask(client: Client, picture: Path | None, **values: Any) -> dict[str, Any]:
    given = {"run": RUN, "source": "warm", "own": "", "template": "", "truth": ""} | values
    image = handle_file(str(picture)) if picture else None
    return client.predict(image, *given.values(), api_name="/predict")[0]


@pytest.fixture(scope="module")
def learnt(client: Client, app_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A test image that zero-shot got wrong and task 1 got right, and its label."""
    data, html = client.predict(RUN, "warm", f"{RUN}@0", f"{RUN}@1", "learnt", "", api_name="/forgotten")
    assert data["count"] == len(data["images"]) > 0 and "wrong in A, right in B" in html
    (row, label) = data["images"][0]["row"], data["images"][0]["label"]
    picture = sorted((app_run.parent / "warm" / "test").glob("*/*.png"))[row]
    return picture, label


def test_every_endpoint_has_its_name(client: Client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {
        "/predict", "/side_by_side", "/examples", "/matrix", "/export", "/forgotten", "/classes", "/search", "/run",
        "/runs",
    }  # fmt: skip


def test_runs(client: Client):
    first, second = client.predict(api_name="/runs")
    assert (first["run"], second["run"]) == (RUN, AGAIN) and first["finished"] and first["done"] == 2
    assert first["states"] == [f"{RUN}@0", f"{RUN}@1", f"{RUN}@2"]


def test_a_flip_is_told(client: Client, learnt):
    picture, label = learnt
    answer = ask(client, picture, truth=label)
    assert [state["change"] for state in answer["states"]][:2] == ["wrong", "learnt"]
    assert answer["states"][1]["top"][0]["label"] == label and answer["truth"] == label
    assert sum(top["probability"] for top in answer["states"][0]["top"]) == pytest.approx(1, abs=1e-4)
    assert len(answer["lines"][label]) == 3


def test_probabilities_are_those_of_transformers(client: Client, learnt, app_run: Path):
    """The page's numbers against `CLIPModel` and `CLIPProcessor` themselves."""
    import torch
    from transformers import CLIPModel

    from hf_clcl.models.loading import load_processor

    folder = app_run / "task-01-warm"
    model, processor = CLIPModel.from_pretrained(folder).eval(), load_processor(folder)
    texts = [f"a photo of a {name}." for name in ("red", "green", "blue")]
    with torch.no_grad():
        inputs = processor(text=texts, images=Image.open(learnt[0]), return_tensors="pt", padding=True)
        expected = model(**inputs).logits_per_image.softmax(-1)[0]
    state = ask(client, learnt[0])["states"][1]
    found = {top["label"]: top["probability"] for top in state["top"]}
    assert [found[name] for name in ("red", "green", "blue")] == pytest.approx(expected.tolist(), abs=2e-4)


def test_labels_of_all_tasks_and_my_own(client: Client, learnt):
    everything = ask(client, learnt[0], source="all tasks")
    assert "Not available: the labels of gone" in everything["note"]
    assert {top["label"] for top in everything["states"][0]["top"]} <= {
        "red", "green (warm)", "blue (warm)", "green (cold)", "blue (cold)", "<b>red",
    }  # fmt: skip
    own = ask(client, learnt[0], source="my own", own="cat, dog, cat", template="it is {}.")
    assert own["note"] == "1 repeated label was skipped." and len(own["states"][0]["top"]) == 2


def test_two_states_side_by_side(client: Client, learnt):
    data, html = client.predict(
        handle_file(str(learnt[0])), f"{RUN}@0", f"{AGAIN}@2", RUN, "warm", "", "", "", api_name="/side_by_side"
    )
    assert [state["state"] for state in data["states"]] == [f"{RUN}@0", f"{AGAIN}@2"]
    assert "A: 0 zero-shot" in html and "B: 2 cold" in html


def test_examples_and_classes(client: Client):
    rows, pictures = client.predict(RUN, "cold", api_name="/examples")
    assert [row["label"] for row in rows] == ["green", "blue", "<b>red"] and len(pictures) == 3
    assert "nowhere" in client.predict(RUN, "gone", api_name="/examples")[0]["error"]
    assert client.predict(RUN, "cold", api_name="/classes")[0] == ["green", "blue", "<b>red"]


def test_matrix_and_export(client: Client, app_run: Path, tmp_path: Path):
    record = json.loads((app_run / "results.json").read_text())
    data, html = client.predict([RUN], "zero_shot", api_name="/matrix")
    cell = next(c for c in data["cells"] if c["state"] == 2 and c["task"] == "warm")
    assert cell["accuracy"] == record["accuracy"][1][0]
    assert cell["against_best_before"] == pytest.approx(
        cell["accuracy"] - max(record["zero_shot"][0], record["accuracy"][0][0])
    )
    assert data["metrics"][RUN] == record["metrics"] and "Forgetting" in html
    files = {kind: Path(client.predict([RUN, AGAIN], kind, api_name="/export")) for kind in ("csv", "png", "json")}
    assert len(files["csv"].read_text().splitlines()) == 1 + 2 * 3 * 2
    assert json.loads(files["json"].read_text())[0]["accuracy"] == record["accuracy"]
    assert Image.open(files["png"]).width > 300


def test_what_was_forgotten_agrees_with_the_record(client: Client, app_run: Path):
    record = json.loads((app_run / "results.json").read_text())
    data, html = client.predict(RUN, "warm", f"{RUN}@1", f"{RUN}@2", "forgotten", "", api_name="/forgotten")
    assert data["accuracy"] == pytest.approx([record["accuracy"][0][0], record["accuracy"][1][0]])
    assert data["count"] == sum(row["label"] == row["before"] != row["after"] for row in data["images"])
    lost = sum(row["before"] - row["after"] for row in data["classes"])
    assert lost == round((data["accuracy"][0] - data["accuracy"][1]) / 100 * 24)
    only = client.predict(RUN, "warm", f"{RUN}@1", f"{RUN}@2", "forgotten", "red", api_name="/forgotten")[0]
    assert {row["label"] for row in only["images"]} <= {"red"}


def test_search(client: Client):
    data, html = client.predict(RUN, "captioned", f"{RUN}@0", f"{RUN}@2", "a red circle", api_name="/search")
    similarities = [found["similarity"] for found in data["a"]]
    assert len(data["a"]) == len(data["b"]) == 8 and similarities == sorted(similarities, reverse=True)
    shared = {found["row"]: rank for rank, found in enumerate(data["b"], start=1)}
    assert all(found["rank_in_other"] == shared.get(found["row"], found["rank_in_other"]) for found in data["a"])
    assert all(found["caption"] for found in data["a"]) and "data:image/webp;base64," in html


def test_run(client: Client):
    data, html, recipe, card = client.predict(RUN, api_name="/run")
    assert data["method"] == "finetune" and "max_steps: 30" in json.dumps(recipe) and "task loss" in html
    assert "## Use" in card and "![" not in card and not card.startswith("---")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"run": "/etc"}, "Value: /etc is not in the list of choices"),
        ({"source": "../../etc"}, "not in the list of choices"),
        ({"source": "gone"}, "nowhere"),
        ({"source": "captioned"}, "not in the list of choices"),
        ({"source": "my own", "own": " \n "}, "at least one label"),
        ({"source": "my own", "own": "a\nb", "template": "no place"}, "exactly one {}"),
        ({"truth": "purple"}, "must be one of the labels or empty"),
    ],
)
def test_what_cannot_be_is_told(client: Client, learnt, values: dict[str, str], says: str):
    try:
        message = ask(client, learnt[0], **values)["error"]
    except Exception as error:  # Gradio itself refuses what a list does not hold
        message = str(error)
    assert says in message


def test_without_an_image_nothing_is_guessed(client: Client):
    assert "choose an image first" in ask(client, None)["error"]


def test_ten_users_at_once_get_their_own_answers(app_page, client: Client, app_run: Path):
    pictures = sorted((app_run.parent / "warm" / "test").glob("*/*.png"))[::3][:8] * 2
    alone = [ask(client, picture) for picture in pictures[:10]]
    app_page.bench._encoders = None  # nobody's answer is kept
    clients = [Client(app_page.url, verbose=False, analytics_enabled=False) for _ in range(10)]
    start = threading.Barrier(10)

    def user(place: int) -> dict[str, Any]:
        start.wait()
        return ask(clients[place], pictures[place])

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(user, range(10))) == alone
    assert len(app_page.bench.encoders.models) <= 4
