"""Checking an order before it is signed: found by name, judged as it is typed, then submitted.

Everything works as a plain form; with scripts the suggestions and the answer come without a page load. What
is only checked is not kept; what is submitted is kept with its decision.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as WSGIResponse

from stewardship import after_orders
from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import new_id, transaction
from stewardship.domain.chart import Chart, Condition
from stewardship.domain.codes import ICD10CM
from stewardship.domain.drugs import Drug
from stewardship.domain.errors import InvalidInput
from stewardship.domain.orders import Order
from stewardship.intake.case import Case, read_case
from stewardship.runtime import runtime
from stewardship.services import orders, patients, unchecked
from stewardship.services.answers import decision_json
from stewardship.web import ordering
from stewardship.web.ordering import Written
from stewardship.web.pages import is_part, page

room = Blueprint("ordering", __name__)

_CHANNEL = "page"
#: How the parts of the form put things into words.
_WORDS: dict[str, Any] = {
    "ordering": ordering,
    "ordering_reads": ordering.reads,
    "ordering_times": [(code, often.label) for code, often in ordering.OFTEN.items()],
    "unit_of": ordering.unit_of,
    "drug_words": ordering.drug_words,
}

#: As many products as can be read at a glance.
_SUGGESTED = 8


class Asked(NamedTuple):
    """A form for a patient, as far as it got: what was typed, the order it comes to, and the answer."""

    written: Written
    order: Order | None = None
    decision: dict[str, Any] | None = None


@room.get("/patients/<patient_id>/order")
@requires(Permission.SCREEN_ORDERS)
def order_form(patient_id: str) -> Response:
    """An empty form, or one filled with the order of an earlier decision (``from``)."""
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions, late=True) as session:
        opened = patients.open_chart(
            session, running.library_of(by.organisation_id), patient_id, what="order", by=by, now=now
        )
        written = Written({})
        if earlier := request.args.get("from", ""):
            made = patients.made_on(session, earlier, by=by)
            if made.patient_id == patient_id and made.order is not None:
                written = ordering.again(made.order)
    if code := request.args.get("rxcui", ""):
        written = _of_product(code)
    return _form(opened.who, opened.chart, Asked(written))


@room.post("/patients/<patient_id>/order")
@requires(Permission.SCREEN_ORDERS)
def check_order(patient_id: str) -> Response | WSGIResponse:
    """What the form asks for: products by name (``search``), or an answer (``check``); nothing is kept."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    written = ordering.typed(request.form)
    does = request.form.get("do", "check")
    with transaction(running.sessions, write=False) as session:
        who, known_as = patients.known(session, patient_id, by=by)
    if does == "search":
        return _search(who, written)
    try:
        asked = _judged(written, known_as)
    except InvalidInput as refused:
        asked = Asked(ordering.with_faults(written, refused))
    if is_part():
        return page("order_result.html", asked=asked, who=who, **_WORDS)
    with transaction(running.sessions, late=True) as session:
        opened = patients.open_chart(session, library, patient_id, what="order", by=by, now=now)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if asked.written.faults else HTTPStatus.OK
    return _form(who, opened.chart, asked, status=status)


@room.post("/patients/<patient_id>/order/submit")
@requires(Permission.SUBMIT_ORDERS)
def submit_order(patient_id: str) -> Response | WSGIResponse:
    """Keep the order with its decision, once: the same form sent again finds its first answer."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    written = ordering.typed(request.form)
    with transaction(running.sessions, write=False) as session:
        who, known_as = patients.known(session, patient_id, by=by)
    try:
        if written.empty:
            raise InvalidInput("no medicine", faults=(ordering.fault("medicine", "Name the medicine."),))
        case = _case(written, known_as)
    except InvalidInput as refused:
        with transaction(running.sessions, late=True) as session:
            opened = patients.open_chart(session, library, patient_id, what="order", by=by, now=now)
        asked = Asked(ordering.with_faults(written, refused))
        return _form(who, opened.chart, asked, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    with transaction(running.sessions) as session:
        kept = orders.submit(session, library, case.order, case.chart, channel=_CHANNEL, by=by, now=now)
        unchecked.raise_for(session, library, [kept], by=by, now=now)
    after_orders.look_again(running.sessions, library, kept.decision_id, by=by, now=now)
    return redirect(url_for("decided.show", decision_id=kept.decision_id), HTTPStatus.SEE_OTHER)


# --- judging what was typed --------------------------------------------------------------------------


def _case(written: Written, known_as: str) -> Case:
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    said = ordering.document(written, patient_id=known_as, order_id=written["order_id"] or new_id(now))
    case = read_case(
        said, catalogue=library.catalogue, code_sets=library.code_sets, units=library.units, now=now
    )
    return replace(case, order=replace(case.order, prescriber=by.user_id))


def _judged(written: Written, known_as: str) -> Asked:
    """The form with the decision that its order would get now; nothing is kept."""
    if written.empty:
        return Asked(written)
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    case = _case(written, known_as)
    with transaction(running.sessions, write=False) as session:
        (checked,) = orders.screen(session, library, [case.order], case.chart, by=by, now=now)
    return Asked(written, case.order, decision_json(checked.decision, library, patient_id=known_as))


def _search(who: patients.Found, written: Written) -> Response:
    products = _products(written["medicine"])
    if is_part():
        return page(
            "medicines.html", products=products, written=written, asked_for=written["medicine"], **_WORDS
        )
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions, late=True) as session:
        opened = patients.open_chart(
            session, running.library_of(by.organisation_id), who.id, what="order", by=by, now=now
        )
    return _form(who, opened.chart, Asked(Written({**written.typed, "rxcui": ""})), products=products)


def _products(text: str) -> tuple[Drug, ...]:
    return runtime().library_of(principal().organisation_id).catalogue.suggest(text, limit=_SUGGESTED)


def _of_product(code: str) -> Written:
    drug = runtime().library_of(principal().organisation_id).catalogue.by_rxcui(code)
    if drug is None:
        return Written({})
    return Written({"medicine": drug.name, "rxcui": code, "unit": ordering.unit_of(drug)})


def _form(
    who: patients.Found,
    chart: Chart,
    asked: Asked,
    *,
    products: tuple[Drug, ...] | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    chosen = asked.written["rxcui"]
    library = runtime().library_of(principal().organisation_id)
    return page(
        "order.html",
        status=status,
        who=who,
        chart=chart,
        asked=asked,
        written=asked.written,
        products=products,
        asked_for=asked.written["medicine"],
        chosen=library.catalogue.by_rxcui(chosen) if chosen else None,
        conditions=diagnoses(chart),
        order_id=asked.written["order_id"] or new_id(runtime().clock()),
        **_WORDS,
    )


def diagnoses(chart: Chart) -> list[tuple[str, str]]:
    """The diagnoses on record that an order or a plan can be for: ICD-10-CM code and words."""
    return sorted({(c.code, _title(one)) for one in chart.conditions for c in _icd(one)})


def _icd(condition: Condition) -> list[Any]:
    live = condition.active is not False and condition.abated_on is None
    return [c for c in condition.codings if c.system == ICD10CM] if live else []


def _title(condition: Condition) -> str:
    return condition.text or next((c.display for c in condition.codings if c.display), "")
