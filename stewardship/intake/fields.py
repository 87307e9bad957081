"""The closed vocabulary of our own schemas: fields that take one form and refuse the rest.

A schema field that is generous is a guess: text for a number, a full-width digit, ``true`` for one,
a local time for an instant. Here each kind of value has exactly one spelling, and what is refused is
named by a code for programs and by words for the person who can fix it; the value itself is never
repeated, for it may be about a patient.

``read(schema, document)`` is how a document becomes what the schema makes of it; it raises
``InvalidInput`` whose faults point at the places.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake.strict_json import pointer_token

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)

#: Codes for what marshmallow's own fields (lists, nested objects) say.
_CODES = {
    "Missing data for required field.": "required",
    "Unknown field.": "unknown-field",
    "Field may not be null.": "null",
    "Not a valid list.": "not-a-list",
    "Invalid input type.": "not-an-object",
    "Invalid type.": "not-an-object",
}

#: What our own fields say, by the code that a program sees.
_WORDS: dict[str, str] = {
    "not-a-number": "Not a number; numbers are written without quotes.",
    "not-plain": "Not a plain number; write 0 without a sign.",
    "too-precise": "More than {places} digits after the point.",
    "not-whole": "Not a whole number; write it without quotes, point and exponent.",
    "not-a-flag": "Neither true nor false.",
    "not-a-day": "Not a day of the calendar; write it as 2026-11-21.",
    "not-an-instant": "Not a moment; write date, time and zone, as in 2026-11-21T12:00:00Z.",
    "not-text": "Not a text; write it in quotes.",
    "blank": "Nothing to read in it.",
    "hidden-characters": "Holds control characters or characters that change the direction of text.",
    "not-a-token": "Not an id or a code; use letters, digits and signs of ASCII, without spaces.",
    "not-a-choice": "Not one of: {choices}.",
}


class Said(str):
    """Words about a fault that carry its code."""

    code: str

    def __new__(cls, words: str, *, code: str) -> Said:
        """The words, with the code beside them."""
        said = super().__new__(cls, words)
        said.code = code
        return said


class _Coded(fields.Field[Any]):
    """A field whose every fault has a code: the key of its message, or ``validation_code``.

    ``within`` is the field's own bound; validators given besides still apply.
    """

    validation_code = "out-of-range"

    def __init__(self, *args: Any, within: validate.Validator | None = None, **kwargs: Any) -> None:
        if within is not None:
            others = kwargs.pop("validate", ())
            kwargs["validate"] = [within, *([others] if callable(others) else others)]
        super().__init__(*args, **kwargs)

    def make_error(self, key: str, **kwargs: Any) -> ValidationError:
        words = _WORDS[key] if key in _WORDS else str(self.error_messages[key])
        return ValidationError([Said(words.format(**kwargs), code=key)])

    def _validate(self, value: Any) -> None:
        try:
            super()._validate(value)
        except ValidationError as fault:
            raise ValidationError(
                [
                    words
                    if isinstance(words, Said)
                    else Said(str(words), code=_code(words, self.validation_code))
                    for words in fault.messages
                ]
            ) from None


class ExactDecimal(_Coded, fields.Decimal):
    """A JSON number, exactly as written: never text, never ``true``, never ``-0``.

    Both bounds must be given: an unbounded number is a fault waiting for its day. ``places`` bounds
    the digits after the point. In TOML the reader must be given ``parse_float=Decimal``.
    """

    def __init__(
        self, *, least: int | str, most: int | str, above: bool = False, places: int = 9, **kwargs: Any
    ) -> None:
        bounds = validate.Range(Decimal(least), Decimal(most), min_inclusive=not above)
        super().__init__(within=bounds, **kwargs)
        self.least = Decimal(least)
        self.above = above
        self.most_places = places

    def _validated(self, value: Any) -> Decimal:
        if type(value) is int:
            return Decimal(value)
        if type(value) is not Decimal or not value.is_finite():
            raise self.make_error("not-a-number")
        if value.is_signed() and not value:
            raise self.make_error("not-plain")
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > self.most_places:
            raise self.make_error("too-precise", places=self.most_places)
        return value


class WholeNumber(_Coded, fields.Integer):
    """A JSON number without point and exponent; ``least`` and ``most`` must be given."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(strict=True, within=validate.Range(least, most), **kwargs)

    def _validated(self, value: Any) -> int:
        if type(value) is not int:
            raise self.make_error("not-whole")
        return value


class Flag(_Coded, fields.Boolean):
    """``true`` or ``false``, never a word or a number that stands for one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("not-a-flag")
        return value


class Day(_Coded, fields.Date):
    """A calendar day, ``2026-11-21``, in ASCII digits; a TOML local date is taken as it is."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date:
        if type(value) is date:
            return value
        if isinstance(value, str) and _DAY.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        raise self.make_error("not-a-day")


class Instant(_Coded, fields.AwareDateTime):
    """A moment with its zone, ``2026-11-21T12:00:00Z``; answered in UTC. A local time is no moment."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            if isinstance(value, str) and _INSTANT.fullmatch(value):
                return datetime.fromisoformat(value).astimezone(UTC)
            if isinstance(value, datetime) and value.tzinfo is not None:
                return value.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise self.make_error("not-an-instant")


class Text(_Coded, fields.String):
    """Words for people: at most ``longest`` characters, something to see unless ``blank`` is allowed,
    and no characters that would hide, reorder or end the words around them."""

    validation_code = "too-long"

    def __init__(self, *, longest: int, blank: bool = True, **kwargs: Any) -> None:
        super().__init__(within=validate.Length(max=longest, min=None if blank else 1), **kwargs)
        self.blank = blank

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("not-text")
        kinds = {unicodedata.category(character) for character in value if character not in "\n\t\r"}
        if kinds & {"Cc", "Cs"} or _turns_text_around(value):
            raise self.make_error("hidden-characters")
        # Format characters (zero-width spaces and the like) and spaces are nothing to read.
        if not self.blank and not kinds - {"Cf", "Zs", "Zl", "Zp", "Cn"}:
            raise self.make_error("blank")
        return value


class Token(_Coded, fields.String):
    """An id or a code: visible ASCII without spaces, from 1 to ``longest`` characters."""

    validation_code = "too-long"

    def __init__(self, *, longest: int = 64, **kwargs: Any) -> None:
        super().__init__(within=validate.Length(min=1, max=longest), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            raise self.make_error("not-a-token")
        return value


class Choice(_Coded, fields.Enum):  # type: ignore[type-arg]
    """One of the words of a ``StrEnum``."""

    def __init__(self, choices: type[StrEnum], **kwargs: Any) -> None:
        super().__init__(choices, by_value=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            try:
                return self.enum(value)
            except ValueError:
                pass
        raise self.make_error("not-a-choice", choices=self.choices_text)


class StrictSchema(Schema):
    """A schema that refuses what it does not know."""

    class Meta:
        """Unknown fields are faults, at every level."""

        unknown = RAISE


def read(schema: Schema, document: Any) -> Any:
    """What the schema makes of the document; raises ``InvalidInput`` with a fault for each place."""
    try:
        return schema.load(document)
    except ValidationError as refused:
        raise InvalidInput("the input says something that it may not say", faults=faults(refused)) from None


def faults(refused: ValidationError, *, under: str = "") -> tuple[Fault, ...]:
    """The faults of a refusal, each with its JSON pointer; ``under`` is the pointer of the document."""
    return tuple(_walk(refused.messages, under))


def _walk(messages: Any, pointer: str) -> Iterator[Fault]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            # "_schema" holds what is wrong with an object as a whole.
            yield from _walk(inner, pointer if key == "_schema" else f"{pointer}/{pointer_token(key)}")
    elif isinstance(messages, list):
        for inner in messages:
            yield from _walk(inner, pointer)
    elif isinstance(messages, Said):
        yield Fault(pointer, messages.code, str(messages))
    else:
        yield Fault(pointer, _CODES.get(str(messages), "invalid"), str(messages))


def _code(words: object, otherwise: str) -> str:
    return "not-a-choice" if str(words).startswith("Must be one of") else otherwise


def _turns_text_around(text: str) -> bool:
    """Whether the text holds bidirectional overrides or isolates, which show words in another order."""
    return any(unicodedata.bidirectional(c) in _DIRECTION for c in text if not c.isascii())


_DIRECTION = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
