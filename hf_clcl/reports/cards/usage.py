"""Section of a card: code that loads the model."""

from __future__ import annotations

import json
from pathlib import PurePath

from ...record.run_record import RunRecord
from .markdown import block, text
from .sections import folder_name


def _quoted(value: str) -> str:
    """A Python string in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def usage(record: RunRecord) -> str:
    """Python code that loads the model in a pipeline, and its adapter if there is one."""
    where = _named(record, "model")
    code_of_pipeline = block(
        "from PIL import Image\nfrom transformers import pipeline\n\n"
        f'classify = pipeline("zero-shot-image-classification", {where})\n'
        'image = Image.new("RGB", (224, 224), "green")  # your own: Image.open("photo.jpg")\n'
        'print(classify(image, candidate_labels=["a forest", "a river", "a motorway"]))',
        "python",
    )
    return code_of_pipeline + _usage_of_adapter(record)


def _usage_of_adapter(record: RunRecord) -> str:
    if not record.accuracy or not _keeps_adapters(record):
        return ""
    count = len(record.accuracy)
    before = _named(record.until(record.tasks[count - 2] if count > 1 else None))
    code_of_peft = block(
        "from peft import PeftModel\nfrom transformers import AutoModel\n\n"
        f"before = AutoModel.from_pretrained({before})\n"
        f'model = PeftModel.from_pretrained(before, {_named(record)}, subfolder="adapter")',
        "python",
    )
    learnt = text(record.tasks[count - 1])
    return f"\n\nThe update by {learnt} is also stored as a LoRA adapter of the previous model:\n\n{code_of_peft}"


def _named(record: RunRecord, keyword: str = "") -> str:
    """The model of a record's newest state as Python arguments of `from_pretrained` or `pipeline`."""
    hub, output = record.recipe.get("hub_model_id"), str(record.recipe.get("output_dir") or "")
    revision, key = folder_name(record), keyword and f"{keyword}="
    if not record.accuracy or record.trainable_parameters == 0:
        return key + _quoted(record.model)
    if hub:
        return f"{key}{_quoted(hub)}, revision={_quoted(revision)}"
    # An absolute path of the author's machine is useless for others.
    relative = output and not PurePath(output).is_absolute()
    return key + _quoted(str(PurePath(output, revision) if relative else revision))


def _keeps_adapters(record: RunRecord) -> bool:
    return bool((record.recipe.get("peft") or {}).get("keep_adapters"))
