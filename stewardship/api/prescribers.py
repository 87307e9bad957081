"""The registry of prescribers: certifications, and what policies may rest on them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.plan_schemas import PrescriberAnswer, PrescriberRequest, PrescribersAnswer
from stewardship.auth import Permission, principal, requires
from stewardship.domain.plan_told import prescriber_told
from stewardship.domain.prescribers import Certification, Fellowship, Prescriber
from stewardship.runtime import runtime
from stewardship.services import prescribers
from stewardship.services.prescribers import PrescriberRead

room = Room("prescribers", __name__, description="Who prescribes, and with which certifications.")


@room.route("/prescribers")
@requires(Permission.READ_PRESCRIBERS)
@room.response(HTTPStatus.OK, PrescribersAnswer)
def list_prescribers() -> Response:
    """List the prescribers.

    By NPI, each with the qualifications that it has today, and what is missing for the others.
    """
    with reading() as session:
        found = prescribers.listed(session, by=principal())
    return answer({"prescribers": [_json(one) for one in found]})


@room.route("/prescribers", methods=["POST"])
@requires(Permission.KEEP_PRESCRIBERS)
@room.arguments(PrescriberRequest)
@room.response(HTTPStatus.OK, PrescriberAnswer)
@room.doc(responses={409: "CONFLICT"})
def keep_prescriber(said: Mapping[str, Any]) -> Response:
    """Keep what is known of a prescriber.

    Found by NPI; it takes the place of what was known, of which every version stays.
    """
    stated = Prescriber(
        id="",
        npi=said["npi"],
        specialty=said["specialty"],
        user_id=said["user"],
        certifications=tuple(Certification(**one) for one in said["certifications"]),
        fellowships=tuple(Fellowship(**one) for one in said["fellowships"]),
        active=said["active"],
    )
    running = runtime()
    with writing() as session:
        kept, _ = prescribers.keep(session, running.library, stated, by=principal(), now=running.clock())
    return answer(_json(kept))


@room.route("/prescribers/<prescriber_id>")
@requires(Permission.READ_PRESCRIBERS)
@room.response(HTTPStatus.OK, PrescriberAnswer)
def read_prescriber(prescriber_id: str) -> Response:
    """Read a prescriber.

    With the qualifications that it has today, and what is missing for the others.
    """
    with reading() as session:
        found = prescribers.read(session, prescriber_id, by=principal())
    return answer(_json(found))


def _json(read: PrescriberRead) -> dict[str, Any]:
    running = runtime()
    today = running.clock().date()
    return prescriber_told(read.prescriber, running.library.boards, version=read.version, today=today)
