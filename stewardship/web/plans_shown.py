"""What every page about one plan needs: the plan of this patient, its titles, and where it stands."""

from __future__ import annotations

from typing import Any

from flask import url_for

from stewardship.db.engine import transaction
from stewardship.domain.errors import NotFound
from stewardship.runtime import runtime
from stewardship.services import plans
from stewardship.services.plans import PlanRead
from stewardship.web.patient_forms import acting, library


def read_plan(plan_id: str, known_as: str) -> PlanRead:
    """A plan of this patient and of nobody else."""
    with transaction(runtime().sessions, write=False) as session:
        held = plans.read(session, library(), plan_id, **acting())
    if held.plan.patient_id != known_as:
        raise NotFound("there is no such plan")
    return held


def words() -> dict[str, Any]:
    """The titles of treatments, of who gives them, and of how urgent something is."""
    declared = library()
    return {
        "titles": {one.id: one.title for one in declared.alternatives.treatments.values()},
        "gives": {one.id: one.title for one in declared.plans.disciplines.values()},
        "urgencies": {one.id: one.title for one in declared.plans.urgencies.values()},
    }


def address(patient_id: str, plan_id: str) -> str:
    """Where the plan is shown."""
    return url_for("planning.plan", patient_id=patient_id, plan_id=plan_id)
