"""How the work that nobody asks for is doing: each job's last run, what is late, mail that waits."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from marshmallow import fields

from stewardship.api.exchange import Room, answer, reading
from stewardship.auth import Permission, principal, requires
from stewardship.intake.fields import StrictSchema
from stewardship.runtime import runtime
from stewardship.scheduler import status

room = Room("health", __name__, description="How the scheduler is doing.")


class RunAnswer(StrictSchema):
    """A job's newest run."""

    due_at = fields.String(required=True)
    started_at = fields.String(required=True)
    finished_at = fields.String(required=True, allow_none=True)
    seconds = fields.Float(required=True)
    done = fields.Integer(required=True, metadata={"description": "Items."})
    late = fields.Integer(required=True, metadata={"description": "Those of them that were done late."})
    late_seconds = fields.Integer(required=True, metadata={"description": "How late the run began."})
    attempts = fields.Integer(required=True)
    code = fields.String(required=True, allow_none=True, metadata={"description": "Why it failed."})
    found = fields.Dict(required=True, metadata={"description": "What it found, in ids, codes and counts."})


class JobAnswer(StrictSchema):
    """A job: how it stands and what its newest run did."""

    job = fields.String(required=True)
    state = fields.String(
        required=True, metadata={"description": "`never`, `running`, `done`, `failed` or `interrupted`."}
    )
    overdue = fields.Boolean(required=True, metadata={"description": "Its moment passed, and nobody looked."})
    next_at = fields.String(required=True)
    last = fields.Nested(RunAnswer, required=True, allow_none=True)
    last_done_at = fields.String(required=True, allow_none=True)


class GivenUpAnswer(StrictSchema):
    """A message that no server took."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    recipient = fields.String(required=True)
    created_at = fields.String(required=True)
    attempts = fields.Integer(required=True)
    code = fields.String(required=True)


class MailAnswer(StrictSchema):
    """The outbox in numbers, and what was given up on."""

    pending = fields.Integer(required=True)
    sending = fields.Integer(required=True)
    sent = fields.Integer(required=True)
    dead = fields.Integer(required=True)
    waiting_since = fields.String(required=True, allow_none=True)
    given_up = fields.List(fields.Nested(GivenUpAnswer), required=True)


class HealthAnswer(StrictSchema):
    """The jobs of the caller's organisation."""

    organisation = fields.String(required=True)
    leader = fields.Boolean(required=True, metadata={"description": "Whether a scheduler is at work now."})
    jobs = fields.List(fields.Nested(JobAnswer), required=True)
    mail = fields.Nested(MailAnswer, required=True)


@room.route("/health/jobs")
@requires(Permission.READ_JOBS)
@room.response(HTTPStatus.OK, HealthAnswer)
def jobs() -> Response:
    """Say when each job was last done, how long it took, what it did, and what is late."""
    running = runtime()
    leader = status.has_leader(running)
    with reading() as session:
        told = status.status(
            session, running, principal().organisation_id, leader=leader, now=running.clock()
        )
    return answer(told)
