"""A decision in the terminal: what was ordered, what may happen now, why, and what to do next."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import click

from stewardship.domain.dosage import DosageInstruction
from stewardship.domain.orders import Order, Phase, Setting
from stewardship.domain.policy import (
    Decision,
    Disposition,
    Enforcement,
    ExceptionPath,
    Facts,
    FactValue,
    Finding,
    Outcome,
    Policy,
)

_WIDEST = 100
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order stands: a word, what it means, a colour, and the exit code of ``stewardship check``."""

    word: str
    meaning: str
    colour: str
    exit_code: int


CLEAR = Standing("CLEAR", "every policy that applies was checked, and none objects", "green", 0)
ADVISED = Standing("ADVISED", "something to know; nothing to do before signing", "cyan", 0)
NEEDS_REASON = Standing(
    "NEEDS A REASON", "change the order, or sign it with one of the policy's coded reasons", "yellow", 10
)
BLOCKED = Standing("BLOCKED", "change the order, or ask for the policy's exception", "red", 20)
CANNOT_TELL = Standing(
    "COULD NOT BE CHECKED",
    "no policy objects, but some could not be checked: a fact is missing",
    "magenta",
    30,
)


def standing(decision: Decision) -> Standing:
    """Where the order stands. A missing fact is kept apart from an objection: when nothing but missing
    facts speaks against an order, it could not be checked."""
    objections = {f.enforcement for f in decision.findings if f.outcome is Outcome.BREACH}
    if decision.disposition is Disposition.BLOCKED:
        return BLOCKED
    if Enforcement.SOFT_STOP in objections:
        return NEEDS_REASON
    if any(f.outcome is Outcome.CANNOT_TELL and _is_shown(f) for f in decision.findings):
        return CANNOT_TELL
    return ADVISED if decision.disposition is Disposition.ADVISED else CLEAR


_OUTCOME = {
    Outcome.PASS: ("pass", "green"),
    Outcome.EXEMPT: ("exempt", "blue"),
    Outcome.NOT_APPLICABLE: ("n/a", "bright_black"),
    Outcome.CANNOT_TELL: ("cannot tell", "magenta"),
    Outcome.BREACH: ("breach", "red"),
}
_ENFORCEMENT = {
    Enforcement.HARD_STOP: ("hard stop", "red"),
    Enforcement.SOFT_STOP: ("soft stop", "yellow"),
    Enforcement.INFORM: ("to know", "cyan"),
    Enforcement.SILENT: ("silent", "bright_black"),
}


def decision_lines(
    order: Order | None, decision: Decision, policies: Mapping[str, Policy], *, brief: bool = False
) -> Iterator[str]:
    """The whole decision as lines of text; ``brief`` leaves facts and sources out, and sums up the
    policies that had nothing to say."""
    now = standing(decision)
    if order is not None:
        yield click.style(_plain(order.drug.name if order.drug else order.medication.label), bold=True)
        yield f"  {signature(order)}"
    yield "  " + click.style(f" {now.word} ", bg=now.colour, fg="black", bold=True) + f" {now.meaning}"
    for group in _grouped(_loudest_first(decision)):
        yield ""
        if len(group) > 1:
            yield from _not_checked(group)
        else:
            yield from finding_lines(group[0], policies.get(group[0].policy), brief=brief)
    quiet = [f for f in decision.findings if not _is_shown(f)]
    if quiet:
        yield ""
        yield from _summed_up(quiet) if brief else _listed(quiet)


def finding_lines(finding: Finding, policy: Policy | None, *, brief: bool = False) -> Iterator[str]:
    """One finding that has something to say: what, why, on what facts, what to do next."""
    yield _head(f"{finding.policy} v{finding.version}", *_label(finding))
    yield from _wrapped(finding.summary)
    yield from _wrapped(finding.detail)
    if finding.facts and not brief:
        yield from _wrapped("facts: " + facts_in_words(finding.facts), fg="bright_black")
    if finding.missing:
        yield from _wrapped("not known: " + ", ".join(finding.missing), fg="magenta")
    if finding.next_step:
        yield from _wrapped("→ " + finding.next_step, bold=True)
    if policy is None:
        return
    if finding.enforcement in {Enforcement.SOFT_STOP, Enforcement.HARD_STOP} and policy.overrides:
        reasons = (r.code if brief else f"{r.code} ({r.display})" for r in policy.overrides)
        yield from _wrapped("reasons: " + "; ".join(reasons))
    if finding.enforcement is Enforcement.HARD_STOP and policy.exception:
        yield from _wrapped("exception: " + _exception(policy.exception))
    if not brief:
        where = f"{policy.source.title}, {policy.source.publisher} {policy.source.date:%Y}"
        yield from _wrapped(f"source: {where} ({policy.source.force})", fg="bright_black")


def _not_checked(findings: list[Finding]) -> Iterator[str]:
    """Findings that lack the same fact, told once: a wall of them would hide what is missing."""
    yield _head(f"{len(findings)} policies", "cannot tell", "magenta")
    yield from _wrapped("not known: " + ", ".join(findings[0].missing), fg="magenta")
    for enforcement in dict.fromkeys(f.enforcement for f in findings):
        label, _ = _ENFORCEMENT[enforcement]
        names = [f"{f.policy} v{f.version}" for f in findings if f.enforcement is enforcement]
        yield from _wrapped(f"{label}: " + ", ".join(names))
    for step in dict.fromkeys(f.next_step for f in findings if f.next_step):
        yield from _wrapped("→ " + step, bold=True)


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """Each finding alone, but those that could not tell for want of the same facts together."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        missing = finding.outcome is Outcome.CANNOT_TELL and finding.missing
        groups.setdefault(missing or (finding.policy, finding.version), []).append(finding)
    return list(groups.values())


def _label(finding: Finding) -> tuple[str, str]:
    label, colour = _ENFORCEMENT[finding.enforcement]
    if finding.outcome is Outcome.CANNOT_TELL:
        return f"cannot tell, {label}", "magenta"
    return label, colour


def _head(name: str, label: str, colour: str) -> str:
    return f"  {click.style('■', fg=colour)} {click.style(name, bold=True)}  {click.style(label, fg=colour)}"


def _exception(path: ExceptionPath) -> str:
    people = "one other person" if path.countersignatures == 1 else f"{path.countersignatures} other people"
    note = f", with a note: {path.requires_note}" if path.requires_note else ""
    return f"countersigned by {people} ({', '.join(path.roles)}){note}"


def signature(order: Order) -> str:
    """How the order reads on a prescription, as far as it says."""
    parts = [d.text or _instruction(d) for d in order.dosage]
    if order.quantity is not None:
        parts.append(_counted(order.quantity.value, order.quantity.unit or "unit"))
    if order.days_supply is not None:
        parts.append(_counted(order.days_supply, "day"))
    if order.refills:
        parts.append(_counted(Decimal(order.refills), "refill"))
    if order.pain.phase is not Phase.UNKNOWN:
        parts.append(f"{order.pain.phase} pain")
    if order.setting not in {Setting.UNKNOWN, Setting.OUTPATIENT}:
        parts.append(str(order.setting))
    if order.replaces is not None:
        parts.append(f"replaces a prescription that was {order.replaces.loss}")
    said = " · ".join(_plain(part) for part in parts if part)
    return said or "nothing stated about dose, quantity or days"


def facts_in_words(facts: Facts) -> str:
    """Facts as a person reads them: ``days supply 10, max days 7``."""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in facts.items())


def _value(value: FactValue) -> str:
    if value is None:
        return "not on record"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return f"({facts_in_words(value)})"
    if isinstance(value, tuple):
        return ", ".join(_value(v) for v in value) or "none"
    return str(value) or "none"


def _is_shown(finding: Finding) -> bool:
    return finding.enforcement is not Enforcement.SILENT and finding.outcome in {
        Outcome.BREACH,
        Outcome.CANNOT_TELL,
    }


def _loudest_first(decision: Decision) -> list[Finding]:
    order = [Enforcement.HARD_STOP, Enforcement.SOFT_STOP, Enforcement.INFORM]
    shown = [f for f in decision.findings if _is_shown(f)]
    return sorted(shown, key=lambda f: (order.index(f.enforcement), f.outcome is Outcome.CANNOT_TELL))


def _listed(findings: list[Finding]) -> Iterator[str]:
    """One line a policy: its outcome, and on what facts or evidence."""
    for finding in findings:
        label, colour = _OUTCOME[finding.outcome]
        because = finding.evidence or finding.summary or facts_in_words(finding.facts)
        if finding.outcome is Outcome.EXEMPT:
            because = f"{finding.summary}: {finding.evidence}"
        name = f"{finding.policy} v{finding.version}"
        because = textwrap.shorten(_plain(because), max(20, _width() - 18 - len(name)), placeholder=" …")
        yield f"  {click.style(f'{label:<11}', fg=colour)} {name}  {because}"


def _summed_up(findings: list[Finding]) -> Iterator[str]:
    """One line an outcome; exemptions say on what they stand."""
    for outcome in (
        Outcome.EXEMPT,
        Outcome.PASS,
        Outcome.NOT_APPLICABLE,
        Outcome.BREACH,
        Outcome.CANNOT_TELL,
    ):
        names = [
            f"{f.policy} ({f.summary}: {f.evidence})" if outcome is Outcome.EXEMPT else f.policy
            for f in findings
            if f.outcome is outcome
        ]
        if names:
            label, colour = _OUTCOME[outcome]
            lines = _lines(", ".join(names), _width() - 14)
            yield f"  {click.style(f'{label:<11}', fg=colour)} {lines[0]}"
            yield from (" " * 14 + line for line in lines[1:])


def _wrapped(text: str, *, fg: str | None = None, bold: bool = False) -> Iterator[str]:
    # Within a paragraph, line breaks are those of the file in which the words stand.
    for paragraph in text.split("\n\n"):
        for line in _lines(_plain(paragraph), _width() - len(_INDENT)):
            yield _INDENT + (click.style(line, fg=fg, bold=bold) if fg or bold else line)


def _plain(text: str) -> str:
    """The text on one line, without anything that would steer the terminal: files bring their own words."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


_PERIODS = {"s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month"}


def _instruction(dosage: DosageInstruction) -> str:
    """A dosage without words of its own: ``2 tablets, 4 times per day, as needed``."""
    parts = []
    if dosage.dose_high is not None:
        parts.append(_counted(dosage.dose_high, dosage.dose_unit or "unit"))
    if dosage.frequency is not None and dosage.period is not None:
        period = _PERIODS.get(dosage.period_unit, dosage.period_unit)
        length = period if dosage.period == 1 else _counted(dosage.period, period)
        parts.append(f"{_counted(dosage.frequency_max or dosage.frequency, 'time')} per {length}")
    if dosage.as_needed:
        parts.append("as needed")
    return ", ".join(parts)


def _counted(amount: Decimal, unit: str) -> str:
    plural = "" if amount == 1 or not unit.isalpha() or unit in {"mg", "mL", "ug", "g"} else "s"
    plural = "es" if plural and unit.endswith("ch") else plural
    return f"{amount.normalize():f} {unit}{plural}".strip()


def _width() -> int:
    return min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
