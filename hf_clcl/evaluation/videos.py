"""Text-to-video retrieval along a stream: a task's videos are embedded once, when it ends, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.images.frames import Frames
from ..data.task import Task
from ..data.texts.captions import tokenize_captions
from ..metrics.ranks import ALL_VIDEOS, OWN_VIDEOS, ranks_of_embeddings, recall
from ..models.embedding import embed_all_images
from ..utils.errors import UserError
from ..utils.files import whole_file
from .context import EvaluationContext, Search
from .retrieval import embed_captions

DATABASE = "video_database.safetensors"


@dataclass
class Videos:
    """The test videos of a task and the captions that search them.

    Args:
        frames (`Frames`): The clips, one a row.
        rows (`np.ndarray` of shape `[V]`): Those of `frames` that take part: of rows with the same clip the first.
        names (`list[str]`): Name of each of these clips; equal names of two tasks are one video.
        texts (`list[str]`): The captions of all clips; each is a query.
        video_of_text (`np.ndarray` of shape `[N]`): The place in `rows` of the video that each describes.
    """

    frames: Frames
    rows: np.ndarray
    names: list[str]
    texts: list[str]
    video_of_text: np.ndarray

    @classmethod
    def of(cls, task: Task, frames: Frames) -> Videos:
        """The test split of a task of videos."""
        texts, captions = task.captions("test")
        names, rows, video_of_row = np.unique(task.test[task.video_column][:], return_index=True, return_inverse=True)
        root = str(Path(task.video_root).resolve())
        video_of_text = np.repeat(video_of_row, [len(indices) for indices in captions])
        return cls(frames, rows, [f"{root}/{name}" for name in names], texts, video_of_text)


class VideoEvaluator:
    """Searches a database of videos that grows along a stream, whose entries never change, with a model that does.

    The database lies in the folder of each finished task, as it stood then, so that a run resumes with it.

    Source: the protocol of Zhao et al., SIGIR 2025, arXiv 2503.10111.

    Args:
        stream (`Sequence[str]`): Names of all tasks of the stream, in order.
        videos (`Mapping[str, Videos]`): Test videos of those that are of videos, and of datasets beside the stream.
        folder_of (`Callable[[str], Path]`): Folder of a finished task; there is none where a method trains nothing.
        writes (`bool`): Whether this process writes; one of several does.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes; these share the embedding.
        batch_size (`int`): Clips a forward.
    """

    def __init__(
        self,
        stream: Sequence[str],
        videos: Mapping[str, Videos],
        folder_of: Callable[[str], Path],
        writes: bool,
        tokenizer: PreTrainedTokenizerBase,
        normalize: Callable[[Tensor], Tensor],
        accelerator: Accelerator,
        batch_size: int,
    ):
        self.stream, self.videos, self.folder_of, self.writes = list(stream), dict(videos), folder_of, writes
        self.normalize, self.accelerator, self.batch_size = normalize, accelerator, batch_size
        self.database: dict[str, np.ndarray] = {}
        self.input_ids = {
            name: tokenize_captions(tokenizer, found.texts, f"task {name}") for name, found in self.videos.items()
        }

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, after: str | None, description: str = "videos", show: bool = True
    ) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
        """Search with a model.

        Args:
            model (`PreTrainedModel`): The model as it stands.
            after (`str`, *optional*): The task that it has just learnt; `None` for the untrained model, which searches
                the videos of the whole stream.
            description (`str`, defaults to `"videos"`): For the progress bar.
            show (`bool`, defaults to `True`): Whether to show progress.

        Returns:
            `tuple`: For each task its measures, such as `text_to_video_r1` among its own videos and, where these are
            in the database, `text_to_database_r1`; and the measures over all queries of the tasks in the database.
        """
        model.eval()
        learnt = [] if after is None else self.stream[: self.stream.index(after) + 1]
        self._recall_database(learnt)
        texts, items = {}, {}
        show = show and self.accelerator.is_local_main_process
        for name in (bar := tqdm(self.videos, desc=description, leave=False, disable=not show)):
            bar.set_postfix_str(name)
            texts[name] = embed_captions(model, self.input_ids[name], self.accelerator).cpu().numpy()
            stays = name in learnt[:-1] and name in self.database
            items[name] = self.database[name] if stays else self._embed(model, name)
        if after is not None:
            self._keep(learnt, items)
        found = {}
        for name in self.videos:
            (ranks,) = search({name: texts[name]}, {name: items[name]}, self.videos).values()
            found[name] = {f"{OWN_VIDEOS}_{key}": value for key, value in recall(ranks).items()}
        searched = [name for name in (learnt or self.stream) if name in self.videos]
        if not searched:
            return found, None
        ranks = search(*({name: part[name] for name in searched} for part in (texts, items)), self.videos)
        for name in searched:
            found[name] |= {f"{ALL_VIDEOS}_{key}": value for key, value in recall(ranks[name]).items()}
        return found, recall(np.concatenate(list(ranks.values())))

    def _embed(self, model: PreTrainedModel, name: str) -> np.ndarray:
        videos = self.videos[name]
        embedded = embed_all_images(
            model, videos.frames, self.normalize, self.accelerator, self.batch_size, f"{name}: videos", videos.rows
        )
        return embedded.cpu().numpy()[videos.rows]

    def _recall_database(self, learnt: Sequence[str]) -> None:
        """Take back, after a stop, the videos of tasks that ended earlier.

        Raises:
            UserError: Where they are gone, broken, or those of other data.
        """
        earlier = [name for name in learnt[:-1] if name in self.videos]
        if all(name in self.database for name in earlier) or not (folder := self.folder_of(learnt[-2])).is_dir():
            return
        advice = "It cannot be made again from later models: put it back, or begin the run anew in another folder"
        try:
            self.database = load_file(folder / DATABASE)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / DATABASE} cannot be read: {error}. {advice}") from None
        for name in earlier:
            has, needs = len(self.database.get(name, ())), len(self.videos[name].rows)
            if has != needs:
                raise UserError(f"{folder / DATABASE} holds {has} videos of {name}, whose data has {needs}. {advice}")

    def _keep(self, learnt: Sequence[str], items: Mapping[str, np.ndarray]) -> None:
        """Add the videos of the task that has just ended to the database."""
        self.database = {name: np.ascontiguousarray(items[name]) for name in learnt if name in self.videos}
        folder = self.folder_of(learnt[-1])
        if self.writes and self.database and folder.is_dir():
            with whole_file(folder / DATABASE) as path:
                save_file(self.database, path)


def search_videos(tasks: Sequence[Task], context: EvaluationContext) -> Search:
    """The search of tasks of videos."""
    return VideoEvaluator(
        context.stream,
        {task.name: Videos.of(task, context.frames(task)) for task in tasks},
        context.folder_of,
        context.writes,
        context.tokenizer,
        context.normalize,
        context.accelerator,
        context.batch_size,
    )


def search(
    queries: Mapping[str, np.ndarray], items: Mapping[str, np.ndarray], videos: Mapping[str, Videos]
) -> dict[str, np.ndarray]:
    """The rank, from 1, of the right video of each query among the videos of all tasks, by the task of the query.

    Args:
        queries (`Mapping[str, np.ndarray]`): Embeddings `[N, d]` of the captions of each task.
        items (`Mapping[str, np.ndarray]`): Embeddings `[V, d]` of the videos of each task, all of which are searched.
        videos (`Mapping[str, Videos]`): What they belong to.
    """
    numbers: dict[str, int] = {}
    groups = {task: np.array([numbers.setdefault(n, len(numbers)) for n in videos[task].names]) for task in items}
    database, group_of_item = np.concatenate(list(items.values())), np.concatenate(list(groups.values()))
    return {
        task: ranks_of_embeddings(texts, database, groups[task][videos[task].video_of_text], group_of_item)
        for task, texts in queries.items()
    }
