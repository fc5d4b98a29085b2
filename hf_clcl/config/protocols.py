"""Facts about published protocols: prompts, class names, class orders, splits, settings and results.

`hf_clcl/assets/protocols/` has one file per protocol. Each file names its source. A recipe selects the facts by name,
such as `class_order: zscl_cil/tiny_imagenet`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from .values import nearest

CLASS_ORDERS = "class_orders.json"


def protocol_names() -> list[str]:
    """Names of the protocols of the package."""
    files = (_folder() / "protocols").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))


@cache
def protocol(name: str) -> dict[str, Any]:
    """The recorded facts of a protocol.

    Args:
        name (`str`): One of [`protocol_names`], such as `zscl_mtil`.

    Raises:
        KeyError: If there is no such protocol.
    """
    if name not in protocol_names():
        raise KeyError(name)
    facts = json.loads((_folder() / "protocols" / f"{name}.json").read_text(encoding="utf-8"))
    if "members" in facts:
        packed = (_folder() / "protocols" / facts["members"]).read_bytes()
        facts["members"] = json.loads(gzip.decompress(packed))
    return facts


@cache
def named(kind: str) -> dict[str, Any]:
    """All facts of one kind in all protocols, by the name that a recipe uses: `<protocol>/<dataset>`.

    Args:
        kind (`str`): A block of the protocol files: `datasets`, `members` or `results`.
    """
    return {f"{name}/{key}": facts for name in protocol_names() for key, facts in protocol(name).get(kind, {}).items()}


@cache
def class_orders() -> dict[str, list[int] | list[str]]:
    """Class orders by name: labels, or WordNet ids if the labels of a dataset depend on its copy."""
    plain = json.loads((_folder() / CLASS_ORDERS).read_text(encoding="utf-8"))
    orders: dict[str, list[int] | list[str]] = {name: entry["order"] for name, entry in plain.items()}
    for name, facts in named("datasets").items():
        if "class_order" in facts:
            ids = [synset for synset, _ in facts.get("classes_by_published_index", [])]
            orders[name] = [ids[index] for index in facts["class_order"]] if ids else facts["class_order"]
    return orders


def unknown(kind: str, name: str, known: Mapping[str, Any]) -> str:
    """The problem of a name that no protocol has, with the nearest name and all names."""
    return f"{kind}: no {name!r}{nearest(name, known)}; known are {', '.join(known)}"


def _folder() -> Any:
    return resources.files("hf_clcl") / "assets"
