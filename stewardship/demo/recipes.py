"""What ``clinic.toml`` may say: kinds of patient, with ranges from which one number is drawn for each."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stewardship.domain.codes import CPT, ICD10CM, LOINC, RXNORM, SNOMED, STEWARDSHIP, Coding
from stewardship.domain.drugs import Medication

#: Both ends are included.
Range = tuple[int, int]

#: Where the clinic's own formulary codes come from: a system that no catalogue knows.
LOCAL_FORMULARY = "https://clinic.example/formulary"


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all recipes: a word that is not in the vocabulary is refused with its name."""


class Product(Said, frozen=True):
    """A medicine as the clinic writes it: by RxNorm code, or by a code of its own formulary."""

    display: str
    unit: str
    rxnorm: str = ""
    local: str = ""

    @property
    def medication(self) -> Medication:
        """As it stands on a prescription."""
        coding = (
            Coding(RXNORM, self.rxnorm, self.display)
            if self.rxnorm
            else Coding(LOCAL_FORMULARY, self.local, self.display)
        )
        return Medication((coding,), self.display)


class Code(Said, frozen=True):
    """A measurement, procedure, plan, visit or result: one code of one system. ``own`` is a code of
    the service, for what no system has a code for."""

    display: str
    loinc: str = ""
    snomed: str = ""
    cpt: str = ""
    own: str = ""

    @property
    def codings(self) -> tuple[Coding, ...]:
        """The code, under the short name of its system."""
        written = ((LOINC, self.loinc), (SNOMED, self.snomed), (CPT, self.cpt), (STEWARDSHIP, self.own))
        return tuple(Coding(system, code, self.display) for system, code in written if code)

    @property
    def is_measured(self) -> bool:
        """Whether it is an observation; the others are procedures."""
        return bool(self.loinc)


class Diagnosis(Said, frozen=True):
    """One of ``any`` (ICD-10-CM), recorded so many days ago, over after ``lasting`` days if at all.
    ``odds`` is how many of a hundred such patients have it."""

    any: list[str]
    days_ago: Range
    lasting: Range | None = None
    odds: int = 100


class Operations(Said, frozen=True):
    """One of the named procedures, done so many days ago."""

    any: list[str]
    days_ago: Range


class Record(Said, frozen=True):
    """One of the named findings, done or measured ``count`` times: the last so many days ago, earlier
    ones ``every`` so many days, with a coded ``result`` where it has one. ``odds`` of a hundred such
    patients have it."""

    any: list[str]
    days_ago: Range
    count: Range = (1, 1)
    every: Range = (90, 90)
    result: str = ""
    odds: int = 100


class Visits(Said, frozen=True):
    """Office visits, spread over a stretch of days."""

    days_ago: Range
    count: Range


class Reviews(Said, frozen=True):
    """Reviews of plan and function: the last one so many days ago, earlier ones ``every`` so many days;
    ``peg`` is the range of the PEG score (0 to 10, higher is worse)."""

    days_ago: Range
    every: Range
    peg: Range


class Lost(Said, frozen=True):
    """A prescription reported lost: which one, counted back from the last, and how soon after it."""

    fills_back: Range
    days_after: Range
    loss: str


class Course(Said, frozen=True):
    """Prescriptions of one drug, one after the other.

    ``fills`` of them, the last written ``last`` days ago (or on the day of the operation), each ``every``
    days after the one before. The dose is ``per_day`` units a day, or one unit every ``every_days`` days
    (a patch), or falls with each fill as ``steps`` say, or there is none: ``kept_ready`` units for an
    emergency. ``only_written`` leaves the dispensing out, ``without_amounts`` the quantity, the dose and
    the days. ``odds`` of a hundred such patients have the course.
    """

    drugs: list[str]
    days: Range = (0, 0)
    per_day: Range = (1, 1)
    every_days: int = 0
    kept_ready: int = 0
    steps: list[int] = []
    as_needed: bool = False
    fills: Range = (1, 1)
    every: Range = (30, 30)
    last: Range = (0, 0)
    with_operation: bool = False
    prescribers: int = 1
    treatment_type: str = ""
    lost: Lost | None = None
    only_written: bool = False
    without_amounts: bool = False
    odds: int = 100


class Care(Said, frozen=True):
    """What is done for a patient beside the opioid: records, and courses of other medicines."""

    records: list[Record] = []
    course: list[Course] = []


class Kind(Said, frozen=True):
    """A kind of patient, and how many of them the clinic has."""

    id: str
    story: str
    patients: int
    ages: Range
    conditions: list[Diagnosis] = []
    operations: Operations | None = None
    course: list[Course] = []
    reviewed: Reviews | None = None
    visits: Visits | None = None
    care: list[str] = []
    records: list[Record] = []


class Recipes(Said, frozen=True):
    """The whole of ``clinic.toml``."""

    seed: int
    goals: list[str]
    drug: dict[str, Product]
    diagnosis: dict[str, str]
    finding: dict[str, Code]
    care: dict[str, Care]
    kind: list[Kind]

    def diagnosed(self, code: str) -> Coding:
        """An ICD-10-CM code with its title."""
        return Coding(ICD10CM, code, self.diagnosis[code])


def read() -> Recipes:
    """The clinic's recipes, as shipped."""
    return msgspec.toml.decode((Path(__file__).parent / "clinic.toml").read_bytes(), type=Recipes)
