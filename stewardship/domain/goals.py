"""Goals of function: what a patient wants to be able to do, from where to where, and by when.

A plan for pain is about function. A goal that only says that pain should be gone names nothing that a
person could do again, and nothing that anybody could look at on a day; it is sent back with an example.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from stewardship.domain.errors import Fault, InvalidInput

_LONGEST = 500
_APART = re.compile(r"[\W_]+")

PAIN_ALONE = (
    'Name something to do again, not the pain alone: for example "walk to the shop, from ten minutes now to '
    'twenty-five, by the end of March". Less pain on the way there is welcome.'
)


class GoalEvent(StrEnum):
    """What became of a goal; ``SET`` and ``CHANGED`` leave it standing."""

    SET = "set"
    CHANGED = "changed"
    REACHED = "reached"
    GIVEN_UP = "given-up"

    @property
    def stands(self) -> bool:
        """Whether somebody still works towards the goal after it."""
        return self in (GoalEvent.SET, GoalEvent.CHANGED)


@dataclass(frozen=True, slots=True)
class GoalTerms:
    """What alone is no goal (``reference/goals.toml``): ways to say that pain should be gone, and words
    that name no activity either, all folded."""

    pain_phrases: tuple[tuple[str, ...], ...]
    fillers: frozenset[str]


@dataclass(frozen=True, slots=True)
class FunctionGoal:
    """An activity, how it goes now, how it should go, and on which day somebody looks. In words."""

    activity: str
    baseline: str
    target: str
    due_on: date


def goal(
    *, activity: str, baseline: str, target: str, due_on: date | None, terms: GoalTerms, today: date
) -> FunctionGoal:
    """A goal that says all that it must; raises ``InvalidInput`` with a fault for each thing that is
    missing, with words for the person who writes it."""
    faults = []
    for name, text, asked in (
        ("activity", activity, "Say what the patient wants to be able to do."),
        ("baseline", baseline, "Say how it goes now, in words that can be compared later."),
        ("target", target, "Say how it should go by then."),
    ):
        if not folded(text):
            faults.append(Fault(f"/{name}", "required", asked))
        elif len(text) > _LONGEST:
            faults.append(Fault(f"/{name}", "too-long", f"At most {_LONGEST} characters."))
    if folded(activity) and names_no_activity(activity, terms):
        faults.append(Fault("/activity", "pain-alone", PAIN_ALONE))
    if due_on is None:
        faults.append(Fault("/due_on", "required", "Say by when; on that day somebody looks."))
    elif due_on <= today:
        faults.append(Fault("/due_on", "in-the-past", "A goal is for a day to come."))
    if folded(baseline) and folded(baseline) == folded(target):
        faults.append(
            Fault("/target", "same-as-baseline", "The target is what is already so; say what changes.")
        )
    if faults or due_on is None:
        raise InvalidInput("the goal does not say all that it must", faults=tuple(faults))
    return FunctionGoal(activity.strip(), baseline.strip(), target.strip(), due_on)


def names_no_activity(said: str, terms: GoalTerms) -> bool:
    """Whether the words say nothing but that pain should be gone or less."""
    words = list(folded(said))
    pain = False
    for phrase in sorted(terms.pain_phrases, key=len, reverse=True):
        place = 0
        while place + len(phrase) <= len(words):
            if tuple(words[place : place + len(phrase)]) == phrase:
                del words[place : place + len(phrase)]
                pain = True
            else:
                place += 1
    return pain and all(word in terms.fillers for word in words)


def folded(text: str) -> tuple[str, ...]:
    """The words of a text without case, accents and punctuation."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return tuple(word for word in _APART.split(plain) if word)
