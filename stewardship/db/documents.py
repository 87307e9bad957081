"""Canonical JSON: the one way in which documents are written, hashed and read again.

Keys are sorted, sets are sorted, nothing is spaced, decimals are strings in typed documents (orders,
charts) and JSON numbers in documents that are shown (findings). The same object always makes the same
text, on both databases and in any process, so that its hash can be checked years later.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_typed = msgspec.json.Encoder(order="deterministic")
_shown = msgspec.json.Encoder(order="deterministic", decimal_format="number")
_plain = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: object) -> str:
    """A document that is read again as the type that it was made of."""
    return _typed.encode(value).decode()


def encode_shown(value: object) -> str:
    """A document that is read as plain JSON: decimals are JSON numbers, digit for digit."""
    return _shown.encode(value).decode()


def joined(*objects: str) -> msgspec.Raw:
    """One JSON object of the members of several, to be written into a larger answer as it stands.

    Each is an object as ``encode`` and ``encode_shown`` write it, none is empty, no name is in two of them.
    """
    return msgspec.Raw(f"{{{','.join([text[1:-1] for text in objects])}}}".encode())


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def decode(document: str, kind: type[T]) -> T:
    """The object that ``encode`` was given."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    made: T = decoder.decode(document)
    return made


def decode_shown(document: str) -> Any:
    """Plain dicts and lists; numbers with a point or an exponent are decimals."""
    return _plain.decode(document)


def digest(*documents: str | None) -> str:
    """SHA-256 over several documents, each preceded by its length, so that none can lend text to the next."""
    whole = "".join("-:" if document is None else f"{len(document)}:{document}" for document in documents)
    return sha256(whole.encode()).hexdigest()
