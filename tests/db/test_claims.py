"""Claims: one holder at a time, and none left behind by a process that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from stewardship.db import claims
from stewardship.db.engine import make_engine

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from stewardship.db import claims
from stewardship.db.engine import make_engine
with claims.claim(make_engine(sys.argv[1]), "work") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_one_holds_it_and_the_other_does_not(database):
    engine = database.kw["bind"]
    assert not claims.is_held(engine, "work")
    with claims.claim(engine, "work") as first, claims.claim(engine, "work") as second:
        assert (first, second) == (True, False)
        assert claims.is_held(engine, "work")
    assert not claims.is_held(engine, "work")


def test_different_work_is_claimed_apart(database):
    engine = database.kw["bind"]
    with claims.claim(engine, "one") as one, claims.claim(engine, "other") as other:
        assert one
        assert other


def test_a_claim_goes_with_the_process_that_is_killed(database, database_url):
    engine = database.kw["bind"]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == "True"
    assert claims.is_held(engine, "work")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with claims.claim(engine, "work") as mine:
        assert mine


def test_a_database_in_memory_has_claims_of_its_own():
    engine = make_engine("sqlite://")
    with claims.claim(engine, "work") as first, claims.claim(engine, "work") as second:
        assert (first, second) == (True, False)
    assert not claims.is_held(engine, "work")
    engine.dispose()
