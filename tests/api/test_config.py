"""Settings are read once, and production does not start with what would be unsafe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stewardship.config import Environment, Misconfigured, Settings

STRONG = "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n"
ALSO_STRONG = "Zk8vT1nR5uXo2bYw7qJc4eLh9mPf6gDs"
PRODUCTION = {
    "STEWARDSHIP_SECRET_KEY": STRONG,
    "STEWARDSHIP_AUDIT_KEY": ALSO_STRONG,
    "STEWARDSHIP_CHECKPOINT_FILE": "checkpoints.txt",
    "STEWARDSHIP_CHECKPOINT_KEY": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
}


def test_without_a_word_it_is_production() -> None:
    assert Settings.from_env({}).environment is Environment.PRODUCTION


def test_a_production_with_two_good_keys_may_start() -> None:
    Settings.from_env(PRODUCTION).refuse_unsafe()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"STEWARDSHIP_SECRET_KEY": ""}, "STEWARDSHIP_SECRET_KEY"),
        ({"STEWARDSHIP_AUDIT_KEY": ""}, "STEWARDSHIP_AUDIT_KEY"),
        ({"STEWARDSHIP_SECRET_KEY": "dev"}, "STEWARDSHIP_SECRET_KEY"),
        ({"STEWARDSHIP_SECRET_KEY": STRONG[:31]}, "STEWARDSHIP_SECRET_KEY"),
        ({"STEWARDSHIP_AUDIT_KEY": "a" * 64}, "STEWARDSHIP_AUDIT_KEY"),
        ({"STEWARDSHIP_AUDIT_KEY": "please-change-me-0123456789abcdefgh"}, "STEWARDSHIP_AUDIT_KEY"),
        ({"STEWARDSHIP_AUDIT_KEY": STRONG}, "STEWARDSHIP_AUDIT_KEY"),
        ({"STEWARDSHIP_CHECKPOINT_FILE": ""}, "STEWARDSHIP_CHECKPOINT_FILE"),
        ({"STEWARDSHIP_CHECKPOINT_KEY": ""}, "STEWARDSHIP_CHECKPOINT_KEY"),
        ({"STEWARDSHIP_DEBUG": "1"}, "STEWARDSHIP_DEBUG"),
        ({"STEWARDSHIP_CDS_OPEN": "yes"}, "STEWARDSHIP_CDS_OPEN"),
    ],
)
def test_an_unsafe_production_is_refused_by_name(change: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        Settings.from_env(PRODUCTION | change).refuse_unsafe()


def test_the_demonstration_may_be_open() -> None:
    Settings.from_env({"STEWARDSHIP_ENV": "demo", "STEWARDSHIP_CDS_OPEN": "1"}).refuse_unsafe()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEWARDSHIP_ENV", "staging"),
        ("STEWARDSHIP_DEBUG", "maybe"),
        ("STEWARDSHIP_CDS_ALLOWED_ORIGINS", "*"),
        ("STEWARDSHIP_CDS_ALLOWED_ORIGINS", "https://ehr.example/path"),
        ("STEWARDSHIP_CDS_ALLOWED_ORIGINS", "ehr.example"),
        ("STEWARDSHIP_PUBLIC_URL", "javascript:alert(1)"),
        ("STEWARDSHIP_TIME_BUDGET_MS", "-5"),
        ("STEWARDSHIP_TIME_BUDGET_MS", "soon"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        Settings.from_env({name: value})


def test_settings_are_read() -> None:
    settings = Settings.from_env(
        {
            "STEWARDSHIP_ENV": "demo",
            "STEWARDSHIP_DATABASE_URL": "sqlite:///elsewhere.db",
            "STEWARDSHIP_CDS_ALLOWED_ORIGINS": "https://ehr.example, http://localhost:8080",
            "STEWARDSHIP_POLICIES_DIR": "ours",
            "STEWARDSHIP_PUBLIC_URL": "https://stewardship.example/",
            "STEWARDSHIP_TIME_BUDGET_MS": "900",
        }
    )
    assert settings.environment is Environment.DEMO
    assert settings.database_url == "sqlite:///elsewhere.db"
    assert settings.cds_allowed_origins == ("https://ehr.example", "http://localhost:8080")
    assert settings.policies_dir == Path("ours")
    assert settings.public_url == "https://stewardship.example"
    assert settings.time_budget == 0.9


def test_keys_are_not_in_what_is_printed() -> None:
    assert STRONG not in repr(Settings.from_env(PRODUCTION))


@pytest.mark.parametrize(
    "command", [["-c", "from stewardship.cli import main; main(['serve'])"], ["-c", "import wsgi"]]
)
def test_a_production_with_a_default_key_does_not_start(command: list[str], root: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "STEWARDSHIP_SECRET_KEY": "dev"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "STEWARDSHIP_SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr
