"""The application as a whole: how it starts, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from stewardship.app import create_app
from stewardship.config import Environment, Misconfigured
from stewardship.db import Sessions, connect, migrate
from stewardship.declarations import Library, load
from stewardship.domain.errors import DeclarationError, Unavailable
from tests.api.conftest import SETTINGS

STRONG = "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n"
ALSO_STRONG = "Zk8vT1nR5uXo2bYw7qJc4eLh9mPf6gDs"


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = connect(f"sqlite:///{tmp_path / 'app.db'}")
    migrate.upgrade(made.kw["bind"])
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def app(library: Library, sessions: Sessions) -> Flask:
    return create_app(SETTINGS, library=library, sessions=sessions)


# --- how it starts --------------------------------------------------------------------------------


def test_it_does_not_start_on_a_database_that_was_never_migrated(library: Library, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="db upgrade"):
        create_app(replace(SETTINGS, database_url=f"sqlite:///{tmp_path / 'new.db'}"), library=library)


def test_it_does_not_start_on_a_newer_schema(library: Library, sessions: Sessions) -> None:
    with sessions() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.commit()
    with pytest.raises(Unavailable, match="does not know"):
        create_app(SETTINGS, library=library, sessions=sessions)


def test_it_does_not_start_with_a_policy_file_that_is_wrong(sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "broken.v1.toml").write_text('id = "broken"\n')
    with pytest.raises(DeclarationError, match=r"broken\.v1\.toml"):
        create_app(replace(SETTINGS, policies_dir=tmp_path), sessions=sessions)


def test_it_does_not_start_when_no_policy_is_in_force(library: Library, sessions: Sessions) -> None:
    with pytest.raises(DeclarationError, match="no policy"):
        create_app(SETTINGS, library=replace(library, policies=()), sessions=sessions)


PRODUCTION = {
    "environment": Environment.PRODUCTION,
    "secret_key": STRONG,
    "audit_key": ALSO_STRONG,
    "checkpoint_file": Path("checkpoints.txt"),
    "checkpoint_key": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
}


@pytest.mark.parametrize(
    "change", [{"secret_key": "dev"}, {"audit_key": ""}, {"debug": True}, {"cds_open": True}]
)
def test_it_does_not_start_unsafely_in_production(
    library: Library, sessions: Sessions, change: dict[str, object]
) -> None:
    safe = replace(SETTINGS, **PRODUCTION)
    create_app(safe, library=library, sessions=sessions)
    with pytest.raises(Misconfigured):
        create_app(replace(safe, **change), library=library, sessions=sessions)  # type: ignore[arg-type]


def test_it_does_not_start_with_a_view_that_does_not_say_whom_it_admits(
    library: Library, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(app: Flask) -> None:
        app.add_url_rule("/forgotten", "forgotten", lambda: "")

    monkeypatch.setattr("stewardship.app.api.register", forgetful)
    with pytest.raises(RuntimeError, match="forgotten"):
        create_app(SETTINGS, library=library, sessions=sessions)


@pytest.mark.parametrize("address", ["mysql://x/y", "not an address", ""])
def test_it_does_not_start_on_a_database_of_another_kind(library: Library, address: str) -> None:
    with pytest.raises(Misconfigured, match="STEWARDSHIP_DATABASE_URL"):
        create_app(replace(SETTINGS, database_url=address), library=library)


def test_it_does_not_start_on_a_database_that_is_away(library: Library, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        create_app(
            replace(SETTINGS, database_url=f"sqlite:///{tmp_path / 'no' / 'such.db'}"), library=library
        )


# --- what every answer carries --------------------------------------------------------------------

PATHS = ["/", "/healthz", "/readyz", "/nothing", "/api/v1/docs", "/api/v1/openapi.json", "/api/v1/whoami"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_guarded(app: Flask, path: str) -> None:
    headers = app.test_client().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_production_insists_on_encryption(library: Library, sessions: Sessions) -> None:
    safe = replace(SETTINGS, **PRODUCTION)
    client = create_app(safe, library=library, sessions=sessions).test_client()
    assert "max-age" in client.get("/healthz").headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", ["/console", "/metrics", "/static/x", "/.git/config", "/%00", "/api/v1/%0a"])
def test_nothing_else_is_open(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code == 404


def test_a_request_keeps_the_id_it_brings(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz", headers={"X-Request-ID": "from-the-proxy-1"}).headers["X-Request-ID"] == (
        "from-the-proxy-1"
    )
    made = client.get("/healthz", headers={"X-Request-ID": "bob INFO login ok"}).headers["X-Request-ID"]
    assert made.isalnum()


def test_the_front_page_names_the_policies_in_force(app: Flask, library: Library) -> None:
    page = app.test_client().get("/").text
    for policy in library.in_force(date.today()):  # noqa: DTZ011 - the page says what holds today
        assert policy.id in page
    for address in ("/api/v1/docs", "/cds-services"):
        assert f'href="{address}"' in page
    assert "Demonstration" not in page
    assert all(" src=" in script for script in page.split("<script")[1:])
    assert "style=" not in page


def test_the_demonstration_says_that_it_is_one(library: Library, sessions: Sessions) -> None:
    demo = create_app(replace(SETTINGS, environment=Environment.DEMO), library=library, sessions=sessions)
    assert "Demonstration" in demo.test_client().get("/").text


def test_a_page_that_is_missing_is_a_page(app: Flask) -> None:
    missing = app.test_client().get("/nothing")
    assert (missing.status_code, missing.mimetype) == (404, "text/html")


# --- when something is wrong ----------------------------------------------------------------------


def test_readiness_needs_the_database(app: Flask, sessions: Sessions) -> None:
    client = app.test_client()
    assert client.get("/readyz").json == {"status": "ready"}
    with sessions() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.commit()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_a_database_that_is_away_is_said_to_be_away(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OperationalError("SELECT 'ZZQCANARY'", {}, Exception("ZZQCANARY"))

    monkeypatch.setattr("stewardship.auth.tokens.known", gone)
    response = app.test_client().get("/api/v1/whoami", headers={"Authorization": "Bearer stw_x"})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "CANARY" not in response.text


@pytest.mark.parametrize(
    ("path", "place"), [("/api/v1/whoami", "auth.tokens.known"), ("/readyz", "web.front.runtime")]
)
def test_a_fault_of_ours_shows_nothing_of_itself(
    app: Flask, monkeypatch: pytest.MonkeyPatch, path: str, place: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ZZQCANARY")

    monkeypatch.setattr(f"stewardship.{place}", broken)
    response = app.test_client().get(path, headers={"Authorization": "Bearer stw_x"})
    assert response.status_code == 500
    assert "CANARY" not in response.text
    assert "Traceback" not in response.text
