"""Built-in lists of prompt templates and class names.

`hf_clcl/assets/prompts.json` holds them with their sources, `hf_clcl/assets/imagenet_synsets.tsv` the WordNet ids and
synsets by which datasets name the classes of ImageNet. The lists of published protocols are beside them, under names
such as `zscl_mtil/sun397`; see [`~hf_clcl.config.protocols`].
"""

from __future__ import annotations

import difflib
import json
import logging
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from ...config.protocols import named
from ...utils.errors import DataError
from ..columns import words

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuiltIn:
    """Prompts of one benchmark dataset.

    Args:
        templates (`list[str]`): Templates whose embeddings are averaged for evaluation.
        training_template (`str`): Template for training.
        class_names (`list[str]`): Class names in words, in label order.
        also_called (`dict[str, str]`): Name of a class in other copies of the dataset -> its name in `class_names`.
        left_out (`list[str]`): Classes of some copies that are not part of the benchmark.
    """

    templates: list[str]
    training_template: str
    class_names: list[str]
    also_called: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def built_in(name: str, where: str = "prompts") -> BuiltIn:
    """Return the built-in list of a name.

    Raises:
        DataError: If there is none; the message suggests the nearest name and lists all.
    """
    lists = _read()
    if name not in lists:
        near = difflib.get_close_matches(name.lower(), lists, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"{where}: no built-in list {name!r}{hint} There are: {_plain(lists)}")
    return lists[name]


def match_class_names(name: str, own: list[str] | None, where: str) -> list[str | None]:
    """Map the classes of a dataset to the class names of a built-in list, by name and never by position.

    Args:
        name (`str`): Name of the built-in list.
        own (`list[str]`, *optional*): Class names of the dataset, in label order; those of the list if `None`.
        where (`str`): Prefix of error messages.

    Returns:
        `list[str | None]`: Name of each class of the dataset; `None` for a class that is left out.

    Raises:
        DataError: If less than half of the names are in the list.
    """
    known = built_in(name, where)
    if own is None:
        return list(known.class_names)
    spellings = {**{word: word for word in known.class_names}, **known.also_called}
    exact = {_key(spelling): word for spelling, word in spellings.items()}
    unordered = {_key(spelling, ordered=False): word for spelling, word in spellings.items()}
    left_out = {_key(spelling) for spelling in known.left_out}
    matched = [exact.get(_key(each)) or unordered.get(_key(each, ordered=False)) for each in own]
    belongs = [_key(each) not in left_out for each in own]
    missing = [each for each, word, wanted in zip(own, matched, belongs, strict=True) if wanted and word is None]
    if 2 * len(missing) > len(own):
        raise DataError(
            f"{where}: class_names: the list {name!r} has words for {len(own) - len(missing)} of the dataset's "
            f"{len(own)} classes only, and none for {', '.join(map(repr, missing[:5]))}. Name the list that fits "
            f"({_plain(_read())}), or list the words in label order"
        )
    if missing:
        logger.warning(
            "%s: these class names are not in the list %s and are kept unchanged: %s", where, name, ", ".join(missing)
        )
    kept = zip(own, matched, belongs, strict=True)
    return [(word or words(each)) if wanted else None for each, word, wanted in kept]


@cache
def imagenet_synsets() -> dict[str, str]:
    """WordNet id and synset of each class of ImageNet-1k, in label order: `{"n01440764": "tench, Tinca tinca"}`."""
    lines = _asset("imagenet_synsets.tsv").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


@cache
def _read() -> dict[str, BuiltIn]:
    lists = {name: BuiltIn(**values) for name, values in json.loads(_asset("prompts.json"))["datasets"].items()}
    known = lists["imagenet"]
    synsets = imagenet_synsets()
    listed = list(synsets.values())
    for name, (synset, also) in zip(known.class_names, synsets.items(), strict=True):
        known.also_called[synset] = name
        if listed.count(also) == 1:  # two classes are called "crane"
            known.also_called.setdefault(also, name)
    return {**lists, **{name: _published(name, facts, lists) for name, facts in named("datasets").items()}}


def _published(name: str, facts: dict[str, Any], lists: dict[str, BuiltIn]) -> BuiltIn:
    """The list of a protocol, with the other names of each class from the list of the same dataset above."""
    ours = lists.get(name.partition("/")[2], lists["imagenet"])
    if "classes_by_published_index" in facts:
        by_id = dict(facts["classes_by_published_index"])
        names, renamed = list(by_id.values()), {ours.also_called[synset]: word for synset, word in by_id.items()}
        also = dict(by_id)
    else:  # no names are recorded of ImageNet-1k
        names = facts.get("class_names", ours.class_names)
        also = renamed = dict(zip(ours.class_names, names, strict=True))
    also = {**also, **{other: renamed[word] for other, word in ours.also_called.items() if word in renamed}}
    return BuiltIn(facts["templates"], facts["training_template"], names, also, list(ours.left_out))


def _plain(lists: dict[str, BuiltIn]) -> str:
    """Names of the lists for messages; protocols repeat those of the datasets."""
    return f"{', '.join(name for name in lists if '/' not in name)}, and those of protocols, such as zscl_mtil/dtd"


def _asset(name: str) -> str:
    return (resources.files("hf_clcl") / "assets" / name).read_text(encoding="utf-8")


def _key(name: str, ordered: bool = True) -> str:
    """A key for comparing names: without case, spaces and punctuation, and optionally without word order."""
    parts = re.findall(r"[a-z0-9]+", words(name).lower())
    return "".join(parts) if ordered else " ".join(sorted(parts))
