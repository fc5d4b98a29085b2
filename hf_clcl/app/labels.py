"""Label sets for zero-shot classification: the classes of one task, of all tasks, or typed by the user."""

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
    """Labels and their prompts.

    Args:
        names (`tuple[str, ...]`): The labels as shown.
        prompts (`tuple[tuple[str, ...], ...]`): The prompts of each label; their embeddings are averaged.
        note (`str`): What was changed in the list that the user typed.
    """

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    note: str = ""

    def index(self, name: str | None) -> int | None:
        """Index of a label; `None` if it is not in the list."""
        return self.names.index(name) if name in self.names else None


def of_tasks(tasks: Sequence[Task], template: str = "") -> Labels:
    """The classes of tasks with their evaluation prompts, or with one template for all.

    Args:
        tasks (`Sequence[Task]`): The tasks.
        template (`str`): A prompt with `{}`; that of each task if empty.

    Raises:
        UserError: If the template has no `{}`, or the tasks have no labels.
    """
    template = check_template(template)
    names = [name for task in tasks for name in task.class_names or ()]
    count = Counter(names)
    shown, prompts = [], []
    for task in tasks:
        for name in task.class_names or ():
            # A class name of two tasks is listed once for each.
            shown.append(f"{name} ({task.name})" if count[name] > 1 else name)
            templates = [template] if template else task.templates
            prompts.append(tuple(each.replace("{}", name) for each in templates))
    if not shown:
        raise UserError("this task has captions and no labels; type your own labels")
    return Labels(tuple(shown), tuple(prompts))


def typed(text: str, template: str = "") -> Labels:
    """Labels from typed text: one a line, or one line with commas.

    Raises:
        UserError: If there is no label, a label is too long, there are too many, or the template has no `{}`.
    """
    template = check_template(template) or DEFAULT_TEMPLATE
    lines = (text or "").splitlines()
    given = [line.strip() for line in (lines[0].split(",") if len(lines) == 1 else lines)]
    given = [" ".join(line.split()) for line in given if line]
    names = list(dict.fromkeys(given))
    if not names:
        raise UserError("type at least one label, one a line")
    if len(names) > MOST_LABELS:
        raise UserError(f"there must be at most {MOST_LABELS:,} labels, got {len(names):,}")
    if long := [name for name in names if len(name) > LONGEST_LABEL]:
        raise UserError(
            f"the label {long[0][:40]!r}… must have at most {LONGEST_LABEL} characters, got {len(long[0])}"
        )
    repeated = len(given) - len(names)
    note = f"{repeated} repeated {'label was' if repeated == 1 else 'labels were'} skipped." if repeated else ""
    return Labels(tuple(names), tuple((template.replace("{}", name),) for name in names), note)


def check_template(template: str) -> str:
    """Check a prompt template and normalise its whitespace.

    Raises:
        UserError: If it does not have exactly one `{}`, or is too long.
    """
    template = " ".join((template or "").split())
    if template and (template.count("{}") != 1 or len(template) > LONGEST_TEMPLATE):
        raise UserError(
            f"the prompt template must have exactly one {{}} for the label, such as {DEFAULT_TEMPLATE!r}, "
            f"got {template[:60]!r}"
        )
    return template
