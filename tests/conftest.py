"""Fixtures: the folder of real data where there is one, a tiny CLIP, and small image datasets."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import yaml

if TYPE_CHECKING:
    from torch import Tensor

    from hf_clcl.app.workbench import Workbench

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("HF_CLCL_SHARED", ROOT.parent / "shared"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for tiny models, threads only wait for each other
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data, parity numbers and a real small CLIP; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder of real data at {SHARED} (set HF_CLCL_SHARED)")
    return SHARED


def save_tiny_model(folder: Path, config_class: type, model_class: type) -> Path:
    """Save a model of 16 pixels with random weights, and its processor."""
    import torch
    from transformers import CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from hf_clcl.data.texts.vocabulary import build_tokenizer

    texts = [f"a photo of a {word} thing, it is {word}." for word in ("red", "green", "blue", "dark", "light", "grey")]
    tokenizer = build_tokenizer(texts, vocab_size=560, max_length=24)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = config_class(
        projection_dim=16,
        text_config={
            **tower, "vocab_size": len(tokenizer), "max_position_embeddings": 24,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**tower, "image_size": 16, "patch_size": 8},
    )  # fmt: skip
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 16 pixels with random weights, saved with its processor."""
    from transformers import CLIPConfig, CLIPModel

    return save_tiny_model(tmp_path_factory.mktemp("tiny-clip"), CLIPConfig, CLIPModel)


@pytest.fixture(scope="session")
def tiny_metaclip_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MetaCLIP 2 of the same shape."""
    from transformers import MetaClip2Config, MetaClip2Model

    return save_tiny_model(tmp_path_factory.mktemp("tiny-metaclip-2"), MetaClip2Config, MetaClip2Model)


@pytest.fixture(scope="session")
def update_error():
    """How far two trainings from the same weights differ, as a share of the distance that the first one moved.

    Two orders of summation differ in fp32 by the unit roundoff of 6e-8, which the cosines and the logit scale of 14
    amplify to about 1e-5 of a gradient. A row that is lost from a batch of six changes a gradient by a tenth or more.
    A limit of 1e-3 lies far from both on every processor. Use SGD: Adam divides each gradient by its own size, so that
    it turns a gradient that is only rounding into a whole step. The bias of keys is left out, as attention does not
    depend on it: all its gradient is rounding.
    """

    def error(start: dict[str, Tensor], one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
        assert one.keys() == other.keys()
        learnt = [name for name in one if not name.endswith("k_proj.bias")]
        apart, moved = (
            sum(float((one[name].double() - weights[name].double()).square().sum()) for name in learnt)
            for weights in (other, start)
        )
        return (apart / moved) ** 0.5

    return error


@pytest.fixture(scope="session")
def native_bf16() -> None:
    """Skips a test where the processor has no products of bf16: they are emulated, which takes minutes."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")):
        pytest.skip("this processor multiplies no bf16 (it has neither AVX512_BF16, AMX nor the BF16 of ARM)")


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `datasets` caches in one test is not seen by another."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def load_metric(tmp_path_factory: pytest.TempPathFactory):
    """Loads an `evaluate` module of this package by its folder's name, as users load it.

    Python keeps the first folder that `evaluate` copies modules to, so all tests share one.
    """
    import evaluate

    import hf_clcl

    cache = tmp_path_factory.mktemp("evaluate")
    folder = Path(hf_clcl.__file__).parent / "evaluation" / "metrics"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(cache / "modules"))
        yield lambda name, **values: evaluate.load(str(folder / name), cache_dir=str(cache), **values)


def colour_images(count: int, seed: int = 0, size: tuple[int, int] = (20, 18)):
    """Noisy images of three colours as a dataset with `image` and `label` (red, green, blue)."""
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as PILImage

    rng = np.random.default_rng(seed)
    labels = [index % 3 for index in range(count)]
    images = []
    for label in labels:
        pixels = rng.integers(0, 120, (*size, 3))
        pixels[..., label] += 100
        images.append(PILImage.fromarray(pixels.astype(np.uint8)))
    features = Features({"image": Image(), "label": ClassLabel(names=["red", "green", "blue"])})
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


@pytest.fixture(scope="session")
def colours():
    """The function that makes small image datasets."""
    return colour_images


@pytest.fixture(scope="session")
def pairs(colours):
    """Makes images with one to three captions each, no two alike."""

    words = ("red", "green", "blue", "dark", "light", "grey")

    def make(count: int, seed: int = 0):
        data = colours(count, seed=seed).remove_columns("label")
        texts = [
            [f"{words[i % 6]} thing number {i} {words[k]}" for k in range(1 + (i + seed) % 3)] for i in range(count)
        ]
        return data.add_column("captions", texts)

    return make


@pytest.fixture(scope="session")
def make_recipe(tiny_clip: Path):
    """Makes two tasks in a folder, one folder a class, and a recipe of ZSCL on them that writes to `out`."""

    def make(root: Path) -> Path:
        for name, seed in (("warm", 0), ("cold", 5)):
            for split, count in (("train", 18), ("test", 9)):
                data = colour_images(count, seed=seed + len(split))
                for index, row in enumerate(data):
                    folder = root / name / split / data.features["label"].names[row["label"]]
                    folder.mkdir(parents=True, exist_ok=True)
                    row["image"].save(folder / f"{index}.png")
        (root / "texts.txt").write_text("a red thing\na blue thing\n")
        values = {
            "model_name_or_path": str(tiny_clip), "method": "zscl", "data_root": str(root), "max_steps": 2,
            "per_device_train_batch_size": 6, "learning_rate": 1e-3, "disable_tqdm": True,
            "output_dir": str(root / "out"),
            "tasks": [{"name": "warm", "dataset": "warm"}, {"name": "cold", "dataset": "cold"}],
            "reference_images": {"dataset": "cold", "split": "train"}, "reference_texts": {"dataset": "texts.txt"},
        }  # fmt: skip
        path = root / "recipe.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return make


@pytest.fixture
def recipe(tmp_path: Path, make_recipe) -> Path:
    """A recipe of ZSCL on two folders of images; it writes to `out` beside it."""
    return make_recipe(tmp_path)


@pytest.fixture
def folders(recipe: Path) -> Path:
    """The folder with two tasks as folders of images, one folder a class."""
    return recipe.parent


@pytest.fixture
def build(tiny_clip: Path, colours, tmp_path: Path):
    """Builds a trainer on the colour images; keywords are training values. Its logs are in `seen`."""
    from transformers import TrainerCallback

    from hf_clcl import ContinualTrainer, ContinualTrainingArguments, Task, create_method
    from hf_clcl.data.images.frames import Frames
    from hf_clcl.data.texts.tokens import tokenize
    from hf_clcl.models.loading import load_model, load_processor

    class Seen(TrainerCallback):
        def __init__(self):
            self.logs = []

        def on_log(self, args, state, control, logs=None, **kwargs):
            self.logs.append({"step": state.global_step, **logs})

    def trainer(method="finetune", options=None, model=None, **values):
        processor = load_processor(tiny_clip)
        seen = Seen()
        defaults = {
            "output_dir": str(tmp_path / "out"), "max_steps": 6, "learning_rate": 1e-3, "logging_steps": 1,
            "per_device_train_batch_size": 8, "save_strategy": "no", "disable_tqdm": True,
            "lr_scheduler_type": "constant",
        }  # fmt: skip
        built = ContinualTrainer(
            model or load_model(tiny_clip),
            ContinualTrainingArguments(**{**defaults, **values}),
            method=create_method(method, options),
            train_dataset=Task("colours", train=colours(24)),
            processing_class=processor,
            reference_images=Frames(colours(30, seed=9), "image", processor.image_processor),
            reference_texts=tokenize(processor.tokenizer, ["a red thing", "a blue thing", "grey"]),
            callbacks=[seen],
        )
        built.seen = seen
        return built

    return trainer


@pytest.fixture
def short_stream(tiny_clip: Path, colours, monkeypatch: pytest.MonkeyPatch):
    """Runs two tasks of five steps each with any method: `(folder, method, options, **training values)`."""
    from hf_clcl import Task, run_stream
    from hf_clcl.stream import output as output_module

    for name in ("plot_matrix", "plot_curves"):  # most of the time of so short a run
        monkeypatch.setattr(output_module, name, lambda *args: None)

    def run(folder, method, options=None, **values):
        tasks = [Task(f"t{s}", train=colours(12, seed=s), test=colours(6, seed=s + 1)) for s in (0, 5)]
        defaults = {
            "max_steps": 5, "save_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 5,
            "per_device_reference_batch_size": 4, "learning_rate": 1e-3, "disable_tqdm": True, "tasks": tasks,
            "evaluation_only": [Task("o", test=colours(6, seed=9))], "model": str(tiny_clip),
            "reference_images": colours(8, seed=7), "reference_texts": ["a red thing", "a blue thing"],
        }  # fmt: skip
        return run_stream(method=method, method_options=options, output_dir=str(folder), **{**defaults, **values})

    return run


class AppPage(NamedTuple):
    """A page that is being served, and what it works on."""

    url: str
    bench: Workbench


@pytest.fixture(scope="session")
def app_run(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    """A finished run of fine-tuning on two tasks: the same pictures, whose names the second task turns round.

    A third task of captions, and one whose data is gone, are only named by its recipe.
    """
    from hf_clcl.cli.train import main

    root = tmp_path_factory.mktemp("app")
    words = {"warm": ["red", "green", "blue"], "cold": ["green", "blue", "<b>red"]}
    for task in words:
        for split, count in (("train", 36), ("test", 24)):
            data = colour_images(count, seed=len(split))
            for index, row in enumerate(data):
                folder = root / task / split / str(row["label"])
                folder.mkdir(parents=True, exist_ok=True)
                row["image"].save(folder / f"{index}.png")
    values = {
        "model_name_or_path": str(tiny_clip), "method": "finetune", "data_root": str(root), "max_steps": 30,
        "per_device_train_batch_size": 18, "learning_rate": 3e-3, "disable_tqdm": True, "logging_steps": 5,
        "output_dir": str(root / "finetuned"),
        "tasks": [{"name": task, "dataset": task, "class_names": names} for task, names in words.items()],
    }  # fmt: skip
    (root / "recipe.yaml").write_text(yaml.safe_dump(values))
    assert main([str(root / "recipe.yaml")]) == 0
    record = json.loads((root / "finetuned" / "results.json").read_text())
    record["recipe"]["evaluation_only"] = [
        {"name": "captioned", "dataset": "rendered:captioned@16", "caption_column": "captions", "take_test": 30},
        {"name": "gone", "dataset": "nowhere"},
    ]
    (root / "finetuned" / "results.json").write_text(json.dumps(record))
    return root / "finetuned"


@pytest.fixture(scope="session")
def app_page(app_run: Path) -> Iterator[AppPage]:
    """The page on two copies of one run, served on this machine."""
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install -e '.[app]'")
    from hf_clcl.app.page import build, launch
    from hf_clcl.app.runs import open_runs
    from hf_clcl.app.workbench import Workbench

    other = app_run.parent / "again"
    if not other.exists():
        shutil.copytree(app_run, other)
    bench = Workbench(open_runs([app_run, other]), models=4)
    page = build(bench)
    yield AppPage(launch(page, prevent_thread_lock=True, quiet=True), bench)
    page.close(verbose=False)
