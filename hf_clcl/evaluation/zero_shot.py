"""Zero-shot classification: class embeddings once a checkpoint, images in batches, counted exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPModel, PreTrainedTokenizerBase

from ..data.frames import Frames
from ..models import embed_images, embed_texts, tokenize


@torch.no_grad()
def class_embeddings(model: CLIPModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[str]]) -> Tensor:
    """Embedding of each class: the mean of the normalised embeddings of its prompts, normalised again.

    Source: prompt ensembling of CLIP (Radford et al., 2021, section 3.1.4).

    Args:
        model (`CLIPModel`): The checkpoint.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        prompts (`list[list[str]]`): For each template the prompts of all classes.

    Returns:
        `Tensor`: `[C, d]` in fp32 on the model's device.
    """
    texts = [prompt for row in prompts for prompt in row]
    input_ids = tokenize(tokenizer, texts).to(model.device)
    embedded = embed_texts(model, input_ids).view(len(prompts), len(prompts[0]), -1)
    return torch.nn.functional.normalize(embedded.mean(dim=0), dim=-1)


@torch.no_grad()
def predict(
    model: CLIPModel,
    frames: Frames,
    classes: Tensor,
    normalize: Callable[[Tensor], Tensor],
    accelerator: Accelerator,
    batch_size: int,
) -> np.ndarray:
    """The class that each image is most similar to, as indices `[len(frames)]`.

    Processes share the images; each image is counted once.
    """
    predictions = torch.zeros(len(frames), dtype=torch.long, device=model.device)
    mine = range(0, len(frames), batch_size)[accelerator.process_index :: accelerator.num_processes]
    for start in mine:
        indices = range(start, min(start + batch_size, len(frames)))
        with accelerator.autocast():
            images = embed_images(model, normalize(frames.evaluation_batch(indices).to(model.device)))
        predictions[start : indices.stop] = (images @ classes.T).argmax(dim=-1)
    if accelerator.num_processes > 1:
        predictions = accelerator.reduce(predictions, reduction="sum")
    return predictions.cpu().numpy()


class ZeroShotEvaluator:
    """Accuracy of a model on the test images of each task, among the classes of that task.

    Args:
        tasks (`dict[str, tuple[Frames, np.ndarray, list[list[str]]]]`):
            For each task its test images, their labels, and for each template the prompts of all classes.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes.
        batch_size (`int`): Images a forward.
    """

    def __init__(
        self,
        tasks: dict[str, tuple[Frames, np.ndarray, list[list[str]]]],
        tokenizer: PreTrainedTokenizerBase,
        normalize: Callable[[Tensor], Tensor],
        accelerator: Accelerator,
        batch_size: int,
    ):
        self.tasks, self.tokenizer, self.normalize = tasks, tokenizer, normalize
        self.accelerator, self.batch_size = accelerator, batch_size

    def __call__(self, model: CLIPModel, description: str = "evaluation", show: bool = True) -> dict[str, float]:
        """Accuracy in percent by task name."""
        model.eval()
        accuracy = {}
        show = show and self.accelerator.is_local_main_process
        for name, (frames, labels, prompts) in (
            bar := tqdm(self.tasks.items(), desc=description, leave=False, disable=not show)
        ):
            bar.set_postfix_str(name)
            with self.accelerator.autocast():
                classes = class_embeddings(model, self.tokenizer, prompts)
            predictions = predict(model, frames, classes, self.normalize, self.accelerator, self.batch_size)
            accuracy[name] = 100 * float((predictions == labels).mean())
        return accuracy
