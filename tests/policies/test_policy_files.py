"""The policy files: their own tests, their lock, and what the reader of the files refuses."""

from __future__ import annotations

import hashlib
import shutil
from datetime import date

import pytest

from stewardship.declarations import load
from stewardship.declarations.places import POLICIES
from stewardship.declarations.policies import LOCK, read_lock
from stewardship.declarations.policy_tests import merged, run_tests
from stewardship.domain.errors import DeclarationError
from stewardship.domain.policy import Enforcement, Force, Outcome

LIBRARY = load()
CASES = [(p, r) for p in LIBRARY.policies for r in run_tests(LIBRARY, p)]

#: The ids, enforcement and force that the house has agreed on.
AGREED = {
    "short-course": ("hard-stop", "institution"),
    "no-long-acting": ("hard-stop", "institution"),
    "no-lost-refills": ("hard-stop", "institution"),
    "early-refill": ("soft-stop", "institution"),
    "long-term-supply": ("soft-stop", "institution"),
    "schedule-ii-no-refills": ("hard-stop", "law"),
    "schedule-iii-iv-refills": ("hard-stop", "law"),
    "schedule-ii-ninety-days": ("hard-stop", "law"),
}


@pytest.mark.parametrize(
    ("policy", "result"), CASES, ids=[f"{p.id}-v{p.version}: {r.name}" for p, r in CASES]
)
def test_a_policys_own_test(policy, result):
    assert result.wrong == ""


@pytest.mark.parametrize("policy_id", AGREED)
def test_the_agreed_policies_are_in_force_as_agreed(policy_id):
    policy = next(p for p in LIBRARY.in_force(date(2026, 11, 21)) if p.id == policy_id)
    assert (policy.enforcement, policy.source.force) == AGREED[policy_id]


@pytest.mark.parametrize("policy", LIBRARY.policies, ids=lambda p: f"{p.id}-v{p.version}")
def test_a_hard_stop_of_the_institution_has_an_exception_path(policy):
    if policy.enforcement is Enforcement.HARD_STOP and policy.source.force is Force.INSTITUTION:
        assert policy.exception is not None


def test_the_replacement_exception_takes_two_others_and_a_note_on_withdrawal():
    path = next(p for p in LIBRARY.policies if p.id == "no-lost-refills").exception
    assert (path.countersignatures, path.including, path.requires_note) == (
        2,
        ("pharmacist",),
        "withdrawal risk",
    )


def test_the_lock_is_what_sha256sum_would_write():
    for name, digest in read_lock(POLICIES / LOCK).items():
        assert hashlib.sha256((POLICIES / name).read_bytes()).hexdigest() == digest


def test_every_policy_is_tested_on_both_sides_and_about_what_it_cannot_tell():
    for policy in LIBRARY.policies:
        outcomes = {r.finding.outcome for p, r in CASES if p is policy and r.finding}
        assert Outcome.BREACH in outcomes
        assert outcomes & {Outcome.PASS, Outcome.NOT_APPLICABLE}


# --- what the reader refuses ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder with one good draft in it."""
    shutil.copy(POLICIES / "schedule-ii-no-refills.v1.toml", tmp_path)
    return tmp_path


def changed(folder, old, new, *, name="schedule-ii-no-refills.v1.toml"):
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeclarationError) as refused:
        load(policies_dir=folder)
    return refused.value.message


def test_a_draft_is_read_and_not_in_force(folder):
    library = load(policies_dir=folder)
    assert [p.published for p in library.policies] == [False]
    assert library.in_force(date(2026, 11, 21)) == ()


def test_a_published_file_that_was_changed_is_refused(folder):
    path = folder / "schedule-ii-no-refills.v1.toml"
    (folder / LOCK).write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert "changed after it was published" in changed(folder, "max_refills = 0", "max_refills = 5")


def test_a_lock_that_names_a_missing_file_is_refused(folder):
    (folder / LOCK).write_text(f"{'0' * 64}  gone.v1.toml\n")
    with pytest.raises(DeclarationError, match="not there"):
        load(policies_dir=folder)


def test_a_guideline_that_hard_stops_is_refused(folder):
    assert "a guideline never hard-stops" in changed(folder, 'force = "law"', 'force = "guideline"')


def test_an_unknown_parameter_is_answered_with_those_that_exist(folder):
    said = changed(folder, "max_refills = 0", "refills = 0")
    assert "max-refills takes ['max_months', 'max_refills', 'schedules'], not ['refills']" in said


def test_a_parameter_of_the_wrong_type_is_named(folder):
    assert "rule.max_refills" in changed(folder, "max_refills = 0", 'max_refills = "none"')


def test_an_unknown_kind_of_rule_is_answered_with_those_that_exist(folder):
    assert "max-refills" in changed(folder, 'kind = "max-refills"', 'kind = "max-refill"')


def test_a_missing_field_is_named(folder):
    assert "limitations" in changed(folder, "limitations = ", "limits = ")


def test_an_exemption_that_does_not_exist_is_refused(folder):
    assert "cancer-ever" in changed(
        folder, "drug_classes = []", 'drug_classes = []\nexemptions = ["cancer-ever"]'
    )


def test_a_card_that_says_taper_now_is_refused(folder):
    assert "taper now" in changed(folder, "Set refills to 0.", "Taper now.")


def test_a_file_without_a_breaching_test_is_refused(folder):
    assert "test" in changed(folder, 'outcome = "breach"', 'outcome = "pass"')


def test_a_name_that_does_not_fit_is_refused(folder):
    path = folder / "schedule-ii-no-refills.v1.toml"
    path.rename(folder / "schedule-two.v1.toml")
    with pytest.raises(DeclarationError, match=r"must be named schedule-ii-no-refills\.v1\.toml"):
        load(policies_dir=folder)


def test_merging_takes_away_what_is_unstated_and_keeps_the_rest():
    given = {"order": {"days_supply": 3, "refills": 0}, "history": {}}
    assert merged(given, {"order": {"days_supply": "unstated"}}) == {"order": {"refills": 0}, "history": {}}
