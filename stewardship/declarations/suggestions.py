"""``reference/suggestions.toml`` -> what cards may suggest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship.declarations.drugs import checked
from stewardship.domain.codes import SNOMED, Coding
from stewardship.domain.errors import DeclarationError
from stewardship.domain.suggestions import Kind, Offer

FILE = "suggestions.toml"
_WORDS = validate.Length(min=1)
_CODE = validate.Regexp(r"\A[1-9][0-9]{0,17}\Z")
#: What each kind of suggestion needs besides its words, and what no other kind may say.
_NEEDS = {
    Kind.MEDICINE: {"product"},
    Kind.SHORTER_COURSE: set[str](),
    Kind.IMMEDIATE_RELEASE: {"products"},
    Kind.REFERRAL: {"code", "text"},
    Kind.ALTERNATIVES: {"most"},
}


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Code(_Strict):
    system = fields.String(required=True, validate=validate.Equal(SNOMED))
    code = fields.String(required=True, validate=_CODE)
    display = fields.String(required=True, validate=_WORDS)


class _Source(_Strict):
    title = fields.String(required=True, validate=_WORDS)
    publisher = fields.String(required=True, validate=_WORDS)
    date = fields.Raw(required=True)
    url = fields.Url(required=True)
    review_by = fields.Raw(required=True)
    verified = fields.Boolean(truthy={True}, falsy={False})
    note = fields.String()


class _Suggestion(_Strict):
    kind = fields.Enum(Kind, by_value=True, required=True)
    policies = fields.List(fields.String(validate=_WORDS), required=True, validate=_WORDS)
    label = fields.String(required=True, validate=validate.Length(min=1, max=80))
    description = fields.String(required=True, validate=_WORDS)
    recommended = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    product = fields.String(validate=_CODE)
    products = fields.Dict(keys=fields.String(validate=_CODE), values=fields.String(validate=_CODE))
    code = fields.Nested(_Code)
    text = fields.String(validate=_WORDS)
    most = fields.Integer(strict=True, validate=validate.Range(1, 5))
    otherwise = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    source = fields.Nested(_Source, required=True)


class _File(_Strict):
    provenance = fields.Dict(required=True)
    suggestion = fields.List(fields.Nested(_Suggestion), required=True)


def read_suggestions(reference: Path) -> tuple[Offer, ...]:
    """Every suggestion, as they stand; raises ``DeclarationError`` naming the one that is wrong."""
    return tuple(_offer(said) for said in checked(reference / FILE, _File())["suggestion"])


def _offer(said: Mapping[str, Any]) -> Offer:
    kind = said["kind"]
    special = {"product", "products", "code", "text", "most"}
    if special & said.keys() != _NEEDS[kind]:
        needs = ", ".join(sorted(_NEEDS[kind])) or "none of " + ", ".join(sorted(special))
        raise DeclarationError(f"{FILE}: {said['label']!r} is of kind {kind}, which takes {needs}")
    code = said.get("code")
    return Offer(
        kind=kind,
        policies=frozenset(said["policies"]),
        label=said["label"],
        description=said["description"],
        product=said.get("product", ""),
        products=said.get("products", {}),
        code=Coding(**code) if code else None,
        text=said.get("text", ""),
        recommended=said["recommended"],
        most=said.get("most", 0),
        otherwise=said["otherwise"],
    )
