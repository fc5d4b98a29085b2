"""Plain values, as YAML, JSON and the command line give them, as checked objects of dataclasses; by pydantic."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from os import PathLike
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from annotated_types import MinLen
from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from .values import describe, nearest

NEEDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a block of values",
         list: "a list"}  # fmt: skip
# What pydantic calls an error, and our sentence for it.
SENTENCES = {
    "missing": "is missing",
    "too_short": "is empty; give a name",
    "greater_than": "must be above {gt}, found {found}",
    "greater_than_equal": "must be at least {ge}, found {found}",
    "less_than": "must be below {lt}, found {found}",
    "less_than_equal": "must be at most {le:,}, found {found}",
    "literal_error": "needs one of {expected}, found {found}",
    "finite_number": f"needs {NEEDS[float]}, found {{found}}",
    "string_type": f"needs {NEEDS[str]}, found {{found}}",
    **{f"{hint.__name__}_type": f"needs {needed}, found {{found}}" for hint, needed in NEEDS.items()},
}
STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)

_typed_dict: Any = TypedDict  # a type checker knows no types whose names and keys are computed
_generic: dict[Any, Any] = {list: list, dict: dict}

# Of a class; working them out takes longer than all checks.
type_hints = functools.cache(functools.partial(typing.get_type_hints, include_extras=True))


def build(cls: Any, values: Any, where: str, problems: list[str], training: Any = None) -> Any:
    """An object of a dataclass from plain values; `None` and at least one problem where they cannot be used.

    Args:
        cls (`type`): The dataclass. Fields with a dataclass as their type are built from blocks of values.
        values (`Any`): A mapping from field names to values, as YAML gives them.
        where (`str`): The text before each problem, such as `"tasks: mnist: "`.
        problems (`list[str]`): Problems are added here, also those that `problems()` of a new object returns.
        training (`type[ContinualTrainingArguments]`, *optional*):
            Its fields go into the field `training` of classes that have one.
    """
    values = dict(values) if isinstance(values, Mapping) else values
    try:
        return _adapter(cls, training).validate_python(values)
    except ValidationError as error:
        problems += [f"{where}{line}" for line in _lines(error, values)]
        return None


def json_problems(cls: Any, values: Any) -> list[str]:
    """Where JSON values are not of the types that a dataclass or a `TypedDict` declares. Further keys are allowed."""
    try:
        _json_adapter(cls).validate_python(values, strict=True)
    except ValidationError as error:
        return _lines(error, values, json=True)
    return []


def between(low: float, high: float) -> AfterValidator:
    """The annotation of a number that must be at least `low` and at most `high`."""

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            raise _error(f"must lie between {low} and {high}, found {value}")
        return value

    return AfterValidator(check)


@functools.cache
def _adapter(cls: Any, training: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_block(cls, training))


@functools.cache
def _json_adapter(cls: Any) -> TypeAdapter[Any]:
    if not hasattr(cls, "__dataclass_fields__"):
        return TypeAdapter(cls)
    keys = {field.name: _key(field, type_hints(cls)[field.name]) for field in dataclasses.fields(cls)}
    return TypeAdapter(_typed_dict(cls.__name__, keys))


@functools.cache
def _block(cls: Any, training: Any) -> Any:
    """The type of a block of values that becomes an object of a dataclass."""
    own = _keys(cls, training)
    beside = _keys(training, None) if training is not None and "training" in type_hints(cls) else {}
    block = _typed(cls, {**own, **({"training": _training(training)} if beside else {})})

    def construct(values: Any, check: Callable[[Any], dict[str, Any]]) -> Any:
        found, built = [], None
        if isinstance(values, dict):
            known = [*own, *beside]
            found = [_detail(f"no such key{nearest(str(key), known)}", key) for key in values if key not in known]
            further = {key: value for key, value in values.items() if key in beside}
            values = {key: value for key, value in values.items() if key in own}
            values |= {"training": further} if beside else {}
        try:
            checked = check(values)
            if not found:
                built = cls(**checked)
                found = [_detail(problem) for problem in getattr(built, "problems", list)()]
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                place = problem["loc"][1:] if problem["loc"][:1] == ("training",) else problem["loc"]
                found.append(_detail(_sentence(problem), *place))
        except ValueError as error:
            found = [_detail(" ".join(str(error).split()))]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return built

    return Annotated[block, WrapValidator(construct)]


@functools.cache
def _training(cls: Any) -> Any:
    return _typed(cls, _keys(cls, None))


def _typed(cls: Any, keys: dict[str, Any]) -> Any:
    block = _typed_dict(cls.__name__, keys)
    block.__pydantic_config__ = STRICT
    return block


def _keys(cls: Any, training: Any) -> dict[str, Any]:
    """The keys of a block of values, and what pydantic should accept for each."""
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name != "training"]
    bounds, hints = getattr(cls, "BOUNDS", {}), {**type_hints(cls), **getattr(cls, "CHOICES", {})}
    accepted = {f.name: _accepted(hints[f.name], training) for f in fields}
    return {f.name: _key(f, Annotated[accepted[f.name], bounds.get(f.name)]) for f in fields}


def _key(field: dataclasses.Field[Any], hint: Any) -> Any:
    """The type of a key; one without a default has to be there, and a text not to be empty."""
    optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    if optional and not field.metadata.get("required"):
        return NotRequired[hint]
    return Required[Annotated[hint, MinLen(1)] if field.type == "str" else hint]


def _accepted(hint: Any, training: Any) -> Any:
    """What pydantic should accept for a type. Its lax mode takes `true` as a number; its strict mode refuses text such
    as `1e-4`, which YAML does not read as a number, and a number as a name."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return _block(hint, training)
    if origin is Annotated:
        return Annotated[_accepted(arguments[0], training), arguments[1]]
    if origin in (list, dict):
        return _generic[origin][tuple(_accepted(argument, training) for argument in arguments)]
    if origin in (Union, UnionType):
        choices = [choice for choice in arguments if choice is not NoneType]
        choices = [choice for choice in choices if _is_enum(choice)] or choices
        accepted: Any = Union[tuple(_accepted(choice, training) for choice in choices)]  # noqa: UP007
        if len(choices) > 1:
            accepted = Annotated[accepted, WrapValidator(_one_sentence(choices))]
        return accepted | None if NoneType in arguments else accepted
    if _is_enum(hint):
        return Literal[tuple(member.value for member in hint)]
    return Annotated[hint, BeforeValidator(CONVERTED[hint])] if hint in CONVERTED else hint


def _one_sentence(choices: list[Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """One error where no member of a union fits, instead of one for each member."""

    def check(value: Any, members: Callable[[Any], Any]) -> Any:
        try:
            return members(value)
        except ValidationError:
            needed = " or ".join(NEEDS.get(get_origin(choice) or choice, str(choice)) for choice in choices)
            raise _error(f"needs {needed}, found {describe(value)}") from None

    return check


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _real(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _whole(value: Any) -> Any:
    number = _real(value)
    return int(number) if isinstance(number, float) and number.is_integer() else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float, date, PathLike)) and not isinstance(value, bool) else value


CONVERTED = {int: _whole, float: _real, str: _text}


def _error(sentence: Any) -> PydanticCustomError:
    return PydanticCustomError("sentence", sentence)


def _detail(sentence: str, *place: Any) -> Any:
    loc = tuple(key if isinstance(key, (int, str)) else str(key) for key in place)
    return {"type": _error(sentence), "loc": loc, "input": None}


def _lines(error: ValidationError, values: Any, json: bool = False) -> list[str]:
    """Pydantic's errors in our words, `place: sentence`, a line each. In a recipe, an entry of a list has its name."""
    lines = []
    for problem in error.errors(include_url=False):
        words: list[str] = []
        inner = values
        for key in problem["loc"]:
            if not (isinstance(inner, list) and isinstance(key, int)):
                inner = inner.get(key) if isinstance(inner, Mapping) else None
                words.append(str(key))
                continue
            inner = inner[key]
            name = inner.get("name") if isinstance(inner, Mapping) else None
            if json:
                words[-1] += f"[{key}]"
            else:
                words.append(str(name or f"entry {key + 1}"))
        line = ": ".join([*words, _sentence(problem)])
        lines.append(line.replace(NEEDS[dict], "an object") if json else line)
    return lines


def _sentence(problem: Any) -> str:
    if problem["type"] not in SENTENCES:
        return problem["msg"]
    context: dict[str, Any] = dict(problem.get("ctx", {}))
    for key, bound in context.items():
        context[key] = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
    if "expected" in context:  # it is written as 'a', 'b' or 'c'
        context["expected"] = context["expected"].replace("'", "").replace(" or ", ", ")
    return SENTENCES[problem["type"]].format(**context, found=describe(problem["input"]))
