"""A decision in the terminal: what was ordered, what may happen now, and what speaks against it.

One block a problem, the loudest first: the finding that leads it in full, what other policies say of the
same thing in a line each, then what to do and with which reasons it may be signed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import click

from stewardship.cli.words import facts_in_words, lines, plain, signature, width
from stewardship.domain.orders import Order
from stewardship.domain.policy import (
    Decision,
    Disposition,
    Enforcement,
    ExceptionPath,
    Finding,
    Outcome,
    Policy,
)
from stewardship.domain.problems import NOT_CHECKED, Problem, problems, rank
from stewardship.domain.wording import UNTOLD, in_words

#: Problems that are shown unasked: more are a wall that nobody reads.
MOST_PROBLEMS = 5
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
    "NEEDS A REASON", "change the order, or sign it with a coded reason for each soft stop", "yellow", 10
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
_STOPS = {Enforcement.SOFT_STOP, Enforcement.HARD_STOP}

Policies = Mapping[str, Policy]


def decision_lines(
    order: Order | None,
    decision: Decision,
    policies: Policies,
    *,
    brief: bool = False,
    every: bool = False,
) -> Iterator[str]:
    """The whole decision as lines of text. ``brief`` leaves facts and sources out, and sums up the
    policies that had nothing to say; ``every`` shows each finding in full instead of problems."""
    now = standing(decision)
    if order is not None:
        yield click.style(plain(order.drug.name if order.drug else order.medication.label), bold=True)
        yield from (f"  {line}" for line in lines(signature(order), width() - 2))
    yield "  " + click.style(f" {now.word} ", bg=now.colour, fg="black", bold=True) + f" {now.meaning}"
    found = problems(decision.findings)
    if every:
        shown = sorted((f for f in decision.findings if _is_shown(f)), key=rank)
        found = tuple(Problem(f.topic, f) for f in shown)
    for problem in found if every else found[:MOST_PROBLEMS]:
        yield ""
        yield from problem_lines(problem, policies, brief=brief)
    if not every and len(found) > MOST_PROBLEMS:
        yield ""
        yield from _withheld(found[MOST_PROBLEMS:])
    quiet = [f for f in decision.findings if not _is_shown(f)]
    if quiet:
        yield ""
        yield from _summed_up(quiet) if brief else _listed(quiet)


def problem_lines(problem: Problem, policies: Policies, *, brief: bool = False) -> Iterator[str]:
    """One problem: what it is, what else speaks of it, what to do, how it may be signed or lifted."""
    lead = problem.lead
    unknown = problem.topic == NOT_CHECKED and bool(problem.others)
    if unknown:
        yield from _not_checked(problem.findings)
    else:
        yield from _head(lead, "■")
        yield from _wrapped(lead.detail)
        if lead.facts and not brief:
            yield from _wrapped("facts: " + facts_in_words(lead.facts), fg="bright_black")
        if lead.missing and not brief:
            yield from _wrapped("not known: " + ", ".join(lead.missing), fg="magenta")
        for other in problem.others:
            yield from _head(other, "+")
    for step in dict.fromkeys(f.next_step for f in problem.findings if f.next_step):
        yield from _wrapped("→ " + step, bold=True, hang="  ")
    policy = policies.get(lead.policy)
    if unknown or policy is None:
        return
    yield from _ways_out(problem.findings, policies, brief=brief)
    if not brief:
        where = f"{policy.source.title}, {policy.source.publisher} {policy.source.date:%Y}"
        yield from _wrapped(f"source: {where} ({policy.source.force})", fg="bright_black")


def _head(finding: Finding, mark: str) -> Iterator[str]:
    """What a finding says, in a line: how loud, what, by which policy."""
    label, colour = _ENFORCEMENT[finding.enforcement]
    if finding.outcome is Outcome.CANNOT_TELL:
        label, colour = f"cannot tell, {label}", "magenta"
    said = plain(finding.summary)
    first, *rest = lines(f"{mark} {label}  {said} [{_named(finding)}]", width() - 2)
    begun = len(mark) + 1 + len(label)
    styled = f"{click.style(first[:begun], fg=colour)}{click.style(first[begun:], bold=mark == '■')}"
    yield "  " + styled
    yield from (_INDENT + click.style(line, bold=mark == "■") for line in rest)


def _named(finding: Finding) -> str:
    return f"{finding.policy} v{finding.version}"


def _not_checked(findings: Iterable[Finding]) -> Iterator[str]:
    """What lacks the same facts, told once: a wall of findings would hide what is missing."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.missing, []).append(finding)
    for missing, group in groups.items():
        because = " and ".join(UNTOLD.get(name, (f"{name} is not known", ""))[0] for name in missing)
        number = f"{len(group)} policies" if len(group) > 1 else group[0].policy
        said = plain(in_words(f"{number} could not be checked: {because}", group[0].facts))
        for line, text in enumerate(lines(said, width() - 17)):
            label = click.style("■ cannot tell  ", fg="magenta") if line == 0 else "  "
            yield "  " + label + click.style(text, bold=True)
        for enforcement in dict.fromkeys(f.enforcement for f in group):
            names = ", ".join(_named(f) for f in group if f.enforcement is enforcement)
            yield from _wrapped(f"{_ENFORCEMENT[enforcement][0]}: {names}")


def _ways_out(findings: tuple[Finding, ...], policies: Policies, *, brief: bool) -> Iterator[str]:
    """With which coded reasons each stop may be signed, and by which exception a hard one is lifted."""
    stops = [f for f in findings if f.enforcement in _STOPS and f.policy in policies]
    for finding in stops:
        policy = policies[finding.policy]
        whose = f" for {finding.policy}" if len(stops) > 1 else ""
        if policy.overrides:
            reasons = (r.code if brief else f"{r.code} ({r.display})" for r in policy.overrides)
            yield from _wrapped(f"reasons{whose}: " + "; ".join(reasons))
        if finding.enforcement is Enforcement.HARD_STOP and policy.exception:
            yield from _wrapped(f"exception{whose}: " + _exception(policy.exception))


def _exception(path: ExceptionPath) -> str:
    people = "one other person" if path.countersignatures == 1 else f"{path.countersignatures} other people"
    note = f", with a note: {path.requires_note}" if path.requires_note else ""
    needs = f"; the {path.requires_of} is {path.requires.title}" if path.requires else ""
    return f"countersigned by {people} ({', '.join(path.roles)}){note}{needs}"


def _withheld(hidden: tuple[Problem, ...]) -> Iterator[str]:
    """What is not shown unasked, by name."""
    names = ", ".join(f.policy for problem in hidden for f in problem.findings)
    more = "one more problem" if len(hidden) == 1 else f"{len(hidden)} more problems"
    yield from _wrapped(f"… and {more}: {names}. --all shows every finding.")


# --- policies that have nothing to say ----------------------------------------------------------------


def _is_shown(finding: Finding) -> bool:
    return finding.enforcement is not Enforcement.SILENT and finding.outcome in {
        Outcome.BREACH,
        Outcome.CANNOT_TELL,
    }


def _listed(findings: list[Finding]) -> Iterator[str]:
    """One line a policy: its outcome, and on what facts or evidence."""
    for finding in findings:
        label, colour = _OUTCOME[finding.outcome]
        because = finding.evidence or finding.summary or facts_in_words(finding.facts)
        if finding.outcome is Outcome.EXEMPT:
            because = f"{finding.summary}: {finding.evidence}"
        if finding.snoozed_until is not None:
            because = f"snoozed until {finding.snoozed_until}: {because}"
        name = f"{finding.policy} v{finding.version}"
        because = textwrap.shorten(plain(because), max(20, width() - 18 - len(name)), placeholder=" …")
        yield f"  {click.style(f'{label:<11}', fg=colour)} {name}  {because}"


def _summed_up(findings: list[Finding]) -> Iterator[str]:
    """One line an outcome; exemptions say on what they stand, those that share it together."""
    for outcome in (
        Outcome.EXEMPT,
        Outcome.PASS,
        Outcome.NOT_APPLICABLE,
        Outcome.BREACH,
        Outcome.CANNOT_TELL,
    ):
        groups: dict[str, list[str]] = {}
        for finding in (f for f in findings if f.outcome is outcome):
            why = f"{finding.summary}: {finding.evidence}" if outcome is Outcome.EXEMPT else ""
            if finding.snoozed_until is not None:
                why = f"snoozed until {finding.snoozed_until}"
            groups.setdefault(why, []).append(finding.policy)
        if groups:
            said = "; ".join(", ".join(names) + (f" ({why})" if why else "") for why, names in groups.items())
            label, colour = _OUTCOME[outcome]
            first, *rest = lines(plain(said), width() - 14)
            yield f"  {click.style(f'{label:<11}', fg=colour)} {first}"
            yield from (" " * 14 + line for line in rest)


def _wrapped(text: str, *, fg: str | None = None, bold: bool = False, hang: str = "") -> Iterator[str]:
    # Within a paragraph, line breaks are those of the file in which the words stand.
    for paragraph in text.split("\n\n"):
        for number, line in enumerate(lines(plain(paragraph), width() - len(_INDENT) - len(hang))):
            styled = click.style(line, fg=fg, bold=bold) if fg or bold else line
            yield _INDENT + (hang if number else "") + styled
