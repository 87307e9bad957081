"""Sessions of browsers: cookies, how long they last, what ends them, and forms from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from stewardship.app import create_app
from stewardship.config import Environment
from stewardship.db import tables, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import passwords, users
from tests.api.conftest import ELSEWHERE, SETTINGS
from tests.web.conftest import form_token, running_of, signed_in
from tests.web.people import PASSWORD, SETUP, fill, is_in, send, somebody

PRODUCTION = {
    "environment": Environment.PRODUCTION,
    "secret_key": "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n",
    "checkpoint_file": Path("checkpoints.txt"),
    "checkpoint_key": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
}


def cookie(client):
    (held,) = [c for c in client._cookies.values() if c.key.endswith("session")]
    return held.value


def change(client, do, *arguments, **more):
    running = running_of(client.application)
    with transaction(running.sessions) as session:
        return do(session, *arguments, by=SETUP, now=running.clock(), **more)


def two_browsers(client, account):
    other = client.application.test_client()
    for browser in (client, other):
        send(browser, account)
        assert is_in(browser)
    return client, other


# --- the cookie -----------------------------------------------------------------------------------


def test_t20_a_session_gets_a_new_id_when_somebody_signs_in(client):
    """What an attacker planted before is worth nothing afterwards."""
    client.set_cookie("stewardship-session", "planted-by-somebody-else")
    send(client, somebody(client))
    first = cookie(client)
    assert first != "planted-by-somebody-else"
    send(client.application.test_client(), somebody(client))
    client.post("/sign-out", data={"csrf_token": token_of(client, "/account")})
    send(client, somebody(client))
    assert cookie(client) != first


def test_the_cookie_is_for_this_host_over_tls_and_out_of_the_reach_of_scripts(library, sessions, clock):
    live = replace(SETTINGS, **PRODUCTION, audit_key=SETTINGS.audit_key)
    client = create_app(live, library=library, sessions=sessions, clock=clock).test_client()
    account = somebody(client)
    page = client.get("/sign-in", base_url="https://localhost")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = client.post(
        "/sign-in",
        data={"csrf_token": token, "name": account.login, "password": PASSWORD},
        base_url="https://localhost",
        environ_base={"REMOTE_ADDR": "2001:db8:2::1"},
    )
    assert answer.status_code == 303
    cookies = [*page.headers.getlist("Set-Cookie"), *answer.headers.getlist("Set-Cookie")]
    assert {c.partition("=")[0] for c in cookies} == {
        "__Host-stewardship-session",
        "__Host-stewardship-forms",
    }
    for one in cookies:
        attributes = {part.strip().partition("=")[0].lower() for part in one.split(";")[1:]}
        assert {"secure", "httponly", "path", "samesite"} <= attributes
        assert "domain" not in attributes
        assert "SameSite=Lax" in one
        assert "Path=/" in one


@pytest.mark.parametrize("held", ["", "x", "a" * 43, "a" * 5000, "\u00e9", "' OR '1'='1"])
def test_a_cookie_that_is_not_one_of_ours_is_nobody(client, held):
    client.set_cookie("stewardship-session", held)
    assert not is_in(client)


def test_t19_the_api_takes_no_cookie(client):
    signed_in(client, Role.PRESCRIBER)
    assert is_in(client)
    assert client.get("/api/v1/whoami").status_code == 401
    assert client.post("/cds-services/opioid-order-sign", json={}).status_code == 401


# --- how long it lasts ----------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "good"), [(29, True), (30, False), (31, False)])
def test_t21_after_half_an_hour_without_a_click_it_is_over(client, clock, minutes, good):
    signed_in(client, Role.PRESCRIBER)
    clock.at += timedelta(minutes=minutes)
    assert is_in(client) is good


def test_t21_whoever_goes_on_working_stays_signed_in_for_twelve_hours_and_no_longer(client, clock):
    signed_in(client, Role.PRESCRIBER)
    for _ in range(48):
        assert is_in(client)
        clock.at += timedelta(minutes=15)
    assert not is_in(client)


def test_t21_what_was_typed_is_there_after_signing_in_again(client, clock):
    account = somebody(client)
    send(client, account)
    token = token_of(client, "/account")
    clock.at += timedelta(minutes=31)
    typed = "The patient has tried <b>ibuprofen</b> & physiotherapy."
    late = client.post("/account/password", data={"csrf_token": token, "reason": typed, "password": "secret"})
    assert late.status_code == 401
    assert "What you had typed is kept" in late.text
    assert "ibuprofen" not in late.text
    kept = late.text.partition('name="kept" value="')[2].partition('"')[0]
    again = send(client, account, kept=kept)
    assert again.status_code == 200
    assert "The patient has tried &lt;b&gt;ibuprofen&lt;/b&gt; &amp; physiotherapy." in again.text
    assert 'action="/account/password"' in again.text
    assert "secret" not in again.text
    assert is_in(client)


def test_t21_what_somebody_typed_is_shown_to_nobody_else(client, clock):
    account, other = somebody(client), somebody(client)
    send(client, account)
    token = token_of(client, "/account")
    clock.at += timedelta(minutes=31)
    late = client.post("/account/password", data={"csrf_token": token, "reason": "ZZQCANARY"})
    kept = late.text.partition('name="kept" value="')[2].partition('"')[0]
    answer = send(client, other, kept=kept)
    assert answer.status_code == 303
    assert "CANARY" not in client.get("/account").text


def test_t21_a_part_of_a_page_that_comes_late_is_answered_with_the_whole_sign_in(client, clock):
    account = somebody(client)
    send(client, account)
    token = token_of(client, "/account")
    clock.at += timedelta(minutes=31)
    late = client.post(
        "/account/password",
        data={"reason": "typed"},
        headers={
            "HX-Request": "true",
            "HX-Current-URL": "http://localhost/patients/1",
            "X-CSRFToken": token,
        },
    )
    assert late.status_code == 401
    assert late.headers["HX-Retarget"] == "body"
    kept = late.text.partition('name="kept" value="')[2].partition('"')[0]
    again = send(client, account, kept=kept, next="/patients/1")
    assert "typed" in again.text
    assert "Send it now" not in again.text
    assert 'href="/patients/1"' in again.text


def test_a_clock_that_goes_back_lengthens_no_session(client, clock):
    signed_in(client, Role.PRESCRIBER)
    clock.at -= timedelta(hours=2)
    assert not is_in(client)


# --- what ends it ---------------------------------------------------------------------------------


def test_t20_a_copied_cookie_is_worth_nothing_after_signing_out(client):
    send(client, somebody(client))
    copied = cookie(client)
    client.post("/sign-out", data={"csrf_token": token_of(client, "/account")})
    thief = client.application.test_client()
    thief.set_cookie("stewardship-session", copied)
    assert thief.get("/account").status_code == 303


def test_t20_disabling_somebody_ends_every_session_at_once(client):
    account = somebody(client)
    browsers = two_browsers(client, account)
    change(client, users.disable, account.user_id)
    assert not any(is_in(browser) for browser in browsers)
    assert send(client, account).status_code == 401


def test_t20_another_role_ends_every_session_at_once(client):
    account = somebody(client)
    browsers = two_browsers(client, account)
    change(client, users.set_role, account.user_id, Role.PHARMACIST)
    assert not any(is_in(browser) for browser in browsers)


def test_t20_another_password_ends_every_session_at_once(client):
    account = somebody(client)
    browsers = two_browsers(client, account)
    kept = passwords.hashed("another mosaic of words", terms=client_terms(client).hashing)
    change(client, users.set_password, account.user_id, kept)
    assert not any(is_in(browser) for browser in browsers)


def test_t20_changing_the_own_password_ends_the_other_sessions_and_not_this_one(client):
    account = somebody(client)
    here, elsewhere = two_browsers(client, account)
    answer = fill(here, "/account", password=PASSWORD, new="x")
    answer = here.post(
        "/account/password",
        data={
            "csrf_token": token_of(here, "/account"),
            "password": PASSWORD,
            "new": "quartz lemon harbour",
        },
    )
    assert answer.status_code == 303
    assert is_in(here)
    assert not is_in(elsewhere)
    assert send(elsewhere, account).status_code == 401
    assert send(elsewhere, account, "quartz lemon harbour").status_code == 303


@pytest.mark.parametrize(
    ("password", "new", "said"),
    [
        ("not mine at all", "quartz lemon harbour", "not your password"),
        (PASSWORD, "short", "at least 12"),
        (PASSWORD, "Password2024!", "easily guessed"),
    ],
)
def test_a_password_is_changed_only_by_its_owner_and_only_to_a_good_one(client, password, new, said):
    account = somebody(client)
    send(client, account)
    token = token_of(client, "/account")
    answer = client.post("/account/password", data={"csrf_token": token, "password": password, "new": new})
    assert answer.status_code == 422
    assert said in answer.text
    assert send(client.application.test_client(), account).status_code == 303


def test_one_sees_where_one_is_signed_in_and_ends_it_there(client):
    account = somebody(client)
    here, elsewhere = two_browsers(client, account)
    page = here.get("/account").text
    (other,) = [
        part.partition("/end")[0]
        for part in page.split("/account/sessions/")[1:]
        if "others" not in part[:12]
    ]
    here.post(f"/account/sessions/{other}/end", data={"csrf_token": token_of(here, "/account")})
    assert is_in(here)
    assert not is_in(elsewhere)


def test_one_ends_all_others_with_one_click(client):
    account = somebody(client)
    here, elsewhere = two_browsers(client, account)
    here.post("/account/sessions/end-others", data={"csrf_token": token_of(here, "/account")})
    assert is_in(here)
    assert not is_in(elsewhere)


def test_somebody_elses_session_is_like_a_missing_one(client):
    account, stranger = somebody(client), client.application.test_client()
    here, _ = two_browsers(client, account)
    (session_id,) = re.findall(r"/account/sessions/(\w{20,})/end", here.get("/account").text)
    for organisation in (None, ELSEWHERE):
        signed_in(stranger, Role.ADMIN, *([organisation] if organisation else []))
        answer = stranger.post(
            f"/account/sessions/{session_id}/end", data={"csrf_token": token_of(stranger, "/account")}
        )
        assert answer.status_code == 404
    assert is_in(here)


# --- forms from elsewhere -------------------------------------------------------------------------


def test_t19_a_form_without_its_secret_is_refused(client):
    account = somebody(client)
    here, elsewhere = two_browsers(client, account)
    for data in ({}, {"csrf_token": "made up"}, {"csrf_token": form_token(client.application.test_client())}):
        assert here.post("/account/sessions/end-others", data=data).status_code == 400
    assert is_in(elsewhere)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    ],
    ids=["origin", "null", "cross-site", "same-site"],
)
def test_t19_a_form_from_another_site_is_refused_whatever_it_holds(client, headers):
    account = somebody(client)
    here, elsewhere = two_browsers(client, account)
    data = {"csrf_token": token_of(here, "/account")}
    assert here.post("/account/sessions/end-others", data=data, headers=headers).status_code == 403
    assert is_in(elsewhere)
    assert here.post("/sign-out", data=data, headers=headers).status_code == 403
    assert is_in(here)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}], ids=["origin", "site"]
)
def test_a_form_of_ours_says_where_it_is_from_and_is_taken(client, headers):
    send(client, somebody(client))
    data = {"csrf_token": token_of(client, "/account")}
    assert client.post("/account/sessions/end-others", data=data, headers=headers).status_code == 303


def test_t19_nobody_is_signed_in_by_another_site(client):
    """Login CSRF: to have somebody type into the attacker's account."""
    account = somebody(client)
    data = {"name": account.login, "password": PASSWORD}
    assert client.post("/sign-in", data=data).status_code == 400
    assert not is_in(client)


def test_htmx_sends_the_secret_in_a_header(client):
    send(client, somebody(client))
    token = token_of(client, "/account")
    assert client.post("/account/sessions/end-others", headers={"X-CSRFToken": token}).status_code == 303


def test_t19_no_get_changes_anything(client):
    """Every address of the pages that takes GET, asked for by somebody signed in, changes nothing."""
    signed_in(client, Role.PRESCRIBER)
    running = running_of(client.application)

    def state():
        ours = ("browser_sessions", "accounts", "users", "api_tokens", "overrides", "exception_requests")
        with transaction(running.sessions, write=False) as session:
            return {
                name: sorted(map(str, session.execute(select(tables.Base.metadata.tables[name])).all()))
                for name in ours
            }

    before = state()
    for rule in client.application.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments and not rule.rule.startswith("/api/"):
            client.get(rule.rule)
    assert state() == before


def test_a_token_may_be_brought_to_a_page_and_then_its_cookies_do_not_count(client, issued):
    signed_in(client, Role.PRESCRIBER)
    page = client.get("/account", headers={"Authorization": "Bearer " + issued["org-here", Role.COMPLIANCE]})
    assert "compliance" in page.text
    refused = client.get("/account", headers={"Authorization": "Bearer no-such-token"})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_whose_session_it_is_decides_what_may_be_seen(client):
    who = signed_in(client, Role.PHARMACIST)
    assert isinstance(who, Principal)
    assert who.user_id in client.get("/").text


def token_of(client, path):
    return client.get(path).text.partition('name="csrf_token" value="')[2].partition('"')[0]


def client_terms(client):
    return running_of(client.application).library.identity
