"""Pages over the real declarations, on a database of its own; ``signed_in`` lets a role in."""

from __future__ import annotations

from itertools import count

import pytest
from flask import Flask
from flask.testing import FlaskClient

from stewardship import browsers
from stewardship.db import transaction
from stewardship.domain.identity import Method, Stage
from stewardship.domain.people import Principal, Role
from stewardship.runtime import Runtime
from stewardship.services import browser_sessions, organisations, users
from tests.api.conftest import (
    HERE,
    Clock,
    app,
    clock,
    issued,
    library,
    sessions,
    stopped_clock,
)

__all__ = ["HERE", "Clock", "app", "clock", "issued", "library", "sessions", "stopped_clock"]

_people = count(1)


def signed_in(
    client: FlaskClient, role: Role | str, organisation: str = HERE, *, user: str | None = None
) -> Principal:
    """Sign a person of that role in with this client: a new one, or the one of that user id."""
    running = running_of(client.application)
    now = running.clock()
    setup = Principal("setup", organisation, Role.ADMIN)
    who = Principal(user or f"{Role(role).value}-at-work-{next(_people)}", organisation, Role(role))
    with transaction(running.sessions) as session:
        organisations.ensure(session, organisation, name=organisation, by=setup, now=now)
        if who.user_id not in {account.user_id for account in users.listed(session, by=setup)}:
            login = f"{who.user_id}@{organisation}.example"
            users.add(session, login=login, role=who.role, by=setup, now=now, user_id=who.user_id)
        token = browser_sessions.begin(
            session,
            who,
            stage=Stage.WHOLE,
            method=Method.PASSWORD,
            agent="tests",
            terms=running.library.identity.session,
            now=now,
        )
    client.set_cookie(browsers.cookie_name(running.settings), token)
    return who


def form_token(client: FlaskClient) -> str:
    """What a form has to bring back: put it into the data as ``csrf_token``, or into the header."""
    page = client.get("/sign-in", follow_redirects=True).text
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def running_of(app: Flask) -> Runtime:
    """What the application runs on."""
    running: Runtime = app.extensions["stewardship"]
    return running


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser in which nobody is signed in."""
    return app.test_client()
