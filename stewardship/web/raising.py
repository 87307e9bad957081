"""A flag by hand, for what no record shows: it labels a prescription or an order, never a person."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.chart import Chart
from stewardship.domain.orders import SupplyKind
from stewardship.runtime import runtime
from stewardship.services import flags, patients
from stewardship.web.pages import page
from stewardship.web.patient_forms import acting, day, done, library, patient, typed, wrong
from stewardship.web.patient_forms import today as organisations_day

room = Blueprint("raising", __name__)

#: Supplies to choose from, the newest first: as many as a person looks through.
_MOST = 200


@room.get("/patients/<patient_id>/flags/new")
@requires(Permission.WORK_FLAGS)
def form(patient_id: str) -> Response:
    """The kinds that a pharmacist may raise, and the supplies that one may be about."""
    return _page(patient_id, {}, {})


@room.post("/patients/<patient_id>/flags/new")
@requires(Permission.WORK_FLAGS)
def raise_flag(patient_id: str) -> Response | WSGIResponse:
    """Raise it; it stands in the queue like any other."""
    patient(patient_id)
    said = typed("kind", "label", "words", "on")
    made: list[str] = []

    def act(session: Session) -> str:
        if not said["label"]:
            raise wrong("/label", "required", "Choose the supply that it is about.")
        on = day(said["on"], "/on")
        raised = flags.raise_by_hand(
            session, library(), patient_id, said["kind"], said["label"], said["words"], on=on, **acting()
        )
        made.append(raised.id)
        return "The flag is in the queue."

    return done(
        act,
        lambda faults: _page(patient_id, said, faults),
        to=lambda: url_for("flagged.show", flag_id=made[0]),
    )


def _page(patient_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    running, by, now = runtime(), principal(), runtime().clock()
    with transaction(running.sessions, late=True) as session:
        opened = patients.open_chart(session, library(), patient_id, what="flag", by=by, now=now)
        on = organisations_day(session)
    kinds = library().flags.work.kinds.values()
    return page(
        "raise.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK,
        who=opened.who,
        today=on,
        kinds=[(one.kind, one.title) for one in kinds if one.by_hand],
        supplies=_supplies(opened.chart),
        typed=said,
        faults=faults,
    )


def _supplies(chart: Chart) -> list[tuple[str, str]]:
    """What was prescribed and dispensed, the newest first."""
    known = [one for one in chart.supplies if one.kind is not SupplyKind.DRAFT]
    known.sort(key=lambda one: (one.start_on is not None, one.start_on, one.id), reverse=True)
    return [
        (one.id, f"{one.start_on or 'no date'}: {one.drug.name if one.drug else one.medication.label}")
        for one in known[:_MOST]
    ]
