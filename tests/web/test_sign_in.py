"""Signing in with a name and a password, and what a browser is answered without it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from stewardship.db import transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import passwords, users
from tests.web.conftest import HERE, form_token, running_of, signed_in

PASSWORD = "tangerine orbit mosaic"


@pytest.fixture
def prescriber(client: FlaskClient) -> Principal:
    """Somebody with a password."""
    return somebody(client, Role.PRESCRIBER)


def somebody(client: FlaskClient, role: Role, **more) -> Principal:
    running = running_of(client.application)
    signed_in(client.application.test_client(), role)
    by = Principal("setup", HERE, Role.ADMIN)
    with transaction(running.sessions) as session:
        kept = passwords.hashed(PASSWORD, terms=running.library.identity.hashing)
        number = len(users.listed(session, by=by))
        login = f"{role.value}-{number}@hospital.example"
        return users.add(
            session, login=login, role=role, by=by, now=running.clock(), password_hash=kept, **more
        )


def send(client: FlaskClient, account, password: str = PASSWORD, **more):
    data = {"csrf_token": form_token(client), "name": account.login, "password": password, **more}
    return client.post("/sign-in", data=data)


def test_whoever_knows_his_password_is_let_in(client, prescriber):
    answer = send(client, prescriber, next="/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    assert prescriber.user_id in client.get("/").text


def test_a_wrong_password_is_refused(client, prescriber):
    answer = send(client, prescriber, "tangerine orbit mosaik")
    assert answer.status_code == 401
    assert "The name or the password is not right." in answer.text
    assert "Set-Cookie" not in {k for k, v in answer.headers if "session" in v}
