"""Signing in with a name and a password: who is let in, what is said, and how guessing is slowed down."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from stewardship.db import identity_tables, tables, transaction
from stewardship.domain.people import Role
from stewardship.services import login, passwords, users
from tests.web.conftest import form_token, running_of
from tests.web.people import PASSWORD, SETUP, is_in, send, somebody

WRONG = "The name or the password is not right."


def rows(client, statement):
    with transaction(running_of(client.application).sessions, write=False) as session:
        return session.execute(statement).all()


def test_whoever_knows_his_password_is_let_in(client):
    account = somebody(client)
    answer = send(client, account, next="/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    assert account.login in client.get("/account").text


def test_the_name_may_be_typed_in_any_case(client):
    account = somebody(client)
    send(client, f"  {account.login.upper()} ")
    assert is_in(client)


def test_letters_that_another_keyboard_composes_differently_are_the_same_password(client):
    running = running_of(client.application)
    kept = passwords.hashed("café tangerine orbit", terms=running.library.identity.hashing)
    send(client, somebody(client, password_hash=kept), "cafe\u0301 tangerine orbit")
    assert is_in(client)


@pytest.mark.parametrize("password", ["tangerine orbit mosaik", "", PASSWORD + " ", "x" * 5000])
def test_a_wrong_password_is_refused(client, password):
    answer = send(client, somebody(client), password)
    assert answer.status_code == 401
    assert WRONG in answer.text
    assert not is_in(client)


def test_t24_an_unknown_name_a_wrong_password_and_a_disabled_user_are_told_the_same(client):
    wrong, gone = somebody(client), somebody(client)
    with transaction(running_of(client.application).sessions) as session:
        users.disable(session, gone.user_id, by=SETUP, now=running_of(client.application).clock())
    nameless = [
        send(client.application.test_client(), name, password).text.replace(name, "")
        for name, password in [
            (wrong.login, "not the password"),
            ("nobody@hospital.example", "not the password"),
            (gone.login, PASSWORD),
        ]
    ]
    tokens = [page.partition('csrf_token" value="')[2].partition('"')[0] for page in nameless]
    same = {page.replace(token, "") for page, token in zip(nameless, tokens, strict=True)}
    assert len(same) == 1
    assert WRONG in same.pop()


def test_t24_an_unknown_name_takes_as_long_as_a_known_one(client):
    running = running_of(client.application)
    terms, account = running.library.identity, somebody(client)
    with transaction(running.sessions) as session:
        known, unknown = (
            login.admit(session, name, address=f"192.0.2.{n}", terms=terms, now=running.clock())
            for n, name in enumerate([account.login, "nobody-at-all@hospital.example"])
        )
    assert unknown.principal is None
    taken = {True: [], False: []}
    # One after the other, so that whatever else the machine does falls on both; the first pair warms up.
    for pair in range(41):
        for attempt in (known, unknown):
            began = time.process_time()
            assert not login.fits(attempt, "not the password", terms=terms.hashing)
            if pair:
                taken[attempt is known].append(time.process_time() - began)
    a, b = statistics.median(taken[True]), statistics.median(taken[False])
    assert abs(a - b) < 0.1 * max(a, b)
    assert min(a, b) > 0.002


def test_t25_guessing_is_slowed_down_and_told_how_long_to_wait(client):
    account = somebody(client)
    answers = [send(client, account, f"guess {n}").status_code for n in range(12)]
    assert answers[:6] == [401] * 6
    assert answers[6:] == [429] * 6
    early = send(client, account)
    assert early.status_code == 429
    assert 1 <= int(early.headers["Retry-After"]) <= 5
    assert "too many attempts" in early.text


def test_t25_whoever_waits_is_let_in_for_nobody_is_locked_out(client, clock):
    account = somebody(client)
    for n in range(8):
        send(client, account, f"guess {n}")
    clock.at += timedelta(seconds=5)
    assert send(client, account).status_code == 303


def test_t25_each_further_failure_doubles_the_wait_up_to_a_bound(client, clock):
    account, waits = somebody(client), []
    for n in range(14):
        send(client, account, f"guess {n}")
        early = send(client, account, "and at once again")
        waits.append(int(early.headers.get("Retry-After", 0)))
        clock.at += timedelta(seconds=waits[-1])
    assert [w for w in waits if w] == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]


def test_t25_a_thousand_guesses_from_everywhere_do_not_pass_a_hundred_and_cost_the_owner_nothing_here(
    client, clock
):
    """A known session goes on working, whatever somebody does at the sign-in."""
    account = somebody(client)
    owner = client.application.test_client()
    send(owner, account)
    running = running_of(client.application)
    judged = 0
    for n in range(1000):
        clock.at += timedelta(seconds=1)
        try:
            with transaction(running.sessions) as session:
                login.admit(
                    session,
                    account.login,
                    address=f"2001:db8::{n:x}",
                    terms=running.library.identity,
                    now=running.clock(),
                )
            judged += 1
        except login.TooManyAttempts:
            continue
    assert judged <= 100
    assert is_in(owner)


def test_t25_one_address_cannot_try_every_name(client):
    running = running_of(client.application)
    terms, judged = running.library.identity, 0
    for n in range(200):
        try:
            with transaction(running.sessions) as session:
                login.admit(session, f"name-{n}", address="203.0.113.9", terms=terms, now=running.clock())
            judged += 1
        except login.TooManyAttempts:
            continue
    assert judged == 51


def test_t25_success_takes_back_its_own_attempt_and_no_other(client):
    account = somebody(client)
    for _ in range(60):
        assert send(client, account).status_code == 303


def test_attempts_at_one_moment_are_counted_before_they_are_judged(client):
    """On two workers, twenty at once: none slips through between counting and judging."""
    from concurrent.futures import ThreadPoolExecutor

    account, running = somebody(client), running_of(client.application)

    def attempt(_):
        try:
            with transaction(running.sessions) as session:
                terms = running.library.identity
                login.admit(session, account.login, address="192.0.2.77", terms=terms, now=running.clock())
        except login.TooManyAttempts:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) == 6


def test_the_counters_hold_neither_names_nor_addresses(client):
    account = somebody(client)
    send(client, account, "guess", address="192.0.2.200")
    send(client, "PasswordTypedAsName", "guess", address="192.0.2.200")
    kept = str(rows(client, select(identity_tables.SignInAttempt.__table__)))
    assert account.login not in kept
    assert "192.0.2.200" not in kept
    assert "passwordtypedasname" not in kept.casefold()


def test_failures_of_somebody_are_on_record_and_of_nobody_are_not(client):
    account = somebody(client)
    send(client, account, "guess")
    send(client, "nobody-on-record@hospital.example", "guess")
    found = rows(
        client,
        select(tables.AuditEvent.subject).where(tables.AuditEvent.action == "session.refused"),
    )
    assert (account.user_id,) in found
    assert "nobody-on-record" not in str(rows(client, select(tables.AuditEvent.__table__)))


def test_a_sign_in_is_on_record(client):
    account = somebody(client)
    send(client, account)
    found = rows(
        client,
        select(tables.AuditEvent.detail).where(
            tables.AuditEvent.action == "session.began", tables.AuditEvent.by_user == account.user_id
        ),
    )
    assert len(found) == 1
    assert '"method":"password"' in found[0][0]


def test_the_database_holds_no_password_and_no_session(client):
    account = somebody(client)
    send(client, account)
    (cookie,) = [c for c in client._cookies.values() if "session" in c.key]
    with transaction(running_of(client.application).sessions, write=False) as session:
        for table in tables.Base.metadata.tables.values():
            for row in session.execute(select(table)):
                kept = " ".join(str(value) for value in row)
                assert PASSWORD not in kept
                assert cookie.value not in kept


def test_a_password_kept_at_another_cost_is_kept_anew(client):
    running = running_of(client.application)
    terms = running.library.identity.hashing
    from dataclasses import replace

    cheap = passwords.hashed(PASSWORD, terms=replace(terms, passes=1))
    account = somebody(client, password_hash=cheap)
    send(client, account)
    (kept,) = rows(
        client,
        select(identity_tables.Account.password_hash).where(
            identity_tables.Account.user_id == account.user_id
        ),
    )
    assert not passwords.is_outdated(kept[0], terms=terms)
    assert f"m={terms.memory_kib},t={terms.passes},p={terms.lanes}" in kept[0]
    assert send(client.application.test_client(), account).status_code == 303


PLACES = {
    "host": "https://evil.example/",
    "no scheme": "//evil.example",
    "backslash": "/\\evil.example",
    "backslashes": "\\\\evil.example",
    "no path": "evil",
    "header": "/x\r\nSet-Cookie: a=b",
    "script": "javascript:alert(1)",
    "sign-out": "/sign-out",
    "inside": "/a\\b",
    "long": "/" + "x" * 3000,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_afterwards_one_goes_to_a_page_of_ours_and_nowhere_else(client, place):
    assert send(client, somebody(client), next=place).headers["Location"] == "/"
    elsewhere = client.get("/sign-in", query_string={"next": place})
    assert elsewhere.headers["Location"] == "/"


def test_whoever_was_on_the_way_to_a_page_is_taken_there(client):
    sent = client.get("/account?show=all")
    assert (sent.status_code, sent.headers["Location"]) == (303, "/sign-in?next=%2Faccount%3Fshow%3Dall")
    assert 'name="next" value="/account?show=all"' in client.get(sent.headers["Location"]).text


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(client):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/patients?page=2"}
    answer = client.get("/account", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in?next=%2Fpatients%3Fpage%3D2"


def test_signing_out_ends_it_here_and_in_the_database(client):
    send(client, somebody(client))
    kept = [c.value for c in client._cookies.values() if "session" in c.key]
    answer = client.post("/sign-out", data={"csrf_token": form_token_of_page(client)})
    assert answer.headers["Location"] == "/signed-out"
    assert not is_in(client)
    client.set_cookie("stewardship-session", kept[0])
    assert not is_in(client)


def form_token_of_page(client):
    return client.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_the_terms_that_are_kept_in_the_reference_are_those_that_were_agreed(library):
    terms = library.identity
    assert (terms.hashing.memory_kib, terms.hashing.passes, terms.hashing.lanes) == (19456, 2, 1)
    assert (terms.session.idle, terms.session.longest) == (timedelta(minutes=30), timedelta(hours=12))
    assert terms.second_factor.roles == {Role.PHARMACIST, Role.COMPLIANCE, Role.ADMIN}
    assert terms.password.shortest == 12
    assert set(terms.hook_token.algorithms) == {"ES384", "RS384"}
    assert terms.hook_token.longest == timedelta(minutes=5)


def test_a_sign_in_that_cannot_be_recorded_does_not_happen(client, monkeypatch):
    account = somebody(client)

    def away(*_, **__):
        raise KeyError("no audit")

    token = form_token(client)
    monkeypatch.setattr("stewardship.services.browser_sessions.audit.record", away)
    answer = client.post("/sign-in", data={"csrf_token": token, "name": account.login, "password": PASSWORD})
    assert answer.status_code == 500
    assert not is_in(client)
    of_nobody = identity_tables.BrowserSession.user_id == account.user_id
    assert rows(client, select(identity_tables.BrowserSession.id).where(of_nobody)) == []
