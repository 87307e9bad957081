"""The words for patients: one for each thing that a policy may say, short enough to be read."""

from __future__ import annotations

import re

import pytest

from stewardship.declarations import load
from stewardship.declarations.explanations import read_explanations
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import DeclarationError
from stewardship.domain.policy import Disposition

WORDS = read_explanations(REFERENCE)


def sentences() -> list[str]:
    said = [*WORDS.standing.values(), *WORDS.always]
    for one in (*WORDS.topics.values(), WORDS.not_checked):
        said += [one.found, one.means]
    return [s for text in said for s in re.split(r"(?<=[.!?])\s+", text)]


def test_every_topic_of_a_policy_has_its_words():
    topics = {policy.card.topic or policy.id for policy in load().policies if policy.published}
    assert topics == set(WORDS.topics)


def test_every_standing_has_its_words():
    assert set(WORDS.standing) == set(Disposition)


def test_sentences_are_short():
    assert [s for s in sentences() if len(s.split()) > 22] == []
    assert sum(len(s.split()) for s in sentences()) / len(sentences()) < 12


def test_nobody_is_told_a_dose_or_to_take_less():
    for said in sentences():
        assert not re.search(r"\bMME\b|\bmg\b|\bmilligram|\btaper\b|\breduce\b|\blower your\b", said), said


def test_a_standing_that_is_missing_is_named(tmp_path):
    text = (REFERENCE / "explanations.toml").read_text()
    (tmp_path / "explanations.toml").write_text(re.sub(r"(?m)^blocked = .*$", "", text))
    with pytest.raises(DeclarationError, match="standing"):
        read_explanations(tmp_path)
