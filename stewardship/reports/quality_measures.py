"""Quality measures of a year: every rate with its other thresholds beside it, and whom each is about.

Two reports. The first is numbers of people, small ones withheld, also where one could be worked out from
a denominator or from the next threshold. The second is the drill-down: each patient who counts, nearly
counts or cannot be told, with the claims on which that rests. It names patients by our own ids and is not
for handing on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from stewardship.db import histories, measured
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.measures import Answer, Counted, Criterion, Evidence, Measure, Standing
from stewardship.domain.measures.told import percent, shown
from stewardship.domain.measures.totals import Run, answers, run
from stewardship.reports.reporting import (
    WITHHELD,
    Asked,
    Column,
    Kind,
    Listed,
    Picture,
    Report,
    Table,
    Value,
)

RATES = (
    Column("rate", "Measure and rate", Kind.ID),
    Column("what", "What it counts"),
    Column("published", "Published rate", Kind.ID),
    Column("denominator", "Denominator", Kind.COUNT),
    Column("numerator", "Numerator", Kind.COUNT),
    Column("percent", "Rate", Kind.SHARE, of=("denominator", "numerator")),
    Column("untold", "Cannot tell", Kind.COUNT),
    Column("near", "Near misses", Kind.COUNT),
)
_PEOPLE = ("denominator", "numerator", "untold", "near")
POPULATION = (
    Column("measure", "Measure", Kind.ID),
    Column("in", "In", Kind.COUNT),
    Column("excluded", "Excluded", Kind.COUNT),
    Column("untold", "Cannot tell", Kind.COUNT),
)
REASONS = (
    Column("measure", "Measure", Kind.ID),
    Column("standing", "Standing", Kind.ID),
    Column("reason", "For", Kind.ID),
    Column("people", "Patients or stays", Kind.COUNT),
)
DEFINITIONS = (
    Column("measure", "Measure", Kind.ID),
    Column("title", "Title and steward"),
    Column("version", "Version", Kind.NUMBER),
    Column("effective", "In effect from", Kind.DATE),
    Column("source", "Source, and its date"),
    Column("unverified", "Not verified"),
)
PATIENTS = (
    Column("measure", "Measure", Kind.ID),
    Column("rate", "Rate", Kind.ID),
    Column("patient", "Patient (our id)", Kind.ID),
    Column("stands", "Stands"),
    Column("found", "Found, beside the limit"),
    Column("first", "From", Kind.DATE),
    Column("last", "To", Kind.DATE),
    Column("claims", "Claims", Kind.ID),
)
_COUNTS = (
    "Everybody on record, as of now, in the measurement year in which the period ends, whatever its other "
    "days are. A rate is the share of its denominator that reaches the limit. "
)
_LOWER_BOUND = (
    "A number that is a lower bound may meet a limit and is never said to miss it: whoever cannot be told is "
    "in the denominator and not in the numerator, so that a rate is at least what it says."
)
_LIMITS = (
    _LOWER_BOUND,
    "Near: not met, and every number that it takes within reach of its limit, as the definition declares.",
)


def quality_measures(session: Session, library: Any, asked: Asked) -> Report:
    """The report of numbers."""
    runs = _runs(session, library, asked)
    rows, withheld = _without_steps([row for one in runs for row in _rates(one)], library.fewest_shown)
    official = tuple(str(row[0]) for row in rows if row[2] == "yes")
    by_label = {str(row[0]): row for row in rows}
    ages = [_ages(one) for one in runs if one.measure.stratum_ages]
    return Report(
        id="quality-measures",
        title="Quality measures",
        definition=_COUNTS
        + "Published rates are the stewards'; the others stand beside them with another threshold or "
        "definition, so that a limit can be compared and not mistaken.",
        asked=asked,
        tables=(
            Table("rates", _titled("Rates", runs), RATES, rows, people=_PEOPLE, parts=_PARTS),
            *ages,
            Table("population", "Who is looked at", POPULATION, _population(runs), people=_STANDINGS),
            Table("reasons", "Why somebody is left out", REASONS, _reasons(runs), people=("people",)),
            Table("definitions", "Definitions", DEFINITIONS, [_definition(one.measure) for one in runs]),
        ),
        picture=Picture(
            "Published rates",
            official,
            {"Rate": tuple(_drawn(by_label[one][5]) for one in official)},
            "%",
            of_table="rates",
        ),
        limits=(*_LIMITS, *_assumptions(runs)),
        withheld=withheld,
    )


def measure_patients(session: Session, library: Any, asked: Asked) -> Report:
    """The drill-down."""
    runs = _runs(session, library, asked)
    return Report(
        id="measure-patients",
        title="Patients behind the quality measures",
        definition=_COUNTS
        + "Listed is everybody who counts for a rate, nearly counts, cannot be told or is excluded, with the "
        "claims and records on which that rests. It is about single patients: it is for looking after "
        "them, not for handing on.",
        asked=asked,
        tables=(
            Table(
                "patients",
                _titled("Patients and claims", runs),
                PATIENTS,
                [row for one in runs for row in _drilled(one)],
                empty="Nobody counts, nearly counts, is excluded or cannot be told.",
            ),
            Table("definitions", "Definitions", DEFINITIONS, [_definition(one.measure) for one in runs]),
        ),
        limits=(*_LIMITS, *_assumptions(runs)),
    )


def _drawn(value: Value) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


_PARTS = (("numerator", "denominator"), ("untold", "denominator"))
_STANDINGS = ("in", "excluded", "untold")


# --- running --------------------------------------------------------------------------------------------


def _runs(session: Session, library: Any, asked: Asked) -> list[Run]:
    """Every measure over everybody, in one pass over their charts."""
    year = (asked.until - timedelta(days=1)).year
    chosen = _chosen(library.measures, asked.measure, year)
    own = asked.organisation_id
    as_of = asked.now or datetime.combine(asked.until, time(), tzinfo=UTC)
    known_from = histories.first_dispensed(session, organisation_id=own)
    found: list[list[Answer]] = [[] for _ in chosen]
    for chart in measured.charts(session, library, organisation_id=own, as_of=as_of):
        for kept, measure in zip(found, chosen, strict=True):
            kept.extend(
                answers(
                    measure,
                    (chart,),
                    year,
                    library.factor_sets,
                    known_from=known_from,
                    unknown_days=library.flags.common.unknown_supply_days,
                )
            )
    return [
        run(measure, kept, year, known_from=known_from, today=as_of.date())
        for measure, kept in zip(chosen, found, strict=True)
    ]


def _chosen(known: Sequence[Measure], measure: str, year: int) -> list[Measure]:
    """The version of each measure that counts for the year, or of the one that is asked for."""
    ids = sorted({one.id for one in known})
    if measure and measure not in ids:
        fault = Fault("/measure", "measure", f"there is no such measure; there are {', '.join(ids)}")
        raise InvalidInput("the report cannot be made as it was asked for", faults=(fault,))
    chosen = []
    for name in [measure] if measure else ids:
        versions = [one for one in known if one.id == name]
        chosen.append(next((v for v in reversed(versions) if v.effective.year <= year), versions[0]))
    return chosen


def _titled(words: str, runs: Sequence[Run]) -> str:
    first = runs[0]
    return f"{words} of {first.year}{'' if first.ended else ', which is not over yet'}"


# --- numbers --------------------------------------------------------------------------------------------


def _rates(one: Run) -> Iterator[tuple[Value, ...]]:
    for rate in one.measure.rates:
        share = one.totals.shares.get((rate.id, ""))
        yield _row(one, rate.id, rate.title, rate.official, share)


def _row(one: Run, rate: str, title: str, official: bool, share: Any) -> tuple[Value, ...]:
    label = f"{one.measure.id}: {rate}"
    published = "yes" if official else "beside it"
    if share is None:
        return label, title, published, 0, 0, None, 0, 0
    return (
        label,
        title,
        published,
        share.asked,
        share.counted,
        percent(share),
        share.untold,
        share.near,
    )


def _without_steps(rows: list[tuple[Value, ...]], fewest: int) -> tuple[list[tuple[Value, ...]], int]:
    """Of two rates of one measure whose numerators lie so close that the step between them would be a few
    people, the one that is not published is withheld."""
    made: list[tuple[Value, ...]] = []
    kept: dict[str, list[int]] = {}
    ordered = sorted(rows, key=lambda row: row[2] != "yes")
    hidden: set[str] = set()
    for row in ordered:
        measure, value = str(row[0]).partition(":")[0], row[4]
        assert isinstance(value, int)  # noqa: S101 - nothing is withheld yet
        if any(0 < abs(value - other) < fewest for other in kept.get(measure, ())) and value >= fewest:
            hidden.add(str(row[0]))
        else:
            kept.setdefault(measure, []).append(value)
    for row in rows:
        close = str(row[0]) in hidden
        made.append((*row[:4], WITHHELD, WITHHELD, row[6], WITHHELD) if close else row)
    return made, len(hidden)


def _ages(one: Run) -> Table:
    rows = [
        _of_age(_row(one, rate.id, rate.title, rate.official, share), stratum)
        for rate in one.measure.rates
        for (name, stratum), share in sorted(one.totals.shares.items())
        if name == rate.id and stratum
    ]
    return Table(
        f"ages-{one.measure.id}",
        f"{one.measure.id} by age",
        RATES,
        rows,
        people=_PEOPLE,
        totals=True,
        parts=_PARTS,
    )


def _of_age(row: tuple[Value, ...], stratum: str) -> tuple[Value, ...]:
    return (f"{row[0]}, {stratum}", *row[1:])


def _population(runs: Sequence[Run]) -> list[tuple[Value, ...]]:
    return [
        (
            one.measure.id,
            one.totals.standing[Standing.IN],
            one.totals.standing[Standing.EXCLUDED],
            one.totals.standing[Standing.UNTOLD],
        )
        for one in runs
    ]


def _reasons(runs: Sequence[Run]) -> list[tuple[Value, ...]]:
    return [
        (one.measure.id, standing, reason, count)
        for one in runs
        for standing, counted in (("excluded", one.totals.excluded), ("cannot tell", one.totals.untold))
        for reason, count in sorted(counted.items())
    ]


def _definition(measure: Measure) -> tuple[Value, ...]:
    source = measure.source
    return (
        measure.id,
        f"{measure.title}; {measure.steward}",
        measure.version,
        measure.effective,
        f"{source.title}; {source.publisher}, {source.date.isoformat()}",
        "" if measure.verified else measure.unverified,
    )


def _assumptions(runs: Sequence[Run]) -> tuple[str, ...]:
    """What stands in for data that are not on record, each once."""
    return tuple(dict.fromkeys(words for one in runs for words in one.measure.assumptions))


# --- patients -------------------------------------------------------------------------------------------


def _drilled(one: Run) -> Iterator[tuple[Value, ...]]:
    for answer in one.answers:
        if answer.standing is not Standing.IN:
            yield _left_out(one, answer)
            continue
        for rate in answer.rates:
            if rate.met is not False or rate.near:
                yield _counted(one, answer, rate)


def _left_out(one: Run, answer: Answer) -> tuple[Value, ...]:
    found = "; ".join(_excluding(answer.exclusions))
    records = ", ".join(each.record for each in answer.exclusions) or ", ".join(answer.claims)
    stands = answer.standing.value.replace("-", " ")
    return one.measure.id, "", answer.patient, f"{stands}: {answer.reason}", found, None, None, records


def _excluding(exclusions: Sequence[Evidence]) -> Iterator[str]:
    """What excludes somebody: what is said again and again, once, with how often and between which days."""
    alike: dict[str, list[date]] = {}
    for each in exclusions:
        days = alike.setdefault(f"{each.kind}: {each.said}", [])
        days += [] if each.on is None else [each.on]
    for said, days in alike.items():
        if len(days) > 1:
            yield f"{said}, {len(days)} from {min(days).isoformat()} to {max(days).isoformat()}"
        else:
            yield ", ".join([said, *(day.isoformat() for day in days)])


def _counted(one: Run, answer: Answer, rate: Counted) -> tuple[Value, ...]:
    stands = "counts" if rate.met else "nearly counts" if rate.near else "cannot tell"
    found = "; ".join(map(_beside, rate.criteria))
    whom = answer.patient if not answer.stay else f"{answer.patient}, stay {answer.stay}"
    return one.measure.id, rate.rate, whom, stands, found, rate.first, rate.last, ", ".join(rate.claims)


def _beside(found: Criterion) -> str:
    value = "not known" if found.value is None else f"{shown(found.value):f}"
    why = f" ({found.why})" if found.why else ""
    return f"{found.name.replace('-', ' ')} {value} of {shown(found.limit):f}{why}"


LISTED = (
    Listed(
        "quality-measures",
        "Quality measures",
        "HEDIS, PQA and CMS measures of a year, with other thresholds beside the published ones.",
        quality_measures,
        frozenset({"measure"}),
    ),
    Listed(
        "measure-patients",
        "Patients behind the quality measures",
        "Who counts, nearly counts, is excluded or cannot be told, with the claims on which that rests.",
        measure_patients,
        frozenset({"measure"}),
    ),
)
