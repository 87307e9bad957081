"""Does a treatment suit this patient? Facts against declared rules, with three answers.

A rule holds, does not hold, or cannot be told for want of a fact. What cannot be told is asked for: a
kidney function that nobody measured is not a good one. ``reference/contraindications.toml`` holds every
threshold, group of medicines and group of problems; nothing here knows a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Phase
from stewardship.domain.treatments import Source, Treatment
from stewardship.domain.wording import in_words


class Level(StrEnum):
    """What a rule that holds does to a treatment."""

    AVOID = "avoid"  # left out
    CEILING = "ceiling"  # the full dose is left out; a lower one may be offered
    CAUTION = "caution"  # offered, with what to look at first


class Response(StrEnum):
    """What a treatment did when it was tried."""

    MEANINGFUL = "meaningful"
    PARTIAL = "partial"
    NONE = "none"
    HARM = "harm"
    DECLINED = "declined"  # the patient did not want it


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a treatment, or of an ingredient, named by its id or base name."""

    what: str
    response: Response
    on: date | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A medicine in use, or (of a chart) last in hand within ``days_ago`` days: the shortest window of
    a group of medicines that reaches it, not the day on which it ended."""

    name: str
    ingredients: frozenset[str]
    classes: frozenset[DrugClass] = frozenset()
    days_ago: int = 0


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What is known of a patient. ``None`` is "not on record", never "no" and never zero.

    ``egfr`` is in mL/min/1.73 m², ``clearance`` the creatinine clearance in mL/min. ``pregnant_weeks`` is
    the week of a known pregnancy, ``pregnant`` whether there is one. ``problems`` are ids of problem
    groups; when ``problems_complete`` is false others may be there under codes that are not read here.
    ``allergies`` are base names or families; ``exempt`` is the evidence for an exemption. ``on_record``
    names other facts that are there and could not be used (an old laboratory value).
    """

    age: int | None = None
    sex: str = ""
    egfr: Decimal | None = None
    clearance: Decimal | None = None
    pregnant: bool | None = None
    pregnant_weeks: int | None = None
    medicines: tuple[Taken, ...] | None = None
    unknown_medicines: tuple[str, ...] = ()
    problems: frozenset[str] | None = None
    problems_complete: bool = True
    allergies: frozenset[str] | None = None
    unknown_allergies: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    phase: Phase = Phase.UNKNOWN
    exempt: str = ""
    on_record: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MedicineGroup:
    """Medicines that matter together: by base name or by class, taken within ``within_days``."""

    id: str
    title: str
    ingredients: frozenset[str]
    classes: frozenset[DrugClass]
    within_days: int


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a rule; all that are set must hold. ``below`` and ``from`` bounds are of the
    kidney function that ``renal`` names: ``egfr`` or ``clearance``. ``weeks_from`` and ``weeks_until`` are
    weeks of pregnancy, both included; ``weeks_from`` 0 is any pregnancy. ``medicines`` names a group of
    which at least ``medicines_from`` must be taken."""

    renal: str = ""
    below: Decimal | None = None
    at_least: Decimal | None = None
    age_from: int | None = None
    weeks_from: int | None = None
    weeks_until: int | None = None
    medicines: str = ""
    medicines_from: int = 1
    problem: str = ""
    allergy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One contraindication or caution. ``because`` is said when it holds, with the facts filled in. A missing
    fact is asked for on its account, unless it does not ``ask``."""

    id: str
    treatments: frozenset[str]
    level: Level
    when: When
    because: str
    threshold: str
    check: str
    ceiling_mg: int | None
    sources: tuple[Source, ...]
    verified: bool
    asks: bool = True


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything declared about suitability. ``asks`` are the words for a missing fact; a fact named in
    ``settles`` must be known before a medicine is offered, the others are to be checked first.
    ``problems`` maps ids to titles, ``problem_prefixes`` to ICD-10-CM prefixes without dots."""

    rules: tuple[Rule, ...]
    groups: Mapping[str, MedicineGroup]
    problems: Mapping[str, str]
    problem_prefixes: Mapping[str, tuple[str, ...]]
    asks: Mapping[str, str]
    settles: frozenset[str]
    no_pregnancy_from_age: int
    renal_codes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    renal_days: int = 0
    week_prefix: str = ""
    pregnancy_prefixes: tuple[str, ...] = ()
    unknown_days: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is left out, limited or to be watched: words with the fact, the threshold that it was
    held against, and the source. ``rule`` is the id of the rule, or of the prior response."""

    rule: str
    text: str
    threshold: str = ""
    sources: tuple[Source, ...] = ()
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Weighed:
    """A treatment held against a patient: the reasons by level, the lowest ceiling in mg a day, and the
    facts that were missing, each with the name of what it would decide."""

    avoid: tuple[Reason, ...] = ()
    ceilings: tuple[Reason, ...] = ()
    cautions: tuple[Reason, ...] = ()
    checks: tuple[str, ...] = ()
    ceiling_mg: int | None = None
    missing: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()


def weigh(treatment: Treatment, facts: PatientFacts, terms: Terms) -> Weighed:
    """Every rule about the treatment, held against the facts."""
    by_level: dict[Level, list[Reason]] = {level: [] for level in Level}
    checks: list[str] = []
    missing: dict[str, None] = {}
    unsettled: dict[str, None] = {}
    ceilings: list[int] = []
    for rule in terms.rules:
        if not rule.treatments & {treatment.id, treatment.family}:
            continue
        holds, words, lacking = _held(rule.when, treatment, facts, terms)
        if holds:
            said = in_words(rule.because, words)
            by_level[rule.level].append(Reason(rule.id, said, rule.threshold, rule.sources, rule.verified))
            if rule.check:
                checks.append(rule.check)
            if rule.ceiling_mg is not None:
                ceilings.append(rule.ceiling_mg)
        elif holds is None and rule.asks:
            missing.update(dict.fromkeys(lacking))
            if rule.level is not Level.CAUTION:
                unsettled.update(dict.fromkeys(f for f in lacking if f in terms.settles))
    return Weighed(
        tuple(by_level[Level.AVOID]),
        tuple(by_level[Level.CEILING]),
        tuple(by_level[Level.CAUTION]),
        tuple(dict.fromkeys(checks)),
        min(ceilings, default=None),
        tuple(missing),
        tuple(unsettled),
    )


Words = dict[str, str]
Held = tuple[bool | None, Words, tuple[str, ...]]


def _held(when: When, treatment: Treatment, facts: PatientFacts, terms: Terms) -> Held:
    """Whether all parts of a rule hold: one that does not settles it, whatever is not known of the rest."""
    parts = (
        _renal(when, facts),
        _age(when, facts),
        _pregnancy(when, facts, terms),
        _medicines(when, treatment, facts, terms),
        _problem(when, facts),
        _allergy(when, treatment, facts),
    )
    if any(holds is False for holds, _, _ in parts):
        return _NOT
    words = {name: word for _, said, _ in parts for name, word in said.items()}
    lacking = tuple(fact for _, _, missing in parts for fact in missing)
    return (None if lacking else True), words, lacking


_HOLDS: Held = (True, {}, ())
_NOT: Held = (False, {}, ())


def _unknown(fact: str) -> Held:
    return None, {}, (fact,)


def _renal(when: When, facts: PatientFacts) -> Held:
    """Labels go by creatinine clearance, others by eGFR. Where only one is known it stands in for the other,
    and the words say so."""
    if not when.renal:
        return _HOLDS
    known = {
        "clearance": (facts.clearance, "creatinine clearance {} mL/min"),
        "egfr": (facts.egfr, "eGFR {} mL/min/1.73 m²"),
    }
    other, other_words = known["egfr" if when.renal == "clearance" else "clearance"]
    stands_for = "eGFR" if when.renal == "egfr" else "creatinine clearance"
    value, words = known[when.renal]
    if value is None:
        value, words = other, f"{other_words} (in place of {stands_for})"
    if value is None:
        return _unknown("egfr")
    if when.below is not None and value >= when.below:
        return _NOT
    if when.at_least is not None and value < when.at_least:
        return _NOT
    return True, {"kidney": words.format(value)}, ()


def _age(when: When, facts: PatientFacts) -> Held:
    if when.age_from is None:
        return _HOLDS
    if facts.age is None:
        return _unknown("age")
    return (True, {"age": str(facts.age)}, ()) if facts.age >= when.age_from else _NOT


def _pregnancy(when: When, facts: PatientFacts, terms: Terms) -> Held:
    if when.weeks_from is None:
        return _HOLDS
    if facts.pregnant is None and facts.pregnant_weeks is None:
        if facts.sex == "male" or (facts.age is not None and facts.age >= terms.no_pregnancy_from_age):
            return _NOT
        return _unknown("pregnancy")
    if facts.pregnant is False:
        return _NOT
    if facts.pregnant_weeks is None:
        return (True, {"weeks": "?"}, ()) if when.weeks_from == 0 else _unknown("pregnancy-week")
    if facts.pregnant_weeks < when.weeks_from:
        return _NOT
    if when.weeks_until is not None and facts.pregnant_weeks > when.weeks_until:
        return _NOT
    return True, {"weeks": str(facts.pregnant_weeks)}, ()


def _medicines(when: When, treatment: Treatment, facts: PatientFacts, terms: Terms) -> Held:
    if not when.medicines:
        return _HOLDS
    taken = taken_of(terms.groups[when.medicines], facts.medicines or (), beside=treatment)
    if len(taken) >= when.medicines_from:
        return True, {"medicines": ", ".join(taken)}, ()
    if facts.medicines is None:
        return _unknown("medicines")
    return _unknown("unknown-medicines") if facts.unknown_medicines else _NOT


def taken_of(
    group: MedicineGroup, medicines: tuple[Taken, ...], *, beside: Treatment | None = None
) -> tuple[str, ...]:
    """The names of the medicines of a group; what the treatment itself consists of does not count."""
    own = frozenset(beside.ingredients) if beside is not None else frozenset()
    return tuple(
        sorted(
            m.name
            for m in medicines
            if m.days_ago <= group.within_days
            and not (m.ingredients and m.ingredients <= own)
            and (m.ingredients & group.ingredients or m.classes & group.classes)
        )
    )


def _problem(when: When, facts: PatientFacts) -> Held:
    if not when.problem:
        return _HOLDS
    if facts.problems is not None and when.problem in facts.problems:
        return _HOLDS
    if facts.problems is None or not facts.problems_complete:
        return _unknown(f"problem:{when.problem}")
    return _NOT


def _allergy(when: When, treatment: Treatment, facts: PatientFacts) -> Held:
    if not when.allergy:
        return _HOLDS
    if facts.allergies is None:
        return _unknown("allergies")
    found = sorted(facts.allergies & {*when.allergy, *treatment.ingredients})
    return (True, {"allergy": ", ".join(found)}, ()) if found else _NOT
