"""Signing in with the account of one's hospital, against a provider that runs on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from joserfc import jwk
from sqlalchemy import select

from stewardship.app import create_app
from stewardship.db import tables, transaction
from stewardship.domain.people import Role
from stewardship.services import organisations, users
from tests.api.conftest import SETTINGS
from tests.web.conftest import HERE, running_of
from tests.web.identity_provider import CLIENT, SECRET, Provider, as_it_is
from tests.web.people import SETUP, is_in, somebody

BASE = "http://localhost"
BACK = f"{BASE}/sign-in/with/hospital/back"
LINES = """
[[identity_provider]]
id = "hospital"
label = "Hospital account"
organisation = "{organisation}"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "hospital.secret"
role_claim = "realm_access.roles"
unknown = "{unknown}"
{more}
[[identity_provider.role]]
value = "opioid-pharmacists"
role = "pharmacist"
[[identity_provider.role]]
value = "doctors"
role = "prescriber"
"""


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    made = Provider(BACK)
    yield made
    made.stop()


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """The provider, doing what it should, with nobody signed in."""
    it = running_provider
    it.person, it.twist, it.sign_with, it.without_token, it.describe = None, as_it_is, None, False, {}
    it.algorithm = "RS256"
    it.asked.clear()
    return it


@pytest.fixture
def connect(library, sessions, clock, tmp_path, provider) -> Callable[..., FlaskClient]:
    """A browser at a service that is connected to the provider."""

    def make(*, unknown: str = "add", more: str = "", issuer: str | None = None) -> FlaskClient:
        (tmp_path / "hospital.secret").write_text(SECRET + "\n")
        file = tmp_path / "connections.toml"
        file.write_text(
            LINES.format(
                organisation=HERE, issuer=issuer or provider.issuer, client=CLIENT, unknown=unknown, more=more
            )
        )
        with transaction(sessions) as session:
            organisations.ensure(session, HERE, name=HERE, by=SETUP, now=clock())
        settings = replace(SETTINGS, public_url=BASE, connections_file=file)
        return create_app(settings, library=library, sessions=sessions, clock=clock).test_client()

    return make


@pytest.fixture
def client(connect) -> FlaskClient:
    return connect()


def doctor(number: str, *roles: str, **more: Any) -> dict[str, Any]:
    """Somebody as the provider knows him."""
    return {
        "sub": f"subject-{number}",
        "email": f"doctor-{number}@hospital.example",
        "email_verified": True,
        "realm_access": {"roles": list(roles or ["doctors"])},
    } | more


def walk(client: FlaskClient, provider: Provider, person: dict[str, Any], *, to: str = "/") -> Any:
    """Sign in at the provider and come back."""
    provider.person = person
    sent = client.get("/sign-in/with/hospital", query_string={"next": to})
    assert sent.status_code == 302, sent.text
    return come_back(client, provider.go(sent.headers["Location"]))


def come_back(client: FlaskClient, address: str) -> Any:
    there = urlsplit(address)
    return client.get(f"{there.path}?{there.query}")


def account_of(client: FlaskClient, number: str) -> users.Account | None:
    running = running_of(client.application)
    issuer = running.connections.providers[0].issuer
    with transaction(running.sessions, write=False) as session:
        return users.of_identity(session, issuer, f"subject-{number}")


def test_whoever_the_hospital_vouches_for_is_let_in_with_his_role(client, provider):
    answer = walk(client, provider, doctor("1"), to="/account")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    page = client.get("/account").text
    assert "doctor-1@hospital.example" in page
    assert "prescriber" in page
    assert "You sign in through your organisation" in page
    account = account_of(client, "1")
    assert account is not None
    assert (account.organisation_id, account.role, account.has_password) == (HERE, Role.PRESCRIBER, False)
    assert account.email == "doctor-1@hospital.example"


def test_the_sign_in_page_offers_it(client):
    page = client.get("/sign-in?next=/patients").text
    assert 'href="/sign-in/with/hospital?next=/patients"' in page
    assert "Hospital account" in page


def test_the_flow_is_the_code_flow_with_pkce_a_nonce_and_a_state(client):
    address = urlsplit(client.get("/sign-in/with/hospital").headers["Location"])
    asked = parse_qs(address.query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [BACK]
    assert asked["scope"] == ["openid email profile"]
    assert len(asked["code_challenge"][0]) == 43
    assert min(len(asked["nonce"][0]), len(asked["state"][0])) >= 20


def test_the_next_time_it_is_the_same_account(client, provider):
    walk(client, provider, doctor("2"))
    first = account_of(client, "2")
    walk(client.application.test_client(), provider, doctor("2", email="other@hospital.example"))
    assert account_of(client, "2").user_id == first.user_id


def test_another_role_at_the_hospital_is_another_role_here_and_ends_the_old_sessions(client, provider):
    walk(client, provider, doctor("3"))
    assert is_in(client)
    other = client.application.test_client()
    walk(other, provider, doctor("3", "opioid-pharmacists"))
    assert not is_in(client)
    assert "pharmacist" in other.get("/account").text


def test_the_first_line_that_fits_decides(client, provider):
    walk(client, provider, doctor("4", "doctors", "opioid-pharmacists"))
    assert account_of(client, "4").role is Role.PHARMACIST


@pytest.mark.parametrize("roles", [["visitors"], []], ids=["another", "none"])
def test_whoever_has_no_role_here_is_refused_with_what_to_do(client, provider, roles):
    answer = walk(client, provider, doctor("5") | {"realm_access": {"roles": roles}})
    assert answer.status_code == 401
    assert "nobody has said what you do here" in answer.text
    assert not is_in(client)
    assert account_of(client, "5") is None


def test_where_strangers_are_refused_only_the_known_come_in(connect, provider):
    client = connect(unknown="refuse")
    answer = walk(client, provider, doctor("6"))
    assert answer.status_code == 401
    assert "not known here" in answer.text
    running = running_of(client.application)
    with transaction(running.sessions) as session:
        users.add(
            session,
            login="doctor-6",
            role=Role.PRESCRIBER,
            issuer=provider.issuer,
            subject="subject-6",
            by=SETUP,
            now=running.clock(),
        )
    assert walk(client, provider, doctor("6")).status_code == 303
    assert is_in(client)


def test_an_address_of_e_mail_takes_nobodys_account_over(client, provider):
    """Whoever controls an address at the provider must not become the person who has that name here."""
    victim = somebody(client, login="doctor-7@hospital.example")
    answer = walk(client, provider, doctor("7"))
    assert answer.status_code == 401
    assert not is_in(client)
    assert account_of(client, "7") is None
    assert victim.user_id not in answer.text


def test_an_address_that_the_provider_has_not_verified_is_not_written_to(client, provider):
    walk(client, provider, doctor("8", email_verified=False))
    assert account_of(client, "8").email == ""


def test_a_disabled_account_is_refused_whatever_the_hospital_says(client, provider):
    walk(client, provider, doctor("9"))
    running = running_of(client.application)
    with transaction(running.sessions) as session:
        users.disable(session, account_of(client, "9").user_id, by=SETUP, now=running.clock())
    assert not is_in(client)
    answer = walk(client, provider, doctor("9"))
    assert answer.status_code == 401
    assert "may not be used here any more" in answer.text


def test_a_role_that_needs_two_factors_needs_them_at_the_hospital_too(connect, provider):
    client = connect(more='methods = ["mfa", "otp"]')
    weak = walk(client, provider, doctor("10", "opioid-pharmacists", amr=["pwd"]))
    assert weak.status_code == 401
    assert "second factor" in weak.text
    assert walk(client, provider, doctor("10", "opioid-pharmacists", amr=["pwd", "otp"])).status_code == 303
    assert walk(client, provider, doctor("11", "doctors", amr=["pwd"])).status_code == 303


# --- a provider, or somebody in its place, that does not do what it should --------------------------


def late(claims):
    return claims | {"iat": int(time.time()) - 1000, "exp": int(time.time()) - 400}


def early(claims):
    return claims | {"iat": int(time.time()) + 1000, "exp": int(time.time()) + 2000}


TWISTS = {
    "another nonce": lambda claims: claims | {"nonce": "of another sign-in"},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "another issuer": lambda claims: claims | {"iss": "https://evil.example"},
    "another audience": lambda claims: claims | {"aud": "another-client"},
    "another audience, vouched for": lambda claims: claims | {"aud": ["another-client"], "azp": CLIENT},
    "another party": lambda claims: claims | {"azp": "another-client"},
    "expired": late,
    "from the future": early,
    "no expiry": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "no subject": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
    "empty subject": lambda claims: claims | {"sub": ""},
    "subject is a number": lambda claims: claims | {"sub": 7},
    "endless subject": lambda claims: claims | {"sub": "s" * 300},
}


@pytest.mark.parametrize("twist", TWISTS.values(), ids=TWISTS)
def test_an_identity_token_that_is_not_right_lets_nobody_in(client, provider, twist):
    provider.twist = twist
    answer = walk(client, provider, doctor("20"))
    assert answer.status_code == 401
    assert not is_in(client)


def test_another_key_of_the_same_name_lets_nobody_in(client, provider):
    provider.sign_with = jwk.generate_key("RSA", 2048, {"kid": "provider-1"})
    assert walk(client, provider, doctor("21")).status_code == 401
    assert not is_in(client)


def test_a_signature_with_a_key_that_both_sides_hold_lets_nobody_in_though_the_provider_lists_it(
    client, provider
):
    provider.algorithm, provider.sign_with = "HS256", jwk.OctKey.import_key(SECRET)
    assert walk(client, provider, doctor("22")).status_code == 401
    assert not is_in(client)


def test_without_an_identity_token_nobody_is_let_in(client, provider):
    provider.without_token = True
    assert walk(client, provider, doctor("23")).status_code == 401
    assert not is_in(client)


def test_a_new_key_of_the_provider_is_found(client, provider):
    walk(client, provider, doctor("24"))
    old, provider.key = provider.key, jwk.generate_key("RSA", 2048, {"kid": "provider-2", "use": "sig"})
    try:
        provider.sign_with = provider.key
        twisted = walk(client.application.test_client(), provider, doctor("24"))
    finally:
        provider.key = old
    # The token names the key of before, which the provider has withdrawn.
    assert twisted.status_code == 401


def test_the_answer_of_another_browser_is_worth_nothing(client, provider):
    """Login CSRF: an attacker has somebody finish the attacker's own sign-in."""
    provider.person = doctor("25")
    attacker = client.application.test_client()
    address = provider.go(attacker.get("/sign-in/with/hospital").headers["Location"])
    assert come_back(client, address).status_code == 401
    assert not is_in(client)


def test_an_answer_is_good_once(client, provider):
    provider.person = doctor("26")
    address = provider.go(client.get("/sign-in/with/hospital").headers["Location"])
    assert come_back(client, address).status_code == 303
    other = client.application.test_client()
    assert come_back(other, address).status_code == 401
    assert come_back(client, address).status_code == 401


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "state=x", "code=x&state=y", "error=access_denied&error_description=<script>ZZQCANARY",
     "code=x&state=y&iss=https://evil.example"],
    ids=["nothing", "code", "state", "made up", "refused", "issuer"],
)  # fmt: skip
def test_an_address_that_somebody_made_up_lets_nobody_in_and_shows_nothing_of_itself(client, query):
    answer = client.get(f"/sign-in/with/hospital/back?{query}")
    assert answer.status_code == 401
    assert "CANARY" not in answer.text


def test_the_answer_of_another_issuer_is_refused(client, provider):
    provider.person = doctor("27")
    address = provider.go(client.get("/sign-in/with/hospital").headers["Location"])
    assert come_back(client, address + "&iss=https://evil.example").status_code == 401


def test_a_provider_that_describes_itself_as_another_is_refused(client, provider):
    provider.describe = {"issuer": "https://evil.example"}
    answer = client.get("/sign-in/with/hospital")
    assert answer.status_code == 401


def test_a_provider_that_is_away_is_said_to_be_away(connect):
    client = connect(issuer="http://127.0.0.1:1")
    answer = client.get("/sign-in/with/hospital")
    assert answer.status_code == 401
    assert "cannot be reached now" in answer.text


def test_a_provider_that_nobody_registered_is_a_missing_page(client):
    for path in ("/sign-in/with/other", "/sign-in/with/other/back", "/sign-out/with/other"):
        assert client.get(path).status_code == 404


def test_what_it_says_of_itself_is_asked_for_once(client, provider):
    for _ in range(3):
        client.get("/sign-in/with/hospital")
    assert provider.asked.count("/.well-known/openid-configuration") == 1


# --- afterwards -------------------------------------------------------------------------------------


def test_afterwards_one_goes_to_a_page_of_ours(client, provider):
    assert walk(client, provider, doctor("30"), to="https://evil.example").headers["Location"] == "/"


def test_signing_out_offers_to_sign_out_there_too(client, provider):
    walk(client, provider, doctor("31"))
    token = client.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    out = client.post("/sign-out", data={"csrf_token": token})
    assert out.headers["Location"] == "/signed-out?from=hospital"
    assert 'href="/sign-out/with/hospital"' in client.get(out.headers["Location"]).text
    there = client.get("/sign-out/with/hospital").headers["Location"]
    assert there.startswith(f"{provider.issuer}/sign-out?")
    assert parse_qs(urlsplit(there).query)["post_logout_redirect_uri"] == [f"{BASE}/signed-out"]
    assert not is_in(client)


def test_what_was_typed_is_there_after_signing_in_elsewhere(client, provider, clock):
    walk(client, provider, doctor("32"))
    token = client.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    clock.at += timedelta(minutes=31)
    late_form = {"csrf_token": token, "reason": "typed before"}
    assert client.post("/account/password", data=late_form).status_code == 401
    assert "typed before" in walk(client, provider, doctor("32")).text


def test_it_is_on_record(client, provider):
    walk(client, provider, doctor("33"))
    user = account_of(client, "33").user_id
    with transaction(running_of(client.application).sessions, write=False) as session:
        found = session.execute(
            select(tables.AuditEvent.action, tables.AuditEvent.detail).where(
                (tables.AuditEvent.by_user == user) | (tables.AuditEvent.subject == user)
            )
        ).all()
    assert [action for action, _ in found] == ["user.added", "session.began"]
    assert '"method":"provider"' in found[1][1]
