"""Dispensings as columns: what the scan of a population reads, one number a field, no objects.

Rows lie in order of patient, day and id. Text has become numbers: the same text the same number, ``-1`` for
none. MME are whole numbers, an amount in billionths and a daily amount in 10^-12, so that sums are exact and
equal those of one patient's functions. A row takes about 100 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from stewardship.domain.drugs import Drug, DrugClass, Schedule
from stewardship.domain.exposure import AMOUNT_PLACES, DAILY_PLACES, stretches
from stewardship.domain.flags import Flags, History, Kind
from stewardship.domain.flags.doses import OpioidBenzodiazepineCarisoprodol
from stewardship.domain.flags.providers import NoKnownOrder
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import Paid, Supply
from stewardship.domain.therapy import counts_towards_mme

Array = npt.NDArray[np.int64]

#: One MME in the units of an amount and of a daily amount.
AMOUNT_ONE = int(1 / AMOUNT_PLACES)
DAILY_ONE = int(1 / DAILY_PLACES)
NONE = -1


class Is(IntFlag):
    """What a product is, as bits."""

    OPIOID = 1  # any opioid, whatever it is for
    ANALGESIC = 2  # an opioid for pain
    LONG_ACTING = 4
    BENZODIAZEPINE = 8
    CARISOPRODOL = 16
    UNKNOWN = 32  # not recognised
    COUNTED = 64  # counts towards MME, or may
    SLIDING = 128  # its factor depends on the dose


class Told(IntFlag):
    """What is known of a row's MME, as bits."""

    DAILY = 1  # the daily amount is all of it
    WHOLE = 2  # the amount is all of it


PAID = {Paid.UNKNOWN: 0, Paid.CASH: 1, Paid.INSURANCE: 2}
_SCHEDULES = {Schedule.I: 1, Schedule.II: 2, Schedule.III: 3, Schedule.IV: 4, Schedule.V: 5}


@dataclass(frozen=True)
class Products:
    """The products that rows name by number: bits of ``Is``, schedule (0: not controlled or not known), and
    a number that is the same for the same opioids in the same strengths."""

    bits: npt.NDArray[np.int32]
    schedule: npt.NDArray[np.int8]
    strength: npt.NDArray[np.int32]


def products(drugs: Sequence[Drug | None], rules: Flags) -> Products:
    """A table of products; ``None`` stands for one that nobody recognises, each for another."""
    carisoprodol = rules.rules[Kind.WITH_CARISOPRODOL].rule
    assert isinstance(carisoprodol, OpioidBenzodiazepineCarisoprodol)  # noqa: S101 - the table of rules says so
    strengths: dict[object, int] = {}
    rows = [
        (
            _bits(drug, rules.common.factor_set, carisoprodol.ingredients),
            0 if drug is None or drug.schedule is None else _SCHEDULES.get(drug.schedule, 0),
            strengths.setdefault(number if drug is None else drug.strengths, len(strengths)),
        )
        for number, drug in enumerate(drugs)
    ]
    bits, schedule, strength = zip(*rows, strict=True) if rows else ((), (), ())
    return Products(np.array(bits, np.int32), np.array(schedule, np.int8), np.array(strength, np.int32))


def _bits(drug: Drug | None, factor_set: FactorSet, carisoprodol: tuple[str, ...]) -> int:
    if drug is None:
        return Is.UNKNOWN | Is.COUNTED
    found = Is(0)
    for drug_class, bit in (
        (DrugClass.OPIOID, Is.OPIOID),
        (DrugClass.OPIOID_ANALGESIC, Is.ANALGESIC),
        (DrugClass.LONG_ACTING_OPIOID, Is.LONG_ACTING),
        (DrugClass.BENZODIAZEPINE, Is.BENZODIAZEPINE),
    ):
        found |= bit if drug.is_a(drug_class) else Is(0)
    if any(i.rxcui in carisoprodol for i in drug.ingredients):
        found |= Is.CARISOPRODOL
    left_out = [i.rxcui in factor_set.excluded for i in drug.opioids]
    whole = factor_set.excludes_oud_treatment and drug.is_a(DrugClass.OUD_TREATMENT)
    if counts_towards_mme(drug) and not (left_out and all(left_out)) and not whole:
        found |= Is.COUNTED
    used = (factor_set.factor(i.rxcui, drug.form) for i in drug.opioids)
    return found | (Is.SLIDING if any(f is not None and f.sliding for f in used) else Is(0))


@dataclass(frozen=True)
class Columns:
    """One array a field, all of one length.

    ``patient`` is a number that does not fall; ``day`` the ordinal of the first day, ``days`` how many it
    lasts (0: not known), ``stated`` what the dispensing says of that. ``amount`` and ``daily`` are MME,
    ``told`` bits of ``Told``. ``partial`` is 0 for a whole fill; ``written`` an ordinal; ``quantity`` and
    ``prescribed`` are thousandths of one unit; ``treatment`` the number of the treatment type; ``ordered``
    0 for a dispensing of our own prescribers that no order accounts for, else 1; ``zip_…`` three digits.
    """

    patient: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    days: npt.NDArray[np.int32]
    stated: npt.NDArray[np.int32]
    product: npt.NDArray[np.int32]
    amount: Array
    daily: Array
    told: npt.NDArray[np.int8]
    prescriber: npt.NDArray[np.int32]
    pharmacy: npt.NDArray[np.int32]
    rx: npt.NDArray[np.int32]
    fill: npt.NDArray[np.int16]
    refills: npt.NDArray[np.int16]
    partial: npt.NDArray[np.int8]
    written: npt.NDArray[np.int32]
    quantity: Array
    prescribed: Array
    paid: npt.NDArray[np.int8]
    treatment: npt.NDArray[np.int8]
    ordered: npt.NDArray[np.int8]
    zip_patient: npt.NDArray[np.int16]
    zip_pharmacy: npt.NDArray[np.int16]
    zip_prescriber: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.patient)

    def rows(self, where: slice | npt.NDArray[np.intp]) -> Columns:
        """Some of the rows."""
        return Columns(**{f.name: getattr(self, f.name)[where] for f in fields(self)})

    @property
    def nbytes(self) -> int:
        """Memory of all columns, in bytes."""
        return sum(getattr(self, f.name).nbytes for f in fields(self))


def daily_amounts(amount: Array, days: npt.NDArray[np.int32]) -> Array:
    """MME a day of amounts spread over days, as one patient's functions settle them: rounded half to even
    at the twelfth place. ``-1`` where either is not known."""
    known = (amount >= 0) & (days > 0)
    scale = DAILY_ONE // AMOUNT_ONE
    divisor = np.where(known, days, 1).astype(np.int64)
    large = np.where(known, amount, 0)
    # Divided before it is scaled, for what is scaled first may not fit.
    whole, rest = np.divmod(large, divisor)
    part, left = np.divmod(rest * scale, divisor)
    up = (2 * left > divisor) | ((2 * left == divisor) & (part % 2 == 1))
    found: Array = np.where(known, whole * scale + part + up, NONE)
    return found


def columns(
    histories: Iterable[History], rules: Flags, factor_set: FactorSet
) -> tuple[Columns, Products, list[str]]:
    """Patients' histories as columns, their products, and the ids of the rows.

    For the night's few patients with new facts and for tests; a store of a million rows fills its columns
    from its own tables.
    """
    made = _Maker(rules, factor_set)
    for number, history in enumerate(histories):
        made.add(number, history)
    return made.columns(), products(made.drugs, rules), made.ids


class _Maker:
    """Rows as tuples, and the numbers that texts were given."""

    def __init__(self, rules: Flags, factor_set: FactorSet) -> None:
        self.orders = rules.rules[Kind.NO_KNOWN_ORDER].rule
        self.factor_set = factor_set
        self.drugs: list[Drug | None] = []
        self.ids: list[str] = []
        self._products: dict[object, int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._rows: list[tuple[int, ...]] = []

    def add(self, patient: int, history: History) -> None:
        """One patient's rows."""
        assert isinstance(self.orders, NoKnownOrder)  # noqa: S101 - the table of rules says so
        strange = {found.supply for found in self.orders.look(history) if hasattr(found, "key")}
        mme = {
            s.exposure.supply.id: s for s in stretches((r.exposure for r in history.rows), self.factor_set)
        }
        for row in history.rows:
            supply, stretch = row.supply, mme.get(row.id)
            amount = daily = None
            told = Told(0)
            if stretch is not None and stretch.counted:
                amount, daily = stretch.amount, stretch.daily
                told = (Told.DAILY if stretch.complete else Told(0)) | (
                    Told.WHOLE if stretch.whole else Told(0)
                )
            self.ids.append(row.id)
            self._rows.append(
                (
                    patient,
                    row.first,
                    row.exposure.days or 0,
                    _stated(supply.days_supply),
                    self._product(supply),
                    _units(amount, AMOUNT_ONE),
                    _units(daily, DAILY_ONE),
                    int(told),
                    self._number("prescriber", supply.prescriber),
                    self._number("pharmacy", supply.pharmacy),
                    self._number("rx", supply.prescription),
                    NONE if supply.fill is None else supply.fill,
                    NONE if supply.refills is None else supply.refills,
                    supply.partial or 0,
                    NONE if supply.written_on is None else supply.written_on.toordinal(),
                    _units(supply.quantity.value if supply.quantity else None, 1000),
                    _units(_ordered(supply), 1000),
                    PAID[supply.paid],
                    int(supply.treatment_type) if supply.treatment_type.isdecimal() else 0,
                    int(row.id not in strange),
                    _zip(supply.areas.patient),
                    _zip(supply.areas.pharmacy),
                    _zip(supply.areas.prescriber),
                )
            )

    def columns(self) -> Columns:
        """All rows."""
        types = {f.name: _TYPES[str(f.type)] for f in fields(Columns)}
        parts = list(zip(*self._rows, strict=True)) or [()] * len(types)
        return Columns(**{name: np.array(p, types[name]) for name, p in zip(types, parts, strict=True)})

    def _product(self, supply: Supply) -> int:
        key = ("", supply.medication.label) if supply.drug is None else (supply.drug.code, "")
        if key not in self._products:
            self._products[key] = len(self.drugs)
            self.drugs.append(supply.drug)
        return self._products[key]

    def _number(self, what: str, text: str) -> int:
        return self._numbers.setdefault((what, text), len(self._numbers)) if text else NONE


_TYPES: Mapping[str, type[np.generic]] = {
    "Array": np.int64,
    "npt.NDArray[np.int32]": np.int32,
    "npt.NDArray[np.int16]": np.int16,
    "npt.NDArray[np.int8]": np.int8,
}


def _units(value: Decimal | None, one: int) -> int:
    return NONE if value is None else int(value * one)


def _stated(days: Decimal | None) -> int:
    if days is None:
        return NONE
    # What is outside the bounds stays outside: half a day is none, and a begun day is a day.
    return 0 if days < 1 else -(-int(days * 1000) // 1000)


def _ordered(supply: Supply) -> Decimal | None:
    ordered, given = supply.prescribed, supply.quantity
    return None if ordered is None or given is None or ordered.unit != given.unit else ordered.value


def _zip(digits: str) -> int:
    return int(digits) if len(digits) == 3 and digits.isdecimal() else NONE
