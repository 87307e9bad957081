"""Daily dose and MME once more, the slow way: by playing out the administrations on a calendar.

Nothing here is shared with ``stewardship.domain.dosage`` and ``mme``: fractions instead of decimals, a
simulated calendar instead of rates, factors written out by hand. Times are fractions of a day.

Two figures describe an instruction: what is taken a day on average over the whole time, and what is
taken a day on average over the days (for a patch: the hours) of use.
"""

from __future__ import annotations

import math
from fractions import Fraction

DAYS = {
    "s": Fraction(1, 86400),
    "min": Fraction(1, 1440),
    "h": Fraction(1, 24),
    "d": Fraction(1),
    "wk": Fraction(7),
}

MICROGRAM = Fraction(1, 1000)
MASS = {"mg": Fraction(1), "ug": MICROGRAM, "g": Fraction(1000)}
VOLUME = {"mL": Fraction(1), "L": Fraction(1000), "[tsp_m]": Fraction(5), "[tbs_m]": Fraction(15)}
RELEASE = {"mg/h": Fraction(1), "ug/h": MICROGRAM}


def strength(ingredient) -> Fraction:
    mg = Fraction(ingredient.strength)
    return mg * MICROGRAM if ingredient.unit.startswith("MCG") else mg


def is_patch(drug) -> bool:
    return any(i.unit.endswith("/HR") for i in drug.ingredients)


def pieces(value, unit: str, drug) -> Fraction:
    """An amount as tablets, mL, patches or actuations."""
    table = MASS | RELEASE
    if unit in table:
        return Fraction(value) * table[unit] / strength(drug.ingredients[0])
    return Fraction(value) * VOLUME.get(unit, Fraction(1))


# --- the calendar -----------------------------------------------------------------------------------


def horizon(period: Fraction, weekly: bool) -> int:
    """Whole days that hold a whole number of periods (and of weeks)."""
    days = period.numerator
    return math.lcm(days, 7) if weekly else days


def moments(times: Fraction, period: Fraction, until: int, weekdays: int) -> list[Fraction]:
    """When a dose is taken: so many times in each period, evenly; on the named weekdays only. Where the
    period is a week or more and days are named, that many of them get the doses in turn."""
    if 0 < weekdays < 7 and period >= 7:
        taken: list[Fraction] = []
        begin = Fraction(0)
        while begin < until:
            taken += [begin + (n % weekdays) for n in range(int(times))]
            begin += period
        return taken
    # A frequency is whole here, or has been made so by lengthening the period.
    times, period = Fraction(times.numerator), period * times.denominator
    step = period / times
    found = [step * n for n in range(math.ceil(until / step))]
    found = [moment for moment in found if moment < until]
    if 0 < weekdays < 7:
        found = [moment for moment in found if int(moment) % 7 < weekdays]
    return found


def by_day(taken: list[Fraction], dose: Fraction, until: int) -> tuple[Fraction, Fraction]:
    """Average a day over all days, and over the days on which anything is taken."""
    days: dict[int, Fraction] = {}
    for moment in taken:
        days[int(moment)] = days.get(int(moment), Fraction(0)) + dose
    total = sum(days.values(), Fraction(0))
    return total / until, total / len(days)


def by_hour(taken: list[Fraction], dose: Fraction, wear: Fraction, until: int) -> tuple[Fraction, Fraction]:
    """Patches worn on average over the whole time, and over the time in which any is worn.

    The calendar is a circle: what is put on at its end is still worn at its beginning.
    """
    worn = Fraction(0)
    marks: list[tuple[Fraction, int]] = []
    for moment in taken:
        worn += dose * wear
        whole, rest = divmod(wear, until)
        begin, end = moment, moment + rest
        marks += [(Fraction(0), int(whole)), (Fraction(until), -int(whole))]
        if end <= until:
            marks += [(begin, 1), (end, -1)]
        else:
            marks += [(begin, 1), (Fraction(until), -1), (Fraction(0), 1), (end - until, -1)]
    marks.sort(key=lambda mark: (mark[0], -mark[1]))
    covered, depth, since = Fraction(0), 0, Fraction(0)
    for moment, change in marks:
        if depth > 0:
            covered += moment - since
        since = moment
        depth += change
    return worn / until, worn / covered


def naive_use(instruction, drug) -> tuple[Fraction, Fraction]:
    """Product units acting in a day, low to high."""
    low_dose = pieces(instruction.dose_low, instruction.dose_unit, drug)
    high_dose = pieces(instruction.dose_high, instruction.dose_unit, drug)
    few = Fraction(instruction.frequency)
    many = Fraction(instruction.frequency_max) if instruction.frequency_max is not None else few
    short = Fraction(instruction.period) * DAYS[instruction.period_unit]
    long = Fraction(instruction.period_max or instruction.period) * DAYS[instruction.period_unit]
    weekdays = instruction.days_of_week
    named = 0 < weekdays < 7
    if named and short >= 7:
        # Days that are named each get at least one dose at the most, and never fewer than stated.
        many = max(many, Fraction(weekdays) * short / 7)
    ends = []
    for times, period, dose in ((few, long, low_dose), (many, short, high_dose)):
        until = horizon(period * times.denominator, named)
        taken = moments(times, period, until, weekdays)
        if is_patch(drug):
            ends.append(by_hour(taken, dose, Fraction(drug.wear_hours) / 24, until))
        else:
            ends.append(by_day(taken, dose, until))
    low, high = ends[0][0], ends[1][1]
    if instruction.as_needed:
        low = Fraction(0)
    cap = instruction.max_per_day
    if cap is not None:
        most = pieces(cap.value, cap.unit, drug)
        if is_patch(drug):
            most *= Fraction(drug.wear_hours) / 24
        high = min(high, max(most, high_dose))
        low = min(low, high)
    return low, high


def naive_signature(instructions, drug) -> tuple[Fraction, Fraction]:
    """The whole signature, day after day: together what shares a number, one after the other what not."""
    numbers = [i.sequence for i in instructions]
    steps: dict[object, list] = {}
    for instruction in instructions:
        steps.setdefault(instruction.sequence, []).append(instruction)
    ordered = sorted(steps, key=lambda n: -1 if n is None else n)
    lasting = all(i.duration_days is not None for n in ordered[:-1] for i in steps[n])
    taper = len(steps) > 1 and None not in numbers and lasting
    groups = [steps[n] for n in ordered] if taper else [list(instructions)]
    lows, highs = [], []
    for group in groups:
        uses = [naive_use(i, drug) for i in group]
        lows.append(sum((u[0] for u in uses), Fraction(0)))
        highs.append(sum((u[1] for u in uses), Fraction(0)))
    return min(lows), max(highs)


def naive_supply(quantity, days_supply, drug) -> Fraction:
    """The dispensed quantity laid out over its days."""
    a_day = pieces(quantity.value, quantity.unit, drug) / Fraction(days_supply)
    return a_day * Fraction(drug.wear_hours) / 24 if is_patch(drug) else a_day


def naive_mg(units: Fraction, ingredient) -> Fraction:
    """Milligrams a day in so many product units."""
    return units * strength(ingredient) * (24 if ingredient.unit.endswith("/HR") else 1)


# --- factors, by hand --------------------------------------------------------------------------------

COMMON = {
    "codeine": Fraction(15, 100),
    "hydrocodone": Fraction(1),
    "morphine": Fraction(1),
    "oxycodone": Fraction(3, 2),
    "oxymorphone": Fraction(3),
}
OLD = {
    "dihydrocodeine": Fraction(1, 4),
    "levorphanol": Fraction(11),
    "meperidine": Fraction(1, 10),
    "opium": Fraction(1),
    "pentazocine": Fraction(37, 100),
}
PLAIN = {
    "cdc-2022": COMMON
    | {
        "hydromorphone": Fraction(5),
        "methadone": Fraction(47, 10),
        "tapentadol": Fraction(2, 5),
        "tramadol": Fraction(1, 5),
    },
    "cdc-2018": COMMON
    | OLD
    | {
        "hydromorphone": Fraction(4),
        "methadone": Fraction(3),
        "tapentadol": Fraction(2, 5),
        "tramadol": Fraction(1, 10),
    },
    "cdc-2016": COMMON | OLD | {"hydromorphone": Fraction(4)},
    "nih-heal-2025": COMMON
    | OLD
    | {
        "hydromorphone": Fraction(5),
        "methadone": Fraction(47, 10),
        "tapentadol": Fraction(3, 10),
        "tramadol": Fraction(1, 5),
    },
}


def sliding_methadone(mg: Fraction) -> Fraction:
    if mg <= 20:
        return mg * 4
    if mg <= 40:
        return mg * 8
    if mg <= 60:
        return mg * 10
    return mg * 12


def naive_mme(ingredient: str, mg: Fraction, *, factor_set: str, patch: bool = False) -> Fraction | None:
    """MME a day of an oral opioid or a fentanyl patch; ``None`` where the set has no factor."""
    if patch:
        return mg / 24 * 1000 * Fraction(24, 10) if ingredient == "fentanyl" else None
    if factor_set == "cdc-2016" and ingredient == "methadone":
        return sliding_methadone(mg)
    factor = PLAIN[factor_set].get(ingredient)
    return None if factor is None else mg * factor
