"""Rows that other rows need."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from stewardship.db import (
    Sessions,
    care_tables,
    flag_tables,
    follow_up_tables,
    function_tables,
    import_tables,
    match_tables,
    plan_tables,
    retention_tables,
    tables,
    token_tables,
    transaction,
)
from tests.builders import NOW, TODAY


@pytest.fixture
def peopled(database: Sessions) -> Sessions:
    """A database with an organisation, a patient, a decision, a finding and what people did about it."""
    of = {"organisation_id": "org-1"}
    by = {"by_user": "u-1", "by_role": "prescriber"}
    one = of | {"decision_id": "d-1", "policy_id": "a-policy"}
    rows = [
        (tables.Organisation, {"id": "org-1", "name": "One", "created_at": NOW}),
        (tables.Patient, of | {"id": "1", "ehr_id": "p-1", "sex": "", "deceased": False, "recorded_at": NOW}),
        (
            tables.PolicyVersion,
            of | {"policy_id": "a-policy", "version": 1, "sha256": "0" * 64, "document": "{}"},
        ),
        (
            tables.Decision,
            of
            | by
            | {"id": "d-1", "patient_id": "1", "channel": "submit", "disposition": "clear", "as_of": NOW}
            | {"chart_document": "{}", "policies_document": "[]"},
        ),
        (
            tables.Finding,
            one
            | {"version": 1, "outcome": "breach", "enforcement": "hard-stop", "severity": "info"}
            | {"document": "{}"},
        ),
        (
            tables.Finding,
            one
            | {"policy_id": "other-policy", "version": 1, "outcome": "breach", "enforcement": "soft-stop"}
            | {"severity": "info", "document": "{}"},
        ),
        (tables.Override, one | by | {"reason": "benefit", "comment": "", "at": NOW}),
        (
            tables.ExceptionRequest,
            one | by | {"id": "e-1", "reason": "r", "note": "", "at": NOW, "status": "open"},
        ),
        (
            tables.Countersignature,
            of
            | {"exception_id": "e-1", "by_user": "u-2", "by_role": "pharmacist", "approve": True}
            | {"note": "", "at": NOW},
        ),
        (
            tables.AuditEvent,
            of
            | by
            | {"seq": 1, "at": NOW, "action": "a", "subject": "s", "detail": "{}", "key_id": "k1"}
            | {"mac": "0" * 64},
        ),
        (
            tables.Snooze,
            one
            | by
            | {"id": "z-1", "patient_id": "1", "drug": "", "enforcement": "soft-stop", "reason": "benefit"}
            | {"from_on": TODAY, "until": TODAY + timedelta(days=1), "at": NOW},
        ),
        (tables.SnoozeEnd, of | by | {"snooze_id": "z-1", "at": NOW}),
        (
            tables.Card,
            of
            | {"id": "c-1", "decision_id": "d-1", "policies": "[]", "topic": "", "enforcement": "inform"}
            | {"shown_at": NOW, "by_user": "u-1"},
        ),
        (
            tables.CardFeedback,
            of
            | by
            | {"card_id": "c-1", "at": NOW, "outcome": "accepted", "accepted": "[]", "reason_code": ""}
            | {"reason_system": "", "comment": "", "service": "s", "received_at": NOW},
        ),
        (
            import_tables.Import,
            of
            | by
            | {"id": "i-1", "digest": "0" * 64, "format": "asap", "source": "f", "status": "running"}
            | {"reason": "", "rows": 0, "stored": 0, "unchanged": 0, "rejected": 0, "position": 0}
            | {"started_at": NOW, "seen_at": NOW},
        ),
        (
            import_tables.Identity,
            of
            | {"id": "n-1", "digest": "0" * 64, "match_key": "k", "animal": False, "patient_id": "1"}
            | {"document": "{}", "first_seen_at": NOW},
        ),
        (
            import_tables.IdentityLink,
            of
            | by
            | {"identity_id": "n-1", "seq": 1, "patient_id": "1", "rule": "new", "confidence": Decimal(1)}
            | {"reason": "", "at": NOW},
        ),
        (
            match_tables.MatchSettlement,
            of
            | by
            | {"identity_id": "n-1", "seq": 1, "patient_id": "1", "act": "parted", "reason": "r", "at": NOW},
        ),
        (import_tables.ReportSource, of | {"id": "s-1", "document": "{}"}),
        (
            import_tables.DispensingReport,
            of
            | {"import_id": "i-1", "seq": 1, "dispensing_id": "x", "version": "v", "reporting": "new"}
            | {"source_id": "s-1", "identity_id": "n-1", "line": 1, "document": "{}", "received_at": NOW},
        ),
        (
            retention_tables.Erasure,
            of
            | {"kind": "decision", "record_id": "d-0", "portion": "q-1", "patient_id": "1", "at": NOW}
            | {"sha256": "0" * 64, "kept": "{}"},
        ),
        (retention_tables.LegalHold, of | by | {"id": "h-1", "patient_id": "1", "reason": "r", "at": NOW}),
        (retention_tables.LegalHoldEnd, of | by | {"hold_id": "h-1", "reason": "r", "at": NOW}),
        (function_tables.FunctionGoal, of | {"id": "g-1", "patient_id": "1", "set_at": NOW}),
        (
            function_tables.FunctionGoalEvent,
            of
            | by
            | {"goal_id": "g-1", "seq": 1, "event": "set", "activity": "a", "baseline": "b", "target": "t"}
            | {"due_on": TODAY, "reason": "", "on_day": TODAY, "at": NOW},
        ),
        (
            function_tables.Measurement,
            of
            | by
            | {"id": "me-1", "patient_id": "1", "instrument_id": "peg", "version": 1, "answers": "{}"}
            | {"satisfies_review": True, "reported_by": "clinician", "taken_at": NOW, "taken_on": TODAY}
            | {"recorded_at": NOW},
        ),
        (function_tables.MeasurementError, of | by | {"measurement_id": "me-1", "reason": "r", "at": NOW}),
        (
            function_tables.Reassessment,
            of
            | {"id": "r-1", "patient_id": "1", "interval": "long-term", "exact_on": TODAY, "due_on": TODAY}
            | {"since": TODAY, "state": "planned", "clinician": "", "assigned": False, "planned_at": NOW}
            | {"opened_late_days": 0, "excused": False, "reason": "", "note": ""},
        ),
        (
            function_tables.ReassessmentMeasurement,
            of | {"reassessment_id": "r-1", "measurement_id": "me-1"},
        ),
        (
            plan_tables.Preference,
            of
            | by
            | {"id": "w-1", "patient_id": "1", "about": "surgery", "stance": "declined", "said_on": TODAY}
            | {"said_by": "patient", "note": "", "at": NOW},
        ),
        (
            plan_tables.Coverage,
            of
            | by
            | {"id": "v-1", "patient_id": "1", "discipline": "physical-therapy", "document": "{}", "at": NOW},
        ),
        (
            plan_tables.Act,
            of
            | by
            | {"kind": "plan", "subject_id": "l-1", "version": 1, "act": "start", "digest": "0" * 64}
            | {"document": "{}", "at": NOW},
        ),
        (
            care_tables.PainAssessment,
            of | by | {"id": "a-1", "patient_id": "1", "on_day": TODAY, "document": "{}", "at": NOW},
        ),
        (
            follow_up_tables.PainFollowUp,
            of
            | {"assessment_id": "a-1", "trigger": "three-months", "patient_id": "1", "opens_on": TODAY}
            | {"due_on": TODAY, "clinician": "u-1", "at": NOW},
        ),
        (
            care_tables.AlternativeOffer,
            of
            | by
            | {"id": "o-1", "patient_id": "1", "treatment": "heat", "reply": "offered", "on_day": TODAY}
            | {"note": "", "at": NOW},
        ),
        (tables.User, of | {"id": "u-1", "role": "prescriber", "active": True, "created_at": NOW}),
        (
            tables.ApiToken,
            of
            | {"id": "k-1", "token_hash": "0" * 64, "user_id": "u-1", "role": "prescriber", "scopes": "[]"}
            | {"issued_at": NOW, "issued_by": "u-1", "expires_at": NOW + timedelta(days=1)},
        ),
        (token_tables.TokenLimit, of | {"token_id": "k-1", "addresses": "[]", "per_minute": 60, "used": 0}),
        (
            flag_tables.Flag,
            of
            | {"id": "fl-1", "patient_id": "1", "kind": "early-refill", "key": "early-refill:x", "label": "x"}
            | {"first_on": TODAY, "last_on": TODAY, "seen_on": TODAY, "weight": 2, "evidence": "{}"}
            | {"source": "watch", "status": "open", "opened_at": NOW, "due_at": NOW, "version": 1},
        ),
        (
            flag_tables.FlagEvent,
            of
            | by
            | {"flag_id": "fl-1", "seq": 1, "event": "opened", "code": "", "words": "", "detail": "{}"}
            | {"at": NOW},
        ),
        (
            flag_tables.FlagMessage,
            of | by | {"id": "m-1", "flag_id": "fl-1", "to_user": "u-1", "words": "?", "at": NOW},
        ),
        (flag_tables.FlagAnswer, of | by | {"message_id": "m-1", "words": "", "at": NOW}),
    ]
    with transaction(database) as session:
        for table, row in rows:
            session.execute(insert(table.__table__), row)
    return database
