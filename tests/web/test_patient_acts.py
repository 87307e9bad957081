"""Links for patients, flags by hand, and wrong matches undone, from the patient's page."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from stewardship.db import transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import links, matches
from tests.builders import TODAY, a_supply
from tests.web.conftest import HERE, running_of, signed_in
from tests.web.test_plan_pages import faults
from tests.web.test_prescriber_pages import a_patient, id_in, send
from tests.web.test_settling import match

__all__ = ["match"]
BY = Principal("u-reader", HERE, Role.PHARMACIST)


@pytest.fixture
def pharmacist(client):
    signed_in(client, Role.PHARMACIST)
    return client


def links_of(client, patient):
    with transaction(running_of(client.application).sessions, write=False) as session:
        return links.of_patient(session, id_in(patient), by=BY)


# --- links -----------------------------------------------------------------------------------------


def test_a_link_is_shown_once_and_the_patient_can_answer_by_it(app, pharmacist):
    patient = a_patient(app)
    page = send(pharmacist, f"{patient}/links", {"instrument": "peg", "days": "7"}).text
    shown = html.unescape(re.search(r'id="made" type="text" readonly value="([^"]+)"', page)[1])
    assert shown.startswith("http://localhost/questionnaire/")
    assert app.test_client().get(shown.removeprefix("http://localhost")).status_code == 200
    assert "/questionnaire/" not in pharmacist.get(f"{patient}/links").text
    (link,) = links_of(pharmacist, patient)
    assert (link.instrument, link.expires_at - link.issued_at) == ("peg", timedelta(days=7))
    assert f'href="{patient}/links"' in pharmacist.get(patient).text


def test_a_link_is_ended_from_the_page(app, pharmacist):
    patient = a_patient(app)
    page = send(pharmacist, f"{patient}/links", {"instrument": "peg", "days": "7"}).text
    shown = html.unescape(
        re.search(r'id="made" type="text" readonly value="http://localhost([^"]+)"', page)[1]
    )
    (link,) = links_of(pharmacist, patient)
    assert send(pharmacist, f"{patient}/links/{link.id}/revoke", {}).status_code == 303
    assert "ended by hand" in pharmacist.get(f"{patient}/links").text
    assert app.test_client().get(shown).status_code == 410


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"days": ""}, "days"),
        ({"days": "0"}, "days"),
        ({"days": "61"}, "days"),
        ({"instrument": ""}, "instrument"),
    ],
    ids=["no days", "none", "too long", "nothing asked"],
)
def test_a_link_that_cannot_be_is_refused_beside_the_field(app, pharmacist, said, field):
    patient = a_patient(app)
    refused = send(pharmacist, f"{patient}/links", {"instrument": "peg", "days": "7"} | said)
    assert refused.status_code == 422
    assert field in faults(refused.text)
    assert links_of(pharmacist, patient) == ()


def test_no_licensed_instrument_and_no_tool_of_risk_is_offered(app, pharmacist):
    page = pharmacist.get(f"{a_patient(app)}/links").text
    offered = re.findall(r'<option value="([a-z0-9-]+)"', page)
    library = running_of(app).library
    assert "peg" in offered
    for one in offered:
        assert links.form(library, one)


def test_a_link_of_another_patient_is_not_ended_here(app, pharmacist):
    patient, other = a_patient(app), a_patient(app)
    send(pharmacist, f"{patient}/links", {"instrument": "peg", "days": "7"})
    (link,) = links_of(pharmacist, patient)
    assert send(pharmacist, f"{other}/links/{link.id}/revoke", {}).status_code == 404
    assert links_of(pharmacist, patient)[0].revoked_at is None


# --- flags by hand ---------------------------------------------------------------------------------


@pytest.fixture
def filled(app):
    """A patient with one supply on record: the path, and the supply's id."""
    supply = a_supply(start=TODAY - timedelta(days=3), days=7)
    return a_patient(app, supply), supply.id


def by_hand(app):
    kinds = running_of(app).library.flags.work.kinds.values()
    return next(one.kind for one in kinds if one.by_hand)


def test_a_pharmacist_raises_a_flag_and_it_stands_in_the_queue(app, pharmacist, filled):
    patient, supply = filled
    said = {"kind": by_hand(app), "label": supply, "words": "The ink <b>ran</b>", "on": TODAY.isoformat()}
    raised = send(pharmacist, f"{patient}/flags/new", said)
    assert raised.status_code == 303
    assert raised.headers["Location"].startswith("/queue/")
    page = pharmacist.get(raised.headers["Location"]).text
    assert "The ink &lt;b&gt;ran&lt;/b&gt;" in page
    again = send(pharmacist, f"{patient}/flags/new", said)
    assert again.status_code == 409
    assert "flagged already" in again.text
    assert "ran&lt;/b&gt;</textarea>" in again.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": ""}, "kind"),
        ({"label": ""}, "label"),
        ({"words": "\u200b"}, "words"),
        ({"on": "2027-01-01"}, "on"),
    ],
    ids=["kind", "supply", "words", "future"],
)
def test_a_flag_that_does_not_say_all_is_refused_beside_the_field(app, pharmacist, filled, changes, field):
    patient, supply = filled
    said = {"kind": by_hand(app), "label": supply, "words": "seen", "on": TODAY.isoformat()} | changes
    refused = send(pharmacist, f"{patient}/flags/new", said)
    assert refused.status_code == 422
    assert set(faults(refused.text)) == {field}


def test_a_supply_of_another_patient_is_not_flagged(app, pharmacist, filled):
    said = {"kind": by_hand(app), "label": filled[1], "words": "seen"}
    assert send(pharmacist, f"{a_patient(app)}/flags/new", said).status_code == 404


# --- wrong matches ---------------------------------------------------------------------------------


def matched(client, match):
    """The patient of a match that was accepted, and the identity that was given to him."""
    _, _, identity, whose = match.split("/")
    assert send(client, f"{match}/accept", {"reason": "moved house"}).status_code == 303
    return f"/patients/{whose}", identity


def owner_of(client, identity):
    with transaction(running_of(client.application).sessions, write=False) as session:
        return matches.description(session, identity, by=BY).patient_id


def test_what_a_patient_is_made_of_is_listed_and_a_wrong_match_parted(pharmacist, match):
    patient, identity = matched(pharmacist, match)
    listing = pharmacist.get(f"{patient}/identities").text
    assert f"{patient}/identities/{identity}" in listing
    assert "12207" in listing
    assert "10001" in listing
    page = pharmacist.get(f"{patient}/identities/{identity}").text
    assert "moved house" in page
    parted = send(pharmacist, f"{patient}/identities/{identity}", {"reason": "a twin"})
    assert parted.status_code == 303
    assert owner_of(pharmacist, identity) != id_in(patient)
    assert identity not in pharmacist.get(f"{patient}/identities").text


def test_parting_needs_a_reason_and_is_done_once(pharmacist, match):
    patient, identity = matched(pharmacist, match)
    refused = send(pharmacist, f"{patient}/identities/{identity}", {"reason": " "})
    assert refused.status_code == 422
    assert "reason" in faults(refused.text)
    send(pharmacist, f"{patient}/identities/{identity}", {"reason": "a twin"})
    again = send(pharmacist, f"{patient}/identities/{identity}", {"reason": "a twin, I say"})
    assert again.status_code == 409
    assert "no longer this patient" in again.text


def test_compliance_reads_descriptions_and_parts_none(client, match):
    signed_in(client, Role.PHARMACIST)
    patient, identity = matched(client, match)
    signed_in(client, Role.COMPLIANCE)
    assert "<textarea" not in client.get(f"{patient}/identities/{identity}").text
    assert send(client, f"{patient}/identities/{identity}", {"reason": "x"}).status_code == 403
    assert owner_of(client, identity) == id_in(patient)
