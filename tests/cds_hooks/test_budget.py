"""Checks that wait at the same moment share a transaction, and none suffers for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from stewardship.cds_hooks import budget
from stewardship.cds_hooks.budget import TooLate, within
from stewardship.db import Sessions, connect, transaction

#: Seconds for what must happen, however busy the machine is.
SOON = 20


@pytest.fixture
def notes(tmp_path) -> Iterator[Sessions]:
    made = connect(f"sqlite:///{tmp_path / 'notes.db'}")
    with transaction(made) as session:
        session.execute(text("CREATE TABLE notes (word TEXT)"))
    yield made
    made.kw["bind"].dispose()


def writing(word: str) -> Callable[[Session], str]:
    def work(session: Session) -> str:
        session.execute(text("INSERT INTO notes VALUES (:word)"), {"word": word})
        return word

    return work


def kept(notes: Sessions) -> list[str]:
    with transaction(notes, write=False) as session:
        return sorted(session.execute(text("SELECT word FROM notes")).scalars())


@pytest.fixture
def transactions(monkeypatch) -> list[str]:
    """How each transaction in which checks wrote has ended, in order."""
    ended: list[str] = []

    @contextmanager
    def watched(*args: Any, write: bool = True) -> Iterator[Session]:
        try:
            with transaction(*args, write=write) as session:
                yield session
        except BaseException:
            ended.append("rolled back")
            raise
        if write:
            ended.append("committed")

    monkeypatch.setattr(budget, "transaction", watched)
    return ended


def waiting() -> int:
    return len(budget._QUEUE._waiting)


@contextmanager
def while_one_is_at_work(notes: Sessions) -> Iterator[Callable[..., Future[Any]]]:
    """Ask for more while a first check is under way: what is asked here is done together after it."""
    begun, go_on = threading.Event(), threading.Event()

    def first(session: Session) -> None:
        begun.set()
        assert go_on.wait(SOON)

    with ThreadPoolExecutor(8) as askers:

        def ask(
            work: Callable[[Session], Any] | None = None,
            *,
            look: Callable[[Session], Any] | None = None,
            seconds: float = SOON,
        ) -> Future[Any]:
            before = waiting()
            looking = look or (lambda _: work)
            asked = askers.submit(within, time.monotonic() + seconds, notes, looking)
            until = time.monotonic() + SOON
            while work is not first and waiting() == before and time.monotonic() < until:
                time.sleep(0.001)
            return asked

        under_way = ask(first)
        assert begun.wait(SOON)
        try:
            yield ask
        finally:
            go_on.set()
        under_way.result(SOON)


def test_checks_that_wait_together_are_committed_together(notes, transactions):
    with while_one_is_at_work(notes) as ask:
        asked = [ask(writing(word)) for word in ("a", "b", "c")]
    assert [one.result(SOON) for one in asked] == ["a", "b", "c"]
    assert kept(notes) == ["a", "b", "c"]
    assert transactions == ["committed"] * 2


def test_one_that_fails_takes_nobody_with_it(notes, transactions):
    def fails(session: Session) -> None:
        writing("bad")(session)
        raise LookupError

    with while_one_is_at_work(notes) as ask:
        good, bad, other = ask(writing("a")), ask(fails), ask(writing("c"))
    assert (good.result(SOON), other.result(SOON)) == ("a", "c")
    with pytest.raises(LookupError):
        bad.result(SOON)
    assert kept(notes) == ["a", "c"]
    assert transactions == ["committed", "rolled back", "committed", "rolled back", "committed"]


def test_one_that_is_over_its_time_leaves_nothing_and_the_others_are_kept(notes, transactions):
    go_on = threading.Event()

    def slow(session: Session) -> None:
        writing("late")(session)
        assert go_on.wait(SOON)

    with while_one_is_at_work(notes) as ask:
        late, other = ask(slow, seconds=0.5), ask(writing("b"))
        late.add_done_callback(lambda _: go_on.set())
    with pytest.raises(TooLate):
        late.result(SOON)
    assert other.result(SOON) == "b"
    assert kept(notes) == ["b"]


def test_looking_waits_for_nobody_who_writes(notes):
    looked = threading.Event()

    def look(session: Session) -> Callable[[Session], str]:
        looked.set()
        return writing("b")

    with while_one_is_at_work(notes) as ask:
        asked = ask(look=look)
        assert looked.wait(SOON)
        assert not asked.done()
    assert asked.result(SOON) == "b"


def test_one_that_still_looks_when_its_time_is_over_writes_nothing_and_hinders_nobody(notes):
    go_on = threading.Event()

    def slow(session: Session) -> Callable[[Session], str]:
        assert go_on.wait(SOON)
        return writing("late")

    with while_one_is_at_work(notes) as ask:
        other = ask(writing("b"))
        leader = budget._QUEUE._leader
        with pytest.raises(TooLate):
            within(time.monotonic() + 0.2, notes, slow)
        assert budget._QUEUE._leader is leader
    go_on.set()
    assert other.result(SOON) == "b"
    assert within(time.monotonic() + SOON, notes, lambda _: writing("c")) == "c"
    assert kept(notes) == ["b", "c"]


def test_writing_is_done_again_after_a_rollback_and_looking_is_not(notes):
    looks: list[str] = []

    def look(session: Session) -> Callable[[Session], str]:
        looks.append("a")
        return writing("a")

    def fails(session: Session) -> None:
        raise LookupError

    with while_one_is_at_work(notes) as ask:
        asked, bad = ask(look=look), ask(fails)
    with pytest.raises(LookupError):
        bad.result(SOON)
    assert asked.result(SOON) == "a"
    assert (looks, kept(notes)) == (["a"], ["a"])
