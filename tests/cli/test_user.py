"""``stewardship user``: the first person who can sign in, and what is taken from somebody."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from stewardship.cli import main
from stewardship.db import connect, transaction
from stewardship.declarations.identity import read_identity_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.identity import Method, Stage
from stewardship.domain.people import Principal, Role
from stewardship.services import browser_sessions, login, tokens, users

AT = "--organisation", "our-hospital"
LOGIN = "somebody@hospital.example"
PASSWORD = "tangerine orbit mosaic"
TERMS = read_identity_terms(REFERENCE)
BY = Principal("operator", "our-hospital", Role.ADMIN)


@pytest.fixture
def url(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'house.db'}"
    monkeypatch.setenv("STEWARDSHIP_ENV", "test")
    monkeypatch.setenv("STEWARDSHIP_DATABASE_URL", url)
    monkeypatch.setenv("STEWARDSHIP_AUDIT_KEY", "k" * 16 + "0123456789abcdef")
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    return url


@pytest.fixture
def sessions(url):
    made = connect(url)
    yield made
    made.kw["bind"].dispose()


def user(*arguments, typed=""):
    return CliRunner().invoke(main, ["user", *arguments], input=typed)


def account(sessions, name=LOGIN):
    with transaction(sessions, write=False) as session:
        return users.named(session, name, by=BY)


def kept(sessions, name=LOGIN):
    with transaction(sessions, write=False) as session:
        return login.kept_password(session, by=users.named(session, name, by=BY).principal)


def fits(sessions, password, name=LOGIN):
    from stewardship.services import passwords

    return passwords.fits(kept(sessions, name), password, terms=TERMS.hashing)


def sign_in(sessions, name=LOGIN):
    now = datetime.now(UTC)
    with transaction(sessions) as session:
        return browser_sessions.begin(
            session,
            users.named(session, name, by=BY).principal,
            stage=Stage.SECOND_FACTOR,
            method=Method.PASSWORD,
            agent="",
            terms=TERMS.session,
            now=now,
        )


def is_in(sessions, token):
    with transaction(sessions, write=False) as session:
        found = browser_sessions.find(session, token, terms=TERMS.session, now=datetime.now(UTC))
    return found is not None


def test_somebody_is_added_with_a_password_that_was_typed(sessions):
    done = user("add", LOGIN, "pharmacist", *AT, "--email", "digest@hospital.example", typed=PASSWORD + "\n")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    one = account(sessions)
    assert (one.role, one.email, one.must_change) == (Role.PHARMACIST, "digest@hospital.example", True)
    assert fits(sessions, PASSWORD)


def test_a_password_can_be_made(sessions):
    done = user("add", LOGIN, "prescriber", *AT, "--generate")
    made = done.stdout.strip()
    assert re.fullmatch(r"[\w-]{20}", made)
    assert fits(sessions, made)


def test_the_owner_who_typed_it_keeps_it(sessions):
    user("add", LOGIN, "prescriber", *AT, "--keep", typed=PASSWORD)
    assert not account(sessions).must_change


@pytest.mark.parametrize("typed", ["short\n", "Password2024!\n", "somebody@hospital.example\n", ""])
def test_a_weak_password_is_refused_and_nobody_is_added(sessions, typed):
    done = user("add", LOGIN, "prescriber", *AT, typed=typed)
    assert done.exit_code == 2
    assert user("list", *AT).stdout == ""


def test_a_password_is_never_an_argument():
    for command in ("add", "password"):
        assert "--password" not in user(command, "--help").output


def test_a_name_is_somebodys_once_in_all_organisations(sessions):
    assert user("add", LOGIN, "prescriber", *AT, "--generate").exit_code == 0
    for organisation in ("our-hospital", "another-hospital"):
        again = user("add", LOGIN.upper(), "pharmacist", "--organisation", organisation, "--generate")
        assert again.exit_code == 1


@pytest.mark.parametrize("name", ["", " ", "two words", "x" * 201, "line\nbreak"])
def test_a_name_can_be_typed(url, name):
    assert user("add", name, "prescriber", *AT, "--generate").exit_code == 2


def test_nobody_signs_in_as_a_record_system(url):
    assert user("add", LOGIN, "ehr", *AT, "--generate").exit_code == 2


def test_somebody_may_come_through_an_identity_provider(sessions):
    where = "--issuer", "https://login.hospital.example", "--subject", "s-1"
    assert user("add", LOGIN, "prescriber", *AT, *where).exit_code == 0
    assert kept(sessions) is None
    assert "through https://login.hospital.example" in user("list", *AT).stdout
    assert user("add", "other@hospital.example", "prescriber", *AT, *where[:2]).exit_code == 2


def test_a_user_who_has_tokens_gets_an_account_in_the_same_role_only(sessions):
    CliRunner().invoke(main, ["tokens", "issue", "pharmacist", *AT, "--user", "u-7"])
    assert user("add", LOGIN, "prescriber", *AT, "--id", "u-7", "--generate").exit_code == 1
    assert user("add", LOGIN, "pharmacist", *AT, "--id", "u-7", "--generate").exit_code == 0
    assert account(sessions).user_id == "u-7"


TAKEN = {
    "disable": ["disable", LOGIN],
    "role": ["role", LOGIN, "compliance"],
    "revoke-sessions": ["revoke-sessions", LOGIN],
    "totp": ["totp", LOGIN, "--remove"],
    "password": ["password", LOGIN, "--generate"],
}


@pytest.mark.parametrize("command", TAKEN.values(), ids=TAKEN)
def test_what_is_taken_from_somebody_ends_his_sessions_at_once(sessions, command):
    user("add", LOGIN, "pharmacist", *AT, "--generate")
    token = sign_in(sessions)
    assert is_in(sessions, token)
    done = user(*command, *AT)
    assert done.exit_code == 0, done.output
    assert not is_in(sessions, token)


def test_disabling_somebody_stops_his_tokens_and_enabling_lets_him_in_again(sessions):
    token = CliRunner().invoke(main, ["tokens", "issue", "pharmacist", *AT, "--user", "u-7"]).stdout.strip()
    user("add", LOGIN, "pharmacist", *AT, "--id", "u-7", "--generate")

    def good():
        with transaction(sessions, write=False) as session:
            return tokens.authenticate(session, token, now=datetime.now(UTC)) is not None

    assert good()
    user("disable", LOGIN, *AT)
    assert not good()
    assert "disabled" in user("list", *AT).stdout
    user("enable", LOGIN, *AT)
    assert good()


def test_another_role_revokes_the_tokens_of_the_old_one(sessions):
    token = CliRunner().invoke(main, ["tokens", "issue", "pharmacist", *AT, "--user", "u-7"]).stdout.strip()
    user("add", LOGIN, "pharmacist", *AT, "--id", "u-7", "--generate")
    user("role", LOGIN, "compliance", *AT)
    with transaction(sessions, write=False) as session:
        assert tokens.authenticate(session, token, now=datetime.now(UTC)) is None
    assert user("role", LOGIN, "compliance", *AT).exit_code == 1


def test_nobody_of_another_organisation_is_touched(sessions):
    user("add", LOGIN, "pharmacist", *AT, "--generate")
    user("add", "other@hospital.example", "pharmacist", "--organisation", "another", "--generate")
    for command in (["disable", LOGIN], ["password", LOGIN, "--generate"], ["totp", LOGIN, "--remove"]):
        assert user(*command, "--organisation", "another").exit_code == 1
    assert account(sessions).active
    assert LOGIN not in user("list", "--organisation", "another").stdout


def test_where_to_write_to_somebody(sessions):
    user("add", LOGIN, "prescriber", *AT, "--generate")
    user_id = account(sessions).user_id

    def address():
        with transaction(sessions, write=False) as session:
            return users.email_of(session, user_id, organisation_id="our-hospital")

    assert address() is None
    user("email", LOGIN, "digest@hospital.example", *AT)
    assert address() == "digest@hospital.example"
    user("disable", LOGIN, *AT)
    assert address() is None


def test_whether_somebody_has_a_second_factor(url):
    user("add", LOGIN, "prescriber", *AT, "--generate")
    assert user("totp", LOGIN, *AT).stdout == "not set up\n"


def test_nothing_is_done_that_cannot_be_recorded(url, monkeypatch):
    monkeypatch.delenv("STEWARDSHIP_AUDIT_KEY")
    assert user("add", LOGIN, "prescriber", *AT, "--generate").exit_code == 3


def test_every_change_is_on_record(sessions):
    from sqlalchemy import text

    user("add", LOGIN, "pharmacist", *AT, "--generate")
    names = ("role", "password", "totp", "revoke-sessions", "disable")
    commands = [TAKEN[name] for name in names]
    for command in (["email", LOGIN, "a@b.example"], *commands, ["enable", LOGIN]):
        user(*command, *AT)
    with transaction(sessions, write=False) as session:
        actions = session.execute(text("SELECT action FROM audit_events ORDER BY seq")).scalars().all()
    assert actions == [
        "organisation.made", "user.added", "user.email-set", "user.role-changed", "user.password-set",
        "user.second-factor-removed", "user.sessions-revoked", "user.disabled", "user.enabled",
    ]  # fmt: skip


# --- tokens -----------------------------------------------------------------------------------------


def test_tokens_are_listed_without_themselves_and_revoked_by_their_id(sessions):
    issue = ["tokens", "issue", "pharmacist", *AT, "--user", "u-7", "--scope", "policies:read"]
    token = CliRunner().invoke(main, issue).stdout.strip()
    listed = CliRunner().invoke(main, ["tokens", "list", *AT]).stdout
    assert token not in listed
    assert "policies:read" in listed
    token_id = listed.split()[0]
    assert (
        CliRunner().invoke(main, ["tokens", "revoke", token_id, "--organisation", "another"]).exit_code == 1
    )
    assert CliRunner().invoke(main, ["tokens", "revoke", token_id, *AT]).exit_code == 0
    with transaction(sessions, write=False) as session:
        assert tokens.authenticate(session, token, now=datetime.now(UTC) + timedelta(seconds=1)) is None
    assert CliRunner().invoke(main, ["tokens", "list", *AT]).stdout == ""
    assert "no longer good" in CliRunner().invoke(main, ["tokens", "list", *AT, "--all"]).stdout


def test_a_scope_that_the_role_does_not_have_is_refused(url):
    done = CliRunner().invoke(main, ["tokens", "issue", "compliance", *AT, "--scope", "orders:submit"])
    assert done.exit_code == 2
    assert "policies:read" in done.output
