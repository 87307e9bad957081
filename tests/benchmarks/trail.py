"""How long it takes to verify an audit trail of a million entries, checkpoints and witnessed rows included.

One entry in twenty is about a decision with two findings, whose rows are compared with it. Beside it the
least that any verification must do: a MAC and a leaf hash over the same canonical bytes.
"""

from __future__ import annotations

import hmac
import resource
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from stewardship.db import AuditKeys, Sessions, connect, documents, migrate, tables, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import audit, organisations, verification
from stewardship.services.growth import Grown, grow
from stewardship.services.notes import Checkpoint, Signed, Signer
from stewardship.services.orders import content_digest
from tests.builders import NOW

ORGANISATION = "org-1"
BY = Principal("u-1", ORGANISATION, Role.ADMIN)
KEYS = AuditKeys.single(b"a benchmark's key, drawn for nobody")
SIGNER = Signer.of("here", b"s" * 32)
_DECIDED_EVERY = 20
_PORTION = 10_000
_DOCUMENT = documents.encode({"text": "x" * 2_000})


def benchmark(database: str, *, entries: int, say: Callable[[str], Any]) -> None:
    """Fill a database, then verify it."""
    sessions = connect(database, audit_keys=KEYS)
    migrate.upgrade(sessions.kw["bind"])
    began = time.perf_counter()
    signed, floor = _fill(sessions, entries)
    say(f"{entries} entries written in {time.perf_counter() - began:.0f} s")
    began, cpu = time.perf_counter(), time.process_time()
    with transaction(sessions, write=False) as session:
        found = verification.verify(session, organisation_id=ORGANISATION, checkpoints=signed)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert found.fault is None, found.fault
    assert (found.entries, found.witnessed) == (entries, entries - entries % 100)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    say(
        f"verified in {took:.1f} s ({cpu:.1f} s of CPU), {entries / took:,.0f} entries a second, {memory} MiB"
    )
    say(f"floor, a MAC and a leaf hash each: {floor:.1f} s; ratio {took / floor:.1f}")
    sessions.kw["bind"].dispose()


def _fill(sessions: Sessions, entries: int) -> tuple[list[Signed], float]:
    """Write the trail; its checkpoints, and how long hashing alone took."""
    with transaction(sessions) as session:
        organisations.ensure(session, ORGANISATION, name="One", by=BY, now=NOW)
        row = {"ehr_id": "p-1", "sex": "", "deceased": False, "recorded_at": NOW}
        session.execute(
            insert(tables.Patient), row | {"organisation_id": ORGANISATION, "id": "1", "birth_date": None}
        )
        first = audit.named(audit.Trail(session, ORGANISATION).entry(None))
    tree = grow(Grown(), (audit.canonical(first),))
    before, floor, signed = first["mac"], 0.0, []
    rows: list[dict[str, Any]] = []
    for seq in range(2, entries + 1):
        entry = _entry(seq)
        content = audit.canonical(entry)
        began = time.perf_counter()
        entry["mac"] = before = hmac.new(
            KEYS.keys["k1"], before.encode() + b"\x00" + content, "sha256"
        ).hexdigest()
        sha256(b"\x00" + content).digest()
        floor += time.perf_counter() - began
        tree = grow(tree, (content,))
        rows.append(entry)
        if seq % audit.WITNESSED_EVERY == 0:
            at = entry["at"].isoformat(timespec="microseconds")
            signed.append(Signed(Checkpoint(ORGANISATION, tree, before, at), SIGNER.public.line))
        if len(rows) == _PORTION or seq == entries:
            _store(sessions, rows)
            rows = []
    return signed, floor


def _entry(seq: int) -> dict[str, Any]:
    decided = seq % _DECIDED_EVERY == 0
    detail: dict[str, Any] = {"what": "alternatives"}
    if decided:
        detail = {"channel": "test", "sha256": content_digest(_decision(seq), _findings(seq))}
    return {
        "organisation_id": ORGANISATION,
        "seq": seq,
        "at": NOW + timedelta(seconds=seq),
        "action": "order.checked" if decided else "patient.read",
        "subject": f"d-{seq}" if decided else "1",
        "by_user": "u-1",
        "by_role": "prescriber",
        "detail": documents.encode(detail),
        "key_id": "k1",
    }


def _decision(seq: int) -> dict[str, Any]:
    return {
        "organisation_id": ORGANISATION,
        "id": f"d-{seq}",
        "patient_id": "1",
        "order_id": None,
        "channel": "test",
        "disposition": "advised",
        "as_of": NOW,
        "by_user": "u-1",
        "by_role": "prescriber",
        "order_document": None,
        "chart_document": _DOCUMENT,
        "policies_document": "[]",
        "silent_document": "[]",
    }


def _findings(seq: int) -> list[dict[str, Any]]:
    return [
        {
            "organisation_id": ORGANISATION,
            "decision_id": f"d-{seq}",
            "policy_id": f"policy-{number}",
            "version": 1,
            "outcome": "breach",
            "enforcement": "inform",
            "severity": "info",
            "document": _DOCUMENT[:500] + '"}',
        }
        for number in range(2)
    ]


def _store(sessions: Sessions, rows: list[dict[str, Any]]) -> None:
    decided: Iterator[int] = (row["seq"] for row in rows if row["action"] == "order.checked")
    numbers = list(decided)
    with transaction(sessions) as session:
        session.execute(insert(tables.AuditEvent), rows)
        if numbers:
            session.execute(insert(tables.Decision), [_decision(n) for n in numbers])
            session.execute(insert(tables.Finding), [f for n in numbers for f in _findings(n)])


def main(database: str | None, folder: Path, *, entries: int, say: Callable[[str], Any]) -> None:
    """On the database named, or a new SQLite file."""
    benchmark(database or f"sqlite:///{folder}/trail.db", entries=entries, say=say)
