"""The tamper list over a thousand entries, on both databases: every attack outside the window is found.

The window is the tail after the last checkpoint; what must not vanish is witnessed before it is answered.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pymerkle import InmemoryTree
from sqlalchemy import text

from stewardship.db import connect, transaction
from stewardship.domain.errors import Unavailable
from stewardship.services import audit, organisations, verification
from stewardship.services.notes import Signer, found_in
from stewardship.witness import Witness
from tests.builders import NOW
from tests.postgres import AUDIT_KEYS
from tests.services.declared import ORGANISATION, PHARMACIST, PRESCRIBER
from tests.services.test_verification import unguarded

SIGNER = Signer.of("here", b"s" * 32)
ENTRIES = 1000
WRITERS = 50
#: How often fifty writers fill a trail that has to verify: HONEST_RUNS=1000 is the whole of it.
HONEST_RUNS = int(os.environ.get("HONEST_RUNS", "1"))


@pytest.fixture
def witness(tmp_path):
    return Witness(tmp_path / "checkpoints.txt", SIGNER)


@pytest.fixture
def witnessed(database_url, witness):
    """A database whose trail is witnessed; its first entry is the organisation's own."""
    sessions = connect(database_url, audit_keys=AUDIT_KEYS, witness=witness)
    with transaction(sessions) as session:
        organisations.ensure(session, ORGANISATION, name="One", by=PRESCRIBER, now=NOW)
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture
def thousand(witnessed):
    """A thousand entries, a checkpoint after every hundredth."""
    for tens in range(0, ENTRIES, 10):
        with transaction(witnessed) as session:
            for number in range(max(tens, 1), tens + 10):
                audit.record(session, "report.printed", subject=f"r-{number}", by=PHARMACIST, now=NOW)
    return witnessed


def entry(session, action="report.printed", subject="r"):
    audit.record(session, action, subject=subject, by=PHARMACIST, now=NOW)


def checkpoints(witness):
    return found_in(witness.file.read_text(), witness.keys)


def verify(sessions, witness, **how):
    with transaction(sessions, write=False) as session:
        return verification.verify(
            session, organisation_id=ORGANISATION, checkpoints=checkpoints(witness), **how
        )


def test_a_checkpoint_after_every_hundredth_entry(thousand, witness):
    assert [s.checkpoint.size for s in checkpoints(witness)] == [*range(100, ENTRIES + 1, 100)]
    found = verify(thousand, witness)
    assert (found.entries, found.witnessed, found.fault) == (ENTRIES, ENTRIES, None)


REORDER = (
    "UPDATE audit_events SET seq = -1 WHERE seq = 700",
    "UPDATE audit_events SET seq = 700 WHERE seq = 701",
    "UPDATE audit_events SET seq = 701 WHERE seq = -1",
)
INSERT = (
    "UPDATE audit_events SET seq = -seq WHERE seq > 300",
    "UPDATE audit_events SET seq = 1 - seq WHERE seq < 0",
    (
        "INSERT INTO audit_events SELECT organisation_id, 301, at, action, 'forged', by_user, by_role, "
        "detail, key_id, mac FROM audit_events WHERE seq = 300"
    ),
)


@pytest.mark.parametrize(
    ("statements", "seq", "kind"),
    [
        (("UPDATE audit_events SET action = 'view' WHERE seq = 500",), 500, "edit"),
        (("UPDATE audit_events SET mac = '" + "0" * 64 + "' WHERE seq = 500",), 500, "edit"),
        (("DELETE FROM audit_events WHERE seq = 500",), 500, "gap"),
        (INSERT, 301, "edit"),
        (REORDER, 700, "edit"),
        (("DELETE FROM audit_events WHERE seq > 993",), 994, "rollback"),
        (("DELETE FROM audit_events WHERE seq > 600",), 601, "rollback"),
        (("UPDATE audit_events SET key_id = 'k9' WHERE seq >= 400",), 400, "key"),
    ],
    ids=["edit", "mac", "delete", "insert", "reorder", "tail", "old-copy", "re-key"],
)
def test_an_attack_is_named_at_its_entry(thousand, witness, statements, seq, kind):
    # The tables' own checks are in the way of some; who owns the database takes them away too.
    with transaction(thousand) as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("ALTER TABLE audit_events DROP CONSTRAINT ck_audit_events_seq"))
        else:
            session.execute(text("PRAGMA ignore_check_constraints = ON"))
    unguarded(thousand, *statements)
    fault = verify(thousand, witness).fault
    assert (fault.seq, fault.kind) == (seq, kind)


def forge(sessions, since):
    """What somebody does who holds the key of the rows, and not that of the checkpoints: from an entry on,
    the whole chain anew."""
    with transaction(sessions, write=False) as session:
        trail = audit.Trail(session, ORGANISATION)
        before = trail.entry(since - 1).mac
        rows = [audit.named(row) for portion in trail.after(since - 1) for row in portion]
    statements = []
    for row in rows:
        if row["seq"] == since:
            row["action"] = "forged"
        row["mac"] = before = audit.mac(AUDIT_KEYS.keys[row["key_id"]], before, row)
        changed = f"action = '{row['action']}', mac = '{before}'"
        statements.append(f"UPDATE audit_events SET {changed} WHERE seq = {row['seq']}")  # noqa: S608
    unguarded(sessions, *statements)


def test_a_chain_made_anew_with_its_own_key_contradicts_the_checkpoints(thousand, witness):
    forge(thousand, 550)
    with transaction(thousand, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None
    fault = verify(thousand, witness).fault
    assert (fault.seq, fault.kind) == (501, "split")
    assert "good up to 500" in fault.what


def test_an_outsider_verifies_without_any_secret(thousand, witness):
    assert verify(thousand, witness, public=True).fault is None
    forge(thousand, 550)
    assert verify(thousand, witness, public=True).fault.kind == "split"


def test_nothing_is_signed_that_contradicts_what_was_signed(thousand, witness):
    before = witness.file.read_bytes()
    unguarded(thousand, "DELETE FROM audit_events WHERE seq > 900")
    with pytest.raises(Unavailable, match="contradicts"), transaction(thousand) as session:
        entry(session, "finding.overridden")
    assert witness.file.read_bytes() == before


def test_the_stated_window_is_the_tail_after_the_last_checkpoint(thousand, witness):
    with transaction(thousand) as session:
        entry(session)
    unguarded(thousand, f"DELETE FROM audit_events WHERE seq > {ENTRIES}")  # noqa: S608
    assert verify(thousand, witness).fault is None


@pytest.mark.parametrize("action", ["finding.overridden", "user.added", "policy.published", "key.rotated"])
def test_what_must_not_vanish_is_witnessed_before_the_answer(witnessed, witness, action):
    with transaction(witnessed) as session:
        entry(session, action)
    assert [s.checkpoint.size for s in checkpoints(witness)][-1] == 2


def test_what_was_not_committed_is_not_witnessed(witnessed, witness):
    with pytest.raises(KeyError), transaction(witnessed) as session:
        entry(session, "finding.overridden")
        raise KeyError
    assert not witness.file.exists() or not witness.file.read_text()


def test_what_must_be_witnessed_is_refused_when_nothing_can_be_written(witnessed, tmp_path):
    gone = Witness(tmp_path / "nowhere" / "checkpoints.txt", SIGNER)
    witnessed.configure(info={"audit_keys": AUDIT_KEYS, "witness": gone})
    with pytest.raises(Unavailable, match="nothing was changed"), transaction(witnessed) as session:
        entry(session, "finding.overridden")
    with transaction(witnessed, write=False) as session:
        assert audit.Trail(session, ORGANISATION).entry(None).seq == 1


def test_fifty_writers_and_two_witnesses_give_no_false_alarm(witnessed, tmp_path):
    # Each run is the trail of an organisation of its own.
    for run in range(HONEST_RUNS):
        by = replace(PHARMACIST, organisation_id=f"honest-{run}")
        one, other = (Witness(tmp_path / f"checkpoints-{run}.txt", SIGNER) for _ in range(2))
        witnessed.configure(info={"audit_keys": AUDIT_KEYS, "witness": one})
        with transaction(witnessed) as session:
            organisations.ensure(session, by.organisation_id, name="One", by=by, now=NOW)

        def write(number, by=by, one=one, other=other):
            with transaction(witnessed) as session:
                audit.record(session, "report.printed", subject=f"r-{number}", by=by, now=NOW)
            if number % 10 == 0:
                (one if number % 20 else other).checkpoint(witnessed, by.organisation_id)

        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(write, range(2 * WRITERS)))
        with transaction(witnessed, write=False) as session:
            found = verification.verify(
                session, organisation_id=by.organisation_id, checkpoints=checkpoints(one)
            )
        assert (found.entries, found.fault) == (2 * WRITERS + 1, None), run
        assert found.witnessed >= WRITERS, run


def test_every_checkpoint_is_consistent_with_the_next_by_another_hand(thousand, witness):
    with transaction(thousand, write=False) as session:
        tree = InmemoryTree(algorithm="sha256")
        for portion in audit.Trail(session, ORGANISATION).after(0):
            for row in portion:
                tree.append_entry(audit.canonical(audit.named(row)))
    signed = [s.checkpoint for s in checkpoints(witness)]
    assert [c.tree.root for c in signed] == [tree.get_root(c.size) for c in signed]


def test_a_file_that_somebody_edited_is_not_added_to(thousand, witness, tmp_path):
    copy = tmp_path / "copy.txt"
    shutil.copy(witness.file, copy)
    copy.write_text(copy.read_text().replace("\n500\n", "\n501\n"))
    with pytest.raises(Unavailable, match="contradicts itself"):
        Witness(copy, SIGNER).checkpoint(thousand, ORGANISATION)
