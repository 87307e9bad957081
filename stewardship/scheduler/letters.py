"""The words of what is sent: how much there is to do, under which ids, and where to look. No patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stewardship.mail import Letter
from stewardship.services.outbox import Waiting
from stewardship.services.reminders import DIGEST, MISSED

SELF_CHECK = "self-check"

#: Ids of more reviews than this are not written out; the page has them all.
_MOST_IDS = 50

_FOOT = "This message names no patient. It is sent by a program; nobody reads an answer to it."


def letter(message: Waiting, *, public_url: str) -> Letter:
    """A message as it is sent."""
    subject, text = _WORDS[message.kind](message.about, public_url)
    whole = "\n\n".join([*text, f"--\n{_FOOT}"]) + "\n"
    return Letter(message.id, message.to, subject, whole, message.created_at)


def _digest(about: Mapping[str, Any], public_url: str) -> tuple[str, list[str]]:
    due, missed = about["due"], about["missed"]
    said = [f"{_counted(due, 'review')} due"] if due else []
    said += [f"{_counted(missed, 'review')} past the day"] if missed else []
    # A letter that was written before pain was counted says nothing of it.
    pain, late = about.get("pain", 0), about.get("pain_late", 0)
    if pain:
        past = f", {late} past the day" if late else ""
        said.append(f"pain to look at again in {_counted(pain, 'patient')}{past}")
    words = [f"On your worklist on {about['day']}: {'; '.join(said)}."]
    ids = [_ids(about)] if about["reviews"] else []
    return f"Your worklist on {about['day']}", [*words, *_where(public_url, "/worklist"), *ids]


def _missed(about: Mapping[str, Any], public_url: str) -> tuple[str, list[str]]:
    words = [f"{_counted(about['missed'], 'review')} passed the day without being done."]
    subject = f"Reviews past the day, {about['day']}"
    return subject, [*words, *_where(public_url, "/worklist?whose=everybody"), _ids(about)]


def _self_check(about: Mapping[str, Any], _: str) -> tuple[str, list[str]]:
    failing = "\n".join(f"  {name}" for name in about["failing"])
    words = [f"The daily self-check of {about['day']} found something to look at:", failing]
    return f"Self-check of {about['day']}", [*words, "`stewardship scheduler --status` says more."]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _where(public_url: str, path: str) -> list[str]:
    return [f"Look at them here:\n{public_url}{path}"] if public_url else []


def _ids(about: Mapping[str, Any]) -> str:
    ids = about["reviews"]
    rest = [f"  and {len(ids) - _MOST_IDS} more"] if len(ids) > _MOST_IDS else []
    return "\n".join(["Ids of the reviews:", *(f"  {one}" for one in ids[:_MOST_IDS]), *rest])


_WORDS: Mapping[str, Callable[[Mapping[str, Any], str], tuple[str, list[str]]]] = {
    DIGEST: _digest,
    MISSED: _missed,
    SELF_CHECK: _self_check,
}
