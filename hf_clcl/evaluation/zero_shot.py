"""Zero-shot classification. Texts and images are embedded once per checkpoint, for any sets of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.images.image_source import ImageSource
from ..data.texts.tokens import tokenize
from ..models.embedding import embed_all_images, embed_all_texts

BLOCK = 4096  # images per matrix of similarities

Choices = Mapping[str, Sequence[str]]
"""For each task to evaluate, the tasks whose classes its images are classified among."""


@dataclass
class TestSet:
    """The test images of one task.

    Args:
        images (`ImageSource`): The images.
        labels (`np.ndarray` of shape `[len(images)]`): Class indices.
        prompts (`list[list[str]]`): For each template, the prompts of all classes.
    """

    __test__ = False  # pytest would collect a class whose name starts with Test

    images: ImageSource
    labels: np.ndarray
    prompts: list[list[str]]


class ZeroShotEvaluator:
    """Accuracy of a model on test sets, each among the classes of any of them.

    The embedding of a class is the mean of the normalised embeddings of its prompts, normalised again (Radford et al.,
    2021). Classes of two tasks with the same prompts (ignoring case) count as one class.

    Args:
        tasks (`dict[str, TestSet]`): Task name -> test set.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Converts frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes.
        batch_size (`int`): Images per forward pass.
    """

    def __init__(
        self,
        tasks: dict[str, TestSet],
        tokenizer: PreTrainedTokenizerBase,
        normalize: Callable[[Tensor], Tensor],
        accelerator: Accelerator,
        batch_size: int,
    ):
        self.tasks, self.normalize = tasks, normalize
        self.accelerator, self.batch_size = accelerator, batch_size
        texts: dict[str, int] = {}
        self.rows = {
            name: np.array([[texts.setdefault(text, len(texts)) for text in prompts] for prompts in task.prompts])
            for name, task in tasks.items()
        }  # for each task `[templates, classes]`: the indices of its prompts in all texts
        self.input_ids = tokenize(tokenizer, list(texts)) if texts else None
        known: dict[tuple[str, ...], int] = {}
        self.identity = {
            name: np.array([known.setdefault(_spelling(each), len(known)) for each in zip(*task.prompts, strict=True)])
            for name, task in tasks.items()
        }  # for each task `[classes]`: the index of each class in all different classes
        self.embedded: dict[str, Tensor] = {}
        self.classes: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, wanted: Mapping[str, Choices], description: str = "evaluation", show: bool = True
    ) -> dict[str, dict[str, float]]:
        """Evaluate a model; returns accuracy in percent by the keys of `wanted` and the names of the tasks.

        Args:
            model (`PreTrainedModel`): The model; it embeds each image once.
            wanted (`Mapping[str, Choices]`): For each key, the tasks to evaluate and the classes to choose from.
            description (`str`, defaults to `"evaluation"`): Title of the progress bar.
            show (`bool`, defaults to `True`): Whether to show the progress bar.
        """
        model.eval()
        names = [name for name in self.tasks if any(name in choices for choices in wanted.values())]
        self.classes, self.embedded = self._embed_classes(model), {}
        hidden = not (show and self.accelerator.is_local_main_process)
        for name in tqdm(names, desc=description, leave=False, disable=hidden):
            self.embedded[name] = embed_all_images(
                model, self.tasks[name].images, self.normalize, self.accelerator, self.batch_size, name, show=show
            ).cpu()
        return self.classify(wanted)

    def classify(self, wanted: Mapping[str, Choices]) -> dict[str, dict[str, float]]:
        """Accuracy of the last evaluated model, from the embeddings in memory; see `__call__`."""
        accuracy: dict[str, dict[str, float]] = {key: {} for key in wanted}
        for name in self.embedded:
            candidates = {key: choices[name] for key, choices in wanted.items() if name in choices}
            for key, hits in self._hits(name, candidates).items():
                accuracy[key][name] = 100 * float(hits.mean())
        return accuracy

    def free(self) -> None:
        """Free the embeddings."""
        self.embedded, self.classes = {}, {}

    def _embed_classes(self, model: PreTrainedModel) -> dict[str, Tensor]:
        """For each task, the embeddings of its classes `[C, d]`."""
        if self.input_ids is None:
            return {}
        with self.accelerator.autocast():
            texts = embed_all_texts(model, self.input_ids)
        means = {name: texts[torch.from_numpy(rows).to(texts.device)].mean(dim=0) for name, rows in self.rows.items()}
        return {name: torch.nn.functional.normalize(mean, dim=-1) for name, mean in means.items()}

    def _hits(self, name: str, candidates: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """For each key, whether each image of a task is classified correctly among the classes of some tasks."""
        tasks = list(dict.fromkeys(task for choices in candidates.values() for task in choices))
        sizes = np.cumsum([0, *(len(self.identity[task]) for task in tasks)])
        columns = {task: np.arange(*sizes[place : place + 2]) for place, task in enumerate(tasks)}
        identity = np.concatenate([self.identity[task] for task in tasks])
        classes = torch.cat([self.classes[task] for task in tasks])
        correct = self.identity[name][self.tasks[name].labels]
        hits: dict[str, list[np.ndarray]] = {key: [] for key in candidates}
        for start in range(0, len(correct), BLOCK):
            images = self.embedded[name][start : start + BLOCK].to(classes.device)
            similarity = images @ classes.T
            for key, choices in candidates.items():
                allowed = np.concatenate([columns[task] for task in choices])
                best = similarity[:, torch.from_numpy(allowed).to(classes.device)].argmax(dim=-1).cpu().numpy()
                hits[key].append(identity[allowed[best]] == correct[start : start + BLOCK])
        return {key: np.concatenate(blocks) for key, blocks in hits.items()}


def _spelling(prompts: Sequence[str]) -> tuple[str, ...]:
    """Prompts in lower case with single spaces, for comparison; CLIP's tokenizer ignores case too."""
    return tuple(" ".join(prompt.casefold().split()) for prompt in prompts)
