"""Build dataclasses from plain values of YAML, JSON and the command line, checked by pydantic."""

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

EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a block of values",
            list: "a list"}  # fmt: skip
# Error types of pydantic, and our messages for them.
MESSAGES = {
    "missing": "is missing",
    "too_short": "is empty; give a name",
    "greater_than": "must be above {gt}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than": "must be below {lt}, got {got}",
    "less_than_equal": "must be at most {le:,}, got {got}",
    "literal_error": "must be one of {expected}, got {got}",
    "finite_number": f"must be {EXPECTED[float]}, got {{got}}",
    "string_type": f"must be {EXPECTED[str]}, got {{got}}",
    **{f"{hint.__name__}_type": f"must be {needed}, got {{got}}" for hint, needed in EXPECTED.items()},
}
STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)

_typed_dict: Any = TypedDict  # a type checker cannot read types with computed names and keys
_generic: dict[Any, Any] = {list: list, dict: dict}

# Cached for each class, since resolving type hints takes longer than all checks.
type_hints = functools.cache(functools.partial(typing.get_type_hints, include_extras=True))


def build(cls: Any, values: Any, where: str, problems: list[str], training: Any = None) -> Any:
    """Build a dataclass from plain values; returns `None` and adds at least one problem if they are not valid.

    Args:
        cls (`type`): The dataclass. Fields with a dataclass as their type are built from blocks of values.
        values (`Any`): A mapping from field names to values, as read from YAML.
        where (`str`): The text before each problem, such as `"tasks: mnist: "`.
        problems (`list[str]`): Problems are added here, including those that `problems()` of the new object returns.
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
    """Problems of JSON values whose types are not those of a dataclass or `TypedDict`. Further keys are allowed."""
    try:
        _json_adapter(cls).validate_python(values, strict=True)
    except ValidationError as error:
        return _lines(error, values, json=True)
    return []


def between(low: float, high: float) -> AfterValidator:
    """The annotation of a number that must be at least `low` and at most `high`."""

    def check(value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            raise _error(f"must be between {low} and {high}, got {value}")
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
    """The pydantic type of a block of values that becomes a dataclass."""
    own = _keys(cls, training)
    beside = _keys(training, None) if training is not None and "training" in type_hints(cls) else {}
    block = _typed(cls, {**own, **({"training": _training(training)} if beside else {})})

    def construct(values: Any, check: Callable[[Any], dict[str, Any]]) -> Any:
        details, built = [], None
        if isinstance(values, dict):
            known = [*own, *beside]
            details = [_detail(f"no such key{nearest(str(key), known)}", key) for key in values if key not in known]
            further = {key: value for key, value in values.items() if key in beside}
            values = {key: value for key, value in values.items() if key in own}
            values |= {"training": further} if beside else {}
        try:
            checked = check(values)
            if not details:
                built = cls(**checked)
                details = [_detail(problem) for problem in getattr(built, "problems", list)()]
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                place = problem["loc"][1:] if problem["loc"][:1] == ("training",) else problem["loc"]
                details.append(_detail(_message(problem), *place))
        except ValueError as error:
            details = [_detail(" ".join(str(error).split()))]
        if details:
            raise ValidationError.from_exception_data(cls.__name__, details)
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
    """The keys of a block of values with the pydantic type of each."""
    fields = [field for field in dataclasses.fields(cls) if field.init and field.name != "training"]
    bounds, hints = getattr(cls, "BOUNDS", {}), {**type_hints(cls), **getattr(cls, "CHOICES", {})}
    accepted = {f.name: _accepted(hints[f.name], training) for f in fields}
    return {f.name: _key(f, Annotated[accepted[f.name], bounds.get(f.name)]) for f in fields}


def _key(field: dataclasses.Field[Any], hint: Any) -> Any:
    """The type of a key: required if it has no default, and then a text must not be empty."""
    optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    if optional and not field.metadata.get("required"):
        return NotRequired[hint]
    return Required[Annotated[hint, MinLen(1)] if field.type == "str" else hint]


def _accepted(hint: Any, training: Any) -> Any:
    """The type that pydantic accepts for a type hint.

    Its lax mode accepts `true` as a number. Its strict mode rejects text such as `1e-4`, which YAML does not read as a
    number, and a number as a name.
    """
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
            accepted = Annotated[accepted, WrapValidator(_one_error(choices))]
        return accepted | None if NoneType in arguments else accepted
    if _is_enum(hint):
        return Literal[tuple(member.value for member in hint)]
    return Annotated[hint, BeforeValidator(CONVERTED[hint])] if hint in CONVERTED else hint


def _one_error(choices: list[Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """A validator that reports one error if no member of a union fits, instead of one for each member."""

    def check(value: Any, members: Callable[[Any], Any]) -> Any:
        try:
            return members(value)
        except ValidationError:
            needed = " or ".join(EXPECTED.get(get_origin(choice) or choice, str(choice)) for choice in choices)
            raise _error(f"must be {needed}, got {describe(value)}") from None

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


def _error(message: Any) -> PydanticCustomError:
    return PydanticCustomError("problem", message)


def _detail(message: str, *place: Any) -> Any:
    loc = tuple(key if isinstance(key, (int, str)) else str(key) for key in place)
    return {"type": _error(message), "loc": loc, "input": None}


def _lines(error: ValidationError, values: Any, json: bool = False) -> list[str]:
    """The errors of pydantic as lines `place: message`. In a recipe, an entry of a list is shown by its name."""
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
        line = ": ".join([*words, _message(problem)])
        lines.append(line.replace(EXPECTED[dict], "an object") if json else line)
    return lines


def _message(problem: Any) -> str:
    if problem["type"] not in MESSAGES:
        return problem["msg"]
    context: dict[str, Any] = dict(problem.get("ctx", {}))
    for key, bound in context.items():
        context[key] = int(bound) if isinstance(bound, float) and bound.is_integer() else bound
    if "expected" in context:  # pydantic writes 'a', 'b' or 'c'
        context["expected"] = context["expected"].replace("'", "").replace(" or ", ", ")
    return MESSAGES[problem["type"]].format(**context, got=describe(problem["input"]))
