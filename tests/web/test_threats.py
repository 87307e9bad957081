"""What the list of threats says of identity and of HTTP: T14, T18, T22, T23, T26, T36 and T38."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from stewardship.app import create_app
from stewardship.auth import permission_of
from stewardship.db import tables, transaction
from stewardship.domain.identity import OverrideTerms
from stewardship.domain.people import Role
from stewardship.observability import configure_logging
from stewardship.services import override_watch
from tests.api.conftest import SETTINGS, Caller, a_case, a_token
from tests.api.conftest import json as body_of
from tests.web.conftest import form_token, running_of, signed_in
from tests.web.people import PASSWORD, is_in, send, somebody

ROOT = Path(__file__).resolve().parents[2]
CANARY = "ZZQCANARY"
SCRIPT = f"<img src=x onerror=alert('{CANARY}')>"


@pytest.fixture
def logged():
    """Every line that is logged meanwhile."""
    root = logging.getLogger()
    before, lines = (root.handlers[:], root.level), io.StringIO()
    configure_logging(to=lines)
    yield lines
    root.handlers, root.level = before


def lines_of(logged):
    return [json.loads(line) for line in logged.getvalue().splitlines()]


# --- T14: nothing about anybody in addresses, logs and errors ---------------------------------------


def test_t14_what_is_typed_at_the_sign_in_is_in_no_log_line_and_in_no_address(client, logged):
    answer = send(client, f"{CANARY}@hospital.example", f"{CANARY} as a password")
    assert answer.status_code == 401
    assert CANARY not in logged.getvalue()
    assert CANARY not in str(answer.headers)
    refused = [line for line in lines_of(logged) if line["event"] == "sign-in refused"]
    assert [line["code"] for line in refused] == ["unknown"]


def test_t14_whoever_signs_in_is_in_the_log_by_id_and_not_by_name(client, logged):
    account = somebody(client)
    send(client, account)
    client.get("/account")
    assert account.login not in logged.getvalue()
    assert account.user_id in logged.getvalue()


def test_t14_an_address_that_holds_a_name_is_not_logged(client, logged):
    client.get(f"/patients/{CANARY}?name={CANARY}")
    client.get(f"/{CANARY}")
    client.get(f"/sign-in?next=/{CANARY}")
    assert CANARY not in logged.getvalue()


def test_t14_no_page_puts_what_was_typed_into_an_address(client):
    """Forms that take anything about a person are sent, not asked for."""
    signed_in(client, Role.PRESCRIBER)
    for rule in client.application.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments or rule.rule.startswith("/api/"):
            continue
        page = client.get(rule.rule)
        for form in re.findall(r"<form[^>]*>.*?</form>", page.text, flags=re.DOTALL):
            if 'method="post"' not in form:
                assert not re.search(r'name="(name|birth|number|patient|password)', form), rule.rule


# --- T18: nothing that somebody wrote is run -------------------------------------------------------


def test_t18_what_is_typed_at_the_sign_in_is_shown_as_text(client):
    page = send(client, SCRIPT, "x").text
    assert SCRIPT not in page
    assert "&lt;img src=x onerror=alert(" in page


def test_t18_a_browser_that_calls_itself_a_script_is_listed_as_text(client):
    account = somebody(client)
    client.environ_base["HTTP_USER_AGENT"] = SCRIPT
    send(client, account)
    page = client.get("/account").text
    assert SCRIPT not in page
    assert "&lt;img src=x" in page


def test_t18_no_template_marks_as_safe_what_it_was_given():
    found = []
    for template in (ROOT / "stewardship").rglob("*.html"):
        text = template.read_text()
        if re.search(r"\|\s*safe\b|autoescape\s+false|<script(?![^>]*\bsrc=)[^>]*>|\son\w+=|\sstyle=", text):
            found.append(template.name)
    assert found == []


def test_t18_only_files_of_ours_are_run_on_every_page(client):
    signed_in(client, Role.PRESCRIBER)
    for rule in client.application.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments or rule.rule.startswith("/api/"):
            continue
        answer = client.get(rule.rule)
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["Content-Security-Policy"].split(";")
            if " " in part.strip()
        )
        assert policy["default-src"] == "'none'", rule.rule
        assert policy["script-src"] == "'self'"
        assert policy["style-src"] == "'self'"
        assert policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for script in re.findall(r"<script[^>]*>", answer.text):
            assert re.search(r'src="/', script), rule.rule


# --- T22, T23: what a query and a body may not do ---------------------------------------------------


@pytest.mark.parametrize("name", ["' OR '1'='1", "x' OR 1=1 --", '"; DROP TABLE accounts; --', "%", "_"])
def test_t22_a_name_is_a_name(client, name):
    somebody(client)
    assert send(client, name, PASSWORD).status_code == 401
    assert not is_in(client)


def test_t22_no_statement_is_put_together_from_text():
    """SQL that is not SQLAlchemy's is fixed text: none is formatted or added up."""
    pattern = re.compile(r"(?:text|execute|executemany)\(\s*(?:f[\"']|[\"'][^\"']*[\"']\s*(?:%|\+|\.format))")
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "stewardship").rglob("*.py")
        if "sqlalchemy" in path.read_text() and pattern.search(path.read_text())
    ]
    # Names of savepoints, tables and pragmas that stand in the source itself.
    own = {"engine.py", "histories.py", "migrate.py"}
    assert set(found) <= {f"stewardship/db/{name}" for name in own} | {"stewardship/backup.py"}


@pytest.mark.parametrize("extra", [{"role": "admin"}, {"organisation_id": "x"}, {"by": "somebody"}])
def test_t23_a_body_that_says_more_than_it_may_is_refused_by_name(app, issued, extra):
    who = Caller(app, issued["org-here", Role.PRESCRIBER])
    refused = who.post("/api/v1/orders", a_case() | extra)
    assert refused.status_code == 422
    assert f"/{next(iter(extra))}" in refused.get_data(as_text=True)


def test_t23_a_form_that_says_more_changes_nothing_more(client):
    account = somebody(client)
    send(client, account, role="admin", organisation="org-elsewhere", stage="whole", must_change="")
    page = client.get("/account").text
    assert "prescriber" in page
    assert "org-elsewhere" not in page


# --- T26: one event is one line ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bob\nINFO login ok", "bob\r\n{}", "bob\u2028login ok"])
def test_t26_a_name_makes_no_second_line(client, logged, name):
    send(client, name, "x")
    for line in logged.getvalue().splitlines():
        assert json.loads(line)["level"] in {"info", "warning"}
    assert "login ok" not in logged.getvalue()


def test_text_that_no_database_takes_is_refused_and_is_no_fault_of_ours(client, logged):
    """A NUL in a form, on any page."""
    assert send(client, "bob\x00").status_code == 400
    account = somebody(client)
    send(client, account)
    token = client.get("/account").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    for rule in client.application.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and not rule.arguments and not rule.rule.startswith("/api/"):
            answer = client.post(rule.rule, data={"csrf_token": token, "name": "a\x00b"})
            assert answer.status_code == 400, rule.rule
    assert "fault" not in logged.getvalue()


def test_t26_a_browsers_name_makes_no_second_line(client, logged):
    account = somebody(client)
    client.environ_base["HTTP_USER_AGENT"] = "Firefox\x0bINFO login ok"
    send(client, account)
    assert "login ok" not in logged.getvalue()
    assert all(json.loads(line) for line in logged.getvalue().splitlines())


# --- T36: an override is somebody's, with a reason ---------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["\u200b", " ", "\u2060\u200d", ""], ids=["zero", "blank", "joined", "none"]
)
@pytest.mark.parametrize("act", ["exception", "override"])
def test_t36_a_reason_can_be_read(app, issued, act, reason):
    who = Caller(app, issued["org-here", Role.PRESCRIBER])
    decided = body_of(who.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    where = f"/api/v1/decisions/{decided['id']}/findings/short-course/{act}"
    assert who.post(where, {"reason": reason}).status_code == 422


def soft_stop(who, number):
    """An order that needs a reason: the decision, the policy and a reason of its."""
    patient = f"p-fast-{number}"
    decided = body_of(who.post("/api/v1/orders", a_case(days=None, patient=patient, history=None)))
    stop = next(f for f in decided["findings"] if f["enforcement"] == "soft-stop")
    return decided["id"], stop["policy"], stop["override_reasons"][0]["code"]


@pytest.mark.parametrize("face", ["page", "api"])
def test_t36_overrides_one_after_the_other_are_an_incident(library, sessions, clock, issued, face):
    """Whichever way they come, by the number of the terms: here three, so that the test is short."""
    terms = OverrideTerms(incident=3, within=timedelta(minutes=10))
    hasty = replace(library, identity=replace(library.identity, overrides=terms))
    app = create_app(SETTINGS, library=hasty, sessions=sessions, clock=clock)
    client = app.test_client()
    user = signed_in(client, Role.PRESCRIBER).user_id
    api = Caller(app, issued["org-here", Role.PRESCRIBER])
    if face == "api":
        user = body_of(api.get("/api/v1/whoami"))["user"]
    for number in range(3):
        assert incidents_of(sessions, user) == []
        decision, policy, reason = soft_stop(api, f"{face}-{number}")
        if face == "page":
            form = {"reason": reason, "csrf_token": form_token(client)}
            assert client.post(f"/decisions/{decision}/{policy}/override", data=form).status_code == 303
        else:
            where = f"/api/v1/decisions/{decision}/findings/{policy}/override"
            assert api.post(where, {"reason": reason}).status_code == 200
    assert incidents_of(sessions, user) == ['{"overrides":3,"within_minutes":10}']


def test_t36_the_terms_in_force_are_fifty_in_ten_minutes(library):
    assert library.identity.overrides == OverrideTerms(incident=50, within=timedelta(minutes=10))


def incidents_of(sessions, user):
    with transaction(sessions, write=False) as session:
        asked = select(tables.AuditEvent.detail).where(
            tables.AuditEvent.action == override_watch.ACTION, tables.AuditEvent.subject == user
        )
        return list(session.execute(asked).scalars())


def test_t36_nobody_countersigns_his_own(app, issued, sessions):
    who = Caller(app, issued["org-here", Role.PRESCRIBER])
    decided = body_of(who.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    (stopped,) = [f for f in decided["findings"] if f["policy"] == "short-course"]
    where = f"/api/v1/decisions/{decided['id']}/findings/short-course/exception"
    asked = body_of(who.post(where, {"reason": stopped["override_reasons"][0]["code"], "note": "a note"}))
    sign = f"/api/v1/exceptions/{asked['id']}/countersignatures"
    with transaction(sessions) as session:
        # Another token of the same person is the same person.
        me = body_of(who.get("/api/v1/whoami"))["user"]
        again = Caller(app, a_token(session, "org-here", Role.PRESCRIBER, user_id=me))
    for caller in (who, again):
        assert caller.post(sign, {"approve": True}).status_code == 403


def test_t36_a_session_acts_as_the_same_person_as_his_token(client, issued, app):
    me = body_of(Caller(app, issued["org-here", Role.PRESCRIBER]).get("/api/v1/whoami"))["user"]
    assert signed_in(client, Role.PRESCRIBER, user=me).user_id == me
    assert me in client.get("/").text


# --- T38: nothing is left open ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEWARDSHIP_SECRET_KEY", "dev"),
        ("STEWARDSHIP_SECRET_KEY", ""),
        ("STEWARDSHIP_SECRET_KEY", "change-me-change-me-change-me-change-me"),
        ("STEWARDSHIP_SECRET_KEY", "a" * 40),
        ("STEWARDSHIP_AUDIT_KEY", ""),
        ("STEWARDSHIP_DEBUG", "1"),
        ("STEWARDSHIP_CDS_OPEN", "1"),
        ("STEWARDSHIP_CONNECTIONS", "no-such-file.toml"),
    ],
    ids=["typed", "empty", "default", "repeated", "no audit key", "debug", "open hooks", "no connections"],
)
def test_t38_it_does_not_start_with_a_door_left_open(tmp_path, name, value):
    good = {
        "STEWARDSHIP_DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}",
        "STEWARDSHIP_SECRET_KEY": "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n",
        "STEWARDSHIP_AUDIT_KEY": "Zk8vT1nR5uXo2bYw7qJc4eLh9mPf6gDs",
        "STEWARDSHIP_CHECKPOINT_FILE": str(tmp_path / "checkpoints"),
        "STEWARDSHIP_CHECKPOINT_KEY": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "stewardship", "serve"],
        env={"PATH": "/usr/bin:/bin", **good, name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert name in done.stderr or "no-such-file.toml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "path", ["/console", "/debug", "/metrics", "/admin", "/static/", "/.env", "/wsgi.py"]
)
def test_t38_there_is_no_other_door(client, path):
    signed_in(client, Role.ADMIN)
    assert client.get(path).status_code == 404


def test_t38_what_is_public_says_nothing_about_anybody(client):
    """Every public page, as somebody sees it who is not signed in."""
    account = somebody(client)
    running = running_of(client.application)
    with transaction(running.sessions, write=False) as session:
        known = session.execute(select(tables.Patient.id, tables.Patient.ehr_id)).all()
    private = {account.login, account.user_id, *(value for row in known for value in row if len(value) > 6)}
    for rule in client.application.url_map.iter_rules():
        view = client.application.view_functions[rule.endpoint]
        if permission_of(view) is None and "GET" in (rule.methods or ()) and not rule.arguments:
            page = client.get(rule.rule).get_data(as_text=True)
            assert not [value for value in private if value in page], rule.rule
