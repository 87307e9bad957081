"""The commands as a whole: found, quick to list, and never a stack trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stewardship import cli
from stewardship.domain.errors import Conflict, DeclarationError, Fault, InvalidInput, StewardshipError

HEAVY = ("sqlalchemy", "flask", "marshmallow", "msgspec", "alembic", "granian", "rapidfuzz")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_of_the_table_is_there_and_says_what_it_is_for(name):
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command.get_short_help_str()


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from click.testing import CliRunner; from stewardship.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_command_is_a_usage_error():
    assert CliRunner().invoke(cli.main, ["prescribe"]).exit_code == 2


@pytest.mark.parametrize(
    ("cause", "code"),
    [(InvalidInput("x"), 2), (DeclarationError("x"), 3), (Conflict("x"), 1)],
    ids=["input", "declaration", "other"],
)
def test_a_cause_of_failure_becomes_an_exit_code(monkeypatch, cause: StewardshipError, code):
    @click.command()
    def failing():
        raise cause

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: failing)
    done = CliRunner().invoke(cli.main, ["check"])
    assert done.exit_code == code
    assert "Traceback" not in done.output


def test_faults_are_shown_with_their_place(monkeypatch):
    @click.command()
    def failing():
        raise InvalidInput("the order is wrong", faults=(Fault("/order/days_supply", "required", "Say it."),))

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: failing)
    shown = CliRunner().invoke(cli.main, ["check"]).stderr
    assert "error: the order is wrong" in shown
    assert "/order/days_supply: Say it. [required]" in shown


def test_the_entry_point_is_installed():
    script = Path(sys.executable).parent / "stewardship"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("stewardship, version ")
