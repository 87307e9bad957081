"""``reference/triggers.toml`` -> when to look closer, refer, or act at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.errors import DeclarationError
from stewardship.domain.evaluation import (
    DocumentKind,
    EvaluationTerms,
    ExamPart,
    Item,
    Screen,
    StudyKind,
    StudyRow,
)
from stewardship.domain.orders import Phase
from stewardship.domain.triggers import FACTS, Act, Change, Limit, Trigger, Triggers, When

TRIGGERS = "triggers.toml"
#: Every fact that a trigger can lack has words of its own.
ASKED = {*FACTS, "onset_on", "phase", "change", "limits", "surgery_on", "conditions"}
_WORDS = validate.Length(min=1)
_ID = validate.Regexp(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _days(**given: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(1, 3_650), load_default=None, **given)


def _flag(**given: Any) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, **given)


def _each(kind: Any) -> fields.List[Any]:
    return fields.List(kind, load_default=list)


class _WhenRow(_Strict):
    days_from = _days()
    days_until = _days()
    surgery_days_from = _days()
    change = _each(fields.Enum(Change, by_value=True))
    limits = _each(fields.Enum(Limit, by_value=True))
    phases = _each(fields.Enum(Phase, by_value=True))
    conditions = _each(fields.String(validate=_ID))
    facts = fields.Dict(keys=fields.String(validate=validate.OneOf(FACTS)), values=_flag(), load_default=None)


class _TriggerRow(_Strict):
    id = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_WORDS)
    act = fields.Enum(Act, by_value=True, required=True)
    say = fields.String(required=True, validate=_WORDS)
    checklist = _each(fields.String(validate=_WORDS))
    when = fields.Nested(_WhenRow, required=True)
    routes = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    due_days = _days()
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _RestRow(_Strict):
    offered_days = fields.Integer(strict=True, required=True, validate=validate.Range(1, 3_650))
    declined_days = fields.Integer(strict=True, required=True, validate=validate.Range(1, 3_650))
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _FlagRow(_Strict):
    therapy_days = fields.Integer(strict=True, required=True, validate=validate.Range(1, 3_650))
    max_gap_days = fields.Integer(strict=True, required=True, validate=validate.Range(0, 365))
    named = fields.Integer(strict=True, required=True, validate=validate.Range(1, 10))
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _ItemRow(_Strict):
    id = fields.String(required=True, validate=_ID)
    title = fields.String(required=True, validate=_WORDS)
    part = fields.String(required=True, validate=_WORDS)
    facts = fields.List(fields.String(validate=_WORDS), required=True, validate=_WORDS)


class _StudyRow(_Strict):
    kind = fields.Enum(StudyKind, by_value=True, required=True)
    title = fields.String(required=True, validate=_WORDS)
    say = fields.String(required=True, validate=_WORDS)
    conditions = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _ScreenRow(_Strict):
    instrument = fields.String(required=True, validate=_ID)
    loinc = fields.String(load_default="", validate=validate.Regexp(r"\A[0-9]{1,7}-[0-9]\Z"))
    title = fields.String(required=True, validate=_WORDS)
    at_least = fields.Integer(strict=True, required=True, validate=validate.Range(1, 100))
    within_days = fields.Integer(strict=True, required=True, validate=validate.Range(1, 3_650))
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)


class _EvaluationRow(_Strict):
    sources = fields.List(fields.String(validate=_ID), required=True, validate=_WORDS)
    verified = _flag(required=True)
    item = fields.List(fields.Nested(_ItemRow), required=True, validate=_WORDS)
    study = fields.List(fields.Nested(_StudyRow), required=True)
    screen = fields.List(fields.Nested(_ScreenRow), required=True)


class _File(_Strict):
    provenance = fields.Dict(required=True)
    rest = fields.Nested(_RestRow, required=True)
    flag = fields.Nested(_FlagRow, required=True)
    specialties = fields.Dict(keys=fields.String(validate=_ID), values=fields.String(), required=True)
    asks = fields.Dict(keys=fields.String(), values=fields.String(validate=_WORDS), required=True)
    trigger = fields.List(fields.Nested(_TriggerRow), required=True, validate=_WORDS)
    evaluation = fields.Nested(_EvaluationRow, required=True)


def read_triggers(reference: Path, known: Alternatives) -> Triggers:
    """The triggers; raises ``DeclarationError`` naming the row of what is wrong. Conditions and sources are
    those that the alternatives declare."""
    said = checked(reference / TRIGGERS, _File())
    _there("asks", ASKED, said["asks"])
    _there("asks", said["asks"], ASKED)
    _there("rest", said["rest"]["sources"], known.sources)
    _there("flag", said["flag"]["sources"], known.sources)
    conditions = {c.id for c in known.conditions}
    rules = [_trigger(row, known, conditions, said["specialties"]) for row in said["trigger"]]
    if len({r.id for r in rules}) != len(rules):
        raise DeclarationError(f"{TRIGGERS}: a trigger is there twice")
    rest, flag = said["rest"], said["flag"]
    return Triggers(
        rules=tuple(rules),
        specialties=said["specialties"],
        asks=said["asks"],
        offered_rest_days=rest["offered_days"],
        declined_rest_days=rest["declined_days"],
        flag_therapy_days=flag["therapy_days"],
        flag_max_gap_days=flag["max_gap_days"],
        flag_named=flag["named"],
        evaluation=_evaluation(said["evaluation"], known, conditions),
    )


def _evaluation(said: Mapping[str, Any], known: Alternatives, conditions: Collection[str]) -> EvaluationTerms:
    _there("evaluation", said["sources"], known.sources)
    facts = [fact for row in said["item"] for fact in row["facts"]]
    if len({row["id"] for row in said["item"]}) != len(said["item"]) or len(set(facts)) != len(facts):
        raise DeclarationError(f"{TRIGGERS}: evaluation: an item, or a fact of one, is there twice")
    parts = {f"examined:{part}" for part in ExamPart} | {f"document:{kind}" for kind in DocumentKind}
    _there("evaluation.item", [f for f in facts if ":" in f], parts)
    for row in (*said["study"], *said["screen"]):
        _there("evaluation", row["sources"], known.sources)
        if row["verified"] and row["sources"] == ["unconfirmed"]:
            raise DeclarationError(
                f"{TRIGGERS}: {row['title']} is called verified, and no source confirms it"
            )
    for row in said["study"]:
        _there("evaluation.study", row["conditions"], conditions)
    return EvaluationTerms(
        items=tuple(Item(r["id"], r["title"], r["part"], tuple(r["facts"])) for r in said["item"]),
        studies=tuple(
            StudyRow(
                r["kind"],
                r["title"],
                r["say"],
                frozenset(r["conditions"]),
                tuple(known.sources[s] for s in r["sources"]),
                r["verified"],
            )
            for r in said["study"]
        ),
        screens=tuple(
            Screen(r["instrument"], r["loinc"], Decimal(r["at_least"]), r["within_days"])
            for r in said["screen"]
        ),
    )


def _trigger(
    row: Mapping[str, Any],
    known: Alternatives,
    conditions: Collection[str],
    specialties: Collection[str],
) -> Trigger:
    name, when = row["id"], row["when"]
    if not any(when.values()):
        raise DeclarationError(f"{TRIGGERS}: {name} holds always: it has no condition")
    _there(name, when["conditions"], conditions)
    _there(name, row["routes"], specialties)
    _there(name, row["sources"], known.sources)
    if row["due_days"] is not None and when["days_from"] is None and when["surgery_days_from"] is None:
        raise DeclarationError(f"{TRIGGERS}: {name}: due_days counts from a day that it does not name")
    if row["verified"] and row["sources"] == ["unconfirmed"]:
        raise DeclarationError(f"{TRIGGERS}: {name} is called verified, and no source confirms it")
    return Trigger(
        id=name,
        title=row["title"],
        act=row["act"],
        say=row["say"],
        when=When(
            days_from=when["days_from"],
            days_until=when["days_until"],
            surgery_days_from=when["surgery_days_from"],
            change=frozenset(when["change"]),
            limits=frozenset(when["limits"]),
            phases=frozenset(when["phases"]),
            conditions=frozenset(when["conditions"]),
            facts=when["facts"],
        ),
        routes=tuple(row["routes"]),
        due_days=row["due_days"],
        sources=tuple(known.sources[s] for s in row["sources"]),
        verified=row["verified"],
        checklist=tuple(row["checklist"]),
    )


def _there(row: str, named: Collection[str], known: Collection[str]) -> None:
    missing = sorted(set(named) - set(known))
    if missing:
        raise DeclarationError(f"{TRIGGERS}: {row} names what is not known: {', '.join(missing)}")
