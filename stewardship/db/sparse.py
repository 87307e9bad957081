"""Documents of millions: a dataclass as canonical JSON without what it leaves at its defaults.

A report of a dispensing has forty fields, and most rows use twenty of them. ``decode`` is the way back; a
field that gets a default later reads old documents too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder()
_Shape = tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[Any, ...]] | None
#: By class: the names of its fields, what reads them all at once, their defaults; ``None`` for no dataclass.
_shapes: dict[type, _Shape] = {}


def encode(value: Any, *, without: frozenset[str] = frozenset()) -> str:
    """The document; ``without`` names fields that are kept elsewhere."""
    return _encoder.encode(_reduced(value, without)).decode()


def decode(document: str, kind: type[T], **kept_elsewhere: Any) -> T:
    """The object; ``kept_elsewhere`` are the fields that were left out, as objects."""
    return restored(_decoder.decode(document), kind, **kept_elsewhere)


def plain(document: str) -> dict[str, Any]:
    """The document as plain JSON."""
    read: dict[str, Any] = _decoder.decode(document)
    return read


def restored(plain: Mapping[str, Any], kind: type[T], **kept_elsewhere: Any) -> T:
    """The object of a document that was read as plain JSON already."""
    convert: Callable[..., T] = msgspec.convert
    if not kept_elsewhere:
        return convert(plain, kind)
    return convert({**plain, **{k: msgspec.to_builtins(v) for k, v in kept_elsewhere.items()}}, kind)


def _shape(kind: type) -> _Shape:
    """How the fields of a dataclass are read; nothing for any other type."""
    shape: _Shape = None
    if is_dataclass(kind):
        names = tuple(f.name for f in fields(kind))
        # A getter of one name gives no tuple.
        values = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
        defaults = tuple(
            f.default if f.default_factory is MISSING else f.default_factory() for f in fields(kind)
        )
        shape = names, values, defaults
    _shapes[kind] = shape
    return shape


def _reduced(value: Any, without: frozenset[str] = frozenset()) -> Any:
    kind = type(value)
    shape = _shapes[kind] if kind in _shapes else _shape(kind)
    if shape is None:
        return [_reduced(one) for one in value] if kind is tuple else value
    names, values, defaults = shape
    made: dict[str, Any] = {}
    for name, held, default in zip(names, values(value), defaults, strict=True):
        if held is default or name in without:
            continue
        if type(held) in _SIMPLE:
            if held != default:
                made[name] = held
        elif held != default:
            made[name] = _reduced(held)
    return made


_SIMPLE = frozenset({str, int, bool, date, datetime, Decimal, type(None)})
