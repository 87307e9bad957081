"""Who might benefit: untried alternatives that suit a patient who takes an opioid, in a readable order.

The order is never a score. Each option shows what it was ranked by, one thing after the other: what is
stronger in evidence before what is weaker, a first line before a further option, without a caution before
with one, less invasive before more. What was offered or declined lately rests, and comes back on a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from stewardship.domain.alternatives import Option, Recommendation
from stewardship.domain.chart import Chart
from stewardship.domain.drugs import DrugClass
from stewardship.domain.flags.history import Flag
from stewardship.domain.therapy import on_opioids_since
from stewardship.domain.triggers import Triggers

#: From what is best supported to what is not; words of ``reference/treatments.toml``.
STRENGTHS = ("high", "moderate", "low", "varies", "contested", "against")
LINES = ("first line", "further option", "interventional")


class Reply(StrEnum):
    """What the patient said to an offer."""

    OFFERED = "offered"  # no answer yet
    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Offer:
    """That an alternative was put to the patient, and the reply."""

    treatment: str
    on: date
    reply: Reply


@dataclass(frozen=True, slots=True)
class Benefit:
    """One untried option and what it was ranked by, in the order in which that counted."""

    option: Option
    strength: str
    line: str
    cautions: int
    rung: int
    verified: bool

    @property
    def components(self) -> Mapping[str, str | int | bool]:
        """Everything that the place in the list rests on."""
        return {
            "strength": self.strength,
            "line": self.line,
            "cautions": self.cautions,
            "rung": self.rung,
            "verified": self.verified,
        }

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Smaller comes first."""
        return STRENGTHS.index(self.strength), LINES.index(self.line), self.cautions, self.rung


@dataclass(frozen=True, slots=True)
class Resting:
    """An option that was put to the patient lately, and the day on which it may be again."""

    treatment: str
    reply: Reply
    until: date


@dataclass(frozen=True, slots=True)
class Benefits:
    """The answer; ``untried`` in order, ``resting`` beside it, so that nothing drops out in silence."""

    untried: tuple[Benefit, ...]
    resting: tuple[Resting, ...]


#: No option at all.
NOTHING = Benefits((), ())


def might_benefit(
    found: Recommendation, offers: Iterable[Offer], tried: Iterable[str], *, today: date, declared: Triggers
) -> Benefits:
    """The options that nobody has tried, declined or been offered lately. ``tried`` names treatments and
    ingredients that are on record with whatever result. Nothing that evidence speaks against is listed,
    and who is exempt is pressed to nothing: the list is then empty."""
    if not found.pressed:
        return Benefits((), ())
    before = set(tried)
    rests = _rests(offers, declared, today)
    untried: list[Benefit] = []
    resting: list[Resting] = []
    for option in found.offered:
        treatment = option.treatment
        if option.in_use or option.prior or before & {treatment.id, *treatment.ingredients}:
            continue
        if treatment.strength == "against":
            continue
        if treatment.id in rests:
            resting.append(rests[treatment.id])
            continue
        untried.append(
            Benefit(
                option,
                treatment.strength,
                option.line,
                len(option.cautions) + bool(option.ceiling),
                treatment.rung,
                option.verified,
            )
        )
    untried.sort(key=lambda benefit: benefit.rank)
    return Benefits(tuple(untried), tuple(resting))


def _rests(offers: Iterable[Offer], declared: Triggers, today: date) -> dict[str, Resting]:
    """What rests today; of several offers of one option the last counts."""
    last = {offer.treatment: offer for offer in sorted(offers, key=lambda o: o.on)}
    days = {
        Reply.OFFERED: declared.offered_rest_days,
        Reply.ACCEPTED: declared.offered_rest_days,
        Reply.DECLINED: declared.declined_rest_days,
    }
    resting = (Resting(o.treatment, o.reply, o.on + timedelta(days[o.reply])) for o in last.values())
    return {r.treatment: r for r in resting if today < r.until}


def best(benefits: Benefits, most: int) -> tuple[Benefit, ...]:
    """The first few, one of each modality before a second of any: a plan is more than one kind of thing."""
    first: dict[str, Benefit] = {}
    for benefit in benefits.untried:
        first.setdefault(benefit.option.treatment.modality, benefit)
    rest = [b for b in benefits.untried if b not in first.values()]
    return (*first.values(), *rest)[:most]


#: The flag of a patient who might benefit; a word of ``reference/flags.toml``.
UNTRIED = "alternative-untried"


def therapy_since(chart: Chart, declared: Triggers) -> date | None:
    """Since when opioid therapy goes on; ``None`` while there is none, or it is as short as acute pain is."""
    since = on_opioids_since(chart, chart.today, max_gap_days=declared.flag_max_gap_days)
    long_enough = since is not None and (chart.today - since).days >= declared.flag_therapy_days
    return since if long_enough else None


def flag(benefits: Benefits, chart: Chart, declared: Triggers) -> Flag | None:
    """The flag that suitable options are untried in somebody whose opioid therapy goes on; ``None`` while
    there is none to name, or therapy is as short as acute pain is. It stands on the supply with which
    therapy began, so that it is one flag while therapy lasts."""
    since = therapy_since(chart, declared)
    if since is None or not benefits.untried:
        return None
    supplies = [
        e.supply for e in chart.exposures if e.drug is not None and e.drug.is_a(DrugClass.OPIOID_ANALGESIC)
    ]
    began = min((s for s in supplies if s.start_on == since), key=lambda s: s.id, default=None)
    if began is None:
        return None
    first = benefits.untried[: declared.flag_named]
    # To the end of what is in hand: so it is the same flag on every day on which nothing new is on record.
    today = chart.today.toordinal()
    until = max((last for begins, last in chart.opioid_spans if begins <= today), default=today)
    return Flag(
        kind=UNTRIED,
        supply=began.id,
        on=since,
        until=date.fromordinal(until),
        supplies=(began.id,),
        facts={
            "therapy_since": since,
            "untried": tuple(b.option.treatment.title for b in first),
            "ranked_by": tuple({"treatment": b.option.treatment.id, **b.components} for b in first),
            "others": len(benefits.untried) - len(first),
        },
    )


def told(benefits: Benefits) -> dict[str, object]:
    """The answer as plain values, for every face alike."""
    return {
        "untried": [
            {
                "treatment": b.option.treatment.id,
                "title": b.option.treatment.title,
                "ranked_by": dict(b.components),
                "why": b.option.why,
                "check_first": list(b.option.check_first),
            }
            for b in benefits.untried
        ],
        "resting": [
            {"treatment": r.treatment, "reply": r.reply.value, "until": r.until.isoformat()}
            for r in benefits.resting
        ],
    }
