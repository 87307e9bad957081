"""From a chart to the facts that decide whether an alternative suits the patient.

A chart says what is on record. What is not there stays unknown: a list of problems without heart failure
is read as "no heart failure on record" only if every problem bears a code that is read here, and an
absent list never is; allergies are not part of a chart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from stewardship.domain.chart import Chart, Condition, Observation
from stewardship.domain.codes import ICD10CM, LOINC, Coding
from stewardship.domain.drugs import Catalogue, DrugClass, Medication, fold
from stewardship.domain.episodes import Covered, undated
from stewardship.domain.exemptions import ExemptionRule, exempt_by
from stewardship.domain.orders import Phase, Supply, SupplyKind
from stewardship.domain.suitability import PatientFacts, Taken, Terms, Tried
from stewardship.domain.treatments import AddedIngredient, PainCondition, match

_UNUSABLE = frozenset({"cancelled", "entered-in-error", "unknown"})


def facts_of(
    chart: Chart,
    terms: Terms,
    *,
    exemptions: Iterable[ExemptionRule] = (),
    tried: tuple[Tried, ...] = (),
    allergies: frozenset[str] | None = None,
    phase: Phase = Phase.UNKNOWN,
) -> PatientFacts:
    """The facts of a chart as of its day. What a chart does not hold (responses to earlier treatments,
    allergies, the phase of pain) is given beside it."""
    taken, unknown = _medicines(chart, terms)
    egfr, old_egfr = _renal(chart, terms, "egfr")
    clearance, old_clearance = _renal(chart, terms, "clearance")
    weeks = _weeks(chart, terms)
    pregnant = weeks is not None or _has(chart, terms.pregnancy_prefixes)
    birth = chart.patient.birth_date
    return PatientFacts(
        age=None if birth is None else _age(birth, chart.today),
        sex=chart.patient.sex,
        egfr=egfr,
        clearance=clearance,
        pregnant=True if pregnant else None,
        pregnant_weeks=weeks,
        medicines=None if chart.history_gaps else taken,
        unknown_medicines=unknown,
        problems=problems_of(chart, terms) if chart.conditions else None,
        problems_complete=all(any(c.system == ICD10CM for c in each.codings) for each in chart.conditions),
        allergies=allergies,
        tried=tried,
        phase=phase,
        exempt=next((found for rule in exemptions if (found := exempt_by(rule, None, chart))), ""),
        on_record=tuple(text for text in (old_egfr, old_clearance) if text),
    )


def pain_codes(chart: Chart, conditions: Iterable[PainCondition]) -> tuple[Coding, ...]:
    """The codes of pain conditions, among those that are not known to be over, each once."""
    known = tuple(conditions)
    codes = [
        c for condition in chart.conditions if _current(condition, chart.today) for c in condition.codings
    ]
    return tuple(code for code in dict.fromkeys(codes) if match(known, (code,)))


def problems_of(chart: Chart, terms: Terms) -> frozenset[str]:
    """The problem groups that the chart's conditions are in. A past one counts too: an ulcer that healed
    bleeds again."""
    return frozenset(
        name for name, prefixes in terms.problem_prefixes.items() if _has(chart, prefixes, current=False)
    )


def _has(chart: Chart, prefixes: tuple[str, ...], *, current: bool = True) -> bool:
    return bool(prefixes) and any(
        _code(coding).startswith(prefixes)
        for condition in chart.conditions
        if not current or _current(condition, chart.today)
        for coding in condition.codings
        if coding.system == ICD10CM
    )


def _code(coding: Coding) -> str:
    return coding.code.strip().replace(".", "").upper()


def _current(condition: Condition, today: date) -> bool:
    over = condition.abated_on is not None and condition.abated_on <= today
    return condition.active is not False and not over


def _weeks(chart: Chart, terms: Terms) -> int | None:
    """The week of pregnancy that a current code states: the digits that follow the prefix."""
    if not terms.week_prefix:
        return None
    said = [
        _code(coding).removeprefix(terms.week_prefix)
        for condition in chart.conditions
        if _current(condition, chart.today)
        for coding in condition.codings
        if coding.system == ICD10CM and _code(coding).startswith(terms.week_prefix)
    ]
    weeks = [int(text) for text in said if text.isdecimal() and text.isascii() and int(text) > 0]
    return max(weeks, default=None)


def _age(birth: date, today: date) -> int:
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def _renal(chart: Chart, terms: Terms, name: str) -> tuple[Decimal | None, str]:
    """The last value, if it is recent enough to go by; else that there is an older one."""
    codes = terms.renal_codes.get(name, frozenset())
    dated: list[tuple[date, Observation]] = [
        (o.on, o)
        for o in chart.observations
        if o.on is not None
        and o.on <= chart.today
        and o.value is not None
        and o.status not in _UNUSABLE
        and any(c.system == LOINC and c.code in codes for c in o.codings)
    ]
    if not dated:
        return None, ""
    on, last = max(dated, key=lambda pair: pair[0])
    if (chart.today - on).days > terms.renal_days:
        return None, f"{name} of {on:%d %b %Y} is more than {terms.renal_days} days old"
    return last.value, ""


def _medicines(chart: Chart, terms: Terms) -> tuple[tuple[Taken, ...], tuple[str, ...]]:
    """What the patient takes or took lately, and what of it the catalogue does not know."""
    longest = max((group.within_days for group in terms.groups.values()), default=0)
    found: dict[str, Taken] = {}
    unknown: dict[str, None] = {}
    for exposure in chart.exposures:
        for ago in sorted({0, *(g.within_days for g in terms.groups.values())}):
            first = chart.today - timedelta(ago)
            if exposure.reaches(first, chart.today, unknown_days=terms.unknown_days) is not Covered.NO:
                if exposure.drug is None:
                    unknown[exposure.supply.medication.label] = None
                else:
                    _add(found, exposure.supply, ago)
                break
    for supply in undated(chart.supplies):
        if supply.drug is None:
            unknown[supply.medication.label] = None
        else:
            _add(found, supply, 0)
    kept = tuple(taken for taken in found.values() if taken.days_ago <= longest)
    return kept, tuple(unknown)


def _add(found: dict[str, Taken], supply: Supply, ago: int) -> None:
    drug = supply.drug
    if drug is None or supply.kind is SupplyKind.DRAFT:
        return
    names = frozenset(i.name for i in drug.ingredients)
    label = " / ".join(sorted(names)) or Medication((drug.code,), drug.name).label
    known = found.get(label)
    if known is None or ago < known.days_ago:
        found[label] = Taken(label, names, frozenset(DrugClass(c) for c in drug.classes), ago)


# --- from what a person writes ----------------------------------------------------------------------------


def taken_by_name(text: str, catalogue: Catalogue, added: Iterable[AddedIngredient] = ()) -> Taken | None:
    """The medicine that a name or a code stands for: an ingredient, or a product of the catalogue by its
    RxNorm code, NDC or exact name. ``None`` when it stands for nothing known."""
    written = fold(text)
    facts = catalogue.tables.base(written)
    if facts is None and written.isdecimal():
        facts = next((f for f in catalogue.tables.ingredients.values() if f.rxcui == written), None)
    if facts is not None:
        own = facts.classes | ({DrugClass.OPIOID_ANALGESIC} if facts.opioid else frozenset())
        return Taken(facts.name, frozenset({facts.name}), own)
    for ingredient in added:
        if written == ingredient.name or (ingredient.verified and written == ingredient.rxcui):
            return Taken(ingredient.name, frozenset({ingredient.name}))
    drug = catalogue.by_rxcui(written) if written.isdecimal() else None
    drug = drug or catalogue.by_ndc(text) or catalogue.by_name(text)
    if drug is None:
        return None
    return Taken(drug.name, frozenset(i.name for i in drug.ingredients), drug.classes)
