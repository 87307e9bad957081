"""API tokens: only a hash is kept, and a token that is not good any more is nobody's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from stewardship.db import tables, transaction
from stewardship.domain.errors import Conflict, InvalidInput, NotFound
from stewardship.domain.people import Role
from stewardship.services import tokens
from tests.builders import NOW
from tests.services.declared import ELSEWHERE, ORGANISATION, PRESCRIBER

LATER = NOW + timedelta(days=1)


def issue(session, role=Role.PHARMACIST, *, scopes=(), days=90, by=PRESCRIBER, **more):
    return tokens.issue(
        session,
        organisation_id=ORGANISATION,
        role=role,
        scopes=scopes,
        expires_at=NOW + timedelta(days=days),
        by=by,
        now=NOW,
        **more,
    )


def test_a_token_tells_whose_it_is_and_what_it_may(clinic):
    with transaction(clinic) as session:
        token = issue(session, scopes=["orders:screen"], user_id="u-9")
    with transaction(clinic, write=False) as session:
        known = tokens.authenticate(session, token, now=LATER)
    assert (known.user_id, known.organisation_id, known.role) == ("u-9", ORGANISATION, Role.PHARMACIST)
    assert known.scopes == {"orders:screen"}


def test_the_database_does_not_hold_the_token(clinic):
    with transaction(clinic) as session:
        token = issue(session)
        for table in tables.Base.metadata.tables.values():
            for row in session.execute(select(table)):
                assert token not in " ".join(str(value) for value in row)


def test_a_token_that_was_not_issued_is_nobodys(clinic):
    with transaction(clinic) as session:
        token = issue(session)
        assert tokens.authenticate(session, token + "x", now=LATER) is None
        assert tokens.authenticate(session, "", now=LATER) is None


@pytest.mark.parametrize(("days", "good"), [(0, True), (9, True), (10, False), (11, False)])
def test_a_token_is_good_until_it_expires(clinic, days, good):
    with transaction(clinic) as session:
        token = issue(session, days=10)
        known = tokens.authenticate(session, token, now=NOW + timedelta(days=days))
    assert (known is not None) is good


def test_a_revoked_token_is_nobodys_at_once(clinic):
    with transaction(clinic) as session:
        token = issue(session)
        token_id = session.execute(select(tables.ApiToken.id)).scalar_one()
        tokens.revoke(session, token_id, by=PRESCRIBER, now=LATER)
        assert tokens.authenticate(session, token, now=LATER) is None
        with pytest.raises(NotFound):
            tokens.revoke(session, token_id, by=PRESCRIBER, now=LATER)


def test_another_organisation_cannot_revoke_it(clinic):
    with transaction(clinic) as session:
        token = issue(session)
        token_id = session.execute(select(tables.ApiToken.id)).scalar_one()
        with pytest.raises(NotFound):
            tokens.revoke(session, token_id, by=ELSEWHERE, now=LATER)
        assert tokens.authenticate(session, token, now=LATER)


def test_a_token_of_an_inactive_user_is_nobodys(clinic):
    with transaction(clinic) as session:
        token = issue(session)
        session.execute(update(tables.User).values(active=False))
        assert tokens.authenticate(session, token, now=LATER) is None


@pytest.mark.parametrize("days", [91, 0, -1])
def test_a_token_lives_no_longer_than_ninety_days(clinic, days):
    with transaction(clinic) as session, pytest.raises(InvalidInput, match="90 days"):
        issue(session, days=days)


def test_a_token_for_another_organisation_is_not_issued(clinic):
    with transaction(clinic) as session, pytest.raises(NotFound):
        issue(session, by=ELSEWHERE)


def test_a_user_has_one_role(clinic):
    with transaction(clinic) as session:
        issue(session, Role.PHARMACIST, user_id="u-9")
        with pytest.raises(Conflict, match="pharmacist"):
            issue(session, Role.COMPLIANCE, user_id="u-9")


def test_use_is_noted_to_the_hour(clinic):
    def last_used(session):
        return session.execute(select(tables.ApiToken.last_used_at)).scalar_one()

    with transaction(clinic) as session:
        token = issue(session)
        seen = []
        for minutes in (5, 30, 66):
            tokens.authenticate(session, token, now=NOW + timedelta(minutes=minutes))
            seen.append((last_used(session) - NOW) // timedelta(minutes=1))
    assert seen == [5, 5, 66]


def test_a_session_that_only_looks_notes_nothing(clinic):
    with transaction(clinic) as session:
        token = issue(session)
    with transaction(clinic, write=False) as session:
        assert tokens.authenticate(session, token, now=LATER)
        assert session.execute(text("SELECT last_used_at FROM api_tokens")).scalar_one() is None
