"""FHIR in bulk: one resource at a time, whatever size the file has, and truth about where it breaks."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime

import pytest

from stewardship.declarations import load
from stewardship.domain.dispensings import Identifier
from stewardship.domain.feeds import Broken, Brought, Refusal, Remark
from stewardship.intake import ndjson
from stewardship.intake.feeds import Described, feeds_of
from stewardship.intake.ndjson import Found, resources

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ABOUT = {"subject": {"reference": "Patient/p-1"}}


@pytest.fixture(scope="module")
def library():
    return load()


def an_observation(number=1, **more):
    return {"resourceType": "Observation", "id": f"o-{number}", "status": "final", **ABOUT, **more}


def a_bundle(*entries, **more):
    return {
        "resourceType": "Bundle",
        "type": "collection",
        **more,
        "entry": [{"resource": e} for e in entries],
    }


def lines(*documents):
    return "\n".join(json.dumps(d) for d in documents).encode()


def found(content):
    return list(resources(io.BytesIO(content)))


def ids(content):
    return [f.resource["id"] if f.resource else f.fault for f in found(content)]


def items(library, content, **said):
    (feed,) = feeds_of([("file", lambda: io.BytesIO(content))], Described(**said), library, now=NOW)
    return list(feed.items())


def test_each_line_is_a_resource_with_its_line():
    assert [(f.line, f.resource["id"]) for f in found(lines(*map(an_observation, (1, 2, 3))))] == [
        (1, "o-1"), (2, "o-2"), (3, "o-3"),
    ]  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
def test_a_bundle_is_its_entries(indent):
    content = json.dumps(a_bundle(*map(an_observation, (1, 2, 3))), indent=indent).encode()
    assert ids(content) == ["o-1", "o-2", "o-3"]


def test_brackets_and_quotes_in_texts_are_texts():
    odd = an_observation(1, note=[{"text": 'a "quoted" } ] [ { \\ brace'}])
    assert ids(json.dumps(a_bundle(odd, an_observation(2)), indent=1).encode()) == ["o-1", "o-2"]


def test_what_stands_before_the_entries_is_no_entry():
    bundle = a_bundle(an_observation(), meta={"tag": [{"code": "entry"}]}, link=[{"relation": "self"}])
    assert ids(json.dumps(bundle, indent=1).encode()) == ["o-1"]


def test_a_resource_over_many_lines_is_one():
    assert ids(json.dumps(an_observation(), indent=2).encode()) == ["o-1"]


@pytest.mark.parametrize("block", [1, 2, 7, 64])
def test_where_a_block_ends_does_not_matter(monkeypatch, block):
    monkeypatch.setattr(ndjson, "_BLOCK", block)
    content = json.dumps(a_bundle(*map(an_observation, range(5))), indent=1).encode()
    assert ids(content) == [f"o-{n}" for n in range(5)]


def test_a_bundle_that_is_cut_gives_its_whole_entries_and_says_so():
    content = json.dumps(a_bundle(*map(an_observation, (1, 2, 3))), indent=1).encode()
    for cut in range(2, len(content) - 1):
        told = ids(content[:cut])
        assert told[-1] == "truncated"
        assert told[:-1] == ["o-1", "o-2", "o-3"][: len(told) - 1]


def test_a_last_line_that_is_cut_is_told():
    content = lines(an_observation(1), an_observation(2))
    assert ids(content[:-5]) == ["o-1", "truncated"]


def test_a_line_that_is_no_json_is_told_and_the_others_are_read():
    content = lines(an_observation(1)) + b"\n{not json}\n" + lines(an_observation(2))
    assert ids(content) == ["o-1", "not-json", "o-2"]


def test_a_large_file_is_read_in_little_memory(monkeypatch):
    monkeypatch.setattr(ndjson, "LARGEST", 2_000)
    big = an_observation(2, note=[{"text": "x" * 50_000}])
    content = json.dumps(a_bundle(an_observation(1), big, an_observation(3)), indent=1).encode()
    assert ids(content) == ["o-1", "too-large", "o-3"]
    scanner = ndjson._Scanner(b"", io.BytesIO(content), 1)
    held = 0
    for _ in scanner.entries():
        held = max(held, len(scanner._held))
    assert held < 2 * ndjson._BLOCK


def test_an_empty_file_is_no_export():
    assert found(b"\n \n") == [Found(3, None, "empty")]


# --- as a feed -------------------------------------------------------------------------------------


def test_what_is_not_about_a_patients_history_is_passed_over(library):
    told = items(library, lines({"resourceType": "Organization", "id": "x"}, an_observation()))
    assert [type(item) for item in told] == [Brought]


def test_a_resource_about_nobody_is_refused_with_its_place(library):
    (refused,) = items(library, lines({"resourceType": "Condition", "id": "c-1"}))
    assert isinstance(refused, Refusal)
    assert [(f.line, f.segment, f.element, f.code) for f in refused.faults] == [
        (1, "Condition", "subject", "required")
    ]


def test_what_cannot_be_read_of_a_resource_is_remarked(library):
    odd = {
        "resourceType": "MedicationDispense", "id": "d-1", "status": "completed", **ABOUT,
        "whenHandedOver": "yesterday", "medicationCodeableConcept": {"text": "something"},
    }  # fmt: skip
    brought, remark = items(library, lines(odd))
    assert isinstance(brought, Brought)
    assert isinstance(remark, Remark)
    assert (remark.fault.segment, remark.fault.element) == ("MedicationDispense", "whenHandedOver")


def test_a_cut_export_is_not_whole(library):
    assert items(library, lines(an_observation(1), an_observation(2))[:-5])[-1] == Broken("truncated")


def test_who_a_patient_is_stands_beside_the_chart_and_not_in_it(library):
    patient = {
        "resourceType": "Patient",
        "id": "p-1",
        "name": [
            {"use": "old", "family": "Before"},
            {"use": "official", "family": "Testname", "given": ["One"]},
        ],
        "birthDate": "1970-01-01",
        "gender": "female",
        "address": [{"line": ["1 Test St"], "city": "Albany", "state": "NY", "postalCode": "12207"}],
        "identifier": [
            {
                "system": "urn:oid:2.16.840.1.113883.4.3.36",
                "value": "S1",
                "type": {"coding": [{"code": "DL"}]},
            },
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-00-1234"},
            {"system": "urn:example:mrn", "value": "m-1"},
        ],
    }  # fmt: skip
    (brought,) = items(library, lines(patient))
    assert isinstance(brought, Brought)
    assert brought.patient is not None
    assert (brought.patient.last, brought.patient.first) == ("Testname", "One")
    assert brought.patient.birth_date == date(1970, 1, 1)
    assert brought.patient.ids == (Identifier("06", "S1", "NY"), Identifier("07", "999-00-1234", ""))
    assert "Testname" not in repr(brought.chart) + repr(brought.patient)


@pytest.mark.parametrize("missing", ["name", "birthDate"])
def test_a_patient_without_name_or_birth_cannot_be_matched(library, missing):
    patient = {
        "resourceType": "Patient", "id": "p-1", "birthDate": "1970-01-01",
        "name": [{"family": "Testname", "given": ["One"]}],
    }  # fmt: skip
    del patient[missing]
    (brought,) = items(library, lines(patient))
    assert isinstance(brought, Brought)
    assert brought.patient is None


def test_line_ends_do_not_change_what_the_content_comes_to(library):
    content = lines(*map(an_observation, (1, 2)))

    def digest(written):
        (feed,) = feeds_of([("file", lambda: io.BytesIO(written))], Described(), library, now=NOW)
        return feed.digest()

    assert digest(content) == digest(content.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert digest(content) != digest(content.replace(b"o-1", b"o-9"))
