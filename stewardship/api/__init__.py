"""The JSON API: ``/api/v1``, described at ``/api/v1/openapi.json``, to be browsed at ``/api/v1/docs``.

A room is a module with a ``room``: a blueprint whose views say which permission they need, read their
input by a schema, open the transaction, call a service and write the answer. What goes wrong is raised,
and ``problems`` has the one table that says what the caller sees.
"""

from __future__ import annotations

from flask import Flask

from stewardship.api import (
    care,
    decisions,
    drugs,
    fhir_plans,
    flags,
    function,
    health,
    imports,
    measures,
    orders,
    plans,
    policies,
    prescribers,
    questionnaire_links,
    reports,
    retention,
    reviews,
    snoozes,
    tapers,
    timeline,
    tokens,
    who,
)
from stewardship.api import matches as matching
from stewardship.api.openapi import make_api, pages

PREFIX = "/api/v1"
ROOMS = (
    orders.room,
    care.room,
    plans.room,
    fhir_plans.room,
    tapers.room,
    prescribers.room,
    decisions.room,
    flags.room,
    timeline.room,
    snoozes.room,
    imports.room,
    matching.room,
    policies.room,
    drugs.room,
    questionnaire_links.room,
    function.room,
    reviews.room,
    health.room,
    reports.room,
    measures.room,
    retention.room,
    tokens.room,
    who.room,
)


def register(app: Flask) -> None:
    """Add the API and its description to the application."""
    api = make_api(app)
    for room in ROOMS:
        api.register_blueprint(room, url_prefix=PREFIX)
    app.register_blueprint(pages(api, url_prefix=PREFIX))
