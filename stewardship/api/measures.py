"""Quality measures: what each counts, and how an organisation's year comes out, also as FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response
from marshmallow import fields, validate

from stewardship.api.exchange import Room, answer, writing
from stewardship.auth import Permission, principal, requires
from stewardship.domain.measures import as_fhir
from stewardship.domain.measures.told import measure_told, run_told
from stewardship.domain.measures.totals import Run
from stewardship.intake.fields import StrictSchema
from stewardship.intake.strict_json import dumps
from stewardship.runtime import runtime
from stewardship.services import measures

room = Room("measures", __name__, description="Quality measures over the record.")

_FHIR = "application/fhir+json"


class MeasureQuery(StrictSchema):
    """Of which year, and whether with everybody who is counted, excluded or cannot be told."""

    period = fields.Integer(
        load_default=None,
        validate=validate.Range(2000, 2200),
        metadata={"description": "The measurement year; the current one unless named."},
    )
    answers = fields.Boolean(
        load_default=False, metadata={"description": "Also each patient's answer, with claims and days."}
    )


class MeasureAnswer(StrictSchema):
    """A measure over a year: the definition, the population, the rates, and who is counted if asked for."""

    measure = fields.Dict(required=True)
    period = fields.Dict(required=True)
    period_ended = fields.Boolean(required=True)
    dispensings_known_from = fields.String(required=True, allow_none=True)
    population = fields.Dict(required=True)
    out = fields.Dict(required=True)
    excluded = fields.Dict(required=True)
    cannot_tell = fields.Dict(required=True)
    caveats = fields.Dict(required=True)
    rates = fields.List(fields.Dict(), required=True)
    answers = fields.List(fields.Dict())


class MeasuresAnswer(StrictSchema):
    """Every version of every measure."""

    measures = fields.List(fields.Dict(), required=True)


@room.route("/measures")
@requires(Permission.READ_REPORTS)
@room.response(HTTPStatus.OK, MeasuresAnswer)
def list_measures() -> Response:
    """List the measures.

    Each with its source, its rates, what excludes, and what stands in for data that are not on record.
    """
    return answer({"measures": [measure_told(one) for one in runtime().library.measures]})


@room.route("/measures/<measure_id>")
@requires(Permission.READ_REPORTS)
@room.arguments(MeasureQuery, location="query")
@room.response(HTTPStatus.OK, MeasureAnswer)
def read_measure(query: Mapping[str, Any], measure_id: str) -> Response:
    """Run a measure over a year.

    As of now, over everybody of the organisation; that it was run is on record.
    """
    return answer(run_told(_run(measure_id, query["period"]), patients=query["answers"]))


@room.route("/measures/<measure_id>/fhir")
@requires(Permission.READ_REPORTS)
@room.arguments(MeasureQuery, location="query")
@room.response(HTTPStatus.OK, content_type=_FHIR)
def measure_as_fhir(query: Mapping[str, Any], measure_id: str) -> Response:
    """Run a measure over a year, as FHIR.

    The summary MeasureReport; with `answers` a Bundle that also holds the individual ones.
    """
    found, now = _run(measure_id, query["period"]), runtime().clock()
    write = as_fhir.bundle if query["answers"] else as_fhir.summary
    said = write(found, now=now, organisation=principal().organisation_id)
    return Response(dumps(said), content_type=_FHIR)


def _run(measure_id: str, year: int | None) -> Run:
    running, by = runtime(), principal()
    now = running.clock()
    with writing() as session:
        library = running.library_of(by.organisation_id)
        return measures.measure(session, library, measure_id, year or now.year, by=by, now=now)
