"""``stewardship scheduler``: the dedicated process, its work once, or how it has been doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stewardship.runtime import Runtime
    from stewardship.scheduler.running import Job, Ran


@click.command()
@click.option("--once", is_flag=True, help="Do each job now, whether or not its time has come, and end.")
@click.option("--status", is_flag=True, help="Say when each job was last done and what it did; do nothing.")
@click.option("--job", "names", multiple=True, metavar="NAME", help="With --once: only this one.")
@click.option("--json", "as_json", is_flag=True, help="With --once or --status: for programs.")
def scheduler(once: bool, status: bool, names: tuple[str, ...], as_json: bool) -> None:
    """Open what is due, remind, escalate what was missed, check the record, send mail: until stopped.

    One process is enough; of several, one works and the others stand by. What fell due while none was running
    is done at the next start, and marked late. Settings come from the environment (STEWARDSHIP_...).

    Exit code 1: with --once when a job failed, with --status when one is overdue or failed.
    """
    import os

    from stewardship.config import Settings
    from stewardship.observability import configure_logging
    from stewardship.runtime import prepare

    if once and status:
        raise click.UsageError("take one of --once and --status")
    if (names and not once) or (as_json and not (once or status)):
        raise click.UsageError("--job goes with --once, --json with --once or --status")
    configure_logging()
    running = prepare(Settings.from_env(os.environ))
    if status:
        _tell_status(running, as_json)
    elif once:
        _run_once(running, _chosen(names), as_json)
    else:
        from stewardship.scheduler import JOBS
        from stewardship.scheduler.process import Process

        process = Process(running, JOBS)
        process.stop_on_signals()
        process.run()


def _chosen(names: tuple[str, ...]) -> Sequence[Job]:
    from stewardship.scheduler import JOBS

    known = {job.name: job for job in JOBS}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"the jobs are: {', '.join(known)}", param_hint="--job")
    return [job for job in JOBS if not names or job.name in names]


def _run_once(running: Runtime, jobs: Sequence[Job], as_json: bool) -> None:
    from stewardship.intake.strict_json import dumps
    from stewardship.scheduler.running import run_all

    done = run_all(running, jobs, at_once=True)
    if as_json:
        click.echo(dumps({"jobs": [_ran_json(ran) for ran in done]}))
    else:
        for ran in done:
            late = f", {ran.late} late" if ran.late else ""
            why = f" [{ran.code}]" if ran.code else ""
            said = f"{ran.done} done{late}" if ran.outcome == "done" else f"{ran.outcome}{why}"
            click.echo(f"{ran.job:<16} {said}, {ran.seconds:.2f} s")
    if any(ran.outcome == "failed" for ran in done):
        raise SystemExit(1)


def _ran_json(ran: Ran) -> dict[str, Any]:
    return {
        "job": ran.job,
        "outcome": ran.outcome,
        "done": ran.done,
        "late": ran.late,
        "late_seconds": ran.late_seconds,
        "seconds": round(ran.seconds, 3),
        "code": ran.code or None,
    }


def _tell_status(running: Runtime, as_json: bool) -> None:
    from stewardship.intake.strict_json import dumps
    from stewardship.scheduler.status import statuses

    told = statuses(running)
    if as_json:
        click.echo(dumps({"organisations": told}))
    else:
        for one in told:
            _tell_organisation(one)
    if any(job["overdue"] or job["state"] == "failed" for one in told for job in one["jobs"]):
        raise SystemExit(1)


def _tell_organisation(told: Mapping[str, Any]) -> None:
    leads = "a scheduler is at work" if told["leader"] else "no scheduler is at work"
    click.secho(f"{told['organisation']}: {leads}", bold=True)
    for job in told["jobs"]:
        last = job["last"]
        state = "overdue" if job["overdue"] else job["state"]
        colour = "red" if job["overdue"] or job["state"] == "failed" else None
        said = (
            "never" if last is None else f"{last['started_at']}, {last['seconds']:.2f} s, {last['done']} done"
        )
        if last is not None and last["late"]:
            said += f", {last['late']} late"
        if last is not None and last["late_seconds"]:
            said += f", begun {last['late_seconds']} s late"
        if last is not None and last["code"]:
            said += f" [{last['code']}]"
        click.echo(f"  {job['job']:<16} " + click.style(f"{state:<12}", fg=colour) + said)
    mail = told["mail"]
    waiting = mail["pending"] + mail["sending"]
    click.echo(f"  mail: {mail['sent']} sent, {waiting} waiting, {mail['dead']} given up on")
    for one in mail["given_up"]:
        click.echo(f"    {one['id']}  {one['kind']} to {one['recipient']} [{one['code']}]")
