"""Lists of labels to choose among: of one task, of all tasks, or typed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..utils.errors import UserError

if TYPE_CHECKING:
    from ..data.task import Task

MOST_LABELS = 1_000
LONGEST_LABEL = 200
LONGEST_TEMPLATE = 300
DEFAULT_TEMPLATE = "a photo of a {}."


@dataclass(frozen=True)
class Labels:
    """Labels and the prompts of each.

    Args:
        names (`tuple[str, ...]`): The labels as shown.
        prompts (`tuple[tuple[str, ...], ...]`): For each label its prompts, whose embeddings are averaged.
        note (`str`): What was changed of a list that was typed in.
    """

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    note: str = ""

    def index(self, name: str | None) -> int | None:
        """The place of a label; `None` for one that is not among them."""
        return self.names.index(name) if name in self.names else None


def of_tasks(tasks: Sequence[Task], template: str = "") -> Labels:
    """The classes of tasks with the prompts that they are evaluated with, or with one template for all.

    Raises:
        UserError: Where the template has no place for the label.
    """
    template = check_template(template)
    names = [name for task in tasks for name in task.class_names or ()]
    count = Counter(names)
    shown, prompts = [], []
    for task in tasks:
        for name in task.class_names or ():
            # A class of two tasks stands for each of them.
            shown.append(f"{name} ({task.name})" if count[name] > 1 else name)
            templates = [template] if template else task.templates
            prompts.append(tuple(each.replace("{}", name) for each in templates))
    if not shown:
        raise UserError("this task has captions and no labels; type labels of your own")
    return Labels(tuple(shown), tuple(prompts))


def typed(text: str, template: str = "") -> Labels:
    """Labels that somebody typed: one a line, or one line with commas.

    Raises:
        UserError: Where there is none, there are too many, or the template has no place for the label.
    """
    template = check_template(template) or DEFAULT_TEMPLATE
    lines = (text or "").splitlines()
    given = [line.strip() for line in (lines[0].split(",") if len(lines) == 1 else lines)]
    given = [" ".join(line.split()) for line in given if line]
    names = list(dict.fromkeys(given))
    if not names:
        raise UserError("type at least one label, one a line")
    if len(names) > MOST_LABELS:
        raise UserError(f"{len(names):,} labels are too many; give at most {MOST_LABELS:,}")
    if long := [name for name in names if len(name) > LONGEST_LABEL]:
        raise UserError(f"the label {long[0][:40]!r}… has {len(long[0])} characters; at most {LONGEST_LABEL} fit")
    repeated = len(given) - len(names)
    note = f"{repeated} repeated {'label was' if repeated == 1 else 'labels were'} left out." if repeated else ""
    return Labels(tuple(names), tuple((template.replace("{}", name),) for name in names), note)


def check_template(template: str) -> str:
    """A template without blanks around it, empty where none is given.

    Raises:
        UserError: Where it has not exactly one `{}`.
    """
    template = " ".join((template or "").split())
    if template and (template.count("{}") != 1 or len(template) > LONGEST_TEMPLATE):
        raise UserError(
            f"the prompt template {template[:60]!r} needs one {{}} where the label goes, such as {DEFAULT_TEMPLATE!r}"
        )
    return template
