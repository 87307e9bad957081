"""Snoozes: a finding put to rest until a day, the list for compliance, and an end before the day."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.schemas import SnoozeAnswer, SnoozeRequest, SnoozesAnswer, SnoozesQuery
from stewardship.auth import Permission, principal, requires
from stewardship.runtime import runtime
from stewardship.services import snoozes

room = Room("snoozes", __name__, description="Findings put to rest, for how long, and by whom.")


@room.route("/decisions/<decision_id>/findings/<policy_id>/snooze", methods=["POST"])
@requires(Permission.SNOOZE_FINDINGS)
@room.arguments(SnoozeRequest)
@room.response(HTTPStatus.CREATED, SnoozeAnswer)
@room.doc(responses={409: "CONFLICT"})
def snooze_finding(said: Mapping[str, Any], decision_id: str, policy_id: str) -> Response:
    """Put a finding to rest until a day.

    By a prescriber, with one of the policy's coded reasons; for this policy, patient and drug. A hard stop,
    and what could not be checked, never rests.
    """
    running = runtime()
    with writing() as session:
        made = snoozes.snooze(
            session,
            running.library,
            decision_id,
            policy_id,
            reason=said["reason"],
            until=said["until"],
            by=principal(),
            now=running.clock(),
        )
    return answer(snoozes.snooze_json(made), HTTPStatus.CREATED)


@room.route("/snoozes")
@requires(Permission.READ_SNOOZES)
@room.arguments(SnoozesQuery, location="query")
@room.response(HTTPStatus.OK, SnoozesAnswer)
def list_snoozes(query: Mapping[str, Any]) -> Response:
    """List snoozes.

    The newest first, also those that are over; or, with `active_on`, those that last on that day.
    """
    with reading() as session:
        found = snoozes.listed(session, by=principal(), active_on=query.get("active_on"))
    return answer({"snoozes": [snoozes.snooze_json(one) for one in found]})


@room.route("/snoozes/<snooze_id>/end", methods=["POST"])
@requires(Permission.END_SNOOZES)
@room.response(HTTPStatus.OK, SnoozeAnswer)
@room.doc(responses={409: "CONFLICT"})
def end_snooze(snooze_id: str) -> Response:
    """End a snooze now.

    Its finding speaks again from the next check on.
    """
    with writing() as session:
        ended = snoozes.end(session, snooze_id, by=principal(), now=runtime().clock())
    return answer(snoozes.snooze_json(ended))
