"""Model folders that are damaged, incomplete, foreign or hostile: each is told, and nothing in them is ever run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.bad_inputs import contents, refused
from hf_clcl.app.weights import mapped_model
from hf_clcl.cli.train import main
from hf_clcl.models.loading import check_tokenizer, load_model, load_processor
from hf_clcl.utils.errors import UserError

WEIGHTS, CONFIG, TOKENIZER, IMAGES = "model.safetensors", "config.json", "tokenizer.json", "processor_config.json"
MARK = "ran"


class Harmful:
    """Runs when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple]:
        return (Path.touch, (self.mark,))


def change(folder: Path, file: str, **values: object) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_part(folder: Path, part: str, **values: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(folder, CONFIG, **{part: {**config[part], **values}})


def change_images(folder: Path, **values: object) -> None:
    change(folder, IMAGES, image_processor={**json.loads((folder / IMAGES).read_text())["image_processor"], **values})


def change_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def cut(folder: Path, file: str, size: int) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:size])


def pickled_alone(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful(folder / MARK)))


def code_of_its_own(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / MARK)!r}, 'w')\nclass Evil: pass\n")
    own = {"auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}, "model_type": "evil"}
    change(folder, CONFIG, **own)


def tokenizer_of_its_own(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / MARK)!r}, 'w')\nclass Evil: pass\n")
    (folder / TOKENIZER).unlink()
    change(folder, "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil", None]})


def shards_elsewhere(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent / "outside.safetensors")
    names = dict.fromkeys(load_file(folder.parent / "outside.safetensors"), "../nowhere.safetensors")
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def forget(name: str) -> Callable[[Path], None]:
    return lambda folder: change_weights(folder, lambda weights: weights.pop(name))


def replace(name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda folder: change_weights(folder, lambda weights: weights.update({name: value(weights[name])}))


PROJECTION = "visual_projection.weight"
DAMAGE = {
    "pickle alone": (pickled_alone, ["pytorch_model.bin is a pickle", "never loaded", "save_pretrained"]),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), ["cannot be loaded", "model.safetensors"]),
    "empty weights": (lambda f: cut(f, WEIGHTS, 0), ["cannot be loaded", "Copy it again"]),
    "half the weights": (lambda f: cut(f, WEIGHTS, 20_000), ["cannot be loaded", "Copy it again"]),
    "no safetensors": (lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 900), ["cannot be loaded", "Copy it again"]),
    "a missing weight": (forget(PROJECTION), ["lacks 1 of its weights", PROJECTION, "set random_init: true"]),
    "a wider weight": (replace(PROJECTION, lambda w: torch.zeros(3, 3)), ["cannot be loaded", "Copy it again"]),
    "no number": (replace(PROJECTION, lambda w: w * torch.nan), [PROJECTION, "not finite"]),
    "shards elsewhere": (shards_elsewhere, ["cannot be loaded"]),
    "no configuration": (lambda f: (f / CONFIG).unlink(), ["cannot be loaded", "config.json"]),
    "empty configuration": (lambda f: cut(f, CONFIG, 0), ["cannot be loaded", "Copy it again"]),
    "half a configuration": (lambda f: cut(f, CONFIG, 100), ["cannot be loaded", "Copy it again"]),
    "a list": (lambda f: (f / CONFIG).write_text("[1]"), ["cannot be loaded", "Copy it again"]),
    "another model": (lambda f: change(f, CONFIG, model_type="bert"), ["'bert' model", "supports clip, metaclip_2"]),
    "no such model": (lambda f: change(f, CONFIG, model_type="x-y"), ["cannot be loaded", "x-y"]),
    "text for a size": (lambda f: change_part(f, "vision_config", hidden_size="x"), ["cannot be loaded"]),
    "odd heads": (lambda f: change_part(f, "text_config", num_attention_heads=7), ["cannot be loaded"]),
    "no heads": (lambda f: change_part(f, "text_config", num_attention_heads=0), ["cannot be loaded"]),
    "other images": (lambda f: change_images(f, crop_size={"height": 8, "width": 8}), ["8 x 8", "16"]),
    "no crop": (lambda f: change_images(f, crop_size="big"), ["processor", "cannot be loaded"]),
    "half the image settings": (lambda f: cut(f, IMAGES, 9), ["processor", "cannot be loaded"]),
    "half a tokenizer": (lambda f: cut(f, TOKENIZER, 300), ["processor", "cannot be loaded"]),
    "a tokenizer of text": (lambda f: (f / TOKENIZER).write_text('"x"'), ["processor", "cannot be loaded"]),
    "its own end": (lambda f: change_part(f, "text_config", eos_token_id=7), ["same embedding", "eos_token_id"]),
    "few words": (lambda f: change_part(f, "text_config", vocab_size=9), ["cannot be loaded"]),
    "code of its own": (code_of_its_own, ["cannot be loaded"]),
    "a tokenizer of its own": (tokenizer_of_its_own, ["processor", "cannot be loaded"]),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_models_are_told(case, tiny_clip, tmp_path, monkeypatch):
    damage, parts = DAMAGE[case]
    folder = tmp_path / "model"
    shutil.copytree(tiny_clip, folder)
    damage(folder)
    before = contents(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks whether code may be run"))
    with pytest.raises(UserError) as caught:
        processor = load_processor(folder)
        check_tokenizer(load_model(folder), processor.tokenizer)
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value)) < 1500 and contents(tmp_path) == before


@pytest.mark.parametrize("case", ["empty weights", "half the weights", "half a configuration", "odd heads"])
def test_the_app_tells_of_damaged_models_too(case, tiny_clip, tmp_path):
    damage, parts = DAMAGE[case]
    folder = tmp_path / "model"
    shutil.copytree(tiny_clip, folder)
    damage(folder)
    with pytest.raises(UserError, match=parts[0]):
        mapped_model(folder)


NAMES = {
    "nothing there": ("nowhere/at-all", ["cannot be loaded", "local folder with config.json"]),
    "an address": ("https://example.org/model", ["cannot be loaded", "local folder with config.json"]),
    "blanks": ("a b c", ["cannot be loaded", "local folder with config.json"]),
    "a parent": ("../../..", ["cannot be loaded", "the folder holds"]),
    "a file": ("RECIPE", ["cannot be loaded"]),
    "no built-in one": ("builtin:huge-clip", ["cannot be loaded", "builtin:tiny-clip"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_no_model_are_told(case, tmp_path):
    name, parts = NAMES[case]
    (tmp_path / "recipe.yaml").write_text("{}")
    with pytest.raises(UserError) as caught:
        load_model(str(tmp_path / "recipe.yaml") if name == "RECIPE" else name)
    for part in parts:
        assert part in str(caught.value)


def test_the_command_refuses_a_pickle_and_writes_nothing(recipe, tiny_clip, tmp_path, capfd):
    shutil.copytree(tiny_clip, tmp_path / "model")
    pickled_alone(tmp_path / "model")
    arguments = [str(recipe), "--method", "finetune", "--model_name_or_path", str(tmp_path / "model")]
    refused(main, arguments, capfd, 1, ["pytorch_model.bin is a pickle", "save_pretrained"], kept=tmp_path / "model")
    assert not (tmp_path / "model" / MARK).exists() and contents(recipe.parent / "out") == {}
