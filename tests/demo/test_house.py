"""What the demonstration keeps, and who may read it."""

from __future__ import annotations

import json
import stat
from itertools import count

import pytest

from stewardship.demo.house import ROLES, House
from stewardship.domain.errors import Unavailable


def issue_with(numbers):
    return lambda role: f"{role}-{next(numbers)}"


def always(_token):
    return True


@pytest.fixture
def house(tmp_path):
    return House.at(tmp_path / "demo")


def test_keys_are_drawn_once_and_kept(house):
    first = house.keys()
    assert len(first["secret_key"]) >= 48
    assert first["secret_key"] != first["audit_key"]
    assert house.keys() == first


def test_two_demonstrations_share_no_key(tmp_path):
    assert House.at(tmp_path / "a").keys() != House.at(tmp_path / "b").keys()


def test_the_token_file_holds_one_token_for_each_role(house):
    house.tokens(still_good=always, issue=issue_with(count()))
    assert set(json.loads(house.tokens_file.read_text())) == {"prescriber", "pharmacist", "compliance", "ehr"}


def test_tokens_survive_a_restart(house):
    numbers = count()
    first = house.tokens(still_good=always, issue=issue_with(numbers))
    assert house.tokens(still_good=always, issue=issue_with(numbers)) == first


def test_only_a_token_that_the_database_no_longer_knows_is_replaced(house):
    numbers = count()
    first = house.tokens(still_good=always, issue=issue_with(numbers))
    second = house.tokens(still_good=lambda token: token != first["ehr"], issue=issue_with(numbers))
    assert {role for role in ROLES if first[role] != second[role]} == {"ehr"}


def test_secrets_are_readable_by_their_owner_only(house):
    house.keys()
    house.tokens(still_good=always, issue=issue_with(count()))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in house.folder.iterdir()}
    assert modes == {"keys.json": 0o600, "tokens.json": 0o600}


def test_passwords_are_drawn_once_and_only_their_owner_reads_them(house):
    numbers = count()
    first = house.passwords(("a@demo.example",), make=lambda: f"password-{next(numbers)}")
    assert house.passwords(("a@demo.example",), make=lambda: "another") == first
    assert stat.S_IMODE(house.accounts_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"somebody": "else"}'])
def test_a_file_that_is_not_ours_is_never_overwritten(house, content):
    house.tokens_file.write_text(content)
    with pytest.raises(Unavailable, match=r"tokens\.json"):
        house.tokens(still_good=always, issue=issue_with(count()))
    assert house.tokens_file.read_text() == content
