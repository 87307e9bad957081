"""A decision in the terminal: what was ordered, what may happen now, why, and what to do next."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import click

from stewardship.domain.orders import Order, Phase, Setting
from stewardship.domain.policy import (
    Decision,
    Disposition,
    Enforcement,
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
    "COULD NOT BE CHECKED", "no policy objects, but not every policy could be checked", "magenta", 30
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
    """The whole decision as lines of text; ``brief`` sums up the policies that had nothing to say."""
    now = standing(decision)
    if order is not None:
        yield click.style(order.drug.name if order.drug else order.medication.label, bold=True)
        yield f"  {signature(order)}"
    yield "  " + click.style(f" {now.word} ", bg=now.colour, fg="black", bold=True) + f" {now.meaning}"
    for finding in _loudest_first(decision):
        yield ""
        yield from finding_lines(finding, policies.get(finding.policy))
    quiet = [f for f in decision.findings if not _is_shown(f)]
    if quiet:
        yield ""
        yield from _summed_up(quiet) if brief else _listed(quiet)


def finding_lines(finding: Finding, policy: Policy | None) -> Iterator[str]:
    """One finding that has something to say: what, why, on what facts, what to do next."""
    label, colour = _ENFORCEMENT[finding.enforcement]
    if finding.outcome is Outcome.CANNOT_TELL:
        label, colour = f"cannot tell, {label}", "magenta"
    head = click.style(f"{finding.policy} v{finding.version}", bold=True)
    yield f"  {click.style('■', fg=colour)} {head}  {click.style(label, fg=colour)}"
    yield from _wrapped(finding.summary)
    yield from _wrapped(finding.detail)
    if finding.facts:
        yield from _wrapped("facts: " + facts_in_words(finding.facts), fg="bright_black")
    if finding.missing:
        yield from _wrapped("not known: " + ", ".join(finding.missing), fg="magenta")
    if finding.next_step:
        yield from _wrapped("→ " + finding.next_step, bold=True)
    if policy is None:
        return
    if finding.enforcement is Enforcement.SOFT_STOP and policy.overrides:
        reasons = "; ".join(f"{r.code} ({r.display})" for r in policy.overrides)
        yield from _wrapped("reasons: " + reasons)
    if finding.enforcement is Enforcement.HARD_STOP and policy.exception:
        path = policy.exception
        people = (
            "one other person" if path.countersignatures == 1 else f"{path.countersignatures} other people"
        )
        note = f", with a note: {path.requires_note}" if path.requires_note else ""
        yield from _wrapped(f"exception: countersigned by {people} ({', '.join(path.roles)}){note}")
    where = f"{policy.source.title}, {policy.source.publisher} {policy.source.date:%Y}"
    yield from _wrapped(f"source: {where} ({policy.source.force})", fg="bright_black")


def signature(order: Order) -> str:
    """How the order reads on a prescription, as far as it says."""
    parts = [d.text or _instruction(d.dose_high, d.dose_unit, d.frequency) for d in order.dosage]
    if order.quantity is not None:
        parts.append(_counted(order.quantity.value, order.quantity.unit or "units"))
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
    return " · ".join(part for part in parts if part) or "nothing stated about dose, quantity or days"


def facts_in_words(facts: Facts) -> str:
    """Facts as a person reads them: ``days supply 10, max days 7``."""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in facts.items())


def _value(value: FactValue) -> str:
    if value is None:
        return "not known"
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
        because = textwrap.shorten(because, max(20, _width() - 18 - len(name)), placeholder=" …")
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
            lines = textwrap.wrap(", ".join(names), _width() - 14)
            yield f"  {click.style(f'{label:<11}', fg=colour)} {lines[0]}"
            yield from (" " * 14 + line for line in lines[1:])


def _wrapped(text: str, *, fg: str | None = None, bold: bool = False) -> Iterator[str]:
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, _width() - len(_INDENT)):
            yield _INDENT + (click.style(line, fg=fg, bold=bold) if fg or bold else line)


def _instruction(dose: Decimal | None, unit: str, frequency: Decimal | None) -> str:
    said = _counted(dose, unit) if dose is not None else ""
    return f"{said} {frequency.normalize():f} times" if frequency is not None else said


def _counted(amount: Decimal, unit: str) -> str:
    plural = "" if amount == 1 or not unit.isalpha() or unit in {"mg", "mL", "units"} else "s"
    plural = "es" if plural and unit.endswith("ch") else plural
    return f"{amount.normalize():f} {unit}{plural}".strip()


def _width() -> int:
    return min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
