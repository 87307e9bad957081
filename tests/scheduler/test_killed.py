"""Real scheduler processes: killed, two at once, told to stop, their clock set. Nothing twice, nothing lost.

A release asks for more kills: SCHEDULER_KILLS=300 .venv/bin/pytest tests/scheduler/test_killed.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stewardship.db import Sessions, claims, transaction
from stewardship.scheduler.running import LEADER
from stewardship.services import verification
from tests.scheduler.conftest import ORGANISATION, a_contact, audited, messages, runs, some_reviews, states
from tests.scheduler.mailing import Mailbox, a_server

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("SCHEDULER_KILLS", "4"))
CLINICIANS = 10
PATIENCE = 60.0


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, str]]:
    with a_server() as (mailbox, place):
        yield mailbox, f"smtp://{place}"


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """The file that moves the clock of the processes."""
    file = tmp_path / "offset"
    file.write_text("0")
    return file


class Started:
    """A scheduler process, and what it has said."""

    def __init__(self, pid: int, said: Path) -> None:
        self.pid = pid
        self._said = said

    def heard(self, word: str) -> list[float]:
        """The moments at which it said the word."""
        lines = self._said.read_text().splitlines() if self._said.exists() else []
        return [float(line.split()[1]) for line in lines if line.startswith(word)]

    def wait_for(self, word: str, times: int = 1) -> float:
        """The moment at which it said the word for the nth time."""
        eventually(lambda: len(self.heard(word)) >= times)
        return self.heard(word)[times - 1]

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal that ends it, and wait for its end."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        eventually(lambda: not self.lives())

    def lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> None:
        """Tell it to stop; it has to end in order."""
        self.kill(signal.SIGTERM)
        log = Path(f"{self._said}.log")
        assert self.heard("ended"), log.read_text()[-4_000:] if log.exists() else "it said nothing"


Start = Callable[[], Started]


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """Makes scheduler processes quickly."""
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.scheduler.driven"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield made
    assert made.stdin is not None
    made.stdin.close()
    made.wait()
    assert made.stdout is not None
    made.stdout.close()


@pytest.fixture
def start(
    nursery: subprocess.Popen[str], database_url: str, offset: Path, mail: tuple[Mailbox, str], tmp_path: Path
) -> Iterator[Start]:
    """Starts a scheduler; whatever still runs at the end is killed."""
    processes: list[Started] = []

    def starting() -> Started:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        said = tmp_path / f"said-{len(processes)}"
        nursery.stdin.write("\t".join([database_url, str(offset), mail[1], str(said)]) + "\n")
        nursery.stdin.flush()
        processes.append(Started(int(nursery.stdout.readline()), said))
        return processes[-1]

    yield starting
    for process in processes:
        process.kill()


def eventually(what: Callable[[], bool], *, patience: float = PATIENCE) -> float:
    """Wait until something is so; how many seconds it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < patience, "it did not come to be"
        time.sleep(0.05)
    return time.monotonic() - began


def a_clinic_with_work(clinic: Sessions, number: int, *, first: int = 0) -> None:
    """Reviews of several clinicians, a tenth of them missed, and somebody who is told of those."""
    today = datetime.now(UTC).date()
    for place in range(CLINICIANS):
        a_contact(clinic, f"dr-{place}")
        each = number // CLINICIANS
        due_on = today - timedelta(days=2) if place == 0 else today + timedelta(days=2)
        some_reviews(clinic, each, due_on=due_on, clinician=f"dr-{place}", first=first + place * each)
    a_contact(clinic, "lead", escalations=True)


def all_sent(clinic: Sessions) -> bool:
    return bool(messages(clinic)) and all(one.status == "sent" for one in messages(clinic))


def has_a_run(clinic: Sessions) -> bool:
    """Whether a run has begun and not ended."""
    return any(run.outcome == "running" for run in runs(clinic))


def until_a_run(clinic: Sessions) -> None:
    """Wait until a job is at work, or there is nothing left for one to do."""
    until = time.monotonic() + PATIENCE
    while not has_a_run(clinic) and time.monotonic() < until:
        if states(clinic).get("planned", 0) == 0 and all_sent(clinic):
            return


def nothing_twice_nothing_lost(clinic: Sessions, mailbox: Mailbox, number: int) -> None:
    """Each review was moved once and said once, each message written once and delivered at least once."""
    missed = number // CLINICIANS
    assert states(clinic) == {"due": number - missed, "missed": missed}
    for action, expected in (("due", number - missed), ("missed", missed), ("escalated", missed)):
        moved = Counter(entry.subject for entry in audited(clinic, f"review.{action}"))
        assert (len(moved), set(moved.values())) == (expected, {1}), action
    written = [(one.kind, one.recipient) for one in messages(clinic)]
    assert len(written) == len(set(written))
    assert {who for kind, who in written if kind == "digest"} <= {f"dr-{n}" for n in range(CLINICIANS)}
    arrived = {str(one["Message-ID"]) for one in mailbox.arrived}
    assert arrived == {f"<{one.id}@clinic.example>" for one in messages(clinic)}
    sent = Counter(entry.subject for entry in audited(clinic, "message.sent"))
    assert set(sent.values()) <= {1}
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None


def test_schedulers_that_are_killed_again_and_again(clinic, start, mail):
    chance = random.Random(20261121)  # noqa: S311 - chosen moments, the same every time
    number, in_a_run = 0, 0
    for _ in range(KILLS):
        a_clinic_with_work(clinic, 40, first=number)
        number += 40
        process = start()
        process.wait_for("leads")
        until_a_run(clinic)
        time.sleep(chance.random() * 0.1)
        assert process.lives()
        process.kill()
        assert not process.heard("ended")
        in_a_run += has_a_run(clinic)
    last = start()
    # What the killed ones left is done by the last, however much it is.
    patience = PATIENCE + 2 * KILLS
    eventually(lambda: states(clinic).get("planned", 0) == 0 and all_sent(clinic), patience=patience)
    eventually(lambda: len(audited(clinic, "review.escalated")) == number // CLINICIANS, patience=patience)
    # When the killed ones had left nothing, it may not even have begun to listen.
    last.wait_for("leads")
    last.stop()
    nothing_twice_nothing_lost(clinic, mail[0], number)
    outcomes = Counter(run.outcome for run in runs(clinic))
    assert set(outcomes) <= {"done", "interrupted"}
    # They were killed at work, not before or after it.
    assert in_a_run >= KILLS // 2


def test_of_two_schedulers_one_leads_and_the_other_takes_over_at_once(clinic, start, mail):
    a_clinic_with_work(clinic, 100)
    leader = start()
    leader.wait_for("leads")
    for _ in range(3):
        heir = start()
        heir.wait_for("started")
        time.sleep(0.5)
        assert not heir.heard("leads")
        killed_at = time.monotonic()
        leader.kill()
        # Asked for five times a second here, every two seconds otherwise.
        assert 0 < heir.wait_for("leads") - killed_at < 10
        leader = heir
    eventually(lambda: states(clinic).get("planned", 0) == 0 and all_sent(clinic))
    eventually(lambda: len(audited(clinic, "review.escalated")) == 10)
    leader.stop()
    nothing_twice_nothing_lost(clinic, mail[0], 100)


def test_a_scheduler_that_is_told_to_stop_ends_in_order_and_gives_the_lead_back(clinic, start):
    a_clinic_with_work(clinic, 50)
    process = start()
    process.wait_for("leads")
    assert claims.is_held(clinic.kw["bind"], LEADER)
    process.stop()
    assert not claims.is_held(clinic.kw["bind"], LEADER)


def jumps(clinic: Sessions) -> list[Any]:
    return audited(clinic, "clock.jumped")


def test_a_clock_that_is_set_is_noticed_and_nothing_is_done_twice_or_lost(clinic, start, mail, offset):
    a_clinic_with_work(clinic, 50)
    process = start()
    process.wait_for("leads")
    eventually(lambda: states(clinic).get("planned", 0) == 0 and all_sent(clinic))
    for seconds, number in ((-3600, 1), (0, 2), (366 * 86400, 3), (0, 4)):
        offset.write_text(str(seconds))
        eventually(lambda number=number: len(jumps(clinic)) == number)  # type: ignore[misc]
    # Back in the present what falls due is done at once, although moments a year ahead are on record.
    some_reviews(clinic, 5, due_on=datetime.now(UTC).date(), first=1000)
    assert eventually(lambda: states(clinic).get("planned", 0) == 0) < 10
    process.stop()
    moved = Counter(entry.subject for entry in audited(clinic, "review.due"))
    assert set(moved.values()) == {1}
    written = Counter(one.dedupe_key for one in messages(clinic))
    assert set(written.values()) == {1}
    with transaction(clinic, write=False) as session:
        assert verification.verify(session, organisation_id=ORGANISATION).fault is None


def test_a_leader_whose_lead_is_taken_away_lets_go(clinic, start, database_url):
    process = start()
    process.wait_for("leads")
    if database_url.startswith("sqlite"):
        (file,) = Path(database_url.removeprefix("sqlite:///")).parent.glob(
            f"*-claim-{claims._short(LEADER)}"
        )
        file.unlink()
    else:
        with clinic.kw["bind"].connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
    # It notices, and asks for the lead again.
    process.wait_for("leads", times=2)
    process.stop()
