"""A slow schedule in real tablets, for when patient and prescriber choose to reduce an opioid.

No step drops by more than the pace allows in the time for which the dose before it was held. Where no
tablet makes so small a step, some days of the week take one less; where even that is too much, the dose is
held for longer first. The last step, to nothing, is taken when the smallest piece is not taken every day
any more. What is not known is not guessed: without a dose there is no plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from itertools import pairwise

from stewardship.domain.drugs import Catalogue, Drug, DrugClass
from stewardship.domain.tablets import (
    NOTHING,
    WEEK,
    Count,
    Day,
    Piece,
    Week,
    by_products,
    days_of,
    halves,
    pieces_like,
)
from stewardship.domain.treatments import Source

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)
#: No real schedule is as long; a pace that would make one is refused.
_MOST_STEPS = 400


@dataclass(frozen=True, slots=True)
class Pace:
    """``percent`` of a dose every ``step_days``: of the first dose until ``remainder_from`` percent of it
    are left, then of what is left. For those who took opioids from ``from_days`` to ``until_days``."""

    id: str
    title: str
    from_days: int
    until_days: int | None
    percent: Decimal
    step_days: int
    remainder_from: Decimal
    sources: tuple[Source, ...] = ()
    verified: bool = False

    def allowed(self, current: Decimal, first: Decimal) -> Decimal:
        """By how much a dose may drop in one step."""
        whole = current if current * _HUNDRED <= first * self.remainder_from else first
        return whole * self.percent / _HUNDRED


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say beside a schedule, always or ``when`` something is so."""

    id: str
    text: str
    when: str = ""
    sources: tuple[Source, ...] = ()
    verified: bool = False


@dataclass(frozen=True, slots=True)
class TaperTerms:
    """Everything declared about tapers (``reference/taper.toml``)."""

    paces: tuple[Pace, ...]
    forms: frozenset[str]
    split_forms: frozenset[str]
    most_pieces: int
    most_strengths: int
    never: frozenset[str]
    for_pain_only: frozenset[str]
    last_per_week: int
    review_days: int
    use_gap_days: int
    unknown_supply_days: int
    tolerance_percent: Decimal
    early_days: int
    missing_days: int
    notes: tuple[Note, ...]

    def pace(self, days_on: int | None) -> Pace | None:
        """The pace after so many days on opioids; the slowest when that is not known, none when the time
        was too short for one to be needed."""
        slowest = max(self.paces, key=lambda p: p.from_days)
        if days_on is None:
            return slowest
        fitting = (p for p in self.paces if p.from_days <= days_on <= (p.until_days or days_on))
        return next(fitting, None)


class Benzodiazepine(StrEnum):
    """What is known of a benzodiazepine beside the opioid."""

    NONE = "none"
    UNCHANGED = "unchanged"
    BEING_REDUCED = "being-reduced"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TaperFacts:
    """What a plan rests on. ``None`` is "not known". ``exempt`` is the evidence for an exemption from the
    guideline, ``use_disorder`` whether opioid use disorder is on record, ``in_treatment`` the evidence that
    the opioid treats it. ``pieces_a_day`` is how many are taken now, ``times_a_day`` at how many times, so
    that there is a piece for each while the dose allows it. ``splitting``: halves were allowed."""

    drug: Drug | None
    mg_per_day: Decimal | None
    days_on: int | None = None
    for_pain: bool = False
    asked_by_patient: bool = False
    exempt: str = ""
    use_disorder: bool = False
    in_treatment: str = ""
    benzodiazepine: Benzodiazepine = Benzodiazepine.UNKNOWN
    pieces_a_day: Decimal | None = None
    times_a_day: int = 1
    splitting: bool = False


@dataclass(frozen=True, slots=True)
class NotPlanned:
    """Why there is no schedule: a code for programs, words for people, and the facts that are missing."""

    code: str
    because: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One dose and for how long. ``week`` is ``None`` for the dose as it is now, which is held first.
    ``drop`` are milligrams a week less than before, ``allowed`` those that the pace allows in a step, and
    ``waited`` how many steps' time the dose before was held for. ``last`` is the end, at nothing."""

    starts_on: date
    days: int
    week: Week | None
    mg_per_week: Decimal
    drop: Decimal = _ZERO
    allowed: Decimal = _ZERO
    waited: int = 1
    last: bool = False

    @property
    def counts(self) -> tuple[Count, ...]:
        """The pieces of the whole step."""
        return () if self.week is None else self.week.counts(self.days)

    @property
    def mg_per_day(self) -> Decimal:
        """Milligrams a day on average, rounded for people."""
        return rounded(self.mg_per_week / WEEK)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The whole plan. ``notes`` say what belongs to it."""

    drug: Drug
    first_mg_per_day: Decimal
    starts_on: date
    pace: Pace
    pieces: tuple[Piece, ...]
    most_pieces: int
    times_a_day: int
    steps: tuple[Step, ...]
    notes: tuple[Note, ...]

    @property
    def ends_on(self) -> date:
        """The first day without."""
        return self.steps[-1].starts_on

    @property
    def supply(self) -> Mapping[str, Decimal]:
        """How many of each product the whole plan takes, by code; the dose as it is now not counted."""
        return by_products(count for step in self.steps for count in step.counts)


def plan(
    facts: TaperFacts,
    *,
    catalogue: Catalogue,
    terms: TaperTerms,
    starts_on: date,
    pace: Pace | None = None,
) -> Schedule | NotPlanned:
    """A schedule by the declared pace, or by a slower ``pace`` that was agreed on; or why there is none."""
    refused = _refused(facts, terms)
    if refused is not None:
        return refused
    drug, mg = facts.drug, facts.mg_per_day
    if drug is None or mg is None or mg <= 0:
        return NotPlanned("dose-unknown", "the daily dose is not known", ("dose",))
    declared = terms.pace(facts.days_on)
    if declared is None:
        return NotPlanned("not-needed", "after so short a use the opioid is stopped without a taper")
    if pace is not None and faster(pace, declared):
        return NotPlanned("too-fast", f"the pace after {facts.days_on} days is {declared.title}, or slower")
    pieces = pieces_like(catalogue, drug)
    if not pieces:
        return NotPlanned("no-products", "no strength of this medicine is known that is sold")
    if facts.splitting and drug.form in terms.split_forms:
        pieces = halves(pieces)
    chosen = pace or declared
    most = terms.most_pieces
    if len(drug.ingredients) > 1:
        # More pieces of a combination are more of what is beside the opioid.
        if facts.pieces_a_day is None:
            because = "how many pieces a day are taken is not known, and each holds another medicine"
            return NotPlanned("dose-unknown", because, ("pieces_a_day",))
        most = min(most, int(facts.pieces_a_day))
    maker = _Maker(pieces, chosen, terms, first=mg, most_pieces=most, times=facts.times_a_day)
    steps = maker.steps(mg * WEEK, starts_on)
    if steps is None:
        return NotPlanned("no-steps", "no schedule can be made of the strengths that are sold")
    return Schedule(drug, mg, starts_on, chosen, pieces, most, facts.times_a_day, steps, _notes(facts, terms))


def faster(pace: Pace, than: Pace) -> bool:
    """Whether a pace takes more, or sooner."""
    return (
        pace.percent > than.percent
        or pace.step_days < than.step_days
        or pace.remainder_from < than.remainder_from
    )


def _refused(facts: TaperFacts, terms: TaperTerms) -> NotPlanned | None:
    drug = facts.drug
    if drug is None:
        return NotPlanned("medicine-unknown", "the medicine is not recognised", ("medicine",))
    if not drug.is_a(DrugClass.OPIOID_ANALGESIC) and not drug.is_a(DrugClass.OUD_TREATMENT):
        return NotPlanned("no-opioid", "the medicine is no opioid for pain")
    codes = {i.rxcui for i in drug.opioids}
    if facts.in_treatment or drug.is_a(DrugClass.OUD_TREATMENT) or codes & terms.never:
        return NotPlanned(
            "use-disorder-treatment", "what treats opioid use disorder, or may, is not tapered by this plan"
        )
    if codes & terms.for_pain_only and (facts.use_disorder or not facts.for_pain):
        return NotPlanned(
            "use-disorder-treatment",
            "methadone is planned only when it is taken for pain and no opioid use disorder is on record",
            () if facts.for_pain else ("purpose",),
        )
    if facts.exempt and not facts.asked_by_patient:
        because = "the guideline's advice on tapering is not meant for this patient, who has not asked for it"
        return NotPlanned("exempt", because)
    if facts.benzodiazepine is Benzodiazepine.BEING_REDUCED:
        return NotPlanned(
            "one-at-a-time", "a benzodiazepine is being reduced: an opioid is not reduced at the same time"
        )
    if drug.form not in terms.forms:
        return NotPlanned("form", f"no schedule in whole pieces is made of a product of the form {drug.form}")
    return None


def _notes(facts: TaperFacts, terms: TaperTerms) -> tuple[Note, ...]:
    so = {""}
    if facts.benzodiazepine is Benzodiazepine.UNCHANGED:
        so.add("benzodiazepine")
    if facts.benzodiazepine is Benzodiazepine.UNKNOWN:
        so.add("benzodiazepine-unknown")
    if facts.exempt:
        so.add("exempt")
    if facts.use_disorder:
        so.add("use-disorder")
    return tuple(n for n in terms.notes if n.when in so)


# --- steps ---------------------------------------------------------------------------------------------


def onward(
    pieces: tuple[Piece, ...],
    pace: Pace,
    terms: TaperTerms,
    *,
    first: Decimal,
    current: Week | None,
    mg_per_week: Decimal,
    starts_on: date,
    most_pieces: int,
    times: int = 1,
) -> tuple[Step, ...]:
    """The steps from a dose on, which is itself the first of them: for a plan that was slowed or taken back.
    ``first`` is the daily dose with which the whole plan began."""
    maker = _Maker(pieces, pace, terms, first=first, most_pieces=most_pieces, times=times)
    steps = maker.steps(mg_per_week, starts_on, current=current, held=True)
    if steps is None:
        raise ValueError("no steps can be made of these pieces")
    return steps


class _Maker:
    """Makes steps of the doses that the pieces come to."""

    def __init__(
        self,
        pieces: tuple[Piece, ...],
        pace: Pace,
        terms: TaperTerms,
        *,
        first: Decimal,
        most_pieces: int,
        times: int = 1,
    ) -> None:
        self.pace = pace
        self.terms = terms
        self.first = first * WEEK
        #: A week with two kinds of day is told in whole weeks only.
        self.weekly = pace.step_days % WEEK == 0
        self.doses = days_of(
            pieces,
            up_to=first,
            most_pieces=most_pieces,
            most_strengths=terms.most_strengths,
            times=times,
        )

    def steps(
        self, mg: Decimal, starts_on: date, *, current: Week | None = None, held: bool = False
    ) -> tuple[Step, ...] | None:
        """From a dose down to nothing; ``held`` when the dose itself is a step of the plan. ``None`` when a
        step would be larger than the pace allows and than one of the smallest pieces makes necessary."""
        if len(self.doses) == 1:
            return None
        made: list[Step] = []
        own = Step(starts_on, 0, current, mg)
        for _ in range(_MOST_STEPS):
            before, allowed = own.mg_per_week, self.pace.allowed(own.mg_per_week, self.first)
            chosen, last = self._next(own.week, before, allowed)
            drop = before - chosen.mg
            if drop > max(allowed, self._one_piece(own.week)) and not last:
                return None
            waited = 1 if last else int((drop / allowed).to_integral_value(ROUND_CEILING))
            # The first reduction is made on the day of the start, unless the dose has to be held first.
            days = (waited - (0 if made or held else 1)) * self.pace.step_days
            if days:
                made.append(replace(own, days=days))
            starts_on += timedelta(days)
            own = Step(starts_on, 0, chosen, chosen.mg, drop, allowed, waited, last=not chosen.mg)
            if not chosen.mg:
                return (*made, own)
            held = True
        return None

    def _one_piece(self, week: Week | None) -> Decimal:
        """Milligrams a week that one smallest piece less makes: less on one day where weeks may be mixed,
        else on each; a dose that is not made of these pieces may need it each day."""
        smallest = self.doses[-2].mg
        return smallest if self.weekly and week is not None else smallest * WEEK

    def _next(self, week: Week | None, before: Decimal, allowed: Decimal) -> tuple[Week, bool]:
        """The next dose: the lowest that the pace allows, the same every day where there is one; else the
        nearest there is. And whether it is the end of a dose that is not taken every day any more."""
        if week is not None and 0 < week.days_with <= self.terms.last_per_week:
            return Week(NOTHING), True
        most = self.doses[0].mg if week is None else week.most_mg
        below = [w for w in self._weeks(most) if w.mg < before]
        floor = before - allowed
        for wanted in (
            # A simple dose is worth a smaller step, not a tiny one.
            [w for w in below if w.fewer is None and w.mg >= floor and (before - w.mg) * 2 >= allowed],
            [w for w in below if w.mg >= floor],
        ):
            if wanted:
                return min(wanted, key=lambda w: w.mg), False
        return max(below, key=lambda w: (w.mg, w.fewer is None)), False

    def _weeks(self, most: Decimal) -> list[Week]:
        """Every week that no day of which is above ``most``: the same each day, or two neighbours mixed."""
        doses = [d for d in self.doses if d.mg <= most]
        weeks = [Week(d) for d in doses]
        if self.weekly:
            weeks += [Week(usual, fewer, n) for usual, fewer in pairwise(doses) for n in range(1, WEEK)]
        return weeks


def rounded(value: Decimal) -> Decimal:
    """Two decimal places, for people."""
    return value.quantize(Decimal("0.01"))


def said_day(day: Day) -> str:
    """A day's pieces in words: ``2 x 5 mg``; ``none``."""
    if not day.pieces:
        return "none"
    return " + ".join(
        f"{c.number} x {'half of ' if c.piece.part != 1 else ''}{_plain(c.piece.mg / c.piece.part)} mg"
        for c in day.pieces
    )


def said_week(week: Week) -> str:
    """A week in words."""
    if week.fewer is None:
        return said_day(week.usual)
    days = "day" if week.fewer_days == 1 else "days"
    return f"{said_day(week.usual)}; on {week.fewer_days} {days} of the week {said_day(week.fewer)}"


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
