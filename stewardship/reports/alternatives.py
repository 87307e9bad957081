"""Alternatives: which were put to patients, which were begun, what those that were tried did, and how many
kinds of them the plans of patients with opioid orders join."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import care_tables, documents, plan_tables
from stewardship.domain.benefit import Reply
from stewardship.domain.drugs import DrugClass
from stewardship.domain.pain_plan import PainPlan, modalities
from stewardship.domain.plan_steps import PlanStatus
from stewardship.domain.suitability import Response
from stewardship.reports.decided import decided
from stewardship.reports.reporting import Asked, Column, Kind, Listed, Picture, Report, Table, Value, share

_offers: Any = care_tables.AlternativeOffer.__table__
_assessments: Any = care_tables.PainAssessment.__table__
_plans: Any = plan_tables.PainPlan.__table__

DEFINITION = (
    "Patients to whom a treatment other than an opioid was offered in the period, by treatment and by their "
    "last answer; accepted is what begins. Responses are of treatments that were tried before, as the last "
    "assessment of the period states them; each patient counts once for each treatment. Plans are those "
    "under way as of now, of patients for whom an opioid for pain was checked in the period: how many "
    "kinds of treatment besides opioids each holds that is planned, under way, or helped."
)
OFFERED = (
    Column("treatment", "Treatment", Kind.ID),
    Column("patients", "Offered to", Kind.COUNT),
    Column("accepted", "Accepted", Kind.COUNT),
    Column("declined", "Declined", Kind.COUNT),
    Column("open", "No answer yet", Kind.COUNT),
    Column("share", "Accepted of answered", Kind.SHARE),
)
TRIED = (
    Column("treatment", "Treatment", Kind.ID),
    Column("patients", "Tried by", Kind.COUNT),
    *(Column(response.value, response.value.capitalize(), Kind.COUNT) for response in Response),
)
PLANS = (
    Column("plan", "Plan of the patient"),
    Column("patients", "Patients", Kind.COUNT),
    Column("share", "Of all with an opioid order", Kind.SHARE, of=("patients",)),
)
_NO_PLAN, _NONE, _ONE, _SEVERAL = "no plan on record", "nothing but opioids", "one kind", "two kinds or more"


class _Tried(msgspec.Struct, frozen=True):
    what: str
    response: Response
    on: date | None = None


class _Assessed(msgspec.Struct, frozen=True):
    """The part of an assessment that the report reads."""

    tried: tuple[_Tried, ...] | None = None


def alternatives(session: Session, library: Any, asked: Asked) -> Report:
    """The report."""
    offered = _offered(session, asked)
    return Report(
        id="alternatives",
        title="Alternatives to opioids",
        definition=DEFINITION,
        asked=asked,
        tables=(
            Table(
                "offered",
                "Offered",
                OFFERED,
                offered,
                people=("patients", "accepted", "declined", "open"),
            ),
            Table(
                "tried",
                "Tried, and what it did",
                TRIED,
                _tried(session, asked),
                people=("patients", *(response.value for response in Response)),
            ),
            Table(
                "plans",
                "Kinds of treatment that plans join",
                PLANS,
                _joined(session, library, asked),
                people=("patients",),
                totals=True,
            ),
        ),
        picture=Picture(
            "Offered, and accepted",
            tuple(str(row[0]) for row in offered),
            {
                "Offered to": tuple(Decimal(str(row[1])) for row in offered),
                "Accepted": tuple(Decimal(str(row[2])) for row in offered),
            },
            of_table="offered",
        )
        if offered
        else None,
        limits=(
            "What was offered without being written down is not in it.",
            "A plan that is kept elsewhere is not on record here.",
        ),
    )


def _of_period(table: Any, asked: Asked) -> tuple[Any, ...]:
    c = table.c
    return (c.organisation_id == asked.organisation_id, c.on_day >= asked.since, c.on_day < asked.until)


def _offered(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    c = _offers.c
    found = select(c.patient_id, c.treatment, c.reply).where(*_of_period(_offers, asked))
    last: dict[tuple[str, str], str] = {}
    for row in session.connection().execute(found.order_by(c.on_day, c.at, c.id)):
        last[row.treatment, row.patient_id] = row.reply
    replies: defaultdict[str, list[str]] = defaultdict(list)
    for (treatment, _), reply in last.items():
        replies[treatment].append(reply)
    rows: list[tuple[Value, ...]] = []
    for treatment, said in sorted(replies.items()):
        yes, no = said.count(Reply.ACCEPTED), said.count(Reply.DECLINED)
        rows.append((treatment, len(said), yes, no, len(said) - yes - no, share(yes, yes + no)))
    return rows


def _tried(session: Session, asked: Asked) -> list[tuple[Value, ...]]:
    c = _assessments.c
    found = select(c.patient_id, c.document).where(*_of_period(_assessments, asked))
    last: dict[tuple[str, str], Response] = {}
    for row in session.connection().execute(found.order_by(c.on_day, c.at, c.id)):
        for tried in documents.decode(row.document, _Assessed).tried or ():
            last[tried.what, row.patient_id] = tried.response
    responses: defaultdict[str, list[Response]] = defaultdict(list)
    for (treatment, _), response in last.items():
        responses[treatment].append(response)
    return [
        (treatment, len(said), *(said.count(response) for response in Response))
        for treatment, said in sorted(responses.items())
    ]


def _joined(session: Session, library: Any, asked: Asked) -> list[tuple[Value, ...]]:
    about = {
        one.patient_id
        for one in decided(session, asked)
        if one.ordered.drug is not None and DrugClass.OPIOID_ANALGESIC in one.ordered.drug.classes
    }
    if not about:
        return []
    c = _plans.c
    found = select(c.patient_id, c.document).where(
        c.organisation_id == asked.organisation_id, c.status == PlanStatus.ACTIVE.value
    )
    kinds: dict[str, set[str]] = {}
    for row in session.connection().execute(found):
        if row.patient_id in about:
            plan = documents.decode(row.document, PainPlan)
            kinds.setdefault(row.patient_id, set()).update(modalities(plan, library.alternatives))
    patients = Counter(_held(kinds.get(patient)) for patient in about)
    return [
        (held, patients[held], share(patients[held], len(about)))
        for held in (_SEVERAL, _ONE, _NONE, _NO_PLAN)
    ]


def _held(kinds: set[str] | None) -> str:
    return _NO_PLAN if kinds is None else (_NONE, _ONE, _SEVERAL)[min(len(kinds), 2)]


LISTED = Listed(
    "alternatives", "Alternatives to opioids", "Offered, accepted, tried and what they did.", alternatives
)
