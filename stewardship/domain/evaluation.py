"""How whole an evaluation of pain is: what was asked, examined and read, and what is still to come.

It is told by the things that were looked at, never by a number alone: each item is there or is named as
missing. A study that is on record is said, so that nobody orders it twice without having seen it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from stewardship.domain.chart import Chart
from stewardship.domain.codes import LOINC
from stewardship.domain.treatments import Source


class PainType(StrEnum):
    """What kind of pain it is; more than one kind is ``mixed``."""

    NOCICEPTIVE = "nociceptive"
    NEUROPATHIC = "neuropathic"
    NOCIPLASTIC = "nociplastic"
    MIXED = "mixed"


class ExamPart(StrEnum):
    """What an examination looks at."""

    POSTURE = "posture"
    MOVEMENT = "range-of-motion"
    STRENGTH = "strength"
    REFLEXES = "reflexes"
    SENSATION = "sensation"
    PALPATION = "palpation"


#: The parts in which an abnormal finding asks whether a nerve has suffered.
NEUROLOGICAL = (ExamPart.STRENGTH, ExamPart.REFLEXES, ExamPart.SENSATION)


class Finding(StrEnum):
    """What was found in a part."""

    NORMAL = "normal"
    ABNORMAL = "abnormal"


class DocumentKind(StrEnum):
    """What somebody who sees a patient for the first time wants to read."""

    REFERRAL = "referral-letter"
    NOTES = "earlier-notes"
    SURGERY = "surgical-history"
    MEDICATIONS = "medication-list"
    IMAGING = "imaging"


class DocumentState(StrEnum):
    """Where it is."""

    RECEIVED = "received"
    OUTSTANDING = "outstanding"
    NONE = "none"  # there is no such document


class StudyKind(StrEnum):
    """A study that was made."""

    X_RAY = "x-ray"
    CT = "ct"
    MRI = "mri"
    ULTRASOUND = "ultrasound"
    NERVE_CONDUCTION = "nerve-conduction"
    LABORATORY = "laboratory"


class CameBecause(StrEnum):
    """Why somebody comes to pain medicine, with or without a referral."""

    NO_WORKUP = "no-workup"
    UNSURE_OF_SURGERY = "unsure-of-surgery"
    NO_SURGERY_WANTED = "no-surgery-wanted"
    NO_RELIEF = "no-relief"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that an evaluation holds; it was looked at when any of ``facts`` was stated."""

    id: str
    title: str
    part: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study that may help to tell, for some conditions, and where it does."""

    kind: StudyKind
    title: str
    say: str
    conditions: frozenset[str]
    sources: tuple[Source, ...]
    verified: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """A score, of an instrument here or by its LOINC from elsewhere, that from ``at_least`` on is a positive
    screen, for so many days."""

    instrument: str
    loinc: str
    at_least: Decimal
    within_days: int


@dataclass(frozen=True, slots=True)
class EvaluationTerms:
    """All that is declared of evaluations (``reference/triggers.toml``)."""

    items: tuple[Item, ...] = ()
    studies: tuple[StudyRow, ...] = ()
    screens: tuple[Screen, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """A study on record: what, of which region, on which day."""

    kind: StudyKind
    region: str
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was looked at and what was not, what is still to arrive, what studies there are, and which
    further ones may help to tell."""

    there: tuple[Item, ...]
    missing: tuple[Item, ...]
    outstanding: tuple[DocumentKind, ...]
    studies: tuple[Study, ...]
    helpful: tuple[StudyRow, ...]

    @property
    def whole(self) -> bool:
        """Whether everything was looked at and everything has arrived."""
        return not self.missing and not self.outstanding


def evaluation(
    terms: EvaluationTerms,
    stated: Collection[str],
    *,
    documents: Mapping[DocumentKind, DocumentState],
    studies: Iterable[Study],
    conditions: Collection[str],
) -> Evaluation:
    """How whole an evaluation is. ``stated`` are the names of what was looked at: facts of an assessment,
    ``examined:`` with a part, ``document:`` with a kind."""
    known = set(stated)
    made = tuple(dict.fromkeys(studies))
    return Evaluation(
        there=tuple(i for i in terms.items if known & set(i.facts)),
        missing=tuple(i for i in terms.items if not known & set(i.facts)),
        outstanding=tuple(k for k, state in documents.items() if state is DocumentState.OUTSTANDING),
        studies=tuple(sorted(made, key=lambda s: s.on or date.min, reverse=True)),
        helpful=tuple(r for r in terms.studies if r.conditions & set(conditions)),
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """A score that was measured here."""

    instrument: str
    on: date
    value: Decimal


def positive_screen(chart: Chart, measured: Iterable[Scored], screens: Iterable[Screen]) -> bool:
    """Whether the last score of any screen that is on record lately is positive."""
    here = tuple(measured)
    for screen in screens:
        first = chart.today - timedelta(screen.within_days)
        scores = [(s.on, s.value) for s in here if s.instrument == screen.instrument]
        scores += [
            (o.on, o.value)
            for o in chart.observations
            if o.on is not None
            and o.value is not None
            and any(c.system == LOINC and c.code == screen.loinc for c in o.codings)
        ]
        lately = [pair for pair in scores if first <= pair[0] <= chart.today]
        if lately and max(lately, key=lambda pair: pair[0])[1] >= screen.at_least:
            return True
    return False


def told(found: Evaluation, *, helpful: bool = False) -> dict[str, Any]:
    """The evaluation as plain values; which studies may help only when somebody asked."""
    made = {s.kind for s in found.studies}
    answer: dict[str, Any] = {
        "there": len(found.there),
        "of": len(found.there) + len(found.missing),
        "whole": found.whole,
        "missing": [{"id": i.id, "title": i.title, "part": i.part} for i in found.missing],
        "outstanding": [kind.value for kind in found.outstanding],
        "studies": [
            {
                "kind": s.kind.value,
                "region": s.region,
                "on": None if s.on is None else s.on.isoformat(),
                "say": f"On record: {s.kind} of {s.region}"
                f"{f', {s.on}' if s.on else ''}. Look at it before another is ordered.",
            }
            for s in found.studies
        ],
    }
    if helpful:
        answer["helpful"] = [
            {
                "kind": r.kind.value,
                "title": r.title,
                "say": r.say,
                "on_record": r.kind in made,
                "verified": r.verified,
                "sources": [{"id": s.id, "title": s.title, "url": s.url} for s in r.sources],
            }
            for r in found.helpful
        ]
    return answer
