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


#: By identity: an object that many documents hold, and its own document. It is kept, so that no other
#: object can have its identity.
_shared: dict[int, tuple[Any, msgspec.Raw]] = {}
_REMEMBERED = 20_000


def encode(value: Any, *, without: frozenset[str] = frozenset(), shared: frozenset[str] = frozenset()) -> str:
    """The document; ``without`` names fields that are kept elsewhere, ``shared`` those that hold the very
    same unchangeable object in many values: it is written once and met again."""
    made = _stated(value)
    for name in without:
        made.pop(name, None)
    for name, held in made.items():
        if type(held) not in _SIMPLE:
            made[name] = _again(held) if name in shared else _reduced(held)
    return _encoder.encode(made).decode()


def _again(held: Any) -> msgspec.Raw:
    """The document of a part that other values have, too."""
    known = _shared.get(id(held))
    if known is None:
        if len(_shared) > _REMEMBERED:
            _shared.clear()
        known = _shared[id(held)] = held, msgspec.Raw(_encoder.encode(_reduced(held)))
    return known[1]


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


def _reduced(value: Any) -> Any:
    kind = type(value)
    if (_shapes[kind] if kind in _shapes else _shape(kind)) is None:
        return [_reduced(one) for one in value] if kind is tuple else value
    made = _stated(value)
    for name, held in made.items():
        if type(held) not in _SIMPLE:
            made[name] = _reduced(held)
    return made


def _stated(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not left at their defaults."""
    kind = type(value)
    shape = _shapes[kind] if kind in _shapes else _shape(kind)
    assert shape is not None  # noqa: S101 - documents are dataclasses
    names, values, defaults = shape
    return {
        name: held
        for name, held, default in zip(names, values(value), defaults, strict=True)
        if held is not default and held != default
    }


_SIMPLE = frozenset({str, int, bool, date, datetime, Decimal, type(None)})
