"""The second factor: asked of the roles that need one, good once, recoverable, and never readable."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from stewardship.app import create_app
from stewardship.config import Environment
from stewardship.db import identity_tables, transaction
from stewardship.domain.people import Role
from stewardship.services import users
from tests.api.conftest import SETTINGS
from tests.web.conftest import running_of
from tests.web.people import PASSWORD, SETUP, app_of, fill, is_in, send, somebody

STEP = "/sign-in/second-factor"


@pytest.fixture
def pharmacist(client):
    """A pharmacist with an app, half a minute after he set it up."""
    account = somebody(client, Role.PHARMACIST)
    return account, *app_of(client, account)


def enter(client, account, code):
    send(client, account)
    return fill(client, STEP, code=code)


def now(client):
    return running_of(client.application).clock()


@pytest.mark.parametrize("role", [Role.PHARMACIST, Role.COMPLIANCE, Role.ADMIN])
def test_t25_a_password_alone_lets_nobody_in_whose_role_asks_for_more(client, role):
    account = somebody(client, role)
    answer = send(client, account, next="/account")
    assert answer.headers["Location"] == "/sign-in/enrolment?next=%2Faccount"
    assert not is_in(client)
    assert client.get("/account").headers["Location"].startswith("/sign-in/enrolment")


def test_a_prescriber_may_do_without(client):
    send(client, somebody(client, Role.PRESCRIBER))
    assert is_in(client)


def test_the_app_is_set_up_at_the_first_sign_in(client):
    account = somebody(client, Role.PHARMACIST)
    send(client, account)
    page = client.get("/sign-in/enrolment").text
    assert "<svg" in page
    assert "style=" not in page
    secret = re.search(r'id="secret">([^<]+)<', page)[1].replace(" ", "")
    wrong = fill(client, "/sign-in/enrolment", code="000000")
    assert wrong.status_code == 422
    assert not is_in(client)
    done = fill(client, "/sign-in/enrolment", code=pyotp.TOTP(secret).at(now(client)))
    assert done.status_code == 200
    assert len(re.findall(r"<code>([a-z2-9]{4}-){3}[a-z2-9]{4}</code>", done.text)) == 10
    assert is_in(client)


def test_a_right_code_lets_in_and_changes_the_session(client, pharmacist, clock):
    account, app, _ = pharmacist
    clock.at += timedelta(seconds=30)
    send(client, account, next="/account")
    before = [c.value for c in client._cookies.values() if c.key.endswith("session")]
    answer = fill(
        client, STEP, code=f" {app.at(now(client))[:3]} {app.at(now(client))[3:]} ", next="/account"
    )
    assert answer.headers["Location"] == "/account"
    assert is_in(client)
    thief = client.application.test_client()
    thief.set_cookie("stewardship-session", before[0])
    assert not is_in(thief)
    assert thief.get(STEP).status_code == 303


@pytest.mark.parametrize(
    "code", ["000000", "", "12345", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "1" * 500]
)
def test_a_wrong_code_lets_nobody_in(client, pharmacist, code):
    answer = enter(client, pharmacist[0], code)
    assert answer.status_code == 401
    assert "That code is not right" in answer.text
    assert not is_in(client)


def test_a_code_is_good_once(client, pharmacist, clock):
    account, app, _ = pharmacist
    clock.at += timedelta(seconds=30)
    code = app.at(now(client))
    assert enter(client, account, code).status_code == 303
    overlooked = client.application.test_client()
    assert enter(overlooked, account, code).status_code == 401
    assert not is_in(overlooked)


def test_an_older_code_is_not_good_after_a_newer_one(client, pharmacist, clock):
    account, app, _ = pharmacist
    clock.at += timedelta(seconds=60)
    assert enter(client, account, app.at(now(client) + timedelta(seconds=30))).status_code == 303
    assert enter(client.application.test_client(), account, app.at(now(client))).status_code == 401


@pytest.mark.parametrize(("seconds", "good"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_clocks_may_differ_by_one_step(client, pharmacist, clock, seconds, good):
    account, app, _ = pharmacist
    clock.at += timedelta(minutes=10)
    answer = enter(client, account, app.at(now(client) + timedelta(seconds=seconds)))
    assert (answer.status_code == 303) is good


def test_t25_codes_are_not_guessed(client, pharmacist):
    account = pharmacist[0]
    send(client, account)
    answers = [fill(client, STEP, code=f"{n:06}").status_code for n in range(8)]
    assert answers == [401] * 6 + [429] * 2


def test_t25_a_new_session_does_not_begin_the_count_again(client, pharmacist):
    account = pharmacist[0]
    answers = [enter(client.application.test_client(), account, f"{n:06}").status_code for n in range(8)]
    assert answers == [401] * 6 + [429] * 2


def test_a_recovery_code_lets_in_once(client, pharmacist):
    account, _, codes = pharmacist
    assert enter(client, account, codes[3].upper().replace("-", " ")).status_code == 303
    assert is_in(client)
    again = client.application.test_client()
    assert enter(again, account, codes[3]).status_code == 401
    assert enter(again, account, codes[4]).status_code == 303


def test_somebody_elses_recovery_code_is_wrong(client, pharmacist):
    other = somebody(client, Role.PHARMACIST)
    _, codes = app_of(client, other)
    assert enter(client, pharmacist[0], codes[0]).status_code == 401


def test_the_secret_is_not_readable_in_the_database_and_opens_for_nobody_else(client, pharmacist, clock):
    account, app, codes = pharmacist
    other = somebody(client, Role.PHARMACIST)
    app_of(client, other)
    table = identity_tables.Account.__table__
    running = running_of(client.application)
    with transaction(running.sessions) as session:
        kept = {row.user_id: row.totp_secret for row in session.execute(select(table))}
        assert app.secret not in str(kept)
        hashes = str(session.execute(select(identity_tables.RecoveryCode.__table__)).all())
        assert codes[0] not in hashes
        assert codes[0].replace("-", "") not in hashes
        # Whoever can write to the database copies a secret that he knows to another's row.
        session.execute(
            table.update()
            .where(table.c.user_id == other.user_id)
            .values(totp_secret=kept[account.user_id], totp_step=None)
        )
    clock.at += timedelta(minutes=5)
    assert enter(client, other, app.at(now(client))).status_code == 401


def test_a_half_done_sign_in_is_over_in_minutes(client, pharmacist, clock):
    send(client, pharmacist[0])
    clock.at += timedelta(minutes=10)
    assert client.get(STEP).headers["Location"] == "/sign-in?next=%2F"
    assert not is_in(client)


def test_whoever_lost_both_sets_up_a_new_one_after_it_was_removed(client, pharmacist):
    account = pharmacist[0]
    running = running_of(client.application)
    with transaction(running.sessions) as session:
        users.remove_second_factor(session, account.user_id, by=SETUP, now=running.clock())
    assert send(client, account).headers["Location"].startswith("/sign-in/enrolment")


def test_a_prescriber_can_take_one_into_use_and_give_it_up(client, clock):
    account = somebody(client, Role.PRESCRIBER)
    send(client, account)
    page = fill(client, "/account", password=PASSWORD) and client.post(
        "/account/second-factor", data={"csrf_token": token(client), "password": PASSWORD}
    )
    secret = re.search(r'id="secret">([^<]+)<', page.text)[1].replace(" ", "")
    confirmed = client.post(
        "/account/second-factor/confirm",
        data={"csrf_token": token(client), "code": pyotp.TOTP(secret).at(now(client))},
    )
    assert "Recovery codes" in confirmed.text
    clock.at += timedelta(minutes=1)
    assert send(client.application.test_client(), account).headers["Location"].startswith(STEP)
    client.post("/account/second-factor/remove", data={"csrf_token": token(client), "password": PASSWORD})
    assert send(client.application.test_client(), account).headers["Location"] == "/"


def test_where_the_role_asks_for_it_it_cannot_be_given_up(client, pharmacist, clock):
    account, app, _ = pharmacist
    clock.at += timedelta(minutes=1)
    enter(client, account, app.at(now(client)))
    answer = client.post(
        "/account/second-factor/remove", data={"csrf_token": token(client), "password": PASSWORD}
    )
    assert answer.status_code == 409


def test_new_recovery_codes_replace_the_old_ones(client, pharmacist, clock):
    account, app, codes = pharmacist
    clock.at += timedelta(minutes=1)
    enter(client, account, app.at(now(client)))
    page = client.post("/account/recovery-codes", data={"csrf_token": token(client), "password": PASSWORD})
    new = re.findall(r"<code>([a-z0-9-]{19})</code>", page.text)
    assert len(new) == 10
    assert enter(client.application.test_client(), account, codes[0]).status_code == 401
    assert enter(client.application.test_client(), account, new[0]).status_code == 303


def test_a_password_that_somebody_else_made_has_to_be_replaced(client):
    account = somebody(client, must_change=True)
    assert send(client, account).headers["Location"].startswith("/sign-in/new-password")
    assert not is_in(client)
    page = "/sign-in/new-password"
    assert fill(client, page, new=PASSWORD).status_code == 422
    assert fill(client, page, new="password1234").status_code == 422
    assert fill(client, page, new="quartz lemon harbour").status_code == 303
    assert is_in(client)
    assert send(client.application.test_client(), account, "quartz lemon harbour").headers["Location"] == "/"


def test_after_the_second_factor_comes_the_new_password(client, clock):
    account = somebody(client, Role.PHARMACIST, must_change=True)
    app, _ = app_of(client, account)
    clock.at += timedelta(minutes=1)
    assert enter(client, account, app.at(now(client))).headers["Location"].startswith("/sign-in/new-password")
    assert not is_in(client)


def test_a_demonstration_offers_it_and_asks_nobody_for_it(library, sessions, clock):
    demo = replace(SETTINGS, environment=Environment.DEMO)
    client = create_app(demo, library=library, sessions=sessions, clock=clock).test_client()
    send(client, somebody(client, Role.PHARMACIST))
    assert is_in(client)


def token(client):
    return client.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]
