"""How a value crosses to another process: by the arguments that make it anew, for a read-only mapping cannot cross."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeVar


class DataclassInstance(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=DataclassInstance)


def reduced(value: T) -> tuple[Callable[[], T], tuple[()]]:
    """What ``__reduce__`` of a dataclass answers: a call that makes the value, its checks included."""
    arguments = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    plain = {
        name: dict(argument) if isinstance(argument, MappingProxyType) else argument
        for name, argument in arguments.items()
    }
    return partial(type(value), **plain), ()
