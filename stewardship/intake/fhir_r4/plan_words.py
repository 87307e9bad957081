"""How plans for pain are said in FHIR R4: statuses both ways, and what R4 has no element for.

R4's CarePlan has no place for the response to an activity, for why rungs were passed over, or for what a
referral went through. Those stand in extensions of ours, each a list of named values; a reader that does not
know them still finds status, codes, dates and goals where R4 has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from stewardship.domain import codes
from stewardship.domain.plan_referrals import ReferralStatus
from stewardship.domain.plan_steps import PlanStatus, StepStatus

BASE = "https://opioid-stewardship.example"
TREATMENTS = f"{BASE}/CodeSystem/treatment"
DISCIPLINES = f"{BASE}/CodeSystem/discipline"
RESPONSES = f"{BASE}/CodeSystem/response"
IDENTIFIERS = f"{BASE}/identifier"

_EXTENSIONS = f"{BASE}/StructureDefinition"
PLAN, STEP, RESPONSE = f"{_EXTENSIONS}/plan", f"{_EXTENSIONS}/plan-step", f"{_EXTENSIONS}/plan-response"
CONTACT, GOAL, REFERRAL = f"{_EXTENSIONS}/plan-contact", f"{_EXTENSIONS}/plan-goal", f"{_EXTENSIONS}/referral"
EVENT = f"{_EXTENSIONS}/referral-event"

#: The first address of each code system, as the writer says it.
SYSTEMS: Mapping[str, str] = {
    codes.ICD10CM: "http://hl7.org/fhir/sid/icd-10-cm",
    codes.SNOMED: "http://snomed.info/sct",
}

PLAN_STATUS: Mapping[PlanStatus, str] = {
    PlanStatus.ACTIVE: "active",
    PlanStatus.COMPLETED: "completed",
    PlanStatus.STOPPED: "revoked",
}
STEP_STATUS: Mapping[StepStatus, str] = {
    StepStatus.PLANNED: "not-started",
    StepStatus.ACTIVE: "in-progress",
    StepStatus.COMPLETED: "completed",
    StepStatus.STOPPED: "stopped",
    StepStatus.DECLINED: "cancelled",
}
#: A referral is active until its report is back.
REFERRAL_STATUS: Mapping[ReferralStatus, str] = {
    ReferralStatus.SENT: "active",
    ReferralStatus.ACCEPTED: "active",
    ReferralStatus.SEEN: "active",
    ReferralStatus.REPORTED: "completed",
    ReferralStatus.DECLINED: "revoked",
    ReferralStatus.CANCELLED: "revoked",
}
#: What others say besides.
READ_PLAN_STATUS = {said: status for status, said in PLAN_STATUS.items()} | {"on-hold": PlanStatus.ACTIVE}
READ_STEP_STATUS = {said: status for status, said in STEP_STATUS.items()} | {
    "scheduled": StepStatus.PLANNED,
    "on-hold": StepStatus.ACTIVE,
}
READ_REFERRAL_STATUS = {
    "active": ReferralStatus.SENT,
    "on-hold": ReferralStatus.SENT,
    "completed": ReferralStatus.REPORTED,
    "revoked": ReferralStatus.CANCELLED,
}
URGENT = frozenset({"urgent", "asap", "stat"})
