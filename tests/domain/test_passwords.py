"""What a password must be: long, and not what is guessed first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.declarations.identity import read_identity_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.passwords import what_is_left, why_not

TERMS = read_identity_terms(REFERENCE).password


def code(password, *about):
    reason = why_not(password, TERMS, about=about)
    return reason and reason.code


@pytest.mark.parametrize(
    "password",
    [
        "tangerine orbit mosaic",
        "gJ4kQm2Lp9Xs",
        "the quick brown fox",
        "Bratkartoffeln mit Zwiebeln",
        "пароль-совсем-другой",
        "correct horse battery staple, but with marmalade",
        "x7#kq9!mzp2w",
    ],
)
def test_what_is_taken(password):
    assert code(password) is None


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "Passw0rd2024!",
        "p@$$w0rd p@$$w0rd",
        "drowssap drowssap",
        "qwertyuiop12",
        "123456789012",
        "987654321098",
        "abcdefghijkl",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "Winter2025!!",
        "correct horse battery staple",
        "OpioidStewardship1",
        "Hospital2026!",
        "letmeinletmein",
        "1qaz1qaz1qaz",
    ],
)
def test_what_is_guessed_first(password):
    assert code(password) == "easily-guessed"


def test_eleven_characters_are_too_few_and_twelve_are_not():
    assert code("gJ4kQm2Lp9X") == "too-short"
    assert code("gJ4kQm2Lp9Xs") is None


def test_what_is_too_long_is_refused_before_it_is_looked_at():
    assert code("x" * 257) == "too-long"


def test_what_cannot_be_seen_is_refused():
    assert code("tangerine\x00orbit mosaic") == "hidden-characters"


def test_ones_own_name_does_not_count():
    assert code("harbourmaster-quay") is None
    assert code("harbourmaster-quay", "harbourmaster.quay@hospital.example") == "easily-guessed"


@given(st.text(max_size=40))
def test_nothing_is_added_to_what_somebody_typed(password):
    assert len(what_is_left(password, TERMS)) <= len(password.casefold())


@given(st.text(min_size=12, max_size=60))
def test_any_text_gets_an_answer(password):
    assert code(password) in {None, "easily-guessed", "hidden-characters", "too-short", "too-long"}
