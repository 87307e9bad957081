"""Findings -> cards, and the answer around them.

One card for each breach, the loudest first. All findings that could not be made because the same fact is
missing are one card, whose source is the loudest of their policies. Every finding, shown or not, is in
the answer's extension. A check that could not be made is a card too: no card means that everything was
checked and nothing found, and nothing else may look like it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stewardship.cds_hooks.wording import clip, markdown, paragraphs, plain, summary
from stewardship.declarations import Library
from stewardship.domain.orders import Order
from stewardship.domain.policy import (
    UNTOLD,
    Disposition,
    Enforcement,
    Finding,
    Force,
    Outcome,
    Policy,
    Severity,
    in_words,
)
from stewardship.services.answers import finding_json
from stewardship.services.orders import Checked

#: The code system of card topics: ids of policies, and ``NOT_CHECKED``.
TOPICS = "https://opioid-stewardship.example/CodeSystem/policy"
#: The code system of the coded reasons that the policies define.
REASONS = "https://opioid-stewardship.example/CodeSystem/override-reason"
NOT_CHECKED = "not-checked"
DECISIONS = "/api/v1/decisions"

#: Random, and the same whenever the same card is made of the same decision.
_CARD_IDS = uuid.UUID("6f1f9d0c-4a53-4b86-9a3e-6c3d1f0f7a52")

_LOUDNESS = {
    Enforcement.HARD_STOP: 3,
    Enforcement.SOFT_STOP: 2,
    Enforcement.INFORM: 1,
    Enforcement.SILENT: 0,
}
_SEVERITY = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.INFO: 0}
_FORCE = {Force.LAW: "law", Force.INSTITUTION: "institution policy", Force.GUIDELINE: "guideline, not law"}
_STANDS = {
    Enforcement.HARD_STOP: "Not to be signed as it is.",
    Enforcement.SOFT_STOP: "Sign with a reason, or change the order.",
}

Card = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A finding that speaks, with its policy and the order that it is about."""

    finding: Finding
    policy: Policy
    checked: Checked

    @property
    def rank(self) -> tuple[int, int, str]:
        finding = self.finding
        return (-_LOUDNESS[finding.enforcement], -_SEVERITY[finding.severity], finding.policy)


def answer(checked: Sequence[Checked], library: Library, *, before: Iterable[Card] = ()) -> dict[str, Any]:
    """The response: cards, and in its extension the decisions with all their findings.

    ``before`` are cards about what could not be judged at all.
    """
    shown: list[_Shown] = []
    findings: list[dict[str, Any]] = []
    for one in checked:
        for finding in one.decision.findings:
            policy = library.policy(finding.policy, finding.version)
            if policy is None:
                raise LookupError(f"no policy {finding.policy} version {finding.version}")
            findings.append({**finding_json(finding, policy), "order": one.decision.order_id})
            if finding.enforcement is not Enforcement.SILENT:
                shown.append(_Shown(finding, policy, one))
    several = len(checked) > 1
    cards = [_group_card(group, several=several) for group in _grouped(shown)]
    dispositions = [one.decision.disposition for one in checked] or [Disposition.CLEAR]
    addresses = [f"{DECISIONS}/{one.decision_id}" for one in checked if one.decision_id is not None]
    return _response(
        [*before, *cards],
        decision=addresses[0] if addresses else None,
        decisions=addresses,
        disposition=max(dispositions, key=list(Disposition).index).value,
        findings=findings,
    )


def not_made(code: str, words: str) -> dict[str, Any]:
    """The response when nothing was judged: one critical card that says so."""
    card = _notice(code, words, indicator="critical")
    return _response([card], decision=None, decisions=[], disposition=NOT_CHECKED, findings=[], code=code)


def unread_draft(kind: str) -> Card:
    """A draft in a form that is not read; ``kind`` is its resource type."""
    words = f"{kind} is not read by this service: this order was NOT checked. Check it by hand."
    return _notice("draft-not-read", words, indicator="warning")


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


# --- which findings share a card --------------------------------------------------------------------


def _grouped(shown: Iterable[_Shown]) -> list[list[_Shown]]:
    """Breaches one by one; findings of one order that lack the same fact together. Loudest first."""
    groups: dict[tuple[object, ...], list[_Shown]] = {}
    for one in sorted(shown, key=lambda s: s.rank):
        finding = one.finding
        key: tuple[object, ...] = (id(one.checked), finding.policy)
        if finding.outcome is Outcome.CANNOT_TELL and finding.missing:
            key = (id(one.checked), "lacks", finding.missing[0])
        groups.setdefault(key, []).append(one)
    return sorted(groups.values(), key=lambda group: group[0].rank)


def _group_card(group: list[_Shown], *, several: bool) -> Card:
    loudest = group[0]
    finding, policy, order = loudest.finding, loudest.policy, loudest.checked.order
    words = _summary(group, order)
    detail = [markdown(finding.detail)]
    if len(group) > 1:
        titles = ", ".join(one.policy.title for one in group)
        detail = [markdown(f"{len(group)} policies could not be checked: {titles}.")]
    detail += _what_was_not_sent(finding)
    if several and order is not None:
        detail.insert(0, f"Order: {markdown(_name(order))}.")
    if finding.next_step:
        detail.append(f"**Next:** {markdown(finding.next_step)}")
    detail.append(_footer(loudest))
    about = loudest.checked.decision_id or loudest.checked.decision.order_id or ""
    card: Card = {
        "uuid": str(uuid.uuid5(_CARD_IDS, f"{about}/{finding.policy}/{finding.missing}")),
        "summary": summary(words),
        "detail": paragraphs(*detail),
        "indicator": _indicator(finding),
        "source": {
            "label": clip(plain(f"{policy.source.title} ({policy.source.date.year})"), 200),
            "url": policy.source.url,
            "topic": {"system": TOPICS, "code": policy.id, "display": policy.title},
        },
    }
    if policy.overrides:
        card["overrideReasons"] = [
            {"code": reason.code, "system": REASONS, "display": reason.display} for reason in policy.overrides
        ]
    return card


def _summary(group: list[_Shown], order: Order | None) -> str:
    finding = group[0].finding
    if finding.missing[:1] == ("order.drug",) and order is not None:
        # Only a code that is in the catalogue says which drug it is; the name as written is shown.
        name = clip(plain(order.medication.label), 60)
        return f"{name} not recognised: opioid dose and course NOT checked. Check by hand."
    if len(group) > 1:
        missing = finding.missing[0]
        because, _ = UNTOLD.get(missing, (f"{missing} is not known", ""))
        because = in_words(because, finding.facts)
        titles = "; ".join(one.policy.title for one in group)
        return f"{because[:1].upper()}{because[1:]}. NOT checked: {titles}"
    return finding.summary


def _what_was_not_sent(finding: Finding) -> list[str]:
    """Why the history is not whole, where that is what a finding lacks."""
    gaps = finding.facts.get("history_gaps")
    if finding.outcome is not Outcome.CANNOT_TELL or not isinstance(gaps, tuple):
        return []
    said = [_GAPS.get(str(gap), "Something in the medication history could not be read.") for gap in gaps]
    return [" ".join(dict.fromkeys(said))] if said else []


_GAPS = {
    "history-missing": "No medication history was sent.",
    "history-error": "The medication history could not be fetched.",
    "history-incomplete": "Only part of the medication history was sent.",
    "history-unavailable": "The stored medication history cannot be reached.",
    "supply-without-date": "An earlier prescription has no date.",
    "order-unreadable": "Part of the order could not be read.",
}


def _indicator(finding: Finding) -> str:
    """How loud: as the policy says, but red is for what may not or should not be signed as it is."""
    if finding.severity is Severity.CRITICAL and finding.enforcement is Enforcement.INFORM:
        return Severity.WARNING.value
    return finding.severity.value


def _name(order: Order) -> str:
    return order.drug.name if order.drug is not None else order.medication.label


def _footer(shown: _Shown) -> str:
    policy = shown.policy
    applied = _STANDS.get(shown.finding.enforcement, "For your information.")
    named = f"Policy {policy.id} version {policy.version}, {_FORCE[policy.source.force]}."
    reviewed = f"Source of {policy.source.date.isoformat()}, to be reviewed by {policy.review.review_by}."
    return markdown(f"{applied} {named} {reviewed}")
