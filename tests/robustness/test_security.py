"""What is never done, and what nobody else's file can make the program do."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from helpers import ROOT
from helpers.bad_inputs import contents, refused
from helpers.small_datasets import jpeg, parquet, picture, rows, task
from hf_clcl.cli.train import main
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.cards import write_card
from hf_clcl.utils.errors import DataError, UserError

SOURCES = [*ROOT.glob("hf_clcl/**/*.py"), *ROOT.glob("scripts/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "app.py"]
NEVER = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "shutil.unpack_archive", "subprocess.getoutput",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "telnetlib", "pty"}
METHODS = {"extractall", "extract", "read_pickle", "load_module"}
FALSE_ONLY, TRUE_ONLY = {"shell", "trust_remote_code", "allow_pickle"}, {"weights_only"}


def forbidden(tree: ast.AST) -> list[str]:
    """Calls and imports by which a file of somebody else could run code."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found += [alias.name for alias in node.names if alias.name != "UnpicklingError"]
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in NEVER or (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS):
            found.append(name)
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load")
        found += [key for key, value in given.items() if key in FALSE_ONLY and value != "False"]
        found += [key for key, value in given.items() if key in TRUE_ONLY and value != "True"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_holds_what_could_run_a_file(path):
    assert forbidden(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("code", [
    "eval(x)", "import pickle", "from pickle import loads", "torch.load(x)", "torch.load(x, weights_only=False)",
    "f(trust_remote_code=True)", "yaml.load(x, Loader=L)", "run(x, shell=True)", "tar.extractall(x)",
    "np.load(x, allow_pickle=True)", "os.system(x)", "pd.read_pickle(x)",
])  # fmt: skip
def test_the_search_for_it_finds_it(code):
    assert forbidden(ast.parse(code))


ONE_TASK = ["--method", "finetune", "--tasks", "[{name: warm, dataset: warm}]"]


class Harmful:
    """Runs when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_checkpoint_of_somebody_else_runs_nothing(recipe, tmp_path, monkeypatch, capfd):
    from hf_clcl.training.interruption import Interrupted
    from hf_clcl.training.trainer import ContinualTrainer

    save = ContinualTrainer._save_checkpoint

    def stop(self, *arguments):
        save(self, *arguments)
        raise Interrupted(15)

    monkeypatch.setattr(ContinualTrainer, "_save_checkpoint", stop)
    arguments = [str(recipe), *ONE_TASK, "--save_steps", "1", "--max_steps", "3"]
    assert main(arguments) == 143
    monkeypatch.undo()
    (checkpoint,) = (recipe.parent / "out" / "checkpoints").glob("*/checkpoint-1")
    for file in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        own = (checkpoint / file).read_bytes()
        torch.save({"state": Harmful(tmp_path / "ran")}, checkpoint / file)
        refused(
            main,
            arguments,
            capfd,
            1,
            [file, "holds more than tensors, numbers and texts", "delete"],
            kept=recipe.parent / "out",
        )
        assert not (tmp_path / "ran").exists()
        (checkpoint / file).write_bytes(own)


def archive_of(folder: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> None:
    (folder / "train").mkdir(parents=True)
    with tarfile.open(folder / "train" / "0.tar", "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))


@pytest.mark.usefixtures("own_cache")
class TestArchives:
    """Members of archives are read where they are: none is written anywhere, none is followed, none is run."""

    def test_members_lead_nowhere(self, tmp_path):
        link = tarfile.TarInfo("c.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        members = [
            ("../../a.jpg", jpeg()),
            ("../../a.cls", b"0"),
            ("/tmp/hf_clcl_evil.jpg", jpeg()),
            ("/tmp/hf_clcl_evil.cls", b"1"),
        ]
        archive_of(tmp_path / "in" / "data", *members, link)
        before = contents(tmp_path)
        try:
            found = task(str(tmp_path / "in" / "data"), test_fraction=0.5, class_names=["x", "y"])
        except DataError as error:
            assert "task x" in str(error)
        else:
            assert len(found.train) + len(found.test) == 2
        assert contents(tmp_path) == before and not Path("/tmp/hf_clcl_evil.jpg").exists()

    @pytest.mark.parametrize("kinds", [("pkl", "pickle", "pyd", "py"), ("pth",), ("npy",)])
    def test_pickles_are_not_run(self, kinds, tmp_path):
        evil = [(f"a.{kind}", pickle.dumps(Harmful(tmp_path / "ran"))) for kind in kinds]
        archive_of(tmp_path / "data", ("a.jpg", jpeg()), ("a.cls", b"0"), *evil)
        try:
            task(str(tmp_path / "data"), test_fraction=0.5, class_names=["x", "y"])
        except DataError as error:
            assert "task x" in str(error)
        assert not (tmp_path / "ran").exists()

    def test_a_zip_writes_nothing_outside(self, tmp_path):
        (tmp_path / "in" / "data").mkdir(parents=True)
        with zipfile.ZipFile(tmp_path / "in" / "data" / "images.zip", "w") as file:
            for name in ("../../evil.jpg", "/tmp/hf_clcl_evil.jpg", "C:\\evil.jpg", "a/0.jpg", "b/1.jpg"):
                file.writestr(name, jpeg())
        before = contents(tmp_path)
        try:
            task(str(tmp_path / "in" / "data"), test_fraction=0.5, class_names=["x", "y"])
        except DataError as error:
            assert "task x" in str(error)
        assert contents(tmp_path) == before and not Path("/tmp/hf_clcl_evil.jpg").exists()

    def test_a_script_beside_the_data_is_not_run(self, tmp_path):
        where = parquet(tmp_path / "data", train=rows([0, 1], ["a", "b"]), test=rows([0], ["a", "b"]))
        (tmp_path / "data" / "data.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        task(where)
        assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("kind", ["absolute", "parent", "link", "address", "address beside"])
def test_images_named_elsewhere_are_refused(kind, tmp_path, monkeypatch):
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    data = tmp_path / "data"
    data.mkdir()
    picture().save(tmp_path / "private.png")
    (data / "link.png").symlink_to(tmp_path / "private.png")
    monkeypatch.chdir(data)  # names without a folder are looked for here
    name = {
        "absolute": str(tmp_path / "private.png"), "parent": f"{data}/../private.png", "link": str(data / "link.png"),
        "address": "http://127.0.0.1:9/x.png", "address beside": f"{data}/http://127.0.0.1:9/x.png",
    }[kind]  # fmt: skip
    features = Features({"image": ImageFeature(decode=False), "label": ClassLabel(names=["a", "b"])})
    cells = {"image": [{"bytes": None, "path": name}] * 2, "label": [0, 1]}
    Dataset.from_dict(cells, features=features).data.table.to_pandas().to_parquet(data / "train.parquet")
    with pytest.raises(DataError, match="task x: .* refers to .*, a file outside the dataset; store the images"):
        task(str(data), test_fraction=0.5, class_names=["a", "b"])


TOKEN = "hf_" + "Zq7" * 11


def test_tokens_of_environment_and_login_are_written_nowhere(recipe, tmp_path, monkeypatch, capfd):
    cached = tmp_path / "login" / "token"
    cached.parent.mkdir()
    cached.write_text(TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(cached))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, TOKEN)
    kept: dict[str, bytes] = {}
    remove = shutil.rmtree

    def keep(path, *arguments, **options):  # checkpoints within a task are gone at its end
        kept.update({str(file): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()})
        remove(path, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", keep)
    assert main([str(recipe), *ONE_TASK, "--save_steps", "1"]) == 0
    said = capfd.readouterr()
    files = {str(path): path.read_bytes() for path in (recipe.parent / "out").rglob("*") if path.is_file()}
    assert any("checkpoint-1/" in name for name in kept) and len(files) > 10
    assert not [name for name, content in {**files, **kept}.items() if TOKEN.encode() in content]
    assert TOKEN not in said.out + said.err


EVIL = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "![a](http://x/y.png)",
    "a | b", "`rm -rf`", "**bold**", "a\n---\nlicense: evil", "a\n# Heading", "---", "{{ card_data }}", "$x$",
    "a: b\nevil: true", "!!python/object:os.system", "\u202e right to left", "\x1b[2Jescape", "~~~", "<!-- -->",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_names_in_a_card_stay_text(evil):
    record = RunRecord(
        method="zscl", model=evil, tasks=["a", "b"], zero_shot=[10.0, 20.0], accuracy=[[50.0, 10.0], [40.0, 60.0]],
        evaluation_only={evil: {"zero_shot": 1.0, "accuracy": [2.0, 3.0]}}, licence=evil, device=evil, command=evil,
        datasets=[{"task": "a", "dataset": evil, "classes": 3, "train": 9, "test": 3, "licence": evil,
                   "split_note": evil}],
        recipe={"run_name": evil, "tasks": [{"name": "a", "dataset": evil, "class_names": [evil], evil: evil}],
                "hub_model_id": evil, evil: evil},
        versions={evil: evil}, citations=[evil],
    )  # fmt: skip
    card = write_card(record)
    _, head, body = card.split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert {"license", "tags", "model-index"} <= set(metadata) and "evil" not in metadata
    assert metadata["license"] == " ".join(evil.split()) and metadata["library_name"] == "transformers"
    plain = re.sub(r"\\.", "", outside_of_code(body))  # what is escaped is text
    for markup in ("<script", "<img", "<!--", "](javascript", "](http://x", "**bold**", "\n# Heading", "library_name"):
        assert markup not in plain, plain
    accuracies = [line.count("|") for line in plain.splitlines() if re.match(r"\| (after|zero-shot|\d [ab]) ", line)]
    assert accuracies == [5] * 4, plain


def outside_of_code(markdown: str) -> str:
    """The text without code blocks and code spans, in which nothing is markup."""
    shown, fence = [], None
    for line in markdown.splitlines():
        mark = line[: len(line) - len(line.lstrip("`"))]
        if fence is None and len(mark) >= 3:
            fence = mark
        elif fence is not None and line.rstrip() == fence:
            fence = None
        elif fence is None:
            shown.append(line)
    assert fence is None
    parser_free = "\n".join(shown)
    for size in (3, 2, 1):
        pieces = parser_free.split("`" * size)
        if len(pieces) % 2:
            parser_free = "".join(pieces[::2])
    return parser_free


@pytest.mark.parametrize("name", ["../../evil", "/etc", "a/b", "a\\b", "..", "a\0b"])
def test_a_record_names_no_folder_elsewhere(name, tmp_path):
    values = {"schema": 1, "method": "zscl", "model": "m", "tasks": ["a", name]}
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="tasks: must be names of folders"):
        RunRecord.load(tmp_path)


def test_what_a_message_quotes_moves_no_cursor(tmp_path, capfd):
    folder = os.fsencode(str(tmp_path)) + b"/red\x1b[2J\xff"
    os.mkdir(folder)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", folder + b"/a.png")
    recipe = {"model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "a", "dataset": "nowhere"}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "data_root": str(tmp_path)}))
    refused(main, [str(tmp_path / "recipe.yaml")], capfd, 1, ["no dataset 'nowhere'", "red\\x1b[2J"])
