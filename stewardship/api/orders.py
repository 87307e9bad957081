"""An order is screened (nothing is kept) or submitted (kept, with its decision)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Response, request, url_for

from stewardship import after_orders
from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.schemas import DecisionAnswer
from stewardship.auth import Permission, principal, requires
from stewardship.declarations import Library
from stewardship.domain.errors import Conflict, Fault, InvalidInput
from stewardship.domain.orders import Order
from stewardship.intake.case import Case, CaseSchema, OrderSchema, case_of
from stewardship.runtime import runtime
from stewardship.services import orders, unchecked
from stewardship.services.answers import decision_json

room = Room("orders", __name__, description="Check an order before it is signed.")

_KEY = "Idempotency-Key"
_NO_ID = OrderSchema().fields["id"].load_default
_LONGEST_KEY = 64
_KEY_DOC = {
    "in": "header",
    "name": _KEY,
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_KEY, "pattern": "^[!-~]+$"},
    "description": "Makes a repetition safe: the same key and body get the first answer again. It becomes "
    "the order's id, so leave `order.id` out, or write the same.",
}


@room.route("/orders/screen", methods=["POST"])
@requires(Permission.SCREEN_ORDERS)
@room.arguments(CaseSchema)
@room.response(HTTPStatus.OK, DecisionAnswer)
def screen_order(data: Mapping[str, Any]) -> Response:
    """Screen an order.

    The decision that this order would get now; nothing is stored, so its `id` is null.
    """
    case, library, now = _read(data)
    with reading() as session:
        (checked,) = orders.screen(session, library, [case.order], case.chart, by=principal(), now=now)
    return answer(
        decision_json(checked.decision, library, patient_id=checked.patient_id, chart=checked.chart)
    )


@room.route("/orders", methods=["POST"])
@requires(Permission.SUBMIT_ORDERS)
@room.arguments(CaseSchema)
@room.response(
    HTTPStatus.CREATED,
    DecisionAnswer,
    headers={"Location": {"schema": {"type": "string"}, "description": "The stored decision."}},
)
@room.doc(parameters=[_KEY_DOC], responses={409: "CONFLICT"})
def submit_order(data: Mapping[str, Any]) -> Response:
    """Submit an order.

    The order, its decision and the audit entry are stored together. The same order sent again under its
    id gets its first answer; a different one under the same id is refused.
    """
    case, library, now = _read(data)
    order, key = _identified(case.order)
    try:
        with writing() as session:
            checked = orders.submit(session, library, order, case.chart, by=principal(), now=now)
            unchecked.raise_for(session, library, [checked], by=principal(), now=now)
    except Conflict as taken:
        if key is None:
            raise
        raise InvalidInput(
            f"the {_KEY} was used for another order; use a new key", code="idempotency-key-reused"
        ) from taken
    after_orders.look_again(runtime().sessions, library, checked.decision_id, by=principal(), now=now)
    body = decision_json(
        checked.decision,
        library,
        patient_id=checked.patient_id,
        decision_id=checked.decision_id,
        chart=checked.chart,
    )
    where = url_for("decisions.read_decision", decision_id=checked.decision_id)
    return answer(body, HTTPStatus.CREATED, Location=where)


def _read(data: Mapping[str, Any]) -> tuple[Case, Library, datetime]:
    """The case, by the catalogue of the caller's organisation; that library, and the moment of asking."""
    running = runtime()
    now = running.clock()
    library = running.library_of(principal().organisation_id)
    case = case_of(
        data, catalogue=library.catalogue, code_sets=library.code_sets, units=library.units, now=now
    )
    return case, library, now


def _identified(order: Order) -> tuple[Order, str | None]:
    """The order under its id: its own, or the key of the request, or none yet."""
    own = "" if order.id == _NO_ID else order.id
    key = request.headers.get(_KEY)
    if key is None:
        return replace(order, id=own), None
    if not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key):
        raise InvalidInput(
            f"the {_KEY} is not usable: up to {_LONGEST_KEY} visible characters of ASCII, no spaces",
            code="idempotency-key-unusable",
        )
    if own not in {"", key}:
        raise InvalidInput(
            f"the order has an id and the request a different {_KEY}",
            faults=(Fault("/order/id", "differs-from-key", f"leave it out, or write the {_KEY}"),),
        )
    return replace(order, id=key), key
