"""Problems -> cards, and the answer around them.

One card a problem, the loudest first, at most five; the last of them says how many more there are. Every
finding and every problem, shown or not, is in the answer's extension. A check that could not be made is a
card too: no card means that everything was checked and nothing found, and nothing else may look like it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stewardship.cds_hooks import suggestions
from stewardship.cds_hooks.telling import Spoken, detail_of, summary_of
from stewardship.cds_hooks.wording import clip, markdown, plain, summary
from stewardship.declarations import Library
from stewardship.domain.policy import Disposition, Enforcement, Finding, Policy, Severity
from stewardship.domain.problems import Problem, problems, rank
from stewardship.services.answers import pharmacy_data_json
from stewardship.services.care import NOTHING_BESIDE, Beside
from stewardship.services.feedback import ShownCard
from stewardship.services.orders import Checked
from stewardship.services.policy_versions import told as told_findings

#: The code system of card topics: ids of policies, and ``NOT_CHECKED``.
TOPICS = "https://opioid-stewardship.example/CodeSystem/policy"
#: The code system of the coded reasons that the policies define.
REASONS = "https://opioid-stewardship.example/CodeSystem/override-reason"
NOT_CHECKED = "not-checked"
DECISIONS = "/api/v1/decisions"
#: Cards that a prescriber is shown without asking for more.
MOST_CARDS = 5

#: Random, and the same whenever the same card is made of the same decision.
_CARD_IDS = uuid.UUID("6f1f9d0c-4a53-4b86-9a3e-6c3d1f0f7a52")

Card = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A problem of one checked order, and the id of its card; ``None`` when it has none, for others are
    louder."""

    problem: Problem
    checked: Checked
    card: str | None


def plan(checked: Iterable[Checked], *, before: Sequence[Card] = ()) -> tuple[Told, ...]:
    """The problems of all orders, the loudest first, and which of them get a card. ``before`` are cards
    about what could not be judged at all, which come first and count."""
    found = [(problem, one) for one in checked for problem in problems(one.decision.findings)]
    found.sort(key=lambda pair: rank(pair[0].lead))
    room = MOST_CARDS - len(before)
    return tuple(
        Told(problem, one, _card_id(problem, one) if place < room else None)
        for place, (problem, one) in enumerate(found)
    )


def _card_id(problem: Problem, checked: Checked) -> str:
    about = checked.decision_id or checked.decision.order_id or ""
    return str(uuid.uuid5(_CARD_IDS, f"{about}/{problem.topic}"))


def shown(told: Iterable[Told], *, before: Iterable[Card] = ()) -> list[ShownCard]:
    """What is kept about the cards that go out."""
    notices = [
        ShownCard(card["uuid"], None, (), Enforcement.INFORM.value, card["source"]["topic"]["display"])
        for card in before
    ]
    return notices + [
        ShownCard(
            one.card,
            one.checked.decision_id,
            tuple(finding.policy for finding in one.problem.findings),
            one.problem.lead.enforcement.value,
            one.problem.topic,
        )
        for one in told
        if one.card is not None
    ]


def answer(
    checked: Sequence[Checked],
    told: Sequence[Told],
    library: Library,
    *,
    before: Iterable[Card] = (),
    drafts: Mapping[str, Mapping[str, Any]] | None = None,
    beside: Beside = NOTHING_BESIDE,
) -> dict[str, Any]:
    """The response: cards, and in its extension the decisions with all their findings and problems.

    ``drafts`` are the orders' resources as they came, by id, for suggestions that change one; ``beside`` is
    what is on record of the patient's care besides opioids, for those that add an alternative.
    """
    several = len(checked) > 1
    carded = [one for one in told if one.card is not None]
    withheld = told[len(carded) :]
    made = [
        _card(
            one,
            library,
            several=several,
            draft=(drafts or {}).get(one.checked.decision.order_id or ""),
            withheld=withheld if one is carded[-1] else (),
            beside=beside,
        )
        for one in carded
    ]
    dispositions = [one.decision.disposition for one in checked] or [Disposition.CLEAR]
    addresses = [address for one in checked if (address := _address(one)) is not None]
    return _response(
        [*before, *made],
        decision=addresses[0] if addresses else None,
        decisions=addresses,
        disposition=max(dispositions, key=list(Disposition).index).value,
        pharmacy_data=_pharmacy_data(checked),
        problems=[_problem_json(one) for one in told],
        findings=[said for one in checked for said in _findings(one, library)],
    )


def _pharmacy_data(checked: Sequence[Checked]) -> dict[str, Any] | None:
    """As in a decision: all of one call rest on one chart of the patient."""
    for one in checked:
        if one.chart is not None:
            return pharmacy_data_json(one.chart.pharmacy_data, one.decision.as_of)
    return None


def _address(checked: Checked) -> str | None:
    return None if checked.decision_id is None else f"{DECISIONS}/{checked.decision_id}"


def _findings(checked: Checked, library: Library) -> list[Any]:
    """Every finding as it was stored, and which order it is about."""
    policies = [_policy(finding, library) for finding in checked.decision.findings]
    return told_findings(checked.documents, policies, order=checked.decision.order_id)


def _problem_json(told: Told) -> dict[str, Any]:
    return {
        "topic": told.problem.topic,
        "lead": told.problem.lead.policy,
        "policies": [finding.policy for finding in told.problem.findings],
        "order": told.checked.decision.order_id,
        "decision": _address(told.checked),
        "card": told.card,
    }


def _policy(finding: Finding, library: Library) -> Policy:
    policy = library.policy(finding.policy, finding.version)
    if policy is None:
        raise LookupError(f"no policy {finding.policy} version {finding.version}")
    return policy


# --- one card ---------------------------------------------------------------------------------------


def _card(
    told: Told,
    library: Library,
    *,
    several: bool,
    draft: Mapping[str, Any] | None,
    withheld: Sequence[Told],
    beside: Beside,
) -> Card:
    spoken = _spoken(told, library)
    more = [_spoken(one, library) for one in withheld]
    order = told.checked.order
    lead = spoken[0]
    card: Card = {
        "uuid": told.card,
        "summary": summary(summary_of(spoken, order)),
        "detail": detail_of(spoken, order, several=several, withheld=more, currency=_currency(told.checked)),
        "indicator": _indicator(lead.finding),
        "source": _source(lead.policy),
    }
    offered = suggestions.of_card(told.card or "", spoken, told.checked, library, draft=draft, beside=beside)
    if offered:
        card |= offered
    reasons = _reasons(one.policy for one in spoken)
    if reasons:
        card["overrideReasons"] = reasons
    return card


def _currency(checked: Checked) -> str:
    """How current the pharmacies' data is that took part."""
    data = None if checked.chart is None else checked.chart.pharmacy_data
    return "" if data is None else data.in_words(checked.decision.as_of)


def _spoken(told: Told, library: Library) -> list[Spoken]:
    return [Spoken(finding, _policy(finding, library)) for finding in told.problem.findings]


@lru_cache(maxsize=1024)
def _source(policy: Policy) -> Mapping[str, Any]:
    return {
        "label": clip(plain(f"{policy.source.title} ({policy.source.date.year})"), 200),
        "url": policy.source.url,
        "topic": {"system": TOPICS, "code": policy.id, "display": policy.title},
    }


def _reasons(policies: Iterable[Policy]) -> list[Mapping[str, str]]:
    """The coded reasons of the leading policy, then those of the others; each code once."""
    found: dict[str, Mapping[str, str]] = {}
    for policy in policies:
        for said in _reasons_of(policy):
            found.setdefault(said["code"], said)
    return list(found.values())


@lru_cache(maxsize=1024)
def _reasons_of(policy: Policy) -> tuple[Mapping[str, str], ...]:
    return tuple({"code": r.code, "system": REASONS, "display": r.display} for r in policy.overrides)


def _indicator(finding: Finding) -> str:
    """How loud: as the policy says, but red is for what may not or should not be signed as it is."""
    if finding.severity is Severity.CRITICAL and finding.enforcement is Enforcement.INFORM:
        return Severity.WARNING.value
    return finding.severity.value


# --- what was not judged ----------------------------------------------------------------------------


def not_made(code: str, words: str) -> dict[str, Any]:
    """The response when nothing was judged: one critical card that says so."""
    card = _notice(code, words, indicator="critical")
    return _response(
        [card], decision=None, decisions=[], disposition=NOT_CHECKED, problems=[], findings=[], code=code
    )


def unread_draft(kind: str) -> Card:
    """A draft in a form that is not read; ``kind`` is its resource type."""
    words = f"{kind} is not read by this service: this order was NOT checked. Check it by hand."
    return _notice("draft-not-read", words, indicator="warning", detail=words)


def unread_parts(paths: Sequence[str]) -> Card:
    """Parts of an order that could not be read; the paths are the service's own words."""
    words = f"Part of the order could not be read and was NOT checked: {', '.join(paths)}"
    return _notice("order-unreadable", words, indicator="warning", detail=words)


def _response(cards: list[Card], **stewardship: Any) -> dict[str, Any]:
    return {"cards": cards, "extension": {"stewardship": stewardship}}


def _notice(code: str, words: str, *, indicator: str, detail: str = "") -> Card:
    card: Card = {
        "uuid": str(uuid.uuid4()),
        "summary": summary(words),
        "indicator": indicator,
        "source": {
            "label": "Opioid stewardship service",
            "topic": {"system": TOPICS, "code": NOT_CHECKED, "display": code},
        },
    }
    if detail:
        card["detail"] = markdown(detail)
    return card
