"""Who gets in: every route says whom it admits, and an organisation's things exist for it alone."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.routing import Rule

from stewardship.app import create_app
from stewardship.auth import PERMISSIONS, Permission, permission_of, public, requires, undeclared
from stewardship.config import Environment
from stewardship.db import Sessions, charts, import_tables, transaction
from stewardship.db.patients import ensure_patient, insert_once
from stewardship.declarations import Library
from stewardship.domain import flags
from stewardship.domain.chart import Patient
from stewardship.domain.dispensings import Identity
from stewardship.domain.identity import Method, Stage
from stewardship.domain.matching import Match
from stewardship.domain.people import Principal, Role
from stewardship.services import browser_sessions, history, matching, tokens, users
from stewardship.services import flags as flag_services
from tests.api.conftest import ELSEWHERE, HERE, SETTINGS, Caller, Clock, a_case, a_token, json, known
from tests.builders import NOW, a_chart, a_supply

MISSING = "0198f00dcafe" + "0" * 20

#: What nobody needs a token for: they say nothing about anybody.
PUBLIC = {
    "front.home", "front.choose_theme", "front.healthz", "front.readyz", "assets.file",
    "api-docs.openapi_json", "api-docs.docs", "api-docs.docs_asset",
    "cds_hooks.discovery",
    "questionnaire.form", "questionnaire.answer", "questionnaire.thanks",
    "sign_in.form", "sign_in.sign_in", "sign_in.sign_out", "sign_in.signed_out",
    "provider_sign_in.begin", "provider_sign_in.back", "provider_sign_in.sign_out",
    "sign_in_steps.ask_second_factor", "sign_in_steps.enrol", "sign_in_steps.choose_password",
}  # fmt: skip


def admitted() -> dict[str, set[Role]]:
    """The roles that each view admits, as written."""
    said = tomllib.loads((Path(__file__).parent / "access.toml").read_text())
    every = {name: roles for part in said.values() for name, roles in part.items()}
    return {
        name: set(Role) if roles == "all" else {Role(role) for role in roles.split()}
        for name, roles in every.items()
    }


ADMITTED = admitted()


def rules(app: Flask) -> list[Rule]:
    return sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)


def owned_rules(app: Flask) -> list[Rule]:
    """The routes that name something of an organisation's, of the API and of the pages."""
    hooks = "/cds-services"
    return [
        r
        for r in rules(app)
        if set(r.arguments) - SHARED and r.endpoint not in PUBLIC and not r.rule.startswith(hooks)
    ]


def method(rule: Rule) -> str:
    return next(m for m in sorted(rule.methods or ()) if m not in {"HEAD", "OPTIONS"})


def bodies() -> dict[str, Any]:
    """A body that each route would take, so that nothing but the id stands in the way."""
    return {
        "override": {"reason": "other"},
        "exception": {"reason": "because"},
        "countersignatures": {"approve": True},
        "snooze": {"reason": "reviewed", "until": "2026-12-01"},
        "notes": {"words": "a note"},
        "offers": {"reply": "accepted", "treatment": "exercise"},
        "messages": {"to": "somebody", "words": "a message"},
        "resolve": {"code": "coordinated", "version": 1},
        "reopen": {"reason": "a mistake", "version": 1},
        "lift": {"reason": "the case is closed"},
        **{act: {"reason": "because"} for act in ("accept", "decline", "open-again", "part")},
        "search": {"patient_id": "p-flagged"},
        "entered-in-error": {"reason": "a mistake"},
        "cancel": {"reason": "because"},
        "complete": {"on": "2026-11-21", "measurements": ["m-1"]},
        "assign": {"clinician": "dr-1"},
        "change": {
            **dict.fromkeys(("activity", "baseline", "target"), "walk"),
            "target": "walk further",
            "due_on": "2026-12-21",
            "version": 1,
        },
        "reach": {"version": 1},
        **_of_plans(),
        "give-up": {"version": 1, "reason": "because"},
    }


def _of_plans() -> dict[str, Any]:
    """The bodies of what is done to plans, referrals and tapers."""
    day = {"on": "2026-11-21", "version": 1}
    walk = {"activity": "walk", "baseline": "little", "target": "far", "due_on": "2026-12-21"}
    letter = {"discipline": "pain-medicine", "reason": "pain", "urgency": "routine", "source": "self"}
    return {
        "steps": {"treatment": "exercise", **day},
        "begin": day,
        "respond": {"relief_percent": 40, **day},
        "end": {"status": "stopped", **day},
        "contacts": {"discipline": "psychology", "who": "psy-1", "version": 1},
        "plan-goals": {**walk, "version": 1},
        "close": {"status": "stopped", **day},
        "referrals": {**letter, "on": "2026-11-21"},
        "events": {"status": "accepted", **day},
        "acts": {"act": "pause", **day},
    }


def call(caller: Caller, rule: Rule, **ids: str) -> Any:
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda place: ids.get(place[1], "x"), rule.rule)
    if method(rule) == "GET":
        return caller.get(path)
    body = bodies().get(rule.rule.rsplit("/", 1)[-1], {})
    if rule.rule.startswith("/api/") or rule.rule.startswith("/cds-services"):
        return caller.post(path, body)
    return caller.fill(path, body)


def test_every_view_says_whom_it_admits(app: Flask) -> None:
    assert undeclared(app) == []


def test_a_view_that_says_nothing_is_found() -> None:
    app = Flask("silent", static_folder=None)
    app.add_url_rule("/silent", "silent", lambda: "")
    app.add_url_rule("/open", "open", public(lambda: ""))
    app.add_url_rule("/shut", "shut", requires(Permission.READ_POLICIES)(lambda: ""))
    assert undeclared(app) == ["silent"]


def test_what_is_public_is_a_short_list(app: Flask) -> None:
    open_views = {name for name, view in app.view_functions.items() if permission_of(view) is None}
    assert open_views == PUBLIC


def test_nobody_gets_past_any_other_route(app: Flask, nobody: Caller) -> None:
    for rule in (r for r in rules(app) if r.endpoint not in PUBLIC):
        response = call(nobody, rule)
        if not rule.rule.startswith(("/api/", "/cds-services")):
            # A page sends its reader to the sign-in; a form is answered with it.
            asked = response.status_code == 303 and response.headers["Location"].startswith("/sign-in")
            assert asked or (response.status_code == 401 and 'name="password"' in response.text), rule.rule
            continue
        assert response.status_code == 401, rule.rule
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if rule.rule.startswith("/api/"):
            assert set(json(response)) == {"type", "title", "status", "code", "errors", "request_id"}
        else:
            assert response.get_data() == b""


def test_every_route_has_its_line_of_who_may_reach_it(app: Flask) -> None:
    guarded = {name for name, view in app.view_functions.items() if permission_of(view) is not None}
    assert guarded == set(ADMITTED), "add the view to access.toml, with the roles that it is for"


def test_each_role_reaches_what_is_written_and_nothing_else(
    app: Flask, caller: Callable[..., Caller]
) -> None:
    for rule in (r for r in rules(app) if r.endpoint not in PUBLIC):
        permission = permission_of(app.view_functions[rule.endpoint])
        for role in Role:
            response = call(caller(role), rule)
            if role in ADMITTED[rule.endpoint]:
                assert response.status_code not in {401, 403}, (rule.rule, role)
            else:
                assert response.status_code == 403, (rule.rule, role)
                if rule.rule.startswith("/api/"):
                    assert str(permission) in json(response)["detail"]


@pytest.mark.parametrize(
    "token",
    ["", "x", "Bearer", "stw_" + "A" * 43, "a.b.c", "t" * 9000, "t\u00e9", "' OR '1'='1"],
)
def test_a_token_that_is_not_one_of_ours_is_nobody(app: Flask, token: str) -> None:
    response = Caller(app, None).get("/api/v1/whoami", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401


@pytest.mark.parametrize("header", ["Basic dTpw", "bearer", "Token abc"])
def test_another_scheme_is_nobody(app: Flask, header: str) -> None:
    assert Caller(app, None).get("/api/v1/whoami", headers={"Authorization": header}).status_code == 401


def test_a_token_goes_out_at_its_end(caller: Callable[..., Caller], clock: Clock) -> None:
    who = caller(Role.PRESCRIBER)
    assert who.get("/api/v1/whoami").status_code == 200
    clock.at = NOW + timedelta(days=31)
    assert who.get("/api/v1/whoami").status_code == 401


def test_a_revoked_token_is_refused_within_a_second(app: Flask, sessions: Sessions, clock: Clock) -> None:
    with transaction(sessions) as session:
        who = Caller(app, a_token(session, HERE, Role.PRESCRIBER))
    assert who.get("/api/v1/whoami").status_code == 200
    with transaction(sessions) as session:
        token_id = session.execute(
            text("SELECT id FROM api_tokens WHERE token_hash = :hash"),
            {"hash": sha256((who.token or "").encode()).hexdigest()},
        ).scalar_one()
        tokens.revoke(session, token_id, by=Principal("setup", HERE, Role.ADMIN), now=NOW)
    clock.at = NOW + timedelta(seconds=1)
    assert who.get("/api/v1/whoami").status_code == 401


def test_that_a_token_was_used_is_written_down(app: Flask, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        who = Caller(app, a_token(session, HERE, Role.PRESCRIBER))
    assert who.post("/api/v1/orders", a_case()).status_code == 201
    with transaction(sessions, write=False) as session:
        used = session.execute(
            text("SELECT last_used_at FROM api_tokens WHERE token_hash = :hash"),
            {"hash": sha256((who.token or "").encode()).hexdigest()},
        ).scalar_one()
    assert str(used).startswith("2026-11-21T12:00")


def test_scopes_narrow_what_a_token_may(app: Flask, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        token = a_token(session, HERE, Role.PRESCRIBER, scopes=("policies:read", "self:read"))
    narrow = Caller(app, token)
    assert json(narrow.get("/api/v1/whoami"))["permissions"] == ["policies:read", "self:read"]
    assert narrow.get("/api/v1/policies").status_code == 200
    refused = narrow.post("/api/v1/orders/screen", a_case())
    assert refused.status_code == 403
    assert "orders:screen" in json(refused)["detail"]


def test_scopes_never_widen_a_role(app: Flask, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        token = a_token(session, HERE, Role.COMPLIANCE, scopes=("orders:submit", "self:read"))
    wide = Caller(app, token)
    assert wide.post("/api/v1/orders", a_case()).status_code == 403
    assert json(wide.get("/api/v1/whoami"))["permissions"] == ["self:read"]


def test_the_caller_is_told_who_it_is(caller: Callable[..., Caller]) -> None:
    said = json(caller(Role.PHARMACIST).get("/api/v1/whoami"))
    assert (said["organisation"], said["role"]) == (HERE, "pharmacist")
    assert said["permissions"] == sorted(PERMISSIONS[Role.PHARMACIST])


# --- organisations ----------------------------------------------------------------------------------


@pytest.fixture
def flagged(sessions: Sessions, library: Library, issued: dict[tuple[str, Role], str]) -> dict[str, str]:
    """A flag, and a message to a prescriber about it."""
    by = Principal("setup", HERE, Role.PHARMACIST)
    with transaction(sessions) as session:
        prescriber = tokens.authenticate(session, issued[HERE, Role.PRESCRIBER], now=NOW)
        assert prescriber is not None
        known = charts.known_patient(session, organisation_id=HERE, patient_id="p-flagged")
        patient = ensure_patient(session, known, known.patient, organisation_id=HERE, now=NOW)
        problem = flags.Flag("early-refill", "s-1", NOW.date(), NOW.date(), ("s-1",), {})
        kinds = ["early-refill"]
        flag_services.reconcile(
            session, library, patient, [problem], kinds=kinds, source="watch", by=by, now=NOW
        )
        asked = flag_services.Asked(patient=patient)
        (flag,) = flag_services.listed(session, library, asked, by=by, now=NOW).flags
        whole = flag_services.message(
            session, library, flag.id, "A question.", to_user=prescriber.user_id, by=by, now=NOW
        )
    return {"flag_id": flag.id, "message_id": whole.messages[-1].id, "patient_id": patient}


@pytest.fixture
def matched(sessions: Sessions, library: Library, flagged: dict[str, str]) -> dict[str, str]:
    """An identity that may be the flagged patient's."""
    by, rules = Principal("setup", HERE, Role.PHARMACIST), library.feeds.matching
    described = Identity("TESTPATIENT", "ACCESS", NOW.date())
    with transaction(sessions) as session:
        digest = matching.digest_of(described)
        found = matching.resolve(session, {digest: described}, rules, by=by, now=NOW)[digest]
        identity = found.identity_id
        match = Match("person-alone", Decimal("0.7"))
        row = matching.candidate_row(identity, flagged["patient_id"], match, by=by, now=NOW)
        insert_once(session, import_tables.MatchCandidate.__table__, row)  # type: ignore[arg-type]
    return {"identity_id": identity, "described": str(found.patient_id)}


@pytest.fixture
def on_opioids(sessions: Sessions, library: Library) -> None:
    """A patient whom the clock asks about."""
    supply = a_supply(drug=library.catalogue.by_rxcui("1049621"), days=30, quantity=120, id="long")
    chart = a_chart(supply, patient=Patient("p-long"))
    by = Principal("setup", HERE, Role.PRESCRIBER)
    with transaction(sessions) as session:
        history.record(session, chart, by=by, now=NOW)


@pytest.fixture
def planned(caller: Callable[..., Caller], sessions: Sessions, on_opioids: None) -> dict[str, str]:
    """A plan with a step and a referral, a taper, and a prescriber of the registry."""
    prescriber, whose = caller(Role.PRESCRIBER), {"patient": "p-long"}
    walk = {"activity": "walk", "baseline": "little", "target": "far", "due_on": "2026-12-21"}
    told = {"conditions": [{"code": "M54.50"}], "goals": [walk], "owner": "primary-care", "on": "2026-11-21"}
    plan = json(prescriber.post("/api/v1/plans", {**whose, **told}))
    where = f"/api/v1/plans/{plan['id']}"
    of_plans = _of_plans()
    step = json(prescriber.post(f"{where}/steps", of_plans["steps"]))["steps"][0]
    referral = json(prescriber.post(f"{where}/referrals", of_plans["referrals"]))
    decision = {"on": "2026-11-21", "agreed": True, "words": "to drive", "naloxone": True}
    asked = {"rxcui": "1049621", "starts_on": "2026-12-01", "asked_by": "patient", "mg_per_day": 40}
    found = json(prescriber.post("/api/v1/tapers/search", whose))["tapers"]
    begun = {**whose, **asked, "days_on": 400, "decision": decision}
    taper = found[0] if found else json(prescriber.post("/api/v1/tapers", begun))
    somebody = {"npi": "1234567893", "specialty": "neurology"}
    kept = json(caller(Role.COMPLIANCE).post("/api/v1/prescribers", somebody))
    return {
        "plan_id": plan["id"],
        "step_id": step["id"],
        "referral_id": referral["id"],
        "taper_id": taper["id"],
        "prescriber_id": kept["id"],
        "planned_for": _own_id(sessions, "p-long"),
    }


def _own_id(sessions: Sessions, ehr_id: str) -> str:
    with transaction(sessions, write=False) as session:
        found = charts.known_patient(session, organisation_id=HERE, patient_id=ehr_id)
        assert found.id is not None
        return found.id


@pytest.fixture
def ours(
    caller: Callable[..., Caller],
    sessions: Sessions,
    flagged: dict[str, str],
    matched: dict[str, str],
    planned: dict[str, str],
    on_opioids: None,
) -> dict[str, str]:
    """Ids of every kind of thing that an organisation can have."""
    prescriber = caller(Role.PRESCRIBER)
    decided = json(prescriber.post("/api/v1/orders", a_case(days=30, refills=2, quantity=120)))
    (stopped,) = [f for f in decided["findings"] if f["policy"] == "short-course"]
    where = f"/api/v1/decisions/{decided['id']}/findings/short-course/exception"
    reason = stopped["override_reasons"][0]["code"]
    asked = json(prescriber.post(where, {"reason": reason, "note": "note"}))
    (late,) = [f for f in decided["findings"] if f["policy"] == "pdmp-check"]
    rest = {"reason": late["override_reasons"][0]["code"], "until": "2026-12-01"}
    rests = json(prescriber.post(f"/api/v1/decisions/{decided['id']}/findings/pdmp-check/snooze", rest))
    link = {"patient": decided["patient_id"], "instrument": "peg"}
    linked = json(prescriber.post("/api/v1/questionnaire-links", link))
    patient = {"patient": decided["patient_id"]}
    words = {"activity": "walk", "baseline": "little", "target": "far", "due_on": "2026-12-21"}
    goal = json(prescriber.post("/api/v1/goals", {**patient, **words}))
    peg = {"instrument": "peg", "answers": {"pain": 5}, "taken_at": "2026-11-21T11:00:00Z"}
    measured = json(prescriber.post("/api/v1/measurements", {**patient, **peg}))
    (review,) = json(prescriber.post("/api/v1/reviews/plan", {"patient": "p-long"}))["reviews"]
    everything = {"scope": "everything", "reason": "a letter"}
    held = json(caller(Role.COMPLIANCE).post("/api/v1/legal-holds", everything))
    sent = caller(Role.PHARMACIST).post("/api/v1/imports", b"TH*", content_type="application/octet-stream")
    return {
        "import_id": json(sent)["import"],
        "act": "reached",
        "instrument_id": "peg",
        "decision_id": decided["id"],
        "ordered_for": _own_id(sessions, decided["patient_id"]),
        "policy_id": stopped["policy"],
        "exception_id": asked["id"],
        "snooze_id": rests["id"],
        **flagged,
        **matched,
        "link_id": linked["id"],
        "token_id": json(caller(Role.ADMIN).get("/api/v1/tokens"))["tokens"][0]["id"],
        "session_id": a_session(prescriber.app),
        "goal_id": goal["id"],
        "measurement_id": measured["id"],
        "review_id": review["id"],
        "hold_id": held["id"],
        **planned,
    }


def a_session(app: Flask) -> str:
    """Somebody who is signed in here."""
    running = app.extensions["stewardship"]
    who = Principal("signed-in-here", HERE, Role.PRESCRIBER)
    by = Principal("setup", HERE, Role.ADMIN)
    terms = running.library.identity.session
    with transaction(running.sessions) as session:
        if who.user_id not in {account.user_id for account in users.listed(session, by=by)}:
            users.add(session, login="here@here.example", role=who.role, by=by, now=NOW, user_id=who.user_id)
        browser_sessions.begin(
            session, who, stage=Stage.WHOLE, method=Method.PASSWORD, agent="", terms=terms, now=NOW
        )
        return browser_sessions.listed(session, by=who, terms=terms, now=NOW)[0].id


#: Ids that belong to nobody: policies and drugs are the same for all.
SHARED = {"policy_id", "system", "code", "instrument_id", "act", "service_id", "report_id", "measure_id"}


def test_another_organisations_things_are_like_missing_ones(
    app: Flask, caller: Callable[..., Caller], ours: dict[str, str]
) -> None:
    tried = 0
    for rule in owned_rules(app):
        owned = set(rule.arguments) - SHARED
        assert owned <= set(ours), f"{rule.rule}: add the id to the fixture, so that its isolation is tested"
        permission = permission_of(app.view_functions[rule.endpoint])
        for role in (r for r in Role if permission in PERMISSIONS[r]):
            stranger = caller(role, ELSEWHERE)
            theirs = call(stranger, rule, **ours)
            missing = call(stranger, rule, **{**ours, **dict.fromkeys(owned, MISSING)})
            assert theirs.status_code == missing.status_code == 404, (rule.rule, role)
            assert _but_the_request(theirs) == _but_the_request(missing)
            tried += 1
    assert tried


def test_the_same_ids_are_found_here(app: Flask, caller: Callable[..., Caller], ours: dict[str, str]) -> None:
    """Otherwise the test above would tell nothing. The patient of the plan, the taper and the review is
    another one than the flag's."""
    absent = []
    for rule in (r for r in owned_rules(app) if method(r) == "GET"):
        of_plans = {"plan_id", "taper_id", "review_id"} & set(rule.arguments)
        of_order = {"goal_id", "decision_id"} & set(rule.arguments)
        ids = {**ours, "act": "pause" if "taper_id" in of_plans else "begin"}
        if "patient_id" in rule.arguments and (of_plans or of_order):
            ids["patient_id"] = ours["planned_for"] if of_plans else ours["ordered_for"]
        if rule.endpoint == "identities.show":
            ids["patient_id"] = ours["described"]
        role = next(r for r in Role if r in ADMITTED[rule.endpoint])
        if call(caller(role), rule, **ids).status_code != 200:
            absent.append(rule.rule)
    assert absent == []


def test_our_own_things_are_there(app: Flask, caller: Callable[..., Caller], ours: dict[str, str]) -> None:
    reader = caller(Role.COMPLIANCE)
    assert reader.get(f"/api/v1/decisions/{ours['decision_id']}").status_code == 200
    assert reader.get(f"/api/v1/exceptions/{ours['exception_id']}").status_code == 200


def test_the_same_patient_id_elsewhere_is_another_patient(caller: Callable[..., Caller]) -> None:
    case = a_case(days=7, quantity=28, patient="p-in-both", history=known())
    for _ in range(2):
        here = json(caller(Role.PRESCRIBER).post("/api/v1/orders", case))
    there = json(caller(Role.PRESCRIBER, ELSEWHERE).post("/api/v1/orders", case))
    earlier = {f["policy"]: f["facts"].get("earlier_days") for f in here["findings"]}["short-course"]
    earlier_there = {f["policy"]: f["facts"].get("earlier_days") for f in there["findings"]}["short-course"]
    assert (earlier, earlier_there) == (7, 0)


@pytest.mark.parametrize("odd", ["P-1001' OR '1'='1", "..%2F..%2Fetc", "%00", "x" * 3000, "\u0661"])
def test_an_odd_id_is_a_missing_one(caller: Callable[..., Caller], odd: str) -> None:
    assert caller(Role.PRESCRIBER).get(f"/api/v1/decisions/{odd}").status_code in {404, 414}


def _but_the_request(response: Any) -> Any:
    if response.mimetype == "text/html":
        return re.sub(r"request [0-9a-f]{24}|value=\"/[^\"]*\"", "", response.text)
    body: dict[str, Any] = json(response)
    del body["request_id"]
    return body


# --- the demonstration's open door -----------------------------------------------------------------


@pytest.fixture
def open_demo(library: Library, sessions: Sessions, clock: Clock) -> Flask:
    settings = replace(SETTINGS, environment=Environment.DEMO, cds_open=True, demo_organisation=HERE)
    return create_app(settings, library=library, sessions=sessions, clock=clock)


@pytest.mark.parametrize("token", [None, "header.claims.signature"])
def test_in_an_open_demonstration_a_hook_needs_no_token_of_ours(open_demo: Flask, token: str | None) -> None:
    assert Caller(open_demo, token).post("/cds-services/none", {}).status_code == 404
    assert Caller(open_demo, token).get("/api/v1/whoami").status_code == 401


def test_a_token_that_looks_like_ours_must_be_ours_even_there(open_demo: Flask) -> None:
    assert Caller(open_demo, "stw_not-one-of-ours").post("/cds-services/none", {}).status_code == 401


def test_the_door_is_shut_elsewhere(nobody: Caller) -> None:
    assert nobody.post("/cds-services/none", {}).status_code == 401
