"""Instruments: answers -> a score, and two scores -> better, unchanged, worse, or cannot tell.

An instrument is described by a file; nothing here knows any of them by name. Function leads: a score of
pain alone is marked so, cannot satisfy a review, and where an instrument mixes the two its function items
are scored apart as well. Scores of different instruments are never compared or averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.scoring import Item, Missing, Scoring


class Measures(StrEnum):
    """What an instrument measures."""

    FUNCTION = "function"
    PAIN = "pain"  # intensity alone
    MOOD = "mood"
    RISK = "risk"
    GOALS = "goals"


class Better(StrEnum):
    """Which way of the scale is the better one."""

    HIGHER = "higher"
    LOWER = "lower"


class Wording(StrEnum):
    """Whose words the items are in. ``NONE``: the form is licensed, only its result is entered here."""

    PUBLISHED = "published"
    OWN = "own"
    NONE = "none"


class Verdict(StrEnum):
    """What became of a score, in the direction of the patient's good."""

    BETTER = "better"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the facts come from. Not ``verified``: not read in the original."""

    title: str
    publisher: str
    date: date
    url: str
    verified: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Important:
    """The change that matters. ``points`` is the instrument's own (``kind`` says which: smallest important
    or smallest detectable); ``percent`` is of the limitation before, the distance from the best score, and
    counts from ``percent_least`` points on, so that a third of almost nothing is nothing."""

    points: Decimal | None
    percent: Decimal | None
    percent_least: Decimal
    kind: str
    source: Source


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the items, scored apart."""

    id: str
    title: str
    items: tuple[str, ...]
    scoring: Scoring
    important: Important | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A published name for scores up to and including ``until``."""

    until: Decimal
    label: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument as its file describes it. The score runs from ``least`` to ``most`` and is shown with
    ``places`` digits after the point. The items of an ``individual`` instrument are the patient's own:
    scores compare only when the same ones were answered."""

    id: str
    version: int
    title: str
    measures: Measures
    better: Better
    satisfies_review: bool
    items: tuple[Item, ...]
    scoring: Scoring
    least: Decimal
    most: Decimal
    places: int
    source: Source
    licence: str
    wording: Wording
    recall: str = ""
    individual: bool = False
    loinc: str = ""
    loinc_verified: bool = False
    parts: tuple[Part, ...] = ()
    bands: tuple[Band, ...] = ()
    important: Important | None = None
    caution: str = ""

    @property
    def known_as(self) -> str:
        """Id and version, as stored beside a score."""
        return f"{self.id}.v{self.version}"


@dataclass(frozen=True, slots=True)
class Score:
    """A score, or what is missing for one. ``exact`` judges change, ``value`` is for people."""

    instrument: str
    exact: Fraction | None
    value: Decimal | None
    missing: tuple[str, ...] = ()
    because: str = ""
    band: str = ""
    answered: tuple[str, ...] = ()
    parts: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a score between two days. ``by_points`` and ``by_percent`` are the two judgements,
    ``None`` where the instrument has no such measure; ``gain`` is positive for the better, ``percent`` the
    gain as a share of the limitation before."""

    verdict: Verdict
    because: str
    by_points: Verdict | None = None
    by_percent: Verdict | None = None
    gain: Decimal | None = None
    percent: Decimal | None = None
    parts: Mapping[str, Change] = field(default_factory=dict)


def score(instrument: Instrument, answers: Mapping[str, Decimal | None], *, sex: str = "") -> Score:
    """Score the answers by item id; ``None`` is an item left open. Raises ``InvalidInput`` for items that
    the instrument does not have and answers that they do not take."""
    given = _checked(instrument, answers)
    whole = _scored(instrument, instrument.items, instrument.scoring, given, sex)
    items = {item.id: item for item in instrument.items}
    parts = {
        part.id: _scored(instrument, tuple(items[i] for i in part.items), part.scoring, given, sex)
        for part in instrument.parts
    }
    band = "" if whole.exact is None else _band(instrument, whole.exact)
    return Score(
        whole.instrument,
        whole.exact,
        whole.value,
        whole.missing,
        whole.because,
        band,
        tuple(i.id for i in instrument.items if i.id in given),
        parts,
    )


def entered(instrument: Instrument, value: Decimal) -> Score:
    """A score that somebody else worked out. Raises ``InvalidInput`` when the scale does not reach it."""
    if not value.is_finite() or not instrument.least <= value <= instrument.most:
        raise InvalidInput(
            f"{instrument.id}: a score is from {_plain(instrument.least)} to {_plain(instrument.most)}",
            faults=(Fault("/score", "out-of-range", "Not on the scale of the instrument."),),
        )
    exact = Fraction(value)
    return Score(instrument.known_as, exact, value, band=_band(instrument, exact))


def change(instrument: Instrument, before: Score, after: Score) -> Change:
    """What became of the score. Worse as soon as one of the two judgements says so; better only when
    neither of them says otherwise."""
    for one in (before, after):
        if one.instrument != instrument.known_as:
            return Change(Verdict.CANNOT_TELL, f"a score of {one.instrument}, not of {instrument.known_as}")
    parts = {
        part.id: _change(
            instrument, part.important or instrument.important, before.parts[part.id], after.parts[part.id]
        )
        for part in instrument.parts
        if part.id in before.parts and part.id in after.parts
    }
    if instrument.individual and before.answered != after.answered:
        because = "different activities or goals were answered; they are the patient's own"
        return Change(Verdict.CANNOT_TELL, because, parts=parts)
    found = _change(instrument, instrument.important, before, after)
    return Change(
        found.verdict,
        found.because,
        found.by_points,
        found.by_percent,
        found.gain,
        found.percent,
        parts,
    )


# --- scoring ---------------------------------------------------------------------------------------


def _checked(instrument: Instrument, answers: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
    items = {item.id: item for item in instrument.items}
    faults = []
    for name, answer in answers.items():
        item = items.get(name)
        if item is None:
            known = ", ".join(items)
            faults.append(Fault(f"/answers/{name}", "unknown-item", f"{instrument.id} has {known}."))
        elif answer is not None and not item.takes(answer):
            faults.append(Fault(f"/answers/{name}", "out-of-range", f"Takes {takes(item)}."))
    if faults:
        raise InvalidInput(f"not an answer that {instrument.id} takes", faults=tuple(faults))
    return {name: answer for name, answer in answers.items() if answer is not None}


def takes(item: Item) -> str:
    """Which answers an item takes, in words."""
    if item.yes_no:
        return "yes or no"
    kind = "whole numbers" if item.step == 1 else f"steps of {_plain(item.step)}"
    return f"{_plain(item.least)} to {_plain(item.most)}, {kind}"


def _scored(
    instrument: Instrument, items: tuple[Item, ...], scoring: Scoring, given: dict[str, Decimal], sex: str
) -> Score:
    total = scoring.total(items, given, sex)
    if isinstance(total, Missing):
        return Score(instrument.known_as, None, None, total.what, total.because)
    return Score(instrument.known_as, total, rounded(total, instrument.places))


def rounded(exact: Fraction, places: int) -> Decimal:
    """The number with so many digits after the point, halves away from zero."""
    value = Decimal(exact.numerator) / Decimal(exact.denominator)
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _band(instrument: Instrument, exact: Fraction) -> str:
    return next((b.label for b in instrument.bands if exact <= Fraction(b.until)), "")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


# --- change ----------------------------------------------------------------------------------------


def _change(instrument: Instrument, important: Important | None, before: Score, after: Score) -> Change:
    if important is None:
        return Change(Verdict.CANNOT_TELL, f"no important change of {instrument.id} is published")
    if before.exact is None or after.exact is None:
        missing = ", ".join(before.missing or after.missing)
        return Change(Verdict.CANNOT_TELL, f"one of the two has no score: {missing} missing")
    sign = 1 if instrument.better is Better.HIGHER else -1
    gain = sign * (after.exact - before.exact)
    best = instrument.most if instrument.better is Better.HIGHER else instrument.least
    limitation = abs(Fraction(best) - before.exact)
    by_points = None if important.points is None else _sided(gain, Fraction(important.points))
    by_percent = None
    share = None
    if important.percent is not None:
        least = max(Fraction(important.percent) * limitation / 100, Fraction(important.percent_least))
        by_percent = _sided(gain, least)
        share = rounded(100 * gain / limitation, 1) if limitation else None
    verdicts = {v for v in (by_points, by_percent) if v is not None}
    if Verdict.WORSE in verdicts:
        verdict = Verdict.WORSE
    else:
        verdict = Verdict.BETTER if verdicts == {Verdict.BETTER} else Verdict.UNCHANGED
    because = _because(important, by_points, by_percent)
    return Change(verdict, because, by_points, by_percent, rounded(gain, instrument.places), share)


def _sided(gain: Fraction, enough: Fraction) -> Verdict:
    if gain and abs(gain) >= enough:
        return Verdict.BETTER if gain > 0 else Verdict.WORSE
    return Verdict.UNCHANGED


def _because(important: Important, by_points: Verdict | None, by_percent: Verdict | None) -> str:
    said = []
    if important.points is not None:
        unit = "point" if important.points == 1 else "points"
        said.append(f"{_plain(important.points)} {unit} or more ({important.kind}): {by_points}")
    if important.percent is not None:
        said.append(f"{_plain(important.percent)} % or more of the limitation before: {by_percent}")
    return "; ".join(said)
