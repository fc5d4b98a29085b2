"""Every method on a tiny CLIP: what it adds to the loss, what it keeps, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from hf_clcl import METHODS, ContinualTrainer, ContinualTrainingArguments, Task, create_method, run_stream
from hf_clcl.data.images.frames import Frames
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.methods.fisher import diagonal_fisher
from hf_clcl.methods.vr_lwf import random_tokens
from hf_clcl.models.embedding import embed_images, embed_texts
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.training.trainer import StreamPlace
from hf_clcl.utils.errors import RecipeError, UserError

DISTILLATION = {"image_distillation_loss", "text_distillation_loss"}
TERMS = {
    "finetune": set(), "separate": set(),
    "l2": {"l2_loss"}, "ewc": {"ewc_loss"}, "weight_ensemble": set(), "wise_ft": set(),
    "imm": set(), "lwf": DISTILLATION, "vr_lwf": DISTILLATION, "lwf_vr": DISTILLATION, "geodl": {"geodesic_loss"},
    "rkd": {"distance_loss", "angle_loss"}, "icarl": DISTILLATION | {"replay_loss"}, "zscl_star": DISTILLATION,
    "zscl": DISTILLATION | {"l2_loss"},
}  # fmt: skip
SMALL = {"ewc": {"fisher_samples": 9}, "icarl": {"memory": 7}, "vr_lwf": {"number": 6}, "lwf_vr": {"number": 6}}


@pytest.fixture
def learn(tiny_clip, colours, tmp_path):
    """Teaches a model the second of two tasks, or more; returns the trainer of the last."""

    def run(method, options=None, tasks=2, model=None, **values):
        method = (
            create_method(method, {**SMALL.get(method, {}), **(options or {})}) if isinstance(method, str) else method
        )
        processor, model = load_processor(tiny_clip), model or load_model(tiny_clip)
        defaults = {
            "output_dir": str(tmp_path / "out"), "max_steps": 3, "learning_rate": 1e-3, "logging_steps": 1,
            "per_device_train_batch_size": 6, "save_strategy": "no", "disable_tqdm": True,
        }  # fmt: skip
        for index in range(tasks):
            trainer = ContinualTrainer(
                model,
                ContinualTrainingArguments(**{**defaults, **values}),
                method=method,
                train_dataset=Task(f"task{index}", train=colours(12, seed=index)),
                processing_class=processor,
                reference_images=Frames(colours(10, seed=9), "image", processor.image_processor),
                reference_texts=tokenize(processor.tokenizer, ["a red thing", "a blue thing", "grey"]),
                stream=StreamPlace(index, initial_model=lambda: load_model(tiny_clip).requires_grad_(False)),
            )
            trainer.train()
            model = trainer.model
        return trainer

    return run


def logged(trainer):
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def test_every_method_is_tested_here():
    assert METHODS.keys() - TERMS.keys() == {"zero_shot", "joint"}


@pytest.mark.parametrize("method", TERMS)
def test_the_losses_of_a_method(learn, method):
    """Each term is there, the terms add up, and the first step is where teacher, anchor and student agree."""
    steps = logged(learn(method))
    assert len(steps) == 3
    for entry in steps:
        terms = {name: value for name, value in entry.items() if name.endswith("_loss")}
        assert terms.keys() == TERMS[method] | {"task_loss"}
        assert entry["loss"] == pytest.approx(sum(terms.values()), abs=1e-3)
    for name in ("l2_loss", "ewc_loss", "geodesic_loss", "distance_loss", "angle_loss", "image_distillation_kl"):
        if name in steps[0] and not method.startswith("zscl"):
            assert steps[0][name] == pytest.approx(0, abs=1e-4)
        if name in steps[0]:
            assert steps[-1][name] > 0


@pytest.mark.parametrize("method", TERMS)
def test_every_method_has_its_paper(method):
    cls = METHODS[method]
    assert "Args:" in cls.__doc__ or method in ("finetune", "lwf_vr", "separate")
    assert cls.name == method and (cls.citation.startswith("@") or method in ("finetune", "separate"))


def test_switches_add_their_terms(learn):
    options = {"text_weight": 0.0, "feature_mse_weight": 2.0, "relational_weight": 1.0, "direction": "reverse"}
    entry = logged(learn("zscl", options, tasks=1))[-1]
    assert {"feature_loss", "relational_loss", "image_distillation_loss"} <= entry.keys()
    assert "text_distillation_loss" not in entry
    assert entry["image_distillation_loss"] == pytest.approx(entry["image_distillation_kl"], abs=1e-4)


@pytest.mark.parametrize(
    "averaging", ["mixed", "exponential", "towards_start", "towards_snapshot", "towards_pulled", "towards_zero_shot"]
)
def test_kinds_of_averaging_keep_the_model_nearer(learn, tiny_clip, averaging):
    start = load_model(tiny_clip).state_dict()

    def distance(trainer):
        return sum(float((tensor - start[name]).square().sum()) for name, tensor in trainer.model.state_dict().items())

    options = {"averaging_interval": 1, "averaging": averaging, "averaging_decay": 0.5}
    near, far = learn("weight_ensemble", options, tasks=1), learn("finetune", tasks=1)
    assert 0 < distance(near) < (1.01 if averaging in ("towards_snapshot", "towards_pulled") else 0.9) * distance(far)


# Teachers


def test_teachers(learn, tiny_clip, tmp_path):
    """The previous teacher agrees with the student when a task starts, the initial does not, the mixture partly."""
    kl = {}
    for teacher in ("initial", "previous", "wise"):
        kl[teacher] = logged(learn("zscl_star", {"teacher": teacher}))[0]["image_distillation_kl"]
    assert kl["previous"] == pytest.approx(0, abs=1e-4)
    assert kl["initial"] > kl["wise"] > kl["previous"] + 1e-6
    same = logged(learn("zscl_star", {"teacher": str(tiny_clip)}))[0]["image_distillation_kl"]
    assert same == pytest.approx(kl["initial"], abs=1e-4)


def test_a_teacher_of_another_shape_is_refused(learn, tiny_clip, tmp_path):
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig.from_pretrained(tiny_clip)
    config.vision_config.hidden_size = 16
    CLIPModel(config).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="must have the student's shape: .*class_embedding"):
        learn("zscl", {"teacher": str(tmp_path / "other")}, tasks=1)
    with pytest.raises(UserError, match="cannot be loaded"):
        learn("zscl", {"teacher": str(tmp_path / "nowhere")}, tasks=1)


def test_the_initial_teacher_is_asked_once_a_run(learn, monkeypatch):
    from hf_clcl.methods import guided

    asked = []
    original = guided.embed_all_images
    monkeypatch.setattr(guided, "embed_all_images", lambda *a, **k: asked.append(len(a[-1])) or original(*a, **k))
    trainer = learn("zscl", tasks=1)
    trainer.method.begin_task(trainer.model, trainer.context)
    assert asked == [10]  # ten reference images, eighteen draws
    asked.clear()
    learn("zscl", tasks=1, per_device_reference_batch_size=1)
    assert asked == [3]  # three draws: the other images are never looked at


def test_the_students_texts_learn_from_distillation_only_where_asked(learn):
    for student_texts in (False, True):
        for method in ("zscl_star", "lwf", "vr_lwf"):
            trainer = learn(method, {"student_texts": student_texts, "teacher": "initial"})
            trainer.method.begin_task(trainer.model, trainer.context)
            batch = {name: tensor for name, tensor in trainer.get_train_dataloader().dataset[0].items()}
            terms = trainer.method.losses(trainer.model, trainer._prepare_inputs(batch))
            trainer.model.zero_grad()
            terms["image_distillation_loss"].backward()
            gradient = trainer.model.text_projection.weight.grad
            assert (gradient is not None and bool(gradient.abs().sum() > 0)) == student_texts


# VR-LwF


def test_random_tokens_are_never_special(tiny_clip):
    import numpy as np

    tokenizer = load_processor(tiny_clip).tokenizer
    ids = random_tokens(tokenizer, 3000, 10, np.random.default_rng(0))
    assert ids.shape == (3000, 12)
    assert (ids[:, 0] == tokenizer.bos_token_id).all() and (ids[:, -1] == tokenizer.eos_token_id).all()
    inner = set(ids[:, 1:-1].flatten().tolist())
    assert not inner & set(tokenizer.all_special_ids) and inner | set(tokenizer.all_special_ids) == set(
        tokenizer.get_vocab().values()
    )
    with pytest.raises(UserError, match="the model has 24 tokens"):
        random_tokens(tokenizer, 1, 23, np.random.default_rng(0))


def test_vocabularies_and_when_they_are_drawn(learn, tmp_path):
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    seen = {}
    for redraw in ("once", "task", "step"):
        trainer = learn("vr_lwf", {"redraw": redraw}, tasks=1)
        method, context = trainer.method, trainer.context
        method.begin_task(trainer.model, context)
        context.seed = (42, 0)
        first = method.reference_texts(context)
        context.seed = (42, 1)
        seen[redraw] = torch.equal(first, method.reference_texts(context))
        if redraw == "step":
            method._step += 1
            assert not torch.equal(first, method.reference_texts(context))
            assert method._teacher is not None
    assert seen == {"once": True, "task": False, "step": False}
    options = {"vocabulary": "words", "word_list": str(tmp_path / "words.txt"), "number": 4, "length": 2}
    trainer = learn("vr_lwf", options, tasks=1)
    decoded = trainer.processing_class.tokenizer.batch_decode(
        trainer.method.reference_texts(trainer.context), skip_special_tokens=True
    )
    assert len(decoded) == 4 and {word for text in decoded for word in text.split()} <= {"red", "green", "blue"}
    captions = learn("vr_lwf", {"vocabulary": "captions", "number": 2}, tasks=1)
    assert len(captions.method.reference_texts(captions.context)) == 2


# iCaRL


@pytest.mark.parametrize("memory", [9, 10, 17])
def test_the_memory_is_never_over_budget(learn, memory):
    method = create_method("icarl", {"memory": memory})
    model, counts = None, []
    for tasks in (1, 2, 3):
        method = create_method("icarl", {"memory": memory})
        trainer = learn(method, tasks=tasks, model=model)
        kept = trainer.method.exemplars
        counts.append(len(kept))
        assert len(kept.prompts) == 3 * tasks and kept.groups.tolist() == [i // 3 for i in range(3 * tasks)]
        per_class = torch.bincount(kept.labels, minlength=3 * tasks)
        assert per_class.tolist() == [min(4, memory // (3 * tasks))] * (3 * tasks)
    assert max(counts) <= memory


def test_exemplars_are_the_images_of_their_class_nearest_to_its_mean(learn):
    trainer = learn("icarl", {"memory": 6}, tasks=1)
    kept, frames = trainer.method.exemplars, trainer.context.frames
    images = frames.evaluation_batch(range(12))
    with torch.no_grad():
        features = embed_images(trainer.model.eval(), trainer.normalize(images))
    for label in range(3):
        of_class = torch.tensor([row for row in range(12) if row % 3 == label])
        nearest = (features[of_class] - features[of_class].mean(0)).square().sum(-1).argmin()
        first = kept.images[kept.labels == label][0]
        assert torch.equal(first, images[of_class[nearest]])


def test_icarl_refuses_what_it_cannot_do(tiny_clip, colours, tmp_path):
    tasks = [Task(name, train=colours(6), test=colours(6)) for name in ("a", "b")]
    with pytest.raises(RecipeError, match="5 exemplars are fewer than the 6 classes .* at least 6"):
        run_stream(str(tiny_clip), tasks, "icarl", method_options={"memory": 5}, output_dir=str(tmp_path), max_steps=1)
    pairs = Task("pairs", train=colours(6).add_column("text", ["x"] * 6), caption_column="text")
    for method, message in (
        ("icarl", "pairs: icarl needs class labels"),
        ("joint", "pairs, b: joint trains on tasks of classes, of captions, or of videos .* not on several kinds"),
    ):
        with pytest.raises(RecipeError, match=message):
            run_stream(str(tiny_clip), [pairs, *tasks], method, output_dir=str(tmp_path), max_steps=1)
    assert not list(tmp_path.iterdir())


# EWC and the Fisher information


def test_fisher_information_against_its_definition(learn, colours):
    """One image many times, so that drawn labels come close to the expectation over all of them."""
    trainer = learn("finetune", tasks=1)
    model, context = trainer.model, trainer.context
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "visual_projection.weight")
    context.frames = Frames(colours(3).select([0] * 2000), "image", trainer.processing_class.image_processor)
    context.args.per_device_train_batch_size = 1  # so that it is the plain mean of squares
    found = diagonal_fisher(model, context, 400)["visual_projection.weight"]
    images = embed_images(model, context.normalize(context.frames.evaluation_batch([0])))
    texts = embed_texts(model, context.input_ids).detach()
    log_p = (model.logit_scale.exp() * images @ texts.T).log_softmax(-1)[0]
    expected = torch.zeros_like(found)
    for y in range(3):
        (gradient,) = torch.autograd.grad(log_p[y], model.visual_projection.weight, retain_graph=True)
        expected += log_p[y].exp().detach() * gradient.square()
    assert float((found - expected).norm() / expected.norm()) < 0.15
    context.args.per_device_train_batch_size = 8  # a batch's squared sum has the same expectation
    batched = diagonal_fisher(model, context, 2000)["visual_projection.weight"]
    assert float((batched - expected).norm() / expected.norm()) < 0.25


def test_ewc_holds_what_earlier_tasks_depend_on(learn):
    free, held = learn("ewc", {"ewc_weight": 0.0}), learn("ewc", {"ewc_weight": 1e6})

    def cost(trainer, other):
        return sum(
            float((trainer.method.fisher[name] * (p.detach() - other[name]).square()).sum())
            for name, p in trainer.model.named_parameters()
            if p.requires_grad
        )

    start = {name: p.detach() for name, p in learn("finetune", tasks=1).model.named_parameters()}
    assert cost(held, start) < 0.5 * cost(free, start)


# Bad input


@pytest.mark.parametrize(
    "method, options, message",
    [
        ("lwf", {"temperature": 0}, "temperature: must be above 0"),
        ("lwf", {"averaging": "sideways"}, "averaging: must be one of uniform, mixed"),
        ("lwf", {"direction": "up"}, "direction: must be one of forward, reverse"),
        ("wise_ft", {"wise_alpha": 1.5}, "wise_alpha: must be between 0 and 1"),
        ("rkd", {"angle_weight": -1}, "angle_weight: must not be negative"),
        ("rkd", {"temperature": 1}, "temperature: no such key"),
        ("imm", {"merge": "median"}, "merge: must be one of mean, mode"),
        ("icarl", {"memory": 0}, "memory: must be at least 1"),
        ("ewc", {"fisher_samples": 0}, "fisher_samples: must be at least 1"),
        ("geodl", {"subspace_dimensions": 0}, "subspace_dimensions: must be at least 1"),
        ("vr_lwf", {"number": 0}, "number: must be at least 1"),
        ("vr_lwf", {"vocabulary": "words"}, "needs a text file with one word per line"),
        ("vr_lwf", {"vocabulary": "words", "word_list": "/nowhere.txt"}, "there is no file /nowhere.txt"),
        ("vr_lwf", {"word_list": "/nowhere.txt"}, "needs vocabulary: words"),
        ("zscl", {"teacher_mixture": 2}, "teacher_mixture: must be between 0 and 1"),
    ],
)
def test_options_are_checked(method, options, message):
    with pytest.raises(RecipeError, match=message):
        create_method(method, options)
