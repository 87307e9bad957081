"""How the jobs are doing, over the API: of the caller's organisation, for who watches over the service."""

from __future__ import annotations

from stewardship.domain.people import Role
from stewardship.runtime import Runtime
from stewardship.scheduler import JOBS
from stewardship.scheduler.running import run
from tests.api.conftest import ELSEWHERE, HERE, json


def test_each_job_says_when_it_was_last_done_and_what_it_did(app, caller):
    running: Runtime = app.extensions["stewardship"]
    send = next(job for job in JOBS if job.name == "send")
    run(running, send, HERE, at_once=True)
    told = json(caller(Role.COMPLIANCE).get("/api/v1/health/jobs"))
    jobs = {job["job"]: job for job in told["jobs"]}
    assert list(jobs) == [job.name for job in JOBS]
    assert (jobs["send"]["state"], jobs["send"]["overdue"]) == ("done", False)
    assert jobs["send"]["last"]["found"] == {"server": False, "waiting": 0}
    assert (jobs["remind"]["state"], jobs["remind"]["overdue"], jobs["remind"]["last"]) == (
        "never",
        True,
        None,
    )
    assert told["leader"] is False
    assert told["mail"]["dead"] == 0
    there = json(caller(Role.ADMIN, ELSEWHERE).get("/api/v1/health/jobs"))
    assert there["organisation"] == ELSEWHERE
    assert {job["state"] for job in there["jobs"]} == {"never"}


def test_ready_is_not_a_question_of_jobs(nobody):
    assert nobody.get("/readyz").status_code == 200
