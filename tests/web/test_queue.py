"""The queue on pages: what is listed and in which order, and that nobody loses words to a second person."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import count

import pytest

from stewardship.db import charts, transaction
from stewardship.db.patients import ensure_patient
from stewardship.domain.flags import Flag
from stewardship.domain.people import Principal, Role
from stewardship.services import flags
from tests.api.conftest import HERE, NOW
from tests.web.conftest import form_token, running_of, signed_in

_patients = count(1)
BESIDE, EARLY = "opioid-with-benzodiazepine", "early-refill"


@pytest.fixture
def a_flag(app):
    """Raises a flag of a new patient, or of one that has flags already."""

    def make(kind=BESIDE, *, patient: str = "", label: str = "s-1", ago: timedelta = timedelta(0)) -> str:
        running, by = running_of(app), Principal("watch", HERE, Role.ADMIN)
        name = patient or f"p-queued-{next(_patients)}"
        on = NOW.date() - ago
        with transaction(running.sessions) as session:
            known = charts.known_patient(session, organisation_id=HERE, patient_id=name)
            of = ensure_patient(session, known, known.patient, organisation_id=HERE, now=NOW)
            found = [Flag(kind, label, on, on, (label,), {"overlap_days": 3})]
            changes = flags.reconcile(
                session, running.library, of, found, kinds=[kind], source="watch", by=by, now=NOW - ago
            )
        (flag_id,) = changes.opened
        return flag_id

    return make


def version(page: str) -> str:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    return found[1]


def send(client, path: str, **data: str):
    return client.post(path, data={"csrf_token": form_token(client), **data})


def test_the_queue_is_filtered_by_kind_and_age_and_sorted(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    new, old, other = a_flag(), a_flag(ago=timedelta(days=5)), a_flag(EARLY)
    page = client.get(f"/queue?kind={BESIDE}&sort=age").text
    assert page.index(old) < page.index(new)
    assert other not in page
    assert "5 days ago" in page
    aged = client.get("/queue?age=3").text
    assert old in aged
    assert new not in aged


def test_an_address_that_asks_for_what_there_is_not_shows_the_usual(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    flag_id = a_flag()
    assert flag_id in client.get("/queue?kind=nothing&sort=%00&page=-4&weight=x").text


SCRIPT = "<img src=x onerror=alert(1)>"


def test_t18_what_is_written_at_a_flag_is_shown_as_text(app, client, a_flag):
    signed_in(client, Role.PHARMACIST)
    flag_id = a_flag(label=SCRIPT)
    assert SCRIPT not in client.get("/queue?status=open").text
    assert send(client, f"/queue/{flag_id}/notes", words=SCRIPT).status_code == 303
    refused = send(client, f"/queue/{flag_id}/messages", to=SCRIPT, words=SCRIPT)
    for page in (client.get(f"/queue/{flag_id}").text, refused.text):
        assert SCRIPT not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.parametrize("name", ["kind", "sort", "status", "age", "weight", "mine", "page"])
@pytest.mark.parametrize("asked", ["id; drop table flags", "' OR '1'='1", "1 UNION SELECT 1", SCRIPT])
def test_t22_a_filter_that_is_none_of_ours_reaches_no_query(client, a_flag, name, asked):
    signed_in(client, Role.PHARMACIST)
    flag_id = a_flag()
    answer = client.get("/queue", query_string={name: asked})
    assert answer.status_code == 200
    assert SCRIPT not in answer.text
    # The usual list, in which the flag is, and which nothing has emptied.
    assert flag_id in client.get("/queue?sort=newest").text


def test_t22_an_id_that_is_more_than_one_is_missing(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    flag_id = a_flag()
    for odd in (f"{flag_id}' OR '1'='1", "x'; DROP TABLE flags; --", f"{flag_id}%"):
        assert client.get(f"/queue/{odd}").status_code == 404
        assert send(client, f"/queue/{odd}/claim", version="1").status_code == 404
    assert client.get(f"/queue/{flag_id}").status_code == 200


def test_a_flag_is_worked_on_from_claim_to_reopening(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    flag_id = a_flag()
    at = f"/queue/{flag_id}"
    send(client, f"{at}/claim", version=version(client.get(at).text))
    assert "you have it" in client.get(at).text
    assert flag_id in client.get("/queue?mine=yes").text
    send(client, f"{at}/notes", words="Called the practice.")
    page = client.get(at).text
    assert "Called the practice." in page
    send(client, f"{at}/resolve", version=version(page), code="appropriate", words="Both known.")
    page = client.get(at).text
    assert "Looked into: appropriate for this patient" in page
    assert flag_id not in client.get("/queue").text
    assert flag_id in client.get("/queue?status=resolved").text
    send(client, f"{at}/reopen", version=version(page), reason="One is new.")
    assert "open, nobody has it" in client.get(at).text


def test_the_second_is_told_who_was_first_and_keeps_what_was_typed(app, a_flag):
    first, second = app.test_client(), app.test_client()
    who = signed_in(first, Role.PHARMACIST)
    signed_in(second, Role.PHARMACIST)
    at = f"/queue/{a_flag()}"
    seen = version(second.get(at).text)
    send(first, f"{at}/claim", version=version(first.get(at).text))
    words = "Both prescribers <know> & agree."
    refused = send(second, f"{at}/resolve", version=seen, code="coordinated", words=words)
    assert refused.status_code == 409
    assert f"{who.user_id} has this flag since 2026-11-21T12:00:00Z" in refused.text
    assert "Both prescribers &lt;know&gt; &amp; agree.</textarea>" in refused.text
    assert '<option value="coordinated" selected>' in refused.text
    assert "you have it" in first.get(at).text


def test_words_for_a_flag_that_was_resolved_meanwhile_wait_in_the_note(app, a_flag):
    first, second = app.test_client(), app.test_client()
    signed_in(first, Role.PHARMACIST)
    signed_in(second, Role.PHARMACIST)
    at = f"/queue/{a_flag()}"
    seen = version(second.get(at).text)
    send(first, f"{at}/resolve", version=seen, code="coordinated")
    refused = send(second, f"{at}/resolve", version=seen, code="not-dispensed", words="Sent away.")
    assert refused.status_code == 409
    assert "resolved this flag" in refused.text
    assert "Sent away.</textarea>" in refused.text


def test_a_stale_version_is_refused_with_the_words_kept(app, a_flag):
    first, second = app.test_client(), app.test_client()
    signed_in(first, Role.PHARMACIST)
    signed_in(second, Role.PHARMACIST)
    at = f"/queue/{a_flag()}"
    seen = version(second.get(at).text)
    send(first, f"{at}/notes", words="meanwhile")
    refused = send(second, f"{at}/resolve", version=seen, code="coordinated", words="done")
    assert refused.status_code == 409
    assert "noted by" in refused.text
    assert "done</textarea>" in refused.text
    again = send(
        second, f"{at}/resolve", version=version(refused.text), code="coordinated", words="done here"
    )
    assert again.status_code == 303


def test_a_form_without_a_version_is_stale(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    assert send(client, f"/queue/{a_flag()}/claim").status_code == 409


def test_a_missing_note_is_said_beside_the_field(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    at = f"/queue/{a_flag()}"
    refused = send(client, f"{at}/resolve", version=version(client.get(at).text), code="appropriate")
    assert refused.status_code == 422
    assert "what is not written down did not happen" in refused.text
    assert '<option value="appropriate" selected>' in refused.text


def test_a_flag_shows_the_history_of_its_kind(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    name = f"p-queued-{next(_patients)}"
    before = a_flag(EARLY, patient=name, label="s-1")
    send(client, f"/queue/{before}/resolve", version="1", code="lost-or-stolen", words="Police report seen.")
    page = client.get(f"/queue/{a_flag(EARLY, patient=name, label='s-9')}").text
    assert f"/queue/{before}" in page
    assert "Lost, stolen or damaged: documented" in page


def test_a_flag_has_its_timeline_as_a_picture(client, a_flag):
    signed_in(client, Role.PHARMACIST)
    drawn = client.get(f"/queue/{a_flag()}/timeline.svg")
    assert drawn.content_type == "image/svg+xml"
    assert drawn.text.startswith("<svg")


def test_compliance_reads_the_queue_and_is_offered_nothing_to_do(client, a_flag):
    signed_in(client, Role.COMPLIANCE)
    page = client.get(f"/queue/{a_flag()}").text
    assert "<textarea" not in page
    assert "/timeline.svg" not in page
