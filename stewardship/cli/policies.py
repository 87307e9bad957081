"""``stewardship policies``: list, explain, test and publish."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stewardship.declarations import Library
    from stewardship.domain.policy import Policy


@click.group()
def policies() -> None:
    """The policies: what is in force, what each says, whether its own tests hold."""


def _library(directory: Path | None) -> Library:
    from stewardship.declarations import load
    from stewardship.domain.errors import DeclarationError

    try:
        return load(policies_dir=directory)
    except DeclarationError as wrong:
        raise click.ClickException(wrong.message) from None


_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another folder of policy files.",
)


@policies.command("list")
@click.option("--on", "on", metavar="DATE", help="The day to look at (default: today), as 2026-11-21.")
@click.option("--all", "everything", is_flag=True, help="Every version, drafts and ended ones too.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
@_DIRECTORY
def list_(on: str | None, everything: bool, as_json: bool, directory: Path | None) -> None:
    """What is in force on a day."""
    library = _library(directory)
    day = _day(on)
    shown = library.policies if everything else library.in_force(day)
    if as_json:
        from stewardship.intake import strict_json

        click.echo(strict_json.dumps([_row(p) for p in shown]))
        return
    for p in shown:
        draft = "" if p.published else "  draft, not in force"
        click.echo(
            f"{click.style(p.id, bold=True):34} v{p.version}  {p.enforcement:10} {p.source.force:11} "
            f"{p.title}{draft}"
        )
    late = [p.id for p in shown if p.review.review_by < day]
    if late:
        click.echo(f"Past their review date: {', '.join(late)}", err=True)


def _row(p: Policy) -> dict[str, object]:
    return {
        "id": p.id,
        "version": p.version,
        "title": p.title,
        "enforcement": p.enforcement.value,
        "severity": p.severity.value,
        "force": p.source.force.value,
        "effective_from": p.effective_from.isoformat(),
        "effective_until": p.effective_until.isoformat() if p.effective_until else None,
        "published": p.published,
        "sha256": p.sha256,
        "source": {"title": p.source.title, "publisher": p.source.publisher, "url": p.source.url},
        "review_by": p.review.review_by.isoformat(),
    }


@policies.command()
@click.argument("policy_id", metavar="ID")
@click.option("--version", type=int, help="Which version (default: the one in force, else the newest).")
@_DIRECTORY
def explain(policy_id: str, version: int | None, directory: Path | None) -> None:
    """What one policy says, why, on what authority, and what it cannot see."""
    from dataclasses import fields

    library = _library(directory)
    versions = [p for p in library.policies if p.id == policy_id]
    if not versions:
        known = ", ".join(sorted({p.id for p in library.policies}))
        raise click.ClickException(f"there is no policy {policy_id}; there are {known}")
    current = [p for p in library.in_force(datetime.now(UTC).date()) if p.id == policy_id]
    chosen = (
        next((p for p in versions if p.version == version), None) if version else (current or versions)[-1]
    )
    if chosen is None:
        raise click.ClickException(f"{policy_id} has versions {', '.join(str(p.version) for p in versions)}")
    p = chosen
    click.secho(f"{p.title}  ({p.id} v{p.version})", bold=True)
    click.echo(f"{p.enforcement}, {p.severity}; in force from {p.effective_from}; {p.jurisdiction}")
    _paragraph("Why", p.rationale)
    _paragraph("What it cannot see", p.limitations)
    click.secho("\nRule", bold=True)
    click.echo(f"  {p.kind}: {' '.join((type(p.rule).__doc__ or '').split())}")
    for field in fields(p.rule):  # type: ignore[arg-type]
        click.echo(f"    {field.name} = {_said(getattr(p.rule, field.name))}")
    applies = p.applies_to
    click.echo(f"  about: {', '.join(applies.drug_classes) or 'every medicine'}")
    for name, values in (("settings", applies.settings), ("phases of pain", applies.phases)):
        if values:
            click.echo(f"  {name}: {', '.join(values)}")
    if applies.exemptions:
        click.echo(f"  exempt: {', '.join(e.title for e in applies.exemptions)}")
    if p.overrides:
        click.secho("\nCoded reasons", bold=True)
        for reason in p.overrides:
            click.echo(f"  {reason.code:34} {reason.display}")
    if p.exception:
        e = p.exception
        note = f", with a note on {e.requires_note}" if e.requires_note else ""
        must = f", one of them a {' and a '.join(e.including)}" if e.including else ""
        people = "1 other person" if e.countersignatures == 1 else f"{e.countersignatures} other people"
        _paragraph("Exception", f"countersigned by {people} ({', '.join(e.roles)}{must}){note}")
    _paragraph("Source", f"{p.source.title}. {p.source.publisher}, {p.source.date}. {p.source.url}")
    _paragraph("Review", f"by {p.review.review_by}; {p.review.author}, {p.review.approver}")
    click.echo(f"\nsha256 {p.sha256}  {'published' if p.published else 'draft'}")


def _paragraph(title: str, text: str) -> None:
    click.secho(f"\n{title}", bold=True)
    click.echo(click.wrap_text(text, width=100, initial_indent="  ", subsequent_indent="  "))


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(v) for v in value) or "none"
    return str(getattr(value, "id", value))


@policies.command()
@click.argument("policy_ids", metavar="[ID]...", nargs=-1)
@click.option("-v", "--verbose", is_flag=True, help="Name the tests that pass, too.")
@_DIRECTORY
def test(policy_ids: tuple[str, ...], verbose: bool, directory: Path | None) -> None:
    """Run the tests inside the policy files. Exit code 1 when one fails."""
    from stewardship.declarations.places import POLICIES
    from stewardship.declarations.policy_tests import run_tests

    library = _library(directory)
    unknown = set(policy_ids) - {p.id for p in library.policies}
    if unknown:
        raise click.ClickException(f"there is no policy {', '.join(sorted(unknown))}")
    passed = failed = 0
    for policy in library.policies:
        if policy_ids and policy.id not in policy_ids:
            continue
        for result in run_tests(library, policy, policies_dir=directory or POLICIES):
            if result.wrong:
                failed += 1
                click.echo(f"{click.style('FAILED', fg='red')} {policy.id} v{policy.version}: {result.name}")
                click.echo(f"       {result.wrong}")
            else:
                passed += 1
                if verbose:
                    click.echo(f"passed {policy.id} v{policy.version}: {result.name}")
    click.echo(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


@policies.command()
@click.argument("policy_id", metavar="ID")
@click.option("--version", type=int, required=True, help="Which version to publish.")
@_DIRECTORY
def publish(policy_id: str, version: int, directory: Path | None) -> None:
    """Add a policy file's SHA-256 to published.lock, after its tests have passed.

    A published file never changes: the next version is a new file.
    """
    from stewardship.declarations.places import POLICIES
    from stewardship.declarations.policies import LOCK
    from stewardship.declarations.policy_tests import run_tests

    folder = directory or POLICIES
    library = _library(directory)
    policy = library.policy(policy_id, version)
    if policy is None:
        raise click.ClickException(f"there is no {policy_id}.v{version}.toml")
    if policy.published:
        raise click.ClickException(f"{policy_id} v{version} is published already")
    failed = [r for r in run_tests(library, policy, policies_dir=folder) if r.wrong]
    for result in failed:
        click.echo(f"FAILED {result.name}: {result.wrong}", err=True)
    if failed:
        raise click.ClickException("not published: its tests fail")
    lock = folder / LOCK
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    lines.append(f"{policy.sha256}  {policy_id}.v{version}.toml")
    lines.sort(key=lambda line: line.split()[1])
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    click.echo(f"published {policy_id} v{version}, in force from {policy.effective_from}")


def _day(text: str | None) -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write a day as 2026-11-21", param_hint="--on") from None
