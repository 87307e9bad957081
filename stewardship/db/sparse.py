"""Documents of millions: a dataclass as canonical JSON without what it leaves at its defaults.

A report of a dispensing has forty fields, and most rows use twenty of them. ``decode`` is the way back; a
field that gets a default later reads old documents too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder()
_Shape = tuple[tuple[str, Any], ...] | None
#: By class, the name and the default of each field; ``None`` for what is no dataclass.
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
    """The fields of a dataclass; nothing for any other type."""
    shape: _Shape = None
    if is_dataclass(kind):
        shape = tuple(
            (f.name, f.default if f.default_factory is MISSING else f.default_factory()) for f in fields(kind)
        )
    _shapes[kind] = shape
    return shape


def _reduced(value: Any, without: frozenset[str] = frozenset()) -> Any:
    kind = type(value)
    shape = _shapes[kind] if kind in _shapes else _shape(kind)
    if shape is None:
        return [_reduced(one) for one in value] if kind is tuple else value
    made: dict[str, Any] = {}
    for name, default in shape:
        held = getattr(value, name)
        if held is default or name in without:
            continue
        if type(held) in _SIMPLE:
            if held != default:
                made[name] = held
        elif held != default:
            made[name] = _reduced(held)
    return made


_SIMPLE = frozenset({str, int, bool, date, datetime, Decimal, type(None)})
