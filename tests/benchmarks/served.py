"""The real application with two more addresses, the floors: what any answer costs on this server.

* ``/floor/constant`` answers the same word each time.
* ``/floor/insert`` parses the body and commits one row to the same database, through the same engine.

Both go through everything that every request of the application goes through: ids, headers, a line of log.
"""

from __future__ import annotations

from itertools import count
from os import getpid
from typing import Any

from flask import Flask, Response, request
from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from stewardship.app import from_environment
from stewardship.auth import public
from stewardship.db import transaction
from stewardship.intake.strict_json import loads
from stewardship.runtime import runtime

CONSTANT = "/floor/constant"
INSERT = "/floor/insert"

FLOOR: Any = Table(
    "benchmark_floor",
    MetaData(),
    Column("process", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("patient_id", String(64), nullable=False),
)
_INSERT = insert(FLOOR)
_ANSWER = b'{"cards":[]}'


def application() -> Flask:
    """The application that the environment describes, and the floors."""
    app = from_environment()
    numbers = count(1)

    @app.post(CONSTANT)
    @public
    def constant() -> Response:
        return Response(_ANSWER, content_type="application/json")

    @app.post(INSERT)
    @public
    def parse_and_insert() -> Response:
        document: Any = loads(request.get_data(cache=False), max_bytes=1_000_000)
        patient = document["context"]["patientId"]
        row = {"process": getpid(), "number": next(numbers), "patient_id": patient}
        with transaction(runtime().sessions) as session:
            session.connection().execute(_INSERT, row)
        return Response(_ANSWER, content_type="application/json")

    return app
