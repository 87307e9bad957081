"""The drug catalogue, with what the organisation has loaded: find a product by name, look one up by code."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer
from stewardship.api.schemas import DrugAnswer, DrugsAnswer, DrugsQuery
from stewardship.auth import Permission, principal, requires
from stewardship.domain.codes import NDC, RXNORM
from stewardship.domain.drugs import Catalogue, Drug
from stewardship.domain.errors import NotFound
from stewardship.runtime import runtime

room = Room("drugs", __name__, description="Products that the service recognises.")


@room.route("/drugs")
@requires(Permission.READ_DRUGS)
@room.arguments(DrugsQuery, location="query")
@room.response(HTTPStatus.OK, DrugsAnswer)
def suggest_drugs(query: Mapping[str, Any]) -> Response:
    """Suggest products for part of a name.

    The likeliest first. A suggestion is not a recognition: an order names its product by code.
    """
    found = _catalogue().suggest(query["q"])
    return answer({"drugs": [drug_json(drug) for drug in found]})


@room.route("/drugs/<system>/<code>")
@requires(Permission.READ_DRUGS)
@room.response(HTTPStatus.OK, DrugAnswer)
def read_drug(system: str, code: str) -> Response:
    """Look a product up by its code.

    `rxnorm` with an RxCUI, or `ndc` with an NDC: 11 digits, or 10 or 11 with hyphens. Ten digits without
    hyphens can be three different products, so they are not recognised.
    """
    catalogue = _catalogue()
    look_up = {RXNORM: catalogue.by_rxcui, NDC: catalogue.by_ndc}.get(system)
    drug = look_up(code) if look_up and code.isascii() else None
    if drug is None:
        raise NotFound("the catalogue has no such product")
    return answer(drug_json(drug))


def _catalogue() -> Catalogue:
    """The products that the caller's organisation knows."""
    return runtime().library_of(principal().organisation_id).catalogue


def drug_json(drug: Drug) -> dict[str, Any]:
    """A product as JSON; an unknown strength or schedule is null."""
    return {
        "system": drug.code.system,
        "code": drug.code.code,
        "name": drug.name,
        "form": drug.form,
        "release": drug.release.value,
        "schedule": drug.schedule.value if drug.schedule else None,
        "classes": sorted(c.value for c in drug.classes),
        "ingredients": [
            {
                "name": i.name,
                "rxcui": i.rxcui,
                "strength": i.strength,
                "unit": i.unit,
                "opioid": i.opioid,
            }
            for i in drug.ingredients
        ],
    }
