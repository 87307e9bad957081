"""``reference/explanations.toml`` -> what decisions mean, in words for patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.policy import Disposition

FILE = "explanations.toml"
_WORDS = validate.Length(min=1, max=400)


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Meaning(_Strict):
    title = fields.String(required=True, validate=_WORDS)
    found = fields.String(required=True, validate=_WORDS)
    means = fields.String(required=True, validate=_WORDS)


class _Topic(_Meaning):
    id = fields.String(required=True, validate=_WORDS)


class _Always(_Strict):
    words = fields.String(required=True, validate=_WORDS)


class _Source(_Strict):
    title = fields.String(required=True, validate=validate.Length(min=1))
    publisher = fields.String(required=True, validate=_WORDS)
    date = fields.Raw(required=True)
    url = fields.String(required=True, validate=_WORDS)
    verified = fields.Boolean(required=True)
    review_by = fields.Raw(required=True)
    note = fields.String(required=True, validate=_WORDS)


class _File(_Strict):
    source = fields.Nested(_Source, required=True)
    standing = fields.Dict(
        keys=fields.String(validate=validate.OneOf(list(Disposition))),
        values=fields.String(validate=_WORDS),
        required=True,
        validate=validate.Length(equal=len(Disposition)),
    )
    not_checked = fields.Nested(_Meaning, required=True)
    topic = fields.List(fields.Nested(_Topic), required=True)
    always = fields.List(fields.Nested(_Always), required=True, validate=validate.Length(min=1))


@dataclass(frozen=True, slots=True)
class Meaning:
    """One topic: what was found, and what it means for the patient."""

    title: str
    found: str
    means: str


@dataclass(frozen=True)
class Explanations:
    """The words: how an order stands, each topic, what could not be checked, and what everybody is told.
    Not ``verified``: no panel of patients has read them."""

    standing: Mapping[Disposition, str]
    topics: Mapping[str, Meaning]
    not_checked: Meaning
    always: tuple[str, ...]
    sources: str
    verified: bool


def read_explanations(reference: Path) -> Explanations:
    """The words for patients; raises ``DeclarationError`` naming the place."""
    said = checked(reference / FILE, _File())
    return Explanations(
        {Disposition(name): words for name, words in said["standing"].items()},
        {one["id"]: Meaning(**{k: one[k] for k in ("title", "found", "means")}) for one in said["topic"]},
        Meaning(**said["not_checked"]),
        tuple(one["words"] for one in said["always"]),
        f"{said['source']['title']}. {said['source']['publisher']}.",
        said["source"]["verified"],
    )
