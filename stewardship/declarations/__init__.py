"""``policies/`` and ``reference/`` read into one frozen Library, or a message that its author can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from stewardship.declarations.alternatives import read_alternatives
from stewardship.declarations.drugs import read_catalogue, read_code_sets, read_exemptions
from stewardship.declarations.explanations import Explanations, read_explanations
from stewardship.declarations.factors import read_factor_sets, read_units
from stewardship.declarations.feeds import read_feed_terms
from stewardship.declarations.flags import read_flags
from stewardship.declarations.function_flags import read_function_terms
from stewardship.declarations.goals import read_goal_terms
from stewardship.declarations.identity import read_identity_terms
from stewardship.declarations.instruments import read_instruments
from stewardship.declarations.measures import read_measures
from stewardship.declarations.pain import read_phase_bounds, read_snooze_days, read_tolerances
from stewardship.declarations.places import POLICIES, REFERENCE
from stewardship.declarations.plans import read_boards, read_plan_terms
from stewardship.declarations.policies import References, read_policies
from stewardship.declarations.reassessment import read_calendar, read_clock, working_days
from stewardship.declarations.reports import read_report_terms
from stewardship.declarations.retention import read_retention
from stewardship.declarations.suggestions import read_suggestions
from stewardship.declarations.taper import read_taper_terms
from stewardship.declarations.triggers import read_triggers
from stewardship.domain.alternatives import Alternatives
from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue
from stewardship.domain.exemptions import ExemptionRule
from stewardship.domain.feeds import FeedTerms
from stewardship.domain.flags import Flags
from stewardship.domain.flags.function import FunctionTerms
from stewardship.domain.goals import GoalTerms
from stewardship.domain.identity import IdentityTerms
from stewardship.domain.instruments import Instrument
from stewardship.domain.measures import Measure
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import PhaseBounds
from stewardship.domain.pain_plan import PlanTerms
from stewardship.domain.policy import Policy, in_force
from stewardship.domain.prescribers import BoardTerms
from stewardship.domain.reassessment import ClockTerms
from stewardship.domain.retention import Retention
from stewardship.domain.suggestions import Offer
from stewardship.domain.taper_schedule import TaperTerms
from stewardship.domain.triggers import Triggers
from stewardship.domain.units import Units
from stewardship.domain.workdays import Calendar, WorkingDays

_DAYS_KEPT = 400


@dataclass(frozen=True)
class Library:
    """Everything that is declared: drugs, codes, units, factor sets, exemptions, all policy versions,
    the terms of feeds, what may be suggested, and how and when function is looked at."""

    catalogue: Catalogue
    code_sets: CodeSets
    units: Units
    factor_sets: Mapping[str, FactorSet]
    exemptions: Mapping[str, ExemptionRule]
    policies: tuple[Policy, ...]
    #: For how many days a finding may be put to rest at the most.
    snooze_days: int
    #: On what terms files of dispensings and of records are taken in.
    feeds: FeedTerms
    #: Which non-opioid options there are, for which conditions, and what speaks against them.
    alternatives: Alternatives
    #: What parts acute, subacute and chronic pain.
    phase_bounds: PhaseBounds
    #: When to look closer, refer, or act at once.
    triggers: Triggers
    #: How function, pain, mood and risk are measured, by id.
    instruments: Mapping[str, Instrument]
    #: What a goal of function may not say alone.
    goals: GoalTerms
    #: When a patient is looked at again.
    clock: ClockTerms
    #: What the flags about function go by.
    function_flags: FunctionTerms
    #: What plans for pain hold to, how a taper is made, and who is qualified for what.
    plans: PlanTerms
    tapers: TaperTerms
    boards: BoardTerms
    #: The working days of an organisation that has no calendar of its own.
    calendar: Calendar
    #: What the flags look for, how pressing they are, and how work on them goes.
    flags: Flags
    #: How people and record systems prove who they are, and for how long.
    identity: IdentityTerms
    #: The least number of people that a report shows.
    fewest_shown: int
    #: From which age on patients are compared apart.
    older_from: int
    #: How long records are kept.
    retention: Retention
    #: What decisions mean, in words for patients.
    explanations: Explanations
    suggestions: tuple[Offer, ...] = ()
    #: Quality measures, all versions.
    measures: tuple[Measure, ...] = ()

    _versions: Mapping[tuple[str, int], Policy] = field(init=False, repr=False, compare=False)
    _days: dict[date, tuple[Policy, ...]] = field(init=False, repr=False, compare=False)
    _working: dict[Calendar, WorkingDays] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_versions", {(p.id, p.version): p for p in self.policies})
        object.__setattr__(self, "_days", {})
        object.__setattr__(self, "_working", {})

    def in_force(self, on: date) -> tuple[Policy, ...]:
        """The policies in force on a day. Every order asks, so the last few days' answers are kept."""
        known = self._days.get(on)
        if known is None:
            if len(self._days) > _DAYS_KEPT:
                self._days.clear()
            known = self._days[on] = in_force(self.policies, on)
        return known

    def working_days(self, calendar: Calendar) -> WorkingDays:
        """The working days of a calendar; raises ``InvalidInput`` for holidays that nobody knows."""
        known = self._working.get(calendar)
        if known is None:
            known = working_days(calendar.country, calendar.region, calendar.weekend)
            self._working[calendar] = known
        return known

    def policy(self, policy_id: str, version: int) -> Policy | None:
        """One version of one policy, published or not."""
        return self._versions.get((policy_id, version))


def load(*, policies_dir: Path | None = None, reference_dir: Path | None = None) -> Library:
    """Read every declaration; raises ``DeclarationError`` naming file, place and what to write instead."""
    reference = reference_dir or REFERENCE
    factor_sets = read_factor_sets(reference)
    exemptions = read_exemptions(reference)
    phase_bounds = read_phase_bounds(reference)
    boards = read_boards(reference)
    references = References(
        factor_sets=factor_sets,
        exemptions=exemptions,
        tolerances=read_tolerances(reference),
        phase_bounds=phase_bounds,
        qualifications=boards.qualifications,
    )
    catalogue = read_catalogue(reference)
    alternatives = read_alternatives(reference, catalogue.tables.ingredients)
    code_sets = read_code_sets(reference)
    report_terms = read_report_terms(reference)
    return Library(
        catalogue=catalogue,
        code_sets=code_sets,
        units=read_units(reference),
        factor_sets=factor_sets,
        exemptions=exemptions,
        policies=read_policies(policies_dir or POLICIES, references),
        snooze_days=read_snooze_days(reference),
        feeds=read_feed_terms(reference),
        alternatives=alternatives,
        plans=read_plan_terms(reference, alternatives),
        tapers=read_taper_terms(reference),
        boards=boards,
        phase_bounds=phase_bounds,
        triggers=read_triggers(reference, alternatives),
        suggestions=read_suggestions(reference),
        explanations=read_explanations(reference),
        instruments=read_instruments(reference),
        goals=read_goal_terms(reference),
        clock=read_clock(reference, factor_sets),
        function_flags=read_function_terms(reference),
        flags=read_flags(reference, factor_sets),
        calendar=read_calendar(reference),
        identity=read_identity_terms(reference),
        measures=read_measures(reference, factor_sets, code_sets),
        fewest_shown=report_terms.fewest_shown,
        older_from=report_terms.older_from,
        retention=read_retention(reference),
    )
