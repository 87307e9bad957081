"""A run as FHIR R4 MeasureReports: one summary for the population, one individual for each who is in it.

Each rate is a group with the populations of a proportion measure. What cannot be told is in no population of
FHIR's own, so it is a population of a code system of ours.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from stewardship.domain.measures import Answer, Counted, Measure, Standing
from stewardship.domain.measures.told import percent
from stewardship.domain.measures.totals import Run, Share, stratum_of

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
IMPROVEMENT = "http://terminology.hl7.org/CodeSystem/measure-improvement-notation"
OWN = "urn:opioid-stewardship:measure-population"


def bundle(run: Run, *, now: datetime, organisation: str) -> dict[str, Any]:
    """The summary and all individual reports."""
    reports = [
        summary(run, now=now, organisation=organisation),
        *individuals(run, now=now, organisation=organisation),
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now.isoformat(),
        "entry": [{"resource": each} for each in reports],
    }


def summary(run: Run, *, now: datetime, organisation: str) -> dict[str, Any]:
    """The report of the whole population."""
    return {
        "resourceType": "MeasureReport",
        "id": f"{run.measure.id}-{run.year}",
        **_head(run, "summary", now, organisation),
        "group": [_group(run, rate.id) for rate in run.measure.rates],
    }


def individuals(run: Run, *, now: datetime, organisation: str) -> list[dict[str, Any]]:
    """A report for each patient or stay that is in the population or excluded from it."""
    return [
        {
            "resourceType": "MeasureReport",
            **_head(run, "individual", now, organisation),
            "subject": {"reference": f"Patient/{one.patient}"},
            "group": [_of_one(run.measure, rate.id, one) for rate in run.measure.rates],
            "evaluatedResource": [{"reference": name} for name in _evidence(one)],
        }
        for one in run.answers
        if one.standing in (Standing.IN, Standing.EXCLUDED)
    ]


def _head(run: Run, kind: str, now: datetime, organisation: str) -> dict[str, Any]:
    notation = "decrease" if run.measure.lower_is_better else "increase"
    return {
        "status": "complete",
        "type": kind,
        "measure": f"urn:opioid-stewardship:measure:{run.measure.id}|{run.measure.version}",
        "date": now.isoformat(),
        "reporter": {"reference": f"Organization/{organisation}"},
        "period": {"start": run.first.isoformat(), "end": run.last.isoformat()},
        "improvementNotation": {"coding": [{"system": IMPROVEMENT, "code": notation}]},
    }


def _group(run: Run, rate: str) -> dict[str, Any]:
    standing = run.totals.standing
    share = run.totals.shares.get((rate, ""), Share())
    inside, excluded = standing[Standing.IN], standing[Standing.EXCLUDED]
    group: dict[str, Any] = {
        "code": {"text": rate},
        "population": [
            _population("initial-population", inside + excluded),
            _population("denominator", inside + excluded),
            _population("denominator-exclusion", excluded),
            _population("numerator", share.counted),
            _population("cannot-tell", share.untold + standing[Standing.UNTOLD], OWN),
        ],
    }
    if share.asked:
        group["measureScore"] = {"value": percent(share), "unit": "%"}
    strata = [(s, each) for (name, s), each in sorted(run.totals.shares.items()) if name == rate and s]
    if strata:
        group["stratifier"] = [
            {
                "code": [{"text": "age"}],
                "stratum": [
                    {
                        "value": {"text": name},
                        "population": [
                            _population("denominator", each.asked),
                            _population("numerator", each.counted),
                        ],
                        "measureScore": {"value": percent(each), "unit": "%"},
                    }
                    for name, each in strata
                ],
            }
        ]
    return group


def _of_one(measure: Measure, rate: str, one: Answer) -> dict[str, Any]:
    found = next((r for r in one.rates if r.rate == rate), Counted(rate, False, ()))
    group: dict[str, Any] = {
        "code": {"text": rate},
        "population": [
            _population("initial-population", 1),
            _population("denominator", 1),
            _population("denominator-exclusion", int(one.standing is Standing.EXCLUDED)),
            _population("numerator", int(found.met is True)),
            _population("cannot-tell", int(found.met is None), OWN),
        ],
    }
    if measure.stratum_ages:
        group["stratifier"] = [
            {"code": [{"text": "age"}], "stratum": [{"value": {"text": stratum_of(measure, one.age)}}]}
        ]
    return group


def _population(code: str, count: int, system: str = POPULATION) -> dict[str, Any]:
    return {"code": {"coding": [{"system": system, "code": code}]}, "count": count}


def _evidence(one: Answer) -> list[str]:
    """References to what was looked at: dispensings, the stay, and the records that exclude."""
    stay = [f"Encounter/{one.stay}"] if one.stay else []
    kind = "MedicationRequest" if one.stay else "MedicationDispense"
    return [*stay, *(f"{kind}/{claim}" for claim in one.claims)]
