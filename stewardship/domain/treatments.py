"""What can be done for pain besides an opioid: conditions, treatments, and where each statement comes from.

The rows are data (``reference/conditions.toml``, ``reference/treatments.toml``). A row whose statement was
not confirmed in a source says so, and so does everything that is shown of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from stewardship.domain.codes import ICD10CM, SNOMED, Coding
from stewardship.domain.orders import Phase

#: The first rung on which something is put into the body by needle or knife.
INTERVENTIONAL = 3


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement comes from, and when somebody has to look at it again."""

    id: str
    title: str
    publisher: str
    published: date
    url: str
    review_by: date


@dataclass(frozen=True, slots=True)
class AddedIngredient:
    """An ingredient of a treatment that the catalogue of products does not have. ``rxcui`` is empty when no
    code is known, and was confirmed in a source only if ``verified``."""

    name: str
    rxcui: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Dose:
    """The usual daily dose of the label, for adults with normal kidneys: what a ceiling is held against.
    Never a recommendation of a dose."""

    usual: str
    mg_per_day: int


@dataclass(frozen=True, slots=True)
class Treatment:
    """One thing that can be offered.

    ``rung`` is how invasive it is, from 0 (self-care) to 6 (surgical consultation). ``modality`` is what
    a plan is counted by (physical, psychological, medicine, interventional ...); ``family`` joins those
    that fail or harm for the same reason. ``requires`` names treatments of which one must have had a
    meaningful response first; ``diagnostic`` says what a treatment tells that is a test as well.
    ``ingredients`` are base names of the catalogue or added to it, ``codes`` procedures. ``verified`` is
    false where strength of evidence or duration of benefit are general knowledge.
    """

    id: str
    title: str
    rung: int
    modality: str
    family: str
    mechanism: str
    used_for: str
    evidence: str
    strength: str
    review_days: int
    benefit: str
    sources: tuple[Source, ...]
    verified: bool
    contested: str = ""
    check_first: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    diagnostic: str = ""
    dose: Dose | None = None
    ingredients: tuple[str, ...] = ()
    codes: tuple[Coding, ...] = ()


@dataclass(frozen=True, slots=True)
class Against:
    """A treatment that the condition itself speaks against, and why."""

    treatment: str
    reason: str
    sources: tuple[Source, ...]
    verified: bool


@dataclass(frozen=True, slots=True)
class PainCondition:
    """One row of the map from conditions to treatments.

    ``prefixes`` are ICD-10-CM prefixes without dots, ``concepts`` SNOMED CT codes, each with whether it was
    confirmed in a source. ``phases`` are those that the row is for; none means all. ``first_line`` holds
    what comes first, without medicines before medicines, in the order of the source; ``interventional``
    what may follow; ``further`` what else is worth weighing. ``exempt`` names the kind of exemption of
    conditions in which nobody is pressed.
    """

    id: str
    title: str
    prefixes: Mapping[str, bool]
    pain: str
    phases: frozenset[Phase]
    first_line: tuple[str, ...]
    interventional: tuple[str, ...]
    further: tuple[str, ...]
    against: tuple[Against, ...]
    notes: str
    urgent: str
    opioid: str
    sources: tuple[Source, ...]
    verified: bool
    exempt: str = ""
    concepts: Mapping[str, bool] = field(default_factory=dict)

    @property
    def considered(self) -> tuple[str, ...]:
        """Every treatment that the row names, also those it speaks against, each once."""
        named = (*self.first_line, *self.further, *self.interventional, *(a.treatment for a in self.against))
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Matched:
    """A condition that a code stands for, the prefix that decided, and whether the prefix was confirmed."""

    condition: PainCondition
    coding: Coding
    prefix: str
    verified: bool


def match(
    conditions: Iterable[PainCondition], codings: Iterable[Coding], phase: Phase = Phase.UNKNOWN
) -> tuple[Matched, ...]:
    """The rows that the codes stand for: of the prefixes that fit a code the longest wins.

    Rows that share the prefix are told apart by the phase of the pain; as long as that is not known, all
    of them stand, and the caller has to ask.
    """
    known = tuple(conditions)
    found: dict[str, Matched] = {}
    for coding in codings:
        if coding.system == SNOMED:
            for condition in known:
                if coding.code in condition.concepts:
                    made = Matched(condition, coding, coding.code, condition.concepts[coding.code])
                    found.setdefault(condition.id, made)
        if coding.system != ICD10CM:
            continue
        code = coding.code.strip().replace(".", "").upper()
        fitting = [(prefix, c) for c in known for prefix in c.prefixes if code.startswith(prefix)]
        longest = max((len(prefix) for prefix, _ in fitting), default=0)
        rows = [(prefix, c) for prefix, c in fitting if len(prefix) == longest]
        told = [(prefix, c) for prefix, c in rows if phase is not Phase.UNKNOWN and phase in c.phases]
        for prefix, condition in told or rows:
            if condition.id not in found:
                found[condition.id] = Matched(condition, coding, prefix, condition.prefixes[prefix])
    return tuple(found.values())


def phase_decides(matched: Iterable[Matched]) -> bool:
    """Whether the phase of the pain would tell rows of one code apart."""
    rows = tuple(matched)
    return any(
        one.prefix == other.prefix and one.condition.phases != other.condition.phases
        for one in rows
        for other in rows
    )
