"""A measure of stays in hospital over columns: what patients are given when they leave, each stay a row.

Dispensings alone do not tell it. Beside them it takes prescriptions with their setting, and the stays; what
excludes a patient and how old he is, whoever asks says. Most patients have no stay, so their rows are left
out first, and what is left is joined with the stays of its patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from stewardship.domain.chart import Chart
from stewardship.domain.drugs import Drug, DrugClass
from stewardship.domain.episodes import Exposure
from stewardship.domain.measures import Kind, Measure, Rate
from stewardship.domain.measures.stays import is_given
from stewardship.domain.orders import Setting, Supply, SupplyKind
from stewardship.measures.columnar import NO, UNTOLD, YES, Codes, Tally, every, reached, stood
from stewardship.population.columns import NONE
from stewardship.population.keys import Array, Mask


class How(IntFlag):
    """How a medicine came to a patient, as bits."""

    DISCHARGE = 1  # given to go home with
    WARD = 2  # given in hospital
    PRESCRIPTION = 4  # written, and not a dispensing


@dataclass(frozen=True)
class Medications:
    """Prescriptions and dispensings that have a day, one array a field; ``patient`` does not fall.

    ``day`` is the ordinal of the first day and ``until`` of the last on which it may still be in hand, before
    ``day`` for what is counted elsewhere (a prescription that was dispensed). ``written`` is the day of issue
    or ``-1``; ``product`` the number of a product, ``how`` bits of ``How``, ``treatment`` the number of the
    treatment type."""

    patient: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    until: npt.NDArray[np.int32]
    written: npt.NDArray[np.int32]
    product: npt.NDArray[np.int32]
    how: npt.NDArray[np.int8]
    treatment: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Stays:
    """Stays that ended, in any order: their patients, their first and last days as ordinals, whether the
    patient was old enough on the first (1, 0, -1) and what is on record excludes him."""

    patient: npt.NDArray[np.int32]
    begun: npt.NDArray[np.int32]
    ended: npt.NDArray[np.int32]
    adult: Codes
    excluded: Mask


def tally_stays(
    measure: Measure, medications: Medications, stays: Stays, drugs: Sequence[Drug | None], year: int
) -> tuple[Array, Tally]:
    """Which of the stays ended in the period, and the tally with a row for each of them. Raises
    ``ValueError`` for a measure that is told from dispensings."""
    if measure.kind is not Kind.DISCHARGE:
        raise ValueError(f"{measure.id} is told from dispensings: see measures.columnar")
    first, last = (day.toordinal() for day in measure.window.of(year))
    at = np.flatnonzero((stays.ended >= first) & (stays.ended <= last))
    patient, begun, ended = (a[at].astype(np.int64) for a in (stays.patient, stays.begun, stays.ended))
    home = _at_discharge(measure, medications, drugs, patient, begun, ended)
    short = np.where(ended - begun <= measure.population.longest_stay, YES, NO).astype(np.int8)
    open_ = home.may_be_opioid | home.may_be_benzodiazepine
    asked = every(every(short, stays.adult[at]), reached(home.opioids + home.benzodiazepines, 1, open_))
    gone = stays.excluded[at] | _reported(measure, medications, patient, begun, ended)
    met = {rate.id: _met(rate, home) for rate in measure.rates}
    near = {rate.id: np.zeros(len(at), np.bool_) for rate in measure.rates}
    return at, Tally(patient, stood(asked, gone), met, near, np.zeros(0, np.int64))


@dataclass(frozen=True)
class _Home:
    """What goes home with each stay's patient: products that are certain, and whether there may be more."""

    opioids: Array
    benzodiazepines: Array
    may_be_opioid: Mask
    may_be_benzodiazepine: Mask


def _at_discharge(
    measure: Measure,
    medications: Medications,
    drugs: Sequence[Drug | None],
    patient: Array,
    begun: Array,
    ended: Array,
) -> _Home:
    m, medicines = medications, measure.medicines
    schedules = (medicines.opioid_schedules, medicines.benzodiazepine_schedules)
    opioid, benzodiazepine = (
        np.array([d is not None and is_given(d, medicines, c, s) for d in drugs], np.bool_)
        for c, s in zip((DrugClass.OPIOID_ANALGESIC, DrugClass.BENZODIAZEPINE), schedules, strict=True)
    )
    strange = np.array([d is None for d in drugs], np.bool_)
    types = [int(t) for t in medicines.excluded_treatment_types]
    wanted = (opioid | benzodiazepine | strange)[m.product] & ~np.isin(m.treatment, types)
    stay, row = _pairs(m.patient, np.flatnonzero(wanted), patient)
    how, day, written = m.how[row], m.day[row], m.written[row]
    issued = np.where(written == NONE, day, written)
    sure = ((how & How.DISCHARGE) > 0) & (issued >= begun[stay]) & (issued <= ended[stay])
    today = ((how & How.PRESCRIPTION) > 0) & (day == ended[stay])
    in_hand = (day < begun[stay]) & (m.until[row] >= ended[stay])
    maybe = ~sure & ((how & How.WARD) == 0) & (today | in_hand)
    codes = {d.code.code: n for n, d in enumerate(drugs) if d is not None}
    code = np.array([len(drugs) if d is None else codes[d.code.code] for d in drugs], np.int64)
    product = m.product[row]
    keys, size = stay * (len(drugs) + 1) + code[product], len(drugs) + 1
    unknown = np.zeros(len(patient), np.bool_)
    unknown[stay[(sure | maybe) & strange[product]]] = True

    def of(kind: Mask) -> tuple[Array, Mask]:
        here = kind[product]
        certain = np.unique(keys[here & sure])
        open_ = unknown.copy()
        open_[np.setdiff1d(keys[here & maybe], certain) // size] = True
        return np.bincount(certain // size, minlength=len(patient)), open_

    (opioids, may_opioid), (benzodiazepines, may_benzodiazepine) = of(opioid), of(benzodiazepine)
    return _Home(opioids, benzodiazepines, may_opioid, may_benzodiazepine)


def _met(rate: Rate, home: _Home) -> Codes:
    two = reached(home.opioids, rate.opioids or 1, home.may_be_opioid)
    if not rate.beside_benzodiazepine:
        return two
    one = reached(home.opioids, 1, home.may_be_opioid)
    pair = every(one, reached(home.benzodiazepines, 1, home.may_be_benzodiazepine))
    some, open_ = (two == YES) | (pair == YES), (two == UNTOLD) | (pair == UNTOLD)
    return np.select([some, open_], [YES, UNTOLD], NO).astype(np.int8)


def _reported(measure: Measure, medications: Medications, patient: Array, begun: Array, ended: Array) -> Mask:
    """The stays that a treatment type excludes which was reported with a medicine."""
    stay, row = _pairs(medications.patient, np.flatnonzero(medications.treatment > 0), patient)
    day, treatment = medications.day[row], medications.treatment[row]
    found = np.zeros(len(patient), np.bool_)
    for rule in measure.exclusions:
        within = (day >= begun[stay] - rule.days_before) & (day <= ended[stay])
        found[stay[within & np.isin(treatment, [int(t) for t in rule.treatment_types])]] = True
    return found


def _pairs(of: npt.NDArray[np.int32], rows: Array, patient: Array) -> tuple[Array, Array]:
    """Every stay with every one of the rows of its patient, by number; ``rows`` are in order of patient."""
    begin = np.searchsorted(of[rows], patient)
    length = np.searchsorted(of[rows], patient, "right") - begin
    stay = np.repeat(np.arange(len(patient)), length)
    offset = np.arange(len(stay)) - np.repeat(np.cumsum(length) - length, length)
    return stay, rows[begin[stay] + offset]


# --- from charts ------------------------------------------------------------------------------------------


def medications_of(charts: Iterable[Chart], *, unknown_days: int) -> tuple[Medications, list[Drug | None]]:
    """Patients' prescriptions and dispensings as columns, and the products that they name. What is of unknown
    length may last ``unknown_days``. For tests and for few; a store fills its columns from its own tables."""
    rows: list[tuple[int, ...]] = []
    numbers: dict[object, int] = {}
    drugs: list[Drug | None] = []
    for patient, chart in enumerate(charts):
        reach = {e.supply.id: _until(e, unknown_days) for e in chart.exposures}
        for supply in chart.supplies:
            if supply.kind is SupplyKind.DRAFT or supply.start_on is None:
                continue
            name = supply.drug.code if supply.drug is not None else supply.medication.label
            if name not in numbers:
                numbers[name] = len(drugs)
                drugs.append(supply.drug)
            day = supply.start_on.toordinal()
            issued = supply.written_on.toordinal() if supply.written_on is not None else NONE
            treatment = int(supply.treatment_type) if supply.treatment_type.isdecimal() else 0
            until = reach.get(supply.id, day - 1)
            rows.append((patient, day, until, issued, numbers[name], _how(supply), treatment))
    table = np.array(rows, np.int32).reshape(-1, len(fields(Medications))).T
    patients, first, last, written, product, how, treated = table
    made = Medications(patients, first, last, written, product, how.astype(np.int8), treated.astype(np.int8))
    return made, drugs


def _until(exposure: Exposure, unknown_days: int) -> int:
    """The last day on which it may be in hand."""
    start = exposure.start.toordinal()
    last = exposure.refilled_until if exposure.ends is not None else start + unknown_days - 1
    if exposure.stopped_on is not None:
        last = min(last, (exposure.stopped_on - timedelta(1)).toordinal())
    return last


def _how(supply: Supply) -> int:
    found = How(0)
    if supply.setting is Setting.DISCHARGE:
        found |= How.DISCHARGE
    if supply.setting is Setting.INPATIENT:
        found |= How.WARD
    return int(found | (How.PRESCRIPTION if supply.kind is SupplyKind.PRESCRIPTION else How(0)))
