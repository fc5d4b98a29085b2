"""Text-to-video retrieval along a stream. The videos of a task are embedded once, when the task ends."""

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
from ..utils.required import required
from .context import EvaluationContext, Search
from .retrieval import embed_captions

DATABASE = "video_database.safetensors"


@dataclass
class Videos:
    """The test videos of a task, and captions as queries.

    Args:
        frames (`Frames`): The clips, one per row.
        rows (`np.ndarray` of shape `[V]`): The rows of `frames` that are searched: the first one of equal clips.
        names (`list[str]`): Names of these clips. Equal names in two tasks are the same video.
        texts (`list[str]`): The captions of all clips; each is a query.
        video_of_text (`np.ndarray` of shape `[N]`): For each caption, the index of its video in `rows`.
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
        cells: list[str] = required(task.test, f"test data of {task.name}")[task.kind.item_column(task)][:]
        names, rows, video_of_row = np.unique(np.array(cells), return_index=True, return_inverse=True)
        root = str(Path(task.video_root or "").resolve())
        video_of_text = np.repeat(video_of_row, [len(indices) for indices in captions])
        return cls(frames, rows, [f"{root}/{name}" for name in names], texts, video_of_text)


class VideoEvaluator:
    """Searches a database of video embeddings. Each task adds its videos, whose embeddings are never recomputed.

    The database is saved in the folder of each finished task, so that a run can resume.

    Source: the protocol of Zhao et al., SIGIR 2025, arXiv 2503.10111.

    Args:
        stream (`Sequence[str]`): Names of all tasks of the stream, in order.
        videos (`Mapping[str, Videos]`): Test videos of tasks of videos, and of datasets that are only evaluated.
        folder_of (`Callable[[str], Path]`): Folder of a finished task; it does not exist if a method trains nothing.
        writes (`bool`): Whether this process writes files; exactly one process does.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Converts frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes, which share the work.
        batch_size (`int`): Clips per forward pass.
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
            name: tokenize_captions(tokenizer, own.texts, f"task {name}") for name, own in self.videos.items()
        }

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, after: str | None, description: str = "videos", show: bool = True
    ) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
        """Search with a model.

        Args:
            model (`PreTrainedModel`): The model to evaluate.
            after (`str`, *optional*): The task that it was trained on last; `None` for the untrained model, which
                searches the videos of the whole stream.
            description (`str`, defaults to `"videos"`): Title of the progress bar.
            show (`bool`, defaults to `True`): Whether to show the progress bar.

        Returns:
            `tuple`: For each task its measures: `text_to_video_r1` and others among its own videos and, if these are
            in the database, `text_to_database_r1` and others. Second, the measures over all queries of the tasks in
            the database.
        """
        model.eval()
        trained = [] if after is None else self.stream[: self.stream.index(after) + 1]
        self._load_database(trained)
        texts, items = {}, {}
        show = show and self.accelerator.is_local_main_process
        for name in (bar := tqdm(self.videos, desc=description, leave=False, disable=not show)):
            bar.set_postfix_str(name)
            texts[name] = embed_captions(model, self.input_ids[name], self.accelerator).cpu().numpy()
            stored = name in trained[:-1] and name in self.database
            items[name] = self.database[name] if stored else self._embed(model, name)
        if after is not None:
            self._save_database(trained, items)
        measures = {}
        for name in self.videos:
            own = search({name: texts[name]}, {name: items[name]}, self.videos)[name]
            measures[name] = {f"{OWN_VIDEOS}_{key}": value for key, value in recall(own).items()}
        searched = [name for name in (trained or self.stream) if name in self.videos]
        if not searched:
            return measures, None
        queries, database = ({name: part[name] for name in searched} for part in (texts, items))
        ranks = search(queries, database, self.videos)
        for name in searched:
            measures[name] |= {f"{ALL_VIDEOS}_{key}": value for key, value in recall(ranks[name]).items()}
        return measures, recall(np.concatenate(list(ranks.values())))

    def _embed(self, model: PreTrainedModel, name: str) -> np.ndarray:
        videos = self.videos[name]
        embedded = embed_all_images(
            model, videos.frames, self.normalize, self.accelerator, self.batch_size, f"{name}: videos", videos.rows
        )
        return embedded.cpu().numpy()[videos.rows]

    def _load_database(self, trained: Sequence[str]) -> None:
        """Load the videos of earlier tasks when a run resumes.

        Raises:
            UserError: If they are missing, damaged, or those of other data.
        """
        earlier = [name for name in trained[:-1] if name in self.videos]
        if all(name in self.database for name in earlier) or not (folder := self.folder_of(trained[-2])).is_dir():
            return
        advice = "Later models cannot recreate it: restore the file, or start the run again in another folder"
        try:
            self.database = load_file(folder / DATABASE)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / DATABASE} cannot be read: {error}. {advice}") from None
        for name in earlier:
            has, needs = len(self.database.get(name, ())), len(self.videos[name].rows)
            if has != needs:
                raise UserError(f"{folder / DATABASE} must hold {needs} videos of {name}, got {has}. {advice}")

    def _save_database(self, trained: Sequence[str], items: Mapping[str, np.ndarray]) -> None:
        """Add the videos of the last finished task to the database, and save it."""
        self.database = {name: np.ascontiguousarray(items[name]) for name in trained if name in self.videos}
        folder = self.folder_of(trained[-1])
        if self.writes and self.database and folder.is_dir():
            with whole_file(folder / DATABASE) as path:
                save_file(self.database, path)


def search_videos(tasks: Sequence[Task], context: EvaluationContext) -> Search:
    """Build the search of tasks of videos."""
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
    """The rank, from 1, of the correct video of each query among the videos of all tasks.

    Args:
        queries (`Mapping[str, np.ndarray]`): Embeddings `[N, d]` of the captions of each task.
        items (`Mapping[str, np.ndarray]`): Embeddings `[V, d]` of the videos of each task; all of them are searched.
        videos (`Mapping[str, Videos]`): The videos and captions of each task.

    Returns:
        `dict[str, np.ndarray]`: Ranks `[N]` of the queries of each task.
    """
    numbers: dict[str, int] = {}
    groups = {task: np.array([numbers.setdefault(n, len(numbers)) for n in videos[task].names]) for task in items}
    database, group_of_item = np.concatenate(list(items.values())), np.concatenate(list(groups.values()))
    return {
        task: ranks_of_embeddings(texts, database, groups[task][videos[task].video_of_text], group_of_item)
        for task, texts in queries.items()
    }
