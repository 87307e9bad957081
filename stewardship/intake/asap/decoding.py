"""A segment's text -> its values, by patterns compiled from the definitions.

A segment that is as it should be is matched by one expression and its values come out at once, in the
order in which the caller wants them. Only a segment that does not match is looked at element by element,
to say what is wrong with each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache

from stewardship.domain.dispensings import RowFault
from stewardship.intake.asap.definitions import Element, Segment
from stewardship.intake.asap.lexer import SEPARATOR

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DIGITS = re.compile(r"\d+", re.ASCII)
_DECIMAL = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_DATE = re.compile(r"\d{8}", re.ASCII)
_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?", re.ASCII)
#: A memory of values that come again and again is begun anew when it has grown to this.
_REMEMBERED = 50_000


class _Dates(dict[str, date]):
    """CCYYMMDD -> date; each is worked out once. Raises ``ValueError`` for what is no day."""

    def __missing__(self, text: str) -> date:
        if _DATE.fullmatch(text) is None:
            raise ValueError
        if len(self) > _REMEMBERED:
            self.clear()
        day = self[text] = date(int(text[:4]), int(text[4:6]), int(text[6:]))
        return day


class _Decimals(dict[str, Decimal]):
    """A number as written -> exactly that. Raises ``ValueError`` for what is none."""

    def __missing__(self, text: str) -> Decimal:
        if _DECIMAL.fullmatch(text) is None:
            raise ValueError
        if len(self) > _REMEMBERED:
            self.clear()
        number = self[text] = Decimal(text)
        return number


DATES = _Dates()
DECIMALS = _Decimals()


class Decoder:
    """One segment of one version. ``wanted`` names the elements whose values ``values`` gives; what the
    version does not have is empty."""

    def __init__(self, segment: Segment, wanted: Sequence[str]) -> None:
        self.segment = segment
        self.wanted = tuple(wanted)
        self._separators = len(segment.elements)
        names = [e.name for e in segment.elements if e.name in wanted]
        pattern = "".join(rf"\*{_expression(e, kept=e.name in wanted)}" for e in segment.elements)
        # The last group is always empty: the value of every element that the version does not have.
        self._match = re.compile(rf"{segment.id}{pattern}()", re.ASCII).fullmatch
        empty = len(names) + 1
        groups = [names.index(name) + 1 if name in names else empty for name in wanted]
        # Asked for a single group a match gives no tuple, so one more is asked for.
        self._groups = (*groups, empty) if len(groups) == 1 else tuple(groups)
        by_id = {e.id: e.name for e in segment.elements}
        self._needs = tuple(
            (wanted.index(e.name), wanted.index(by_id[e.needs]))
            for e in segment.elements
            if e.needs and e.name in wanted and by_id[e.needs] in wanted
        )

    def values(self, text: str) -> tuple[str, ...] | None:
        """The wanted values; ``None`` when anything at all is wrong with the form of the segment."""
        if " *" in text or "* " in text:
            text = SEPARATOR.join([field.strip(" ") for field in text.split(SEPARATOR)])
        missing = self._separators - text.count(SEPARATOR)
        if missing > 0:
            text += SEPARATOR * missing
        elif missing < 0:
            text = _cut(text, missing)
        match = self._match(text)
        if match is None or (not text.isprintable() and _CONTROL.search(text)):
            return None
        values: tuple[str, ...] = match.group(*self._groups)
        for stated, needed in self._needs:
            if values[stated] and not values[needed]:
                return None
        return values

    def faults(self, text: str, line: int, offset: int) -> list[RowFault]:
        """Everything that is wrong with the segment."""
        id_ = self.segment.id
        written = [field.strip(" ") for field in text.rstrip(SEPARATOR).split(SEPARATOR)][1:]
        by_id = dict(zip((e.id for e in self.segment.elements), written, strict=False))
        found = [
            RowFault(line, id_, element.id, code, offset)
            for element in self.segment.elements
            if (code := self._wrong(element, by_id))
        ]
        if len(written) > len(self.segment.elements):
            found.append(RowFault(line, id_, id_, "too-many-elements", offset))
        if self.segment.one_of and not any(by_id.get(e) for e in self.segment.one_of):
            found.append(RowFault(line, id_, self.segment.one_of[0], "required", offset))
        return found

    def refused(self, text: str, line: int, offset: int) -> list[RowFault]:
        """What is wrong with a segment that did not give its values: at least one thing."""
        id_ = self.segment.id
        return self.faults(text, line, offset) or [RowFault(line, id_, id_, "unreadable", offset)]

    def _wrong(self, element: Element, by_id: dict[str, str]) -> str:
        value = by_id.get(element.id, "")
        if value:
            return fault_of(element, value)
        # Only what is itself in order asks for another: one mistake is told once.
        needed = any(
            e.needs == element.id and by_id.get(e.id) and not fault_of(e, by_id[e.id])
            for e in self.segment.elements
        )
        return "required" if element.required or needed else ""

    def readable(self, text: str) -> dict[str, str]:
        """The values that can be read, by name, whatever is wrong with the others."""
        written = [field.strip(" ") for field in text.split(SEPARATOR)][1:]
        pairs = zip(self.segment.elements, written, strict=False)
        return {e.name: value for e, value in pairs if value and not fault_of(e, value)}


@lru_cache(maxsize=512)
def decoder(segment: Segment, wanted: tuple[str, ...] = ()) -> Decoder:
    """The decoder of a segment, compiled once."""
    return Decoder(segment, wanted)


def fault_of(element: Element, value: str) -> str:
    """What is wrong with a value that is there: a code, or empty."""
    if _CONTROL.search(value):
        return "character"
    if element.type == "DT":
        return "" if _is_date(value) else "not-a-date"
    if element.type == "TM":
        return "" if _TIME.fullmatch(value) else "not-a-time"
    if len(value) > element.max:
        return "too-long"
    if element.type == "N" and _DIGITS.fullmatch(value) is None:
        return "not-a-number"
    if element.type == "D" and _DECIMAL.fullmatch(value) is None:
        return "not-a-decimal"
    return "code-unknown" if element.codes is not None and value not in element.codes else ""


def _is_date(value: str) -> bool:
    try:
        return bool(DATES[value])
    except ValueError:
        return False


def _cut(text: str, missing: int) -> str:
    """The text without the empty elements at its end that the version does not have."""
    return text[:missing] if text.endswith(SEPARATOR * -missing) else text


def _expression(element: Element, *, kept: bool) -> str:
    """What the element may look like. Control characters are looked for once in the whole segment."""
    least = 1 if element.required else 0
    nothing = "" if element.required else "|"
    if element.codes is not None:
        inner = "|".join(re.escape(code) for code in sorted(element.codes)) + nothing
    elif element.type == "N":
        inner = rf"\d{{{least},{element.max}}}"
    elif element.type == "D":
        inner = rf"[\d.]{{{least},{element.max}}}"
    elif element.type == "DT":
        inner = r"\d{8}" + nothing
    elif element.type == "TM":
        inner = _TIME.pattern + nothing
    else:
        inner = rf"[^*]{{{least},{element.max}}}"
    return f"({inner})" if kept else f"(?:{inner})"
