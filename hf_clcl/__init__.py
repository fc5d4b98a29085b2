"""Keep teaching CLIP: continual learning of vision-language models on the Hugging Face stack."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Names are imported when they are first used, so that `import hf_clcl` costs nothing and needs no torch.
_HOMES = {
    "AccuracyMatrix": "evaluation.matrix",
    "ContinualTrainer": "trainer",
    "ContinualTrainingArguments": "arguments",
    "LoRA": "recipe",
    "METHODS": "methods",
    "Method": "methods",
    "Recipe": "recipe",
    "RunRecord": "record",
    "Task": "data.task",
    "UserError": "errors",
    "create_method": "methods",
    "read_recipe": "recipe",
    "run_stream": "run",
}
__all__ = [
    "METHODS",
    "AccuracyMatrix",
    "ContinualTrainer",
    "ContinualTrainingArguments",
    "LoRA",
    "Method",
    "Recipe",
    "RunRecord",
    "Task",
    "UserError",
    "create_method",
    "read_recipe",
    "run_stream",
]

if TYPE_CHECKING:
    from .arguments import ContinualTrainingArguments
    from .data.task import Task
    from .errors import UserError
    from .evaluation.matrix import AccuracyMatrix
    from .methods import METHODS, Method, create_method
    from .recipe import LoRA, Recipe, read_recipe
    from .record import RunRecord
    from .run import run_stream
    from .trainer import ContinualTrainer


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
