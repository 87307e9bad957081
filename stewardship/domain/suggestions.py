"""What could be done instead, or besides: one answer to a finding that a prescriber may take with one click.

A suggestion never brings a dose. A medicine is suggested as a product whose directions are still to be
written; a shorter course keeps the directions and takes less of the amount that was ordered. What is
suggested is asked first whether it would help: a shorter course that breaks the same policy is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

from stewardship.domain.benefit import NOTHING, Benefit, Benefits, best
from stewardship.domain.chart import Chart
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Catalogue, Drug, DrugClass
from stewardship.domain.orders import Order
from stewardship.domain.policy import Finding, Outcome, Policy, decide
from stewardship.domain.wording import in_words


class Kind(StrEnum):
    """What is done when a suggestion is taken."""

    MEDICINE = "medicine"  # a medicine is added
    SHORTER_COURSE = "shorter-course"  # the order is for fewer days
    IMMEDIATE_RELEASE = "immediate-release"  # the order gives way to one of immediate release
    REFERRAL = "referral"  # a referral is added
    ALTERNATIVES = "alternatives"  # what fits this patient and was never tried is added


@dataclass(frozen=True, slots=True)
class Offer:
    """One suggestion as declared (``reference/suggestions.toml``), for breaches of the ``policies``.

    ``product`` is the RxNorm code of the medicine to add, ``products`` those of immediate release by the
    RxNorm code of their opioid. ``code`` and ``text`` say what a referral is to. ``most`` is how many
    alternatives are suggested. An offer for ``otherwise`` is made when nothing else fits the finding.
    """

    kind: Kind
    policies: frozenset[str]
    label: str
    description: str
    product: str = ""
    products: Mapping[str, str] = field(default_factory=dict)
    code: Coding | None = None
    text: str = ""
    recommended: bool = False
    most: int = 0
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An offer that fits a finding. ``drug`` is the medicine to add, ``days`` and ``quantity`` those of a
    shorter course (``quantity`` is ``None`` when the order states none), ``referral`` and ``text`` what a
    referral is to. An alternative that is a medicine has its ingredient, where it is one, as ``ingredient``
    and is no referral; ``id`` is that of the treatment, by which it can be told when no standard code of it
    was confirmed."""

    kind: Kind
    label: str
    description: str
    recommended: bool = False
    drug: Drug | None = None
    days: int | None = None
    quantity: Quantity | None = None
    referral: Coding | None = None
    text: str = ""
    medicine: bool = False
    ingredient: Coding | None = None
    id: str = ""


def suggestions(
    offers: Iterable[Offer],
    finding: Finding,
    policy: Policy,
    *,
    order: Order | None,
    chart: Chart,
    catalogue: Catalogue,
    untried: Callable[[], Benefits] = lambda: NOTHING,
) -> tuple[Suggestion, ...]:
    """What answers a finding. Nothing does for one that could not be made, or that only informs of the
    lesser degree of its policy. ``untried`` is asked for alternatives when one is to be suggested."""
    if finding.outcome is not Outcome.BREACH or finding.enforcement is not policy.enforcement:
        return ()
    fitting = [offer for offer in offers if policy.id in offer.policies]
    found: list[Suggestion] = []
    for offer in sorted(fitting, key=lambda o: o.otherwise):
        if offer.kind is Kind.ALTERNATIVES:
            found += (alternative(offer, one, catalogue) for one in best(untried(), offer.most))
        elif not (offer.otherwise and found):
            made = _made(offer, finding, policy, order, chart, catalogue)
            found += () if made is None else (made,)
    return tuple(found)


def alternative(offer: Offer, benefit: Benefit, catalogue: Catalogue) -> Suggestion:
    """An option that fits: a referral, or a medicine whose product and directions are the prescriber's."""
    option = benefit.option
    treatment = option.treatment
    words = {
        "treatment": treatment.title,
        "why": option.why,
        "first": "; ".join(option.check_first) or "nothing beyond the usual",
    }
    base = catalogue.tables.base(treatment.ingredients[0]) if len(treatment.ingredients) == 1 else None
    return Suggestion(
        offer.kind,
        in_words(offer.label, words),
        in_words(offer.description, words),
        offer.recommended,
        referral=treatment.codes[0] if treatment.codes else None,
        text=treatment.title,
        medicine=bool(treatment.ingredients),
        ingredient=Coding(RXNORM, base.rxcui, base.name) if base is not None and base.rxcui else None,
        id=treatment.id,
    )


def _made(
    offer: Offer, finding: Finding, policy: Policy, order: Order | None, chart: Chart, catalogue: Catalogue
) -> Suggestion | None:
    said = Suggestion(offer.kind, offer.label, offer.description, offer.recommended)
    if offer.kind is Kind.REFERRAL:
        return replace(said, referral=offer.code, text=offer.text)
    if offer.kind is Kind.SHORTER_COURSE:
        return None if order is None else _shorter(said, finding, policy, order, chart)
    code = offer.product if offer.kind is Kind.MEDICINE else _immediate(offer, order)
    drug = catalogue.by_rxcui(code)
    # A site's newer list may no longer have the product, or have another under its code.
    if drug is None or drug.is_a(DrugClass.LONG_ACTING_OPIOID):
        return None
    return replace(said, drug=drug, description=in_words(offer.description, {"product": drug.name}))


def _immediate(offer: Offer, order: Order | None) -> str:
    """The product of immediate release for the one opioid of the order; empty when there is none."""
    opioids = order.drug.opioids if order is not None and order.drug is not None else ()
    return offer.products.get(opioids[0].rxcui, "") if len(opioids) == 1 else ""


def _shorter(
    said: Suggestion, finding: Finding, policy: Policy, order: Order, chart: Chart
) -> Suggestion | None:
    """The longest course that does not break the policy; nothing when no course is short enough.

    Directions that say how long they last, or that could not be read, are not cut short by arithmetic:
    half of a taper is no taper.
    """
    most, was = finding.facts.get("max_days"), order.days
    if not isinstance(most, int) or was is None:
        return None
    if any(d.duration_days is not None or d.problems for d in order.dosage):
        return None
    for days in range(min(most, was - 1), 0, -1):
        quantity = _part(order.quantity, days, was)
        if order.quantity is not None and quantity is None:
            return None
        shorter = replace(order, days_supply=Decimal(days), quantity=quantity)
        (again,) = decide((policy,), shorter, chart).findings
        if again.outcome is Outcome.BREACH and again.enforcement is policy.enforcement:
            continue
        words = {"length": _days(days), "was": _days(was)}
        return replace(
            said,
            label=in_words(said.label, words),
            description=in_words(said.description, words),
            days=days,
            quantity=quantity,
        )
    return None


def _part(quantity: Quantity | None, days: int, was: int) -> Quantity | None:
    """The amount for fewer days, in whole units, never more than in proportion; ``None`` when no whole
    unit is left."""
    if quantity is None:
        return None
    value = (quantity.value * days / was).to_integral_value(ROUND_FLOOR)
    return replace(quantity, value=value) if value > 0 else None


def _days(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"
