"""The people of the demonstration: let in once, and left as they were."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from stewardship.db import AuditKeys, connect, migrate, transaction
from stewardship.declarations import load
from stewardship.demo import prescribers as registry
from stewardship.demo.house import House
from stewardship.demo.people import PEOPLE, let_in, login_of
from stewardship.domain.people import Principal, Role
from stewardship.domain.prescribers import is_npi
from stewardship.services import login, organisations, passwords, prescribers, users, worklists
from tests.builders import NOW

BY = Principal("setup", "demo-clinic", Role.ADMIN)


@pytest.fixture(scope="module")
def library():
    return load()


@pytest.fixture
def place(tmp_path):
    sessions = connect(f"sqlite:///{tmp_path / 'demo.db'}", audit_keys=AuditKeys.single(b"k" * 32))
    migrate.upgrade(sessions.kw["bind"])
    with transaction(sessions) as session:
        organisations.ensure(session, "demo-clinic", name="Demo", by=BY, now=NOW)
    yield House.at(tmp_path / "house"), sessions
    sessions.kw["bind"].dispose()


def open_(place, library, now=NOW):
    house, sessions = place
    return let_in(house, sessions, library, organisation="demo-clinic", now=now)


def test_each_signs_in_with_the_password_of_the_file(place, library):
    given = open_(place, library)
    _, sessions = place
    for name, role in PEOPLE.items():
        with transaction(sessions) as session:
            attempt = login.admit(
                session, login_of(name), address=name, terms=library.identity, now=NOW + timedelta(hours=1)
            )
        assert attempt.principal.role is role
        assert login.fits(attempt, given[login_of(name)], terms=library.identity.hashing)


def test_there_are_two_where_one_may_not_countersign_his_own():
    for role in (Role.PRESCRIBER, Role.PHARMACIST):
        assert list(PEOPLE.values()).count(role) == 2


def test_the_second_start_adds_nobody_and_tells_the_same(place, library):
    assert open_(place, library) == open_(place, library, NOW + timedelta(days=1))


def test_a_password_that_somebody_changed_is_left_alone(place, library):
    open_(place, library)
    _, sessions = place
    kept = passwords.hashed("another mosaic of words", terms=library.identity.hashing)
    with transaction(sessions) as session:
        users.set_password(session, "demo-admin", kept, by=BY, now=NOW)
    assert login_of("admin") not in open_(place, library)


def test_the_prescribers_are_in_the_registry_under_numbers_that_nobody_was_given(place, library):
    _, sessions = place
    with transaction(sessions) as session:
        registry.make(session, library, by=BY, now=NOW)
    with transaction(sessions, write=False) as session:
        known = [read.prescriber for read in prescribers.listed(session, by=BY)]
        reader = Principal("demo-prescriber", "demo-clinic", Role.PRESCRIBER)
        assert worklists.known_as(session, by=reader)[-1] == registry.npi(3)
    numbers = {registry.npi(number) for number in range(1, registry.NUMBER + 1)}
    assert {one.npi for one in known} == numbers
    assert len(numbers) == registry.NUMBER
    assert all(is_npi(one) and one.startswith("2") for one in numbers)
    assert {one.user_id for one in known} - {""} <= {f"demo-{name}" for name in PEOPLE}
    # Peers are compared within a specialty, so that there are several of one.
    assert max(Counter(one.specialty for one in known).values()) > 2
    assert any(one.certifications[0].until < NOW.date() for one in known)


def test_they_have_an_address_that_reaches_nobody(place, library):
    open_(place, library)
    with transaction(place[1], write=False) as session:
        for name in PEOPLE:
            address = users.email_of(session, f"demo-{name}", organisation_id="demo-clinic")
            assert address.endswith(".example")
