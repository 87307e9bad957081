"""``stewardship mail`` and ``stewardship scheduler``, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from stewardship.cli import main
from stewardship.db import AuditKeys, connect, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import organisations, outbox
from tests.builders import NOW

KEY = "only-for-the-audit-0123456789abcdef"
ADMIN = Principal("u-admin", "org-1", Role.ADMIN)


@pytest.fixture
def sessions(database_url: str):
    made = connect(database_url, audit_keys=AuditKeys.single(KEY.encode()))
    with transaction(made) as session:
        organisations.ensure(session, "org-1", name="One", by=ADMIN, now=NOW)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def stewardship(sessions, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    settings = {
        "STEWARDSHIP_ENV": "test",
        "STEWARDSHIP_DATABASE_URL": database_url,
        "STEWARDSHIP_SECRET_KEY": "only-for-the-tests-0123456789abcdef",
        "STEWARDSHIP_AUDIT_KEY": KEY,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, list(words), catch_exceptions=False)

    return run


def test_who_gets_mail_where(stewardship):
    assert stewardship("mail", "to", "dr-1", "dr-1@clinic.example").exit_code == 0
    assert stewardship("mail", "to", "lead", "lead@clinic.example", "--escalations").exit_code == 0
    listed = stewardship("mail", "contacts").stdout
    assert "dr-1  dr-1@clinic.example\n" in listed
    assert "lead  lead@clinic.example  told of every missed review" in listed
    assert stewardship("mail", "forget", "dr-1").exit_code == 0
    assert "dr-1" not in stewardship("mail", "contacts").stdout


@pytest.mark.parametrize("address", ["nobody", "a b@c.example", "a@b.example,c@d.example", "A <a@b.example>"])
def test_what_is_no_address_is_refused(stewardship, address):
    done = stewardship("mail", "to", "dr-1", address)
    assert done.exit_code == 2
    assert address not in done.stderr


def test_what_was_given_up_on_is_listed_and_tried_again(stewardship, sessions):
    with transaction(sessions) as session:
        about = {"day": "2026-11-21", "due": 1, "missed": 0, "reviews": ["r"]}
        outbox.put(session, kind="digest", recipient="dr-1", dedupe_key="k", about=about, by=ADMIN, now=NOW)
        (message_id,) = outbox.waiting(session, by=ADMIN, now=NOW, limit=1)
        message = outbox.take(session, message_id, by=ADMIN)
        assert message is not None
        outbox.failed(session, message, "recipient-refused", permanent=True, by=ADMIN, now=NOW)
    listed = stewardship("mail", "given-up")
    assert listed.exit_code == 1
    assert f"{message_id}" in listed.stdout
    assert "digest to dr-1 [recipient-refused]" in listed.stdout
    assert stewardship("mail", "retry", message_id).exit_code == 0
    assert stewardship("mail", "given-up").exit_code == 0
    assert stewardship("mail", "retry", message_id).exit_code == 1


def test_the_scheduler_once_says_what_each_job_did(stewardship):
    done = stewardship("scheduler", "--once", "--json")
    assert done.exit_code == 0
    jobs = json.loads(done.stdout)["jobs"]
    assert {"ask-clock", "open-due", "escalate", "remind", "nightly-watch", "self-check", "send"} <= {
        job["job"] for job in jobs
    }
    for job in jobs:
        assert job["outcome"] == "done"
        assert isinstance(job["done"], int)
        assert job["late"] == 0
        assert job["seconds"] >= 0
    only = json.loads(stewardship("scheduler", "--once", "--json", "--job", "send").stdout)["jobs"]
    assert [job["job"] for job in only] == ["send"]


def test_the_scheduler_says_how_it_has_been_doing(stewardship):
    before = stewardship("scheduler", "--status")
    assert before.exit_code == 1
    assert "no scheduler is at work" in before.stdout
    assert "overdue" in before.stdout
    stewardship("scheduler", "--once")
    after = stewardship("scheduler", "--status", "--json")
    assert after.exit_code == 0
    (told,) = json.loads(after.stdout)["organisations"]
    assert all(job["state"] == "done" and not job["overdue"] for job in told["jobs"])


@pytest.mark.parametrize(
    "words", [["--once", "--status"], ["--json"], ["--job", "send"], ["--once", "--job", "none-such"]]
)
def test_what_does_not_go_together_is_refused(stewardship, words):
    assert stewardship("scheduler", *words).exit_code == 2
