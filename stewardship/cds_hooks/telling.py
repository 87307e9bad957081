"""What a card says of a problem: the leading finding in full, the others of the group in a line each.

What could not be checked is told by its reasons: which fact is missing, and which policies wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from stewardship.cds_hooks.wording import clip, markdown, paragraphs, plain
from stewardship.domain.orders import Order
from stewardship.domain.policy import Enforcement, Finding, Force, Outcome, Policy
from stewardship.domain.wording import UNTOLD, in_words

_FORCE = {Force.LAW: "law", Force.INSTITUTION: "institution policy", Force.GUIDELINE: "guideline, not law"}
_STANDS = {
    Enforcement.HARD_STOP: "Not to be signed as it is.",
    Enforcement.SOFT_STOP: "Sign with a reason, or change the order.",
}
_GAPS = {
    "history-missing": "No medication history was sent.",
    "history-error": "The medication history could not be fetched.",
    "history-incomplete": "Only part of the medication history was sent.",
    "history-stale": "A pharmacy of this patient has not reported in time.",
    "history-unsettled": "It is not settled whether other dispensings are this patient's.",
    "history-unavailable": "The stored medication history cannot be reached.",
    "supply-without-date": "An earlier prescription has no date.",
    "order-unreadable": "Part of the order could not be read.",
}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A finding that speaks, with its policy."""

    finding: Finding
    policy: Policy


def summary_of(spoken: Sequence[Spoken], order: Order | None) -> str:
    """The leading finding in one sentence; of what could not be checked, why and what."""
    lead = spoken[0].finding
    if lead.missing[:1] == ("order.drug",) and order is not None:
        # Only a code that is in the catalogue says which drug it is; the name as written is shown.
        name = clip(plain(order.medication.label), 60)
        return f"{name} not recognised: opioid dose and course NOT checked. Check by hand."
    if lead.outcome is Outcome.CANNOT_TELL and len(_untold(spoken)) > 1:
        because, titles = next(iter(_by_reason(spoken).items()))
        return f"{because}. NOT checked: {'; '.join(titles)}"
    return lead.summary


def detail_of(
    spoken: Sequence[Spoken],
    order: Order | None,
    *,
    several: bool,
    withheld: Sequence[Sequence[Spoken]],
    currency: str = "",
) -> str:
    """The whole of it in Markdown. ``several`` orders make the card name its own; ``withheld`` are the
    problems that got no card; ``currency`` is how current the pharmacies' data is."""
    lead = spoken[0].finding
    parts = [f"Order: {markdown(_name(order))}."] if several and order is not None else []
    if lead.outcome is Outcome.CANNOT_TELL:
        untold = _untold(spoken)
        if len(untold) > 1:
            listed = (markdown(f"{why}: {', '.join(titles)}.") for why, titles in _by_reason(untold).items())
            parts.append(_list(f"{len(untold)} policies could not be checked.", listed))
        else:
            parts.append(markdown(lead.detail))
        parts.append(" ".join(_what_was_not_sent(one.finding for one in untold)))
        parts.append(_also([one for one in spoken if one not in untold]))
        next_step = " ".join(dict.fromkeys(one.finding.next_step for one in untold))
    else:
        parts += [markdown(lead.detail), _also(spoken[1:])]
        next_step = lead.next_step
    if next_step:
        parts.append(f"**Next:** {markdown(next_step)}")
    footer = _footer(spoken[0].policy, lead.enforcement)
    return paragraphs(*parts, markdown(currency), footer, _more(withheld))


def _untold(spoken: Iterable[Spoken]) -> list[Spoken]:
    return [one for one in spoken if one.finding.outcome is Outcome.CANNOT_TELL]


def _by_reason(spoken: Iterable[Spoken]) -> dict[str, list[str]]:
    """Why policies could not be checked, and the titles of those that could not, the loudest first."""
    reasons: dict[str, list[str]] = {}
    for one in _untold(spoken):
        missing = next(iter(one.finding.missing), "a fact")
        because, _ = UNTOLD.get(missing, (f"{missing} is not known", ""))
        because = in_words(because, one.finding.facts)
        reasons.setdefault(f"{because[:1].upper()}{because[1:]}", []).append(one.policy.title)
    return reasons


def _what_was_not_sent(findings: Iterable[Finding]) -> list[str]:
    """Why the history is not whole, where that is what a finding lacks."""
    gaps: dict[str, None] = {}
    for finding in findings:
        said = finding.facts.get("history_gaps")
        if finding.outcome is Outcome.CANNOT_TELL and isinstance(said, tuple):
            gaps |= dict.fromkeys(str(gap) for gap in said)
    told = (_GAPS.get(gap, "Something in the medication history could not be read.") for gap in gaps)
    return list(dict.fromkeys(told))


def _also(others: Sequence[Spoken]) -> str:
    """The other findings of the same problem, a line each."""
    return _list("Also:", (markdown(_line(one)) for one in others)) if others else ""


def _more(withheld: Sequence[Sequence[Spoken]]) -> str:
    """What there is beyond the cards, so that nobody takes the last card for the end."""
    if not withheld:
        return ""
    stops = sum(1 for spoken in withheld if spoken[0].finding.enforcement is Enforcement.HARD_STOP)
    stopping = f", {stops} of them not to be signed as it is" if stops else ""
    there = f"**{len(withheld)} more in the decision{stopping}:**"
    return _list(there, (markdown(_headline(spoken)) for spoken in withheld))


def _headline(spoken: Sequence[Spoken]) -> str:
    """A problem in a line: what leads it, or, of what could not be checked, all of it."""
    untold = _untold(spoken)
    if spoken[0].finding.outcome is Outcome.CANNOT_TELL and len(untold) > 1:
        return f"Not checked: {', '.join(one.policy.title for one in untold)}"
    return _line(spoken[0])


def _list(head: str, lines: Iterable[str]) -> str:
    return "\n".join((head, *(f"- {line}" for line in lines)))


def _line(one: Spoken) -> str:
    """A finding in a line, with its policy's title unless its own words begin with it."""
    title, words = one.policy.title, one.finding.summary
    named = one.finding.outcome is Outcome.CANNOT_TELL or words.startswith(title)
    return words if named else f"{title}: {words}"


def _name(order: Order) -> str:
    return order.drug.name if order.drug is not None else order.medication.label


@lru_cache(maxsize=1024)
def _footer(policy: Policy, enforcement: Enforcement) -> str:
    applied = _STANDS.get(enforcement, "For your information.")
    named = f"Policy {policy.id} version {policy.version}, {_FORCE[policy.source.force]}."
    reviewed = f"Source of {policy.source.date.isoformat()}, to be reviewed by {policy.review.review_by}."
    return markdown(f"{applied} {named} {reviewed}")
