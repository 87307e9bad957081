"""The measures written again, as plainly as can be: every day is looked at, every number is written out.

Shares nothing with the service but the supplies. Knows no exclusions and takes everybody for an adult.
``True``, ``False`` and ``None`` (cannot be told).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from stewardship.domain.drugs import DrugClass
from stewardship.domain.orders import Supply

DAY = timedelta(1)
#: MME of a milligram by CDC 2022.
FACTORS = {"oxycodone": Fraction(3, 2), "tramadol": Fraction(1, 5), "hydrocodone": Fraction(1)}
Truth = bool | None


class One:
    """One dispensing, taken apart."""

    def __init__(self, supply: Supply) -> None:
        self.on = supply.start_on
        self.unknown_length = supply.days_supply is None
        self.length = 1 if supply.days_supply is None else int(supply.days_supply)
        self.prescriber, self.pharmacy = supply.prescriber, supply.pharmacy
        drug = supply.drug
        self.strange = drug is None
        self.opioid = drug is not None and DrugClass.OPIOID_ANALGESIC in drug.classes
        self.sedative = drug is not None and DrugClass.BENZODIAZEPINE in drug.classes
        self.long_acting = drug is not None and DrugClass.LONG_ACTING_OPIOID in drug.classes
        self.mme = None
        if self.opioid and supply.quantity is not None:
            (ingredient,) = drug.ingredients
            self.mme = Fraction(supply.quantity.value) * Fraction(ingredient.strength)
            self.mme *= FACTORS[ingredient.name]

    def days(self, last: date) -> list[date]:
        return [self.on + n * DAY for n in range(self.length) if self.on + n * DAY <= last]


def at_least(value: Any, limit: Any, doubt: bool) -> Truth:
    return True if value >= limit else None if doubt else False


def all_of(*truths: Truth) -> Truth:
    return False if False in truths else None if None in truths else True


def any_of(truths: Sequence[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def mean(claims: list[One], last: date, divisor: int, doubt: bool, limit: int) -> Truth:
    if not claims or any(c.unknown_length for c in claims):
        return None
    total = sum((c.mme or Fraction(0)) * len(c.days(last)) / c.length for c in claims)
    return at_least(total, limit * divisor, doubt or any(c.mme is None for c in claims))


def in_year(supplies: Sequence[Supply], year: int) -> tuple[list[One], list[One], bool, date]:
    first, last = date(year, 1, 1), date(year, 12, 31)
    here = [c for c in map(One, supplies) if first <= c.on <= last]
    here.sort(key=lambda c: c.on)
    return [c for c in here if c.opioid], [c for c in here if c.sedative], any(c.strange for c in here), last


def days_of(claims: list[One], last: date) -> set[date]:
    return {day for c in claims for day in c.days(last)}


def period(measure: str, supplies: Sequence[Supply], year: int) -> tuple[Truth, list[Truth]]:
    """Whether somebody is in the population, and the official rates."""
    opioids, sedatives, strange, last = in_year(supplies, year)
    doubt = strange or any(c.unknown_length for c in opioids)
    covered = days_of(opioids, last)
    supplied = sum(len(c.days(last)) for c in opioids)
    episode = (max(covered) - min(covered)).days + 1 if covered else 0
    asked = [at_least(len({c.on for c in opioids}), 2, strange)]
    asked.append(at_least(len(covered) if measure == "hedis-hdo" else supplied, 15, doubt))
    if measure in ("pqa-ohd", "pqa-ohdmp"):
        asked.append(at_least(episode, 90, doubt))
    if measure == "pqa-cob":
        asked.append(at_least((last - min(covered)).days + 1 if covered else 0, 30, strange))
    inside = all_of(*asked)
    if measure in ("hedis-hdo", "pqa-ohd"):
        return inside, [mean(opioids, last, episode, strange, 90)]
    if measure == "hedis-uop":
        return inside, year_of_providers(opioids, strange)
    if measure == "pqa-omp":
        return inside, [providers(opioids, strange)]
    if measure == "pqa-ohdmp":
        return inside, [all_of(mean(opioids, last, episode, strange, 90), providers(opioids, strange))]
    both = covered & days_of(sedatives, last)
    doubt |= any(c.unknown_length for c in sedatives)
    claims = at_least(len({c.on for c in sedatives}), 2, strange)
    return inside, [all_of(claims, at_least(len(both), 30, doubt))]


def year_of_providers(opioids: list[One], strange: bool) -> list[Truth]:
    prescribers = len({c.prescriber for c in opioids if c.prescriber})
    pharmacies = len({c.pharmacy for c in opioids if c.pharmacy})
    no_prescriber = strange or any(not c.prescriber for c in opioids)
    no_pharmacy = strange or any(not c.pharmacy for c in opioids)
    either = no_prescriber or no_pharmacy
    return [
        at_least(prescribers, 4, no_prescriber),
        at_least(pharmacies, 4, no_pharmacy),
        all_of(at_least(prescribers, 4, either), at_least(pharmacies, 4, either)),
    ]


def providers(opioids: list[One], strange: bool) -> Truth:
    """Four and four in any 180 days. Short of that it is open only when somebody is not named."""
    unnamed = strange or any(not c.prescriber or not c.pharmacy for c in opioids)
    for begin in {c.on - n * DAY for c in opioids for n in (0, 179)}:
        here = [c for c in opioids if begin <= c.on <= begin + 179 * DAY]
        named = {c.prescriber for c in here if c.prescriber}, {c.pharmacy for c in here if c.pharmacy}
        if len(named[0]) >= 4 and len(named[1]) >= 4:
            return True
    return None if unnamed else False


def begun(measure: str, supplies: Sequence[Supply], year: int, known_from: date) -> tuple[Truth, list[Truth]]:
    """The same for the measures of starts."""
    cou = measure == "hedis-cou"
    first = date(year - 1, 11, 1) if cou else date(year, 1, 1)
    last = date(year, 10, 31) if cou else date(year, 12, 31)
    lookback = 180 if cou else 90
    claims = sorted(map(One, supplies), key=lambda c: c.on)
    opioids, strange = [c for c in claims if c.opioid], [c for c in claims if c.strange]
    starts = []
    for day in sorted({c.on for c in opioids if first <= c.on <= last}):
        earlier = [day - n * DAY for n in range(1, lookback + 1)]
        if not any(c.on in earlier for c in opioids):
            doubtful = earlier[-1] < known_from or any(c.on in earlier for c in strange)
            starts.append((day, doubtful))
    if cou:
        starts = starts[:1]
    certain = any(not doubtful for _, doubtful in starts)
    in_doubt = any(doubtful for _, doubtful in starts) or any(first <= c.on <= last for c in strange)
    inside: Truth = True if certain else None if in_doubt else False
    rates: list[list[Truth]] = [[] for _ in range(2 if cou else 1)]
    for day, doubtful in starts:
        for place, met in enumerate(of_start(measure, day, opioids, strange)):
            rates[place].append(None if met and doubtful else met)
    return inside, [any_of(each) for each in rates]


def of_start(measure: str, day: date, opioids: list[One], strange: list[One]) -> list[Truth]:
    if measure == "hedis-cou":
        return [covered_from(day, w, limit, opioids, strange) for w, limit in ((30, 15), (62, 31))]
    end = day + 2 * DAY
    here = [c for c in opioids if day <= c.on <= end]
    odd = any(day <= c.on <= end for c in strange)
    if measure == "pqa-iop-la":
        return [at_least(sum(c.long_acting for c in here), 1, odd)]
    if measure == "pqa-iop-ld":
        doubt = odd or any(c.unknown_length for c in here)
        return [at_least(sum(c.length for c in here), 8, doubt)]
    return [mean(here, date.max, len(days_of(here, date.max - DAY)), odd, 50)]


def covered_from(day: date, window: int, limit: int, opioids: list[One], strange: list[One]) -> Truth:
    end = day + (window - 1) * DAY
    here = [c for c in opioids if day <= c.on <= end]
    doubt = any(c.unknown_length for c in here) or any(day <= c.on <= end for c in strange)
    return at_least(len(days_of(here, end)), limit, doubt)


def discharged(supplies: Sequence[Supply], begun: date, ended: date) -> tuple[Truth | str, Truth]:
    """Whether a stay is counted, and whether two opioids or one with a benzodiazepine go home."""
    sure: set[str] = set()
    perhaps: set[str] = set()
    for supply in supplies:
        kind = _sort(supply)
        if kind is None or supply.treatment_type == "02":
            continue
        issued = supply.written_on or supply.start_on
        on_the_last_day = supply.kind.value == "prescription" and supply.start_on == ended
        if supply.setting.value == "discharge" and begun <= issued <= ended:
            sure.add(kind)
        elif supply.setting.value != "inpatient" and (on_the_last_day or _in_hand(supply, begun, ended)):
            perhaps.add(kind)
    # What is not recognised may be an opioid or a benzodiazepine, or neither.
    certain, more = sure - {"?"}, perhaps | (sure & {"?"})
    worlds = [certain | set(extra) for extra in _subsets(more)]
    every = [way for world in worlds for way in _settled(world)]
    inside, met = _same([bool(way) for way in every]), _same([_concurrent(way) for way in every])
    if (ended - begun).days > 120:
        inside = False
    palliative = any(s.treatment_type == "04" and begun <= s.start_on <= ended for s in supplies)
    return ("excluded" if palliative and inside is not False else inside), met


def _sort(supply: Supply) -> str | None:
    """An opioid or a benzodiazepine by its product, or something that nobody recognises."""
    drug = supply.drug
    if drug is None:
        return "?"
    if drug.form == "injection" or drug.schedule is None:
        return None
    if DrugClass.OPIOID_ANALGESIC in drug.classes and drug.schedule.value in ("II", "III", "IV"):
        return f"o:{drug.code.code}"
    if DrugClass.BENZODIAZEPINE in drug.classes and drug.schedule.value == "IV":
        return f"b:{drug.code.code}"
    return None


def _in_hand(supply: Supply, begun: date, ended: date) -> bool:
    if supply.start_on >= begun or (supply.ended_on is not None and supply.ended_on <= ended):
        return False
    days = 60 if supply.days_supply is None else int(supply.days_supply)
    if supply.kind.value == "prescription" and supply.days_supply is not None:
        days += days * (supply.refills or 0)
    return ended in [supply.start_on + n * DAY for n in range(days)]


def _subsets(names: set[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for name in sorted(names):
        found += [[*one, name] for one in found]
    return found


def _settled(world: set[str]) -> list[set[str]]:
    """Every way in which it may be: what is not recognised is nothing, an opioid, a benzodiazepine, or
    several of them."""
    known = world - {"?"}
    others = [{"o:?", "o:??"}, {"b:?"}, {"o:?", "b:?"}] if "?" in world else []
    return [known, *(known | other for other in others)]


def _concurrent(world: set[str]) -> bool:
    opioids = [name for name in world if name.startswith("o:")]
    return len(opioids) >= 2 or (bool(opioids) and any(name.startswith("b:") for name in world))


def _same(answers: list[bool]) -> Truth:
    return answers[0] if len(set(answers)) == 1 else None
