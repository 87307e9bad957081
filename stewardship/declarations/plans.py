"""``reference/plans.toml`` and ``reference/boards.toml`` -> the terms of plans, and of who is qualified."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.declarations.taper import SourcedRow, SourceRow, cited, sources_of
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.care import PreferenceKind
from stewardship.domain.errors import DeclarationError
from stewardship.domain.pain_plan import Bundle, BundlePart, Discipline, Fade, PlanTerms
from stewardship.domain.plan_referrals import Urgency
from stewardship.domain.plan_steps import ResponseTerms, Threshold
from stewardship.domain.prescribers import Board, BoardTerms, CertificationKind, Qualification
from stewardship.domain.treatments import Source

FILE, BOARDS = "plans.toml", "boards.toml"
_SOME = validate.Length(min=1)
_ID = validate.Regexp(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_OF = ("treatment", "test", "trial")


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _number(least: int, most: int) -> fields.Integer:
    return fields.Integer(strict=True, required=True, validate=validate.Range(least, most))


def _words() -> fields.String:
    return fields.String(required=True, validate=_SOME)


def _id() -> fields.String:
    return fields.String(required=True, validate=_ID)


def _ids() -> fields.List[Any]:
    return fields.List(fields.String(validate=_ID), required=True)


class _Response(SourcedRow):
    of = fields.String(required=True, validate=validate.OneOf(_OF))
    meaningful_percent = _number(1, 100)
    partial_percent = _number(1, 100)


class _Named(SourcedRow):
    ids = _ids()


class _Trials(SourcedRow):
    treatments = _ids()


class _Fade(SourcedRow):
    treatment = _id()
    from_days = _number(1, 3_660)
    until_days = _number(1, 3_660)


class _Urgency(SourcedRow):
    id = _id()
    title = _words()
    accepted_days = _number(1, 365)
    seen_days = _number(1, 365)
    reported_days = _number(1, 365)


class _Discipline(SourcedRow):
    id = _id()
    title = _words()
    modalities = _ids()


class _Preference(SourcedRow):
    id = _id()
    title = _words()
    rungs = fields.List(fields.Integer(strict=True), required=True)
    modalities = _ids()


class _Chronic(SourcedRow):
    modalities = _ids()
    treatments = _ids()


class _Part(_Strict):
    id = _id()
    modalities = fields.List(fields.String(validate=_ID), load_default=list)
    treatments = fields.List(fields.String(validate=_ID), load_default=list)


class _Bundle(SourcedRow):
    id = _id()
    title = _words()
    say = _words()
    first = fields.String(load_default="")
    part = fields.List(fields.Nested(_Part), required=True, validate=validate.Length(min=2))


class _File(_Strict):
    provenance = fields.Dict(required=True)
    source = fields.List(fields.Nested(SourceRow), required=True, validate=_SOME)
    response = fields.List(fields.Nested(_Response), required=True)
    trials = fields.Nested(_Trials, required=True)
    fade = fields.List(fields.Nested(_Fade), required=True)
    urgency = fields.List(fields.Nested(_Urgency), required=True, validate=_SOME)
    referral_sources = fields.Nested(_Named, required=True)
    discipline = fields.List(fields.Nested(_Discipline), required=True, validate=_SOME)
    preference = fields.List(fields.Nested(_Preference), required=True)
    chronic = fields.Nested(_Chronic, required=True)
    bundle = fields.List(fields.Nested(_Bundle), load_default=list)


def read_plan_terms(reference: Path, alternatives: Alternatives) -> PlanTerms:
    """The terms; raises ``DeclarationError`` naming what stands for nothing."""
    said = checked(reference / FILE, _File())
    known = sources_of(FILE, said["source"])
    modalities = {t.modality for t in alternatives.treatments.values()}
    _refuse_unknown("treatment", said["trials"]["treatments"], alternatives.treatments)
    _refuse_unknown("treatment", [row["treatment"] for row in said["fade"]], alternatives.treatments)
    _refuse_unknown("treatment", said["chronic"]["treatments"], alternatives.treatments)
    for row in (*said["discipline"], *said["preference"], said["chronic"]):
        _refuse_unknown("modality", row["modalities"], modalities)
    for row in said["preference"]:
        _refuse_unknown("rung", row["rungs"], alternatives.rungs)
    for part in ("trials", "referral_sources", "chronic"):
        cited(FILE, said[part], known)
    return PlanTerms(
        responses=_responses(said, known),
        urgencies=_by_id(Urgency, said["urgency"], known),
        referral_sources=frozenset(said["referral_sources"]["ids"]),
        disciplines=_by_id(Discipline, said["discipline"], known, sets=("modalities",)),
        preferences=_by_id(PreferenceKind, said["preference"], known, sets=("rungs", "modalities")),
        fades={row["treatment"]: Fade(**{**row, "sources": cited(FILE, row, known)}) for row in said["fade"]},
        chronic_modalities=tuple(said["chronic"]["modalities"]),
        chronic_treatments=tuple(said["chronic"]["treatments"]),
        bundles=tuple(_bundle(row, known, alternatives) for row in said["bundle"]),
    )


def _bundle(row: Mapping[str, Any], known: Mapping[str, Source], alternatives: Alternatives) -> Bundle:
    parts = tuple(
        BundlePart(p["id"], frozenset(p["modalities"]), frozenset(p["treatments"])) for p in row["part"]
    )
    modalities = {t.modality for t in alternatives.treatments.values()}
    for part in parts:
        _refuse_unknown("modality", part.modalities, modalities)
        _refuse_unknown("treatment", part.treatments, alternatives.treatments)
        if not part.modalities and not part.treatments:
            raise DeclarationError(f"{FILE}: {row['id']}: {part.id} names no treatment")
    _refuse_unknown("part", [row["first"]] if row["first"] else [], {part.id for part in parts})
    sources = cited(FILE, row, known)
    return Bundle(row["id"], row["title"], row["say"], row["first"], parts, sources, row["verified"])


def _responses(said: Mapping[str, Any], known: Mapping[str, Source]) -> ResponseTerms:
    thresholds = {}
    for row in said["response"]:
        if row["partial_percent"] >= row["meaningful_percent"] or row["of"] in thresholds:
            raise DeclarationError(
                f"{FILE}: response of {row['of']} stands there once, partial below meaningful"
            )
        thresholds[row["of"]] = Threshold(
            row["meaningful_percent"], row["partial_percent"], cited(FILE, row, known), row["verified"]
        )
    if set(thresholds) != set(_OF):
        raise DeclarationError(f"{FILE}: response is told of each of {', '.join(_OF)}")
    return ResponseTerms(**thresholds, trials=frozenset(said["trials"]["treatments"]))


def _by_id(
    kind: Any,
    rows: list[Mapping[str, Any]],
    known: Mapping[str, Source],
    *,
    file: str = FILE,
    sets: Collection[str] = (),
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for row in rows:
        if row["id"] in made:
            raise DeclarationError(f"{file}: {row['id']} stands there twice")
        values = {name: frozenset(value) if name in sets else value for name, value in row.items()}
        made[row["id"]] = kind(**{**values, "sources": cited(file, row, known)})
    return made


def _refuse_unknown(what: str, named: Collection[Any], known: Collection[Any]) -> None:
    unknown = [str(name) for name in named if name not in known]
    if unknown:
        raise DeclarationError(f"{FILE}: there is no {what} {', '.join(unknown)}")


# --- boards -----------------------------------------------------------------------------------------------


class _Board(SourcedRow):
    id = _id()
    title = _words()
    primary = fields.List(fields.String(validate=_SOME), required=True)
    pain_medicine = fields.Boolean(required=True, truthy={True}, falsy={False})


class _Qualification(SourcedRow):
    id = _id()
    title = _words()
    certifications = fields.List(fields.Enum(CertificationKind, by_value=True), required=True)
    fellowship_months = fields.Integer(strict=True, load_default=None, validate=validate.Range(1, 60))


class _Boards(_Strict):
    provenance = fields.Dict(required=True)
    source = fields.List(fields.Nested(SourceRow), required=True, validate=_SOME)
    board = fields.List(fields.Nested(_Board), required=True, validate=_SOME)
    qualification = fields.List(fields.Nested(_Qualification), required=True, validate=_SOME)


def read_boards(reference: Path) -> BoardTerms:
    """Boards and qualifications; raises ``DeclarationError``."""
    said = checked(reference / BOARDS, _Boards())
    known = sources_of(BOARDS, said["source"])
    for row in said["qualification"]:
        if not row["certifications"] and row["fellowship_months"] is None:
            raise DeclarationError(f"{BOARDS}: {row['id']} asks for nothing")
    return BoardTerms(
        boards=_by_id(Board, said["board"], known, file=BOARDS, sets=("primary",)),
        qualifications=_by_id(
            Qualification, said["qualification"], known, file=BOARDS, sets=("certifications",)
        ),
    )
