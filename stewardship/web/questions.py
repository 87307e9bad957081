"""An instrument's items as questions on a page: the same for a patient on a phone and for a clinician."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from stewardship.domain.instruments import Instrument
from stewardship.domain.scoring import Item

#: As many values as fit beside each other on a phone and can be told apart.
_MOST_ON_A_SCALE = 21
_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,4})?", re.ASCII)
#: What is sent for an item that the patient would rather leave open.
OPEN = "none"


@dataclass(frozen=True, slots=True)
class Question:
    """One item as the page asks it. ``options`` are values and their words; without any, a number is typed.
    ``given`` is what was sent before, ``wrong`` what to do about it."""

    id: str
    text: str
    options: tuple[tuple[str, str], ...]
    on_a_scale: bool
    may_stay_open: bool
    least: str
    most: str
    step: str
    given: str = ""
    wrong: str = ""


def question(item: Item, instrument: Instrument, given: str | None = None) -> Question:
    """An item as a question; ``given`` is ``None`` before anything was sent."""
    options = _options(item)
    # What a patient named himself may be fewer things than the form has room for.
    free = instrument.individual
    return Question(
        id=item.id,
        text=item.text,
        options=options,
        on_a_scale=bool(options) and not item.choices and not item.yes_no,
        may_stay_open=not free,
        least=_plain(item.least),
        most=_plain(item.most),
        step=_plain(item.step),
        given=(given or "").strip()[:20],
        wrong="" if given is None else _wrong(item, given.strip(), free=free),
    )


def _options(item: Item) -> tuple[tuple[str, str], ...]:
    if item.yes_no:
        return (("1", "Yes"), ("0", "No"))
    if item.choices:
        return tuple((_plain(value), label) for value, label in item.choices)
    number = (item.most - item.least) / item.step + 1
    if number > _MOST_ON_A_SCALE:
        return ()
    values = [_plain(item.least + item.step * place) for place in range(int(number))]
    return tuple((value, value) for value in values)


def _wrong(item: Item, given: str, *, free: bool) -> str:
    if not given:
        return "" if free else "Choose an answer, or say that you would rather not answer."
    if given == OPEN:
        return ""
    if not _NUMBER.fullmatch(given) or not item.takes(Decimal(given)):
        return f"Give a number from {_plain(item.least)} to {_plain(item.most)}."
    return ""


def answers(questions: list[Question]) -> dict[str, Decimal]:
    """What was answered, and fits."""
    return {q.id: Decimal(q.given) for q in questions if q.given not in {"", OPEN} and not q.wrong}


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
