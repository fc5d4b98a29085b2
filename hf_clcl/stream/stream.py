"""`Stream`: train, save, evaluate and record a stream of tasks, and resume a stopped run."""

from __future__ import annotations

import dataclasses
import gc
import logging
import shutil
from contextlib import AbstractContextManager, closing, nullcontext
from functools import cached_property
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.integrations import get_reporting_integration_callbacks

from ..data.task import Task
from ..data.task_data import TaskData
from ..data.texts.tokens import tokenize
from ..hub import HubPusher, pull_run
from ..hub.client import token_from
from ..models.tuning import Adapter, adapter_size
from ..models.weights import choose_trainable, parameter_counts
from ..record.run_record import RunRecord
from ..training.checkpoints import METHOD_STATE, check_finished, last_intact_checkpoint, save_state
from ..training.interruption import Interruption
from ..training.trackers import KeepOpen
from ..training.trainer import ContinualTrainer, StreamPlace
from ..utils.errors import RecipeError
from ..utils.files import whole_folder
from ..utils.phases import measured
from ..utils.required import required
from .checks import check_stream
from .description import fingerprints, logged_losses, new_record, recipe_of_objects
from .faults import check_room, explain_disk_errors, explain_out_of_memory
from .output import PLOT_SECONDS, OutputFolder, check_same_data
from .session import Session
from .spec import StreamSpec

logger = logging.getLogger(__name__)


class Stream:
    """One run with its output folder; see [`run_stream`].

    Args:
        spec (`StreamSpec`): The inputs of the run.
    """

    def __init__(self, spec: StreamSpec):
        self.spec = spec
        self.tasks, self.method, self.args, self.peft = spec.tasks, spec.method, spec.args, spec.peft
        self.recipe = spec.recipe or recipe_of_objects(spec)
        self.output = OutputFolder(spec.folder, self.args.should_save, 0.0 if self.args.push_to_hub else PLOT_SECONDS)
        check_stream(spec)

    def run(self) -> RunRecord:
        """Run the remaining part of the stream, and push finished tasks to the Hub."""
        with Interruption() as self.interruption, explain_disk_errors(self.output.path), closing(self.output):
            self.output.claim()
            self._open_output()
            return self._run_and_push()

    def _run_and_push(self) -> RunRecord:
        pushes = self.args.push_to_hub and self.args.process_index == 0
        with HubPusher(self.output.path, self.record, self.args) if pushes else nullcontext() as self.hub:
            return self._run()

    def _run(self) -> RunRecord:
        if self.record.finished:
            logger.warning("%s holds this run, which is finished: nothing to do", self.output.path)
            self._push()
            return self.record
        self._prepare()
        model = self._start_model()
        if self.record.zero_shot is None:
            self._evaluate(model, None)
        for index in range(len(self.record.accuracy), len(self.tasks)):
            self._push()
            model = self._run_task(model, index)
        self._close_reporters(model)
        self.record.finished = True
        self.output.forget_cache()
        self.output.write(self.record)
        self._push()
        return self.record

    def _push(self) -> None:
        if self.hub is not None:
            self.hub.push(self.record)

    # Before training

    def _open_output(self) -> None:
        """Read the record in the output folder, or start a new one."""
        if self.args.resume_from_hub:
            with self.args.main_process_first(desc="fetching the run"):
                if self.args.process_index == 0:
                    pull_run(self.args.resume_from_hub, self.output.path, token=token_from(self.args.hub_token_env))
        record, now = self.output.open(self.recipe), fingerprints(self.spec)
        if record is None:
            record = new_record(self.spec, self.recipe)
        else:
            check_same_data(record, now, self.output.path)
            if self.method.trains:
                record = self.output.drop_missing_tasks(record, self._task_folder)
        self.record = record
        self.record.fingerprints = {**now, **self.record.fingerprints}

    def _prepare(self) -> None:
        args = self.args
        # This comes before the accelerator is created, since the values of a task reset its shared state.
        task_args = [args.of_task(task.training, self.output.path) for task in self.tasks]
        rows = [len(required(task.train, f"training data of {task.name}")) for task in self.tasks]
        self.steps = [values.steps_for(count) for values, count in zip(task_args, rows, strict=True)]
        self.session = Session(self.spec, self.record, self._folder_of)
        self.reporters = [KeepOpen(cls()) for cls in get_reporting_integration_callbacks(args.report_to)]
        self.warned: set[str] = set()
        self.trainer: ContinualTrainer | None = None
        self.reference_frames = self.session.reference_frames()

    def _start_model(self) -> PreTrainedModel:
        """The model that the next task starts from, on its device."""
        done = len(self.record.accuracy)
        if done and self.method.trains:
            folder = self._task_folder(done - 1)
            logger.warning("%d of %d tasks are finished; resuming from %s", done, len(self.tasks), folder)
            model = self._finished_model(folder)
        else:
            model = self.session.base_model()
        model = self.session.to_device(model)
        if problems := self.method.model_problems(model):
            raise RecipeError(problems, "the method")
        choose_trainable(model, self.args.trainable, self.args.train_logit_scale)
        self.record.trainable_parameters, self.record.total_parameters = parameter_counts(model)
        if not self.method.trains:
            self.record.trainable_parameters = 0
        if self.peft is not None:
            self.record.trainable_parameters = adapter_size(model, self.peft)
        if self.method.trains and self.args.should_save:
            remaining = [sum(self.steps)] if self.method.trains_jointly and not done else self.steps[done:]
            check_room(self.output.path, self.args, self.record, remaining)
        return model

    def _finished_model(self, folder: Path) -> PreTrainedModel:
        """Load the model of a finished task, and the state of the method after it."""
        check_finished(folder, self.method.remembers, self.args.hub_model_id)
        if (folder / METHOD_STATE).exists():
            self.method.load_state_dict(load_file(folder / METHOD_STATE))
        return self.session.load(folder)

    # Training

    def _run_task(self, model: PreTrainedModel, index: int) -> PreTrainedModel:
        """Train one task unless its folder already exists, save it, and evaluate."""
        task, folder = self.tasks[index], self._task_folder(index)
        if self.method.trains_jointly and index:
            pass  # the first training was on all tasks
        elif self.method.trains and folder.exists():
            logger.warning("%s is trained; only its evaluation is missing", folder.name)
            self._delete_checkpoints()
            model = nn.Module.to(self._finished_model(folder), self.args.device)
        elif self.method.trains:
            with self.interruption.saving_first(), self._explain_out_of_memory(f"training on {task.name}"):
                model = self._train(model, index)
        self._evaluate(model, task)
        return model

    def _train(self, model: PreTrainedModel, index: int) -> PreTrainedModel:
        task = self.tasks[index]
        scratch = self.output.scratch(index, task.name)
        args = self.args.of_task(task.training, scratch)
        if self.method.trains_jointly:
            asked = sum(self.steps) - sum(self.args.of_task(t.training, scratch).closing_steps for t in self.tasks)
            args = dataclasses.replace(
                self.args, max_steps=asked, output_dir=str(scratch), report_to="none", push_to_hub=False
            )
        self.trainer = None
        self.record.drop_training(task.name)  # left by a process that was killed before it saved the task
        gc.collect()
        adapter = Adapter(model, self.peft, self.args.seed) if self.peft else None
        with measured(self.record.phases, "training", task.name) as phase:
            self.trainer = trainer = ContinualTrainer(
                model,
                args,
                method=self.method,
                train_dataset=self._data_of_all(args.min_crop_scale) if self.method.trains_jointly else task,
                processing_class=self.session.processor,
                reference_images=self.reference_frames,
                reference_texts=self._reference_input_ids,
                stream=StreamPlace(
                    index, sum(self.steps[:index]), self.session.cache, self.session.base_model, self.warned
                ),
                callbacks=[
                    self.interruption,
                    *self.reporters,
                    *(self.hub.callbacks() if self.hub is not None else []),
                ],
            )
            with self.args.main_process_first(desc="looking for a checkpoint"):
                checkpoint = last_intact_checkpoint(scratch)
            if checkpoint:
                logger.warning("%s: resuming from %s", task.name, checkpoint.name)
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            model = self.session.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
            if adapter is not None:
                model = adapter.merge()
            phase["seconds"] = trainer.seconds
        self.record.losses += logged_losses(trainer.state.log_history, task.name, trainer.step_offset)
        if trainer.finite.skipped:
            self.record.skipped_steps[task.name] = trainer.finite.skipped
        self.record.weight_change[task.name] = required(trainer.weight_change, "weight_change of a trained task")
        self._save(model, index, adapter)
        self._delete_checkpoints()
        return model

    def _explain_out_of_memory(self, phase: str) -> AbstractContextManager[None]:
        return explain_out_of_memory(phase, self.args, self.peft is not None)

    def _delete_checkpoints(self) -> None:
        """Delete the checkpoints within a task after it is finished."""
        if self.args.should_save:
            shutil.rmtree(self.output.checkpoints, ignore_errors=True)

    @cached_property
    def _reference_input_ids(self) -> Tensor | None:
        texts = self.spec.reference_texts
        return None if texts is None else tokenize(self.session.processor.tokenizer, texts)

    def _data_of_all(self, min_crop_scale: float) -> TaskData:
        """The training data of all tasks as one data set, for a method that trains on them jointly."""
        session = self.session
        data = [TaskData.of(task, session.processor, session.cache, min_crop_scale) for task in self.tasks]
        return TaskData.joined("all tasks", data)

    def _save(self, model: PreTrainedModel, index: int, adapter: Adapter | None) -> None:
        if self.args.should_save:
            with whole_folder(self._task_folder(index)) as folder:
                with measured(self.record.phases, "saving", self.tasks[index].name):
                    self._save_files(folder, model, index, adapter)
                # The folder marks the task as trained, so the record is written before the folder is complete.
                self.output.write_record(self.record)
        self.session.accelerator.wait_for_everyone()

    def _save_files(self, folder: Path, model: PreTrainedModel, index: int, adapter: Adapter | None) -> None:
        model.save_pretrained(folder)
        self.session.processor.save_pretrained(folder)
        if adapter is not None and self.peft is not None and self.peft.keep_adapters:
            adapter.save(folder / "adapter", self._task_folder(index - 1).name if index else self.spec.model_name)
        save_state(self.method.state_dict(), folder)

    def _task_folder(self, index: int) -> Path:
        if self.method.trains_jointly:
            index = len(self.tasks) - 1  # one model, trained on all tasks
        return self.output.task(index, self.tasks[index].name)

    def _folder_of(self, name: str) -> Path:
        return self._task_folder([task.name for task in self.tasks].index(name))

    # Evaluation and record

    def _evaluate(self, model: PreTrainedModel, task: Task | None) -> None:
        """Fill the row of the accuracy matrix after a task, or the zero-shot row."""
        # A model that has not changed gives the same row again.
        if task and (not self.method.trains or (self.method.trains_jointly and self.record.accuracy)):
            self.session.evaluation.repeat(model, task.name)
        else:
            phase = f"evaluation after {task.name}" if task else "evaluation before training"
            with self._explain_out_of_memory(phase):
                metrics = self.session.evaluation.measure(model, task.name if task else None)
            if self.trainer is not None:
                self.trainer.log(metrics)
        self.output.write(self.record)

    def _close_reporters(self, model: PreTrainedModel) -> None:
        if self.trainer is not None:
            for reporter in self.reporters:
                reporter.close(self.trainer, model)
