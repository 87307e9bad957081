"""People with passwords, and what they do at the sign-in."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import pyotp
from flask.testing import FlaskClient

from stewardship.db import transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import organisations, passwords, second_factor, users
from stewardship.services.sealing import Seals
from stewardship.services.users import Account
from tests.web.conftest import HERE, form_token, running_of

PASSWORD = "tangerine orbit mosaic"
SETUP = Principal("setup", HERE, Role.ADMIN)
_numbers = count(1)


def somebody(client: FlaskClient, role: Role = Role.PRESCRIBER, **more: Any) -> Account:
    """A new person of that role who signs in with ``PASSWORD``."""
    running = running_of(client.application)
    now = running.clock()
    with transaction(running.sessions) as session:
        organisations.ensure(session, HERE, name=HERE, by=SETUP, now=now)
        kept = passwords.hashed(PASSWORD, terms=running.library.identity.hashing)
        more = {"login": f"{role.value}-{next(_numbers)}@hospital.example", "password_hash": kept} | more
        return users.add(session, role=role, by=SETUP, now=now, **more)


def app_of(client: FlaskClient, account: Account) -> tuple[pyotp.TOTP, list[str]]:
    """An authenticator app that the person has set up, and the recovery codes."""
    running = running_of(client.application)
    now, seals = running.clock(), Seals(running.settings.secret_key)
    with transaction(running.sessions) as session:
        by = account.principal
        made = second_factor.begin(session, by=by, login=account.login, seals=seals, now=now)
        app = pyotp.TOTP(made.secret)
        terms = running.library.identity.second_factor
        codes = second_factor.confirm(session, app.at(now), by=by, seals=seals, terms=terms, now=now)
    return app, codes


def send(client: FlaskClient, account: Account | str, password: str = PASSWORD, **more: Any) -> Any:
    """Fill in the sign-in form and send it."""
    name = account if isinstance(account, str) else account.login
    data = {"csrf_token": form_token(client), "name": name, "password": password}
    address = more.pop("address", None) or _address_of(client)
    return client.post("/sign-in", data=data | more, environ_base={"REMOTE_ADDR": address})


def _address_of(client: FlaskClient) -> str:
    """Each browser has an address of its own, so that one test does not slow down another."""
    if client.environ_base.get("REMOTE_ADDR", "127.0.0.1") == "127.0.0.1":
        client.environ_base["REMOTE_ADDR"] = f"2001:db8:1::{next(_numbers):x}"
    address: str = client.environ_base["REMOTE_ADDR"]
    return address


def fill(client: FlaskClient, path: str, **data: str) -> Any:
    """Fill in the form of that page and send it."""
    page = client.get(path).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    return client.post(path, data={"csrf_token": token[1] if token else ""} | data)


def is_in(client: FlaskClient) -> bool:
    """Whether the browser's session lets it see a page for people who are signed in."""
    return client.get("/account").status_code == 200
