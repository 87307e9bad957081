"""A policy, what it finds in one order, and the decision that all policies make together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import DrugClass
from stewardship.domain.exemptions import ExemptionRule, exempt_by
from stewardship.domain.orders import Order, Phase, PhaseBounds, Setting, phase_on
from stewardship.domain.prescribers import Qualification
from stewardship.domain.therapy import established_pain
from stewardship.domain.values import quick
from stewardship.domain.wording import UNTOLD, Facts, FactValue, in_words


class Enforcement(StrEnum):
    """What a finding does to the order; see ``softened`` for a finding that cannot tell."""

    SILENT = "silent"
    INFORM = "inform"
    SOFT_STOP = "soft-stop"
    HARD_STOP = "hard-stop"

    @property
    def softened(self) -> Enforcement:
        """One step less than this, but never silent unless it was: missing data builds no wall."""
        return _SOFTENED[self]


_SOFTENED = {
    Enforcement.SILENT: Enforcement.SILENT,
    Enforcement.INFORM: Enforcement.INFORM,
    Enforcement.SOFT_STOP: Enforcement.INFORM,
    Enforcement.HARD_STOP: Enforcement.SOFT_STOP,
}


#: From what nobody sees to what cannot be signed.
LOUDNESS = {
    Enforcement.SILENT: 0,
    Enforcement.INFORM: 1,
    Enforcement.SOFT_STOP: 2,
    Enforcement.HARD_STOP: 3,
}


class Severity(StrEnum):
    """How loud the card is, not what happens."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Force(StrEnum):
    """What stands behind a policy."""

    LAW = "law"
    INSTITUTION = "institution"
    GUIDELINE = "guideline"


class Outcome(StrEnum):
    """What a policy found."""

    PASS = "pass"  # noqa: S105 - an outcome, not a secret
    BREACH = "breach"
    EXEMPT = "exempt"
    NOT_APPLICABLE = "not-applicable"
    CANNOT_TELL = "cannot-tell"


# --- what a rule answers -----------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class Met:
    """The rule holds; the facts say why."""

    facts: Facts = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Breach:
    """The rule does not hold. A ``notice`` is the policy's lesser degree: it informs, whatever the
    policy's enforcement (a course of more than three days under a limit of seven)."""

    facts: Facts = field(default_factory=dict)
    notice: bool = False


@quick
@dataclass(frozen=True, slots=True)
class CannotTell:
    """A fact is missing; ``missing`` names it (``order.days_supply``), ``facts`` holds what is known."""

    missing: tuple[str, ...]
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The rule has nothing to say about this order; ``because`` is for people."""

    because: str


Answer = Met | Breach | CannotTell | NotApplicable


class Rule(Protocol):
    """A kind of rule with its parameters; the annotated fields are the parameter schema."""

    def check(self, order: Order | None, chart: Chart) -> Answer:
        """Judge one order (``None`` when only the chart is looked at) by the facts given."""
        ...


# --- what a policy is ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Where a policy comes from."""

    title: str
    publisher: str
    date: date
    url: str
    force: Force


@dataclass(frozen=True, slots=True)
class Review:
    """Who wrote and approved it, and by when it has to be looked at again. Functions, not people."""

    author: str
    approver: str
    review_by: date


@dataclass(frozen=True, slots=True)
class OverrideReason:
    """A coded reason with which a prescriber may override, in the card's words."""

    code: str
    display: str


@dataclass(frozen=True, slots=True)
class ExceptionPath:
    """How a hard stop may be lifted: this many other people, at least one of each ``including`` role,
    all of them of ``roles``; ``requires_note`` asks for a note of that title from the requester.
    ``requires`` is the qualification without which a prescriber may not countersign, or (``requires_of`` is
    ``requester``) may not ask for the exception at all."""

    countersignatures: int
    roles: tuple[str, ...]
    including: tuple[str, ...] = ()
    requires_note: str = ""
    requires: Qualification | None = None
    requires_of: str = "countersigner"


@dataclass(frozen=True, slots=True)
class Card:
    """The words: ``{fact}`` stands for a fact. ``notice`` words are for the lesser degree."""

    summary: str
    detail: str
    next_step: str
    topic: str = ""
    notice_summary: str = ""
    notice_detail: str = ""


class Moment(StrEnum):
    """When a policy is asked: about an order, or about a patient whose chart is opened."""

    ORDER = "order"
    CHART = "chart"


@dataclass(frozen=True, slots=True)
class AppliesTo:
    """Which orders a policy speaks of. Empty tuples mean: all. ``drug_classes`` are any-of."""

    drug_classes: tuple[DrugClass, ...] = (DrugClass.OPIOID_ANALGESIC,)
    settings: tuple[Setting, ...] = ()
    phases: tuple[Phase, ...] = ()
    moments: tuple[Moment, ...] = (Moment.ORDER,)
    min_age: int | None = None
    exemptions: tuple[ExemptionRule, ...] = ()
    phase_bounds: PhaseBounds | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One version of one policy, as read from its file. ``sha256`` is the hash of the file's bytes;
    ``published`` whether that hash is in ``published.lock``."""

    id: str
    version: int
    title: str
    effective_from: date
    effective_until: date | None
    jurisdiction: str
    enforcement: Enforcement
    severity: Severity
    rationale: str
    limitations: str
    source: Source
    review: Review
    applies_to: AppliesTo
    kind: str
    rule: Rule
    card: Card
    overrides: tuple[OverrideReason, ...] = ()
    exception: ExceptionPath | None = None
    sha256: str = ""
    published: bool = False


# --- what comes out -------------------------------------------------------------------------------


@quick
@dataclass(frozen=True, slots=True)
class Finding:
    """What one policy says about one order.

    ``enforcement`` is as applied: the policy's own for a breach, ``inform`` for a notice, softened for
    cannot-tell, ``silent`` otherwise. ``missing`` names the facts that were not there. ``evidence`` says
    on what an exemption stands, ``snoozed_until`` that a snooze makes the finding silent. ``summary``,
    ``detail`` and ``next_step`` are the card's words.
    """

    policy: str
    version: int
    outcome: Outcome
    enforcement: Enforcement
    severity: Severity
    summary: str = ""
    detail: str = ""
    next_step: str = ""
    topic: str = ""
    facts: Facts = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    evidence: str = ""
    snoozed_until: date | None = None


class Disposition(StrEnum):
    """What may happen to the order now: the strongest enforcement among its open findings."""

    CLEAR = "clear"  # nothing was found; every policy that applies could be checked
    ADVISED = "advised"  # something to know, nothing to do before signing
    NEEDS_REASON = "needs-reason"  # a soft stop: a coded reason, or a change
    BLOCKED = "blocked"  # a hard stop: a change, or the policy's exception path


@dataclass(frozen=True, slots=True)
class Decision:
    """All findings about one order, in the order of the policies' ids."""

    order_id: str | None
    as_of: datetime
    findings: tuple[Finding, ...]

    @property
    def disposition(self) -> Disposition:
        """The strongest thing any finding asks for."""
        applied = {f.enforcement for f in self.findings}
        if Enforcement.HARD_STOP in applied:
            return Disposition.BLOCKED
        if Enforcement.SOFT_STOP in applied:
            return Disposition.NEEDS_REASON
        if Enforcement.INFORM in applied:
            return Disposition.ADVISED
        return Disposition.CLEAR


def in_force(policies: Iterable[Policy], on: date) -> tuple[Policy, ...]:
    """The policies in force on a day, by id: of each the highest published version already effective,
    unless that version has ended (then none: an ended policy does not fall back to an older text)."""
    newest: dict[str, Policy] = {}
    for policy in policies:
        if not policy.published or policy.effective_from > on:
            continue
        known = newest.get(policy.id)
        if known is None or policy.version > known.version:
            newest[policy.id] = policy
    effective = (newest[key] for key in sorted(newest))
    return tuple(p for p in effective if p.effective_until is None or p.effective_until >= on)


def decide(policies: Iterable[Policy], order: Order | None, chart: Chart) -> Decision:
    """Ask every policy about the order, or about the chart alone; the one function that all faces call.

    Every policy given is in the answer, also those that passed, were exempt or did not apply.
    """
    findings: list[Finding] = []
    bounds: PhaseBounds | None = None
    phased = order
    for policy in policies:
        if policy.applies_to.phase_bounds is not bounds:
            bounds = policy.applies_to.phase_bounds
            phased = _with_phase(bounds, order, chart)
        findings.append(_find(policy, phased, chart))
    return Decision(order.id if order else None, chart.as_of, tuple(findings))


def _find(policy: Policy, order: Order | None, chart: Chart) -> Finding:
    applies = policy.applies_to
    answer = _set_aside(applies, order, chart) or policy.rule.check(order, chart)
    if isinstance(answer, NotApplicable):
        return _not_applicable(policy, answer.because)
    told: Facts = answer.facts
    if applies.phases and order is not None:
        told = {**told, **_phase_facts(order)}
    if isinstance(answer, Met):
        return _quiet(policy, _PASS, facts=told)
    for exemption in applies.exemptions:
        evidence = exempt_by(exemption, order, chart)
        if evidence:
            facts = {**told, "exemption": exemption.kind}
            return _quiet(policy, Outcome.EXEMPT, summary=exemption.title, facts=facts, evidence=evidence)
    if isinstance(answer, CannotTell):
        found = _cannot_tell(policy, answer.missing, told)
    else:
        found = _breach(policy, told, notice=answer.notice)
    return _rested(found, order, chart) if chart.snoozes else found


def _rested(found: Finding, order: Order | None, chart: Chart) -> Finding:
    """The finding, silent while a snooze for it lasts. A hard stop is never put to rest, nor what could
    not be checked: silence must not read as approval."""
    if found.enforcement is Enforcement.HARD_STOP or found.outcome is not Outcome.BREACH:
        return found
    drug = order.drug.opioid_codes if order is not None and order.drug is not None else ""
    for snooze in chart.snoozes:
        if snooze.policy != found.policy or snooze.drug not in ("", drug) or snooze.until < chart.today:
            continue
        if LOUDNESS[found.enforcement] <= LOUDNESS[Enforcement(snooze.enforcement)]:
            return replace(found, enforcement=Enforcement.SILENT, snoozed_until=snooze.until)
    return found


def _set_aside(applies: AppliesTo, order: Order | None, chart: Chart) -> Answer | None:
    """Why a policy has nothing to say, or cannot know whether it has; ``None`` when it speaks."""
    if order is None:
        return None if Moment.CHART in applies.moments else _NO_ORDER
    if _AT_ORDER not in applies.moments:
        return _NOT_AT_ORDER
    if applies.drug_classes:
        if order.drug is None:
            return CannotTell(("order.drug",), {"medicine": order.medication.label})
        if order.drug.classes.isdisjoint(applies.drug_classes):
            return _OTHER_DRUG
    if applies.settings and order.setting is not _ANYWHERE and order.setting not in applies.settings:
        return NotApplicable(f"not for orders in the {order.setting} setting")
    if applies.phases and order.pain.phase not in applies.phases:
        told = f" (told from {order.pain.phase_from})" if order.pain.phase_from else ""
        return NotApplicable(f"not for {order.pain.phase} pain{told}")
    born = chart.patient.birth_date
    if applies.min_age is not None and born is not None and age_on(born, order.written_on) < applies.min_age:
        return NotApplicable(f"for patients of {applies.min_age} years and older")
    return None


# A member is looked up in its enumeration slowly, and these are asked for once a policy.
_AT_ORDER, _ANYWHERE = Moment.ORDER, Setting.UNKNOWN
_PASS, _SILENT, _INFO = Outcome.PASS, Enforcement.SILENT, Severity.INFO

_NO_ORDER = NotApplicable("asked about an order only")
_NOT_AT_ORDER = NotApplicable("asked when a chart is opened only")
_OTHER_DRUG = NotApplicable("the ordered product is not of a class that this policy is about")


def _phase_facts(order: Order) -> Facts:
    phase: dict[str, FactValue] = {"phase": order.pain.phase.value}
    if order.pain.phase_from:
        phase["phase_from"] = order.pain.phase_from
    return phase


def _with_phase(bounds: PhaseBounds | None, order: Order | None, chart: Chart) -> Order | None:
    """The order with the phase of its pain when it does not state one: counted from the onset, or told
    from established therapy for a condition that lasts."""
    if order is None or bounds is None or order.pain.phase is not Phase.UNKNOWN:
        return order
    if order.pain.onset is not None:
        told, phase = "onset", phase_on(order.pain, order.written_on, bounds)
    else:
        told = established_pain(order, chart, bounds)
        phase = Phase.CHRONIC if told else Phase.UNKNOWN
    if phase is Phase.UNKNOWN:
        return order
    return replace(order, pain=replace(order.pain, phase=phase, phase_from=told))


@lru_cache(maxsize=1024)
def age_on(birth_date: date, day: date) -> int:
    """Completed years of age."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))


# --- findings in words ---------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _not_applicable(policy: Policy, because: str) -> Finding:
    """Most findings are this one, and the same each time."""
    return _quiet(policy, Outcome.NOT_APPLICABLE, summary=because)


def _quiet(
    policy: Policy, outcome: Outcome, *, summary: str = "", facts: Facts | None = None, evidence: str = ""
) -> Finding:
    return Finding(
        policy=policy.id,
        version=policy.version,
        outcome=outcome,
        enforcement=_SILENT,
        severity=_INFO,
        summary=summary,
        topic=policy.card.topic,
        facts=facts or {},
        evidence=evidence,
    )


def _breach(policy: Policy, facts: Facts, *, notice: bool) -> Finding:
    card = policy.card
    enforcement = policy.enforcement
    if notice and enforcement is not Enforcement.SILENT:
        enforcement = Enforcement.INFORM
    return Finding(
        policy=policy.id,
        version=policy.version,
        outcome=Outcome.BREACH,
        enforcement=enforcement,
        severity=Severity.INFO if notice else policy.severity,
        summary=in_words(card.notice_summary if notice else card.summary, facts),
        detail=in_words(card.notice_detail if notice else card.detail, facts),
        next_step="" if notice else in_words(card.next_step, facts),
        topic=card.topic,
        facts=facts,
    )


def _cannot_tell(policy: Policy, missing: tuple[str, ...], facts: Facts) -> Finding:
    said_of = [UNTOLD.get(name, (f"{name} is not known", f"State {name}.")) for name in missing]
    because = " and ".join(why for why, _ in said_of)
    severity = Severity.INFO if policy.severity is Severity.INFO else Severity.WARNING
    return Finding(
        policy=policy.id,
        version=policy.version,
        outcome=Outcome.CANNOT_TELL,
        enforcement=policy.enforcement.softened,
        severity=severity,
        summary=in_words(f"Not checked ({policy.title}): {because}", facts),
        detail=in_words(f"This policy could not be checked: {because}.", facts),
        next_step=" ".join(step for _, step in said_of),
        topic=policy.card.topic,
        facts=facts,
        missing=missing,
    )
