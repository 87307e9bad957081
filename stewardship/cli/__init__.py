"""The terminal: one click command a module, imported only when it is asked for.

``stewardship --help`` reads every command's module for its one line of help, so a command module
imports at its top nothing heavier than click; SQLAlchemy, Flask and the rest come inside the command.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from stewardship import __version__
from stewardship.config import Misconfigured
from stewardship.domain import errors

#: Every command and where it lives, in the order of ``stewardship --help``.
COMMANDS = {
    "demo": "stewardship.cli.demo:demo",
    "check": "stewardship.cli.check:check",
    "mme": "stewardship.cli.mme:mme",
    "alternatives": "stewardship.cli.alternatives:alternatives",
    "taper": "stewardship.cli.taper:taper",
    "import": "stewardship.cli.import_:import_",
    "asap": "stewardship.cli.asap:asap",
    "pharmacies": "stewardship.cli.pharmacies:pharmacies",
    "watch": "stewardship.cli.watch:watch",
    "matches": "stewardship.cli.matches:matches",
    "instruments": "stewardship.cli.instruments:instruments",
    "prescribers": "stewardship.cli.prescribers:prescribers",
    "policies": "stewardship.cli.policies:policies",
    "catalogue": "stewardship.cli.catalogue:catalogue",
    "serve": "stewardship.cli.serve:serve",
    "scheduler": "stewardship.cli.scheduler:scheduler",
    "mail": "stewardship.cli.mail:mail",
    "report": "stewardship.cli.report:report",
    "measures": "stewardship.cli.measures:measures",
    "audit": "stewardship.cli.audit:audit",
    "retention": "stewardship.cli.retention:retention",
    "db": "stewardship.cli.db:db",
    "user": "stewardship.cli.user:user",
    "tokens": "stewardship.cli.tokens:tokens",
}

#: What a command's exit code says when it could not do its work; ``check`` adds its own for decisions.
EXIT_CODES: dict[type[errors.StewardshipError], int] = {
    errors.MalformedInput: 2,
    errors.InvalidInput: 2,
    errors.TooLarge: 2,
    errors.PatientMismatch: 2,
    errors.DeclarationError: 3,
    errors.Unavailable: 3,
    Misconfigured: 3,
}


class LazyGroup(click.Group):
    """A group that imports a command when it is named, and turns causes of failure into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; ``None`` when there is none."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a cause that it names ends in one readable message, never a stack trace."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        elif os.environ.get("FORCE_COLOR"):
            ctx.color = True
        try:
            return super().invoke(ctx)
        except errors.StewardshipError as cause:
            fail(cause)
        except Exception as fault:
            if not _is_of_the_database(fault):
                raise
            # What the driver says may hold parameters, and so something about a patient.
            fail(
                errors.Unavailable(
                    "the database that STEWARDSHIP_DATABASE_URL names could not be used "
                    f"({type(fault).__name__}); nothing was changed"
                )
            )


def _is_of_the_database(fault: Exception) -> bool:
    """Whether SQLAlchemy raised it; a command that never imported SQLAlchemy cannot have had it."""
    known = sys.modules.get("sqlalchemy.exc")
    return known is not None and isinstance(fault, known.SQLAlchemyError)


def fail(cause: errors.StewardshipError) -> NoReturn:
    """Say on standard error what was wrong and where, and leave with the cause's exit code."""
    click.echo(click.style("error: ", fg="red", bold=True) + cause.message, err=True)
    for fault in cause.faults:
        click.echo(f"  {fault.pointer or '/'}: {fault.message} [{fault.code}]", err=True)
    sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(cause, kind)), 1))


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="stewardship")
def main() -> None:
    """Check opioid orders against versioned policies: what was found, on what facts, what to do next."""
