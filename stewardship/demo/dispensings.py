"""What pharmacies report to the demonstration's clinic: real files, through the same import as any other.

The record system says who some of the clinic's patients are (FHIR), and each pharmacy sends an ASAP file that
our own writer has written. Both are made from the day on which the clinic was made, so that they are the same
at every start: what is imported is known, and what was interrupted is continued.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from stewardship import importing
from stewardship.db import Sessions
from stewardship.declarations import Library
from stewardship.declarations.drugs import checked
from stewardship.demo.clinic import Clinic
from stewardship.domain.codes import NDC, Coding
from stewardship.domain.dispensings import (
    Address,
    Dispensed,
    DispensingReport,
    Identity,
    Pharmacy,
    Prescriber,
    Reporting,
    Species,
)
from stewardship.domain.drugs import Medication
from stewardship.domain.people import Principal
from stewardship.intake.asap import Entry, write
from stewardship.intake.feeds import Described, feeds_of
from stewardship.intake.strict_json import dumps

_FILE = Path(__file__).parent / "dispensings.toml"
#: Of day's transmission: this many hours before the clinic was made, so that it lies in the past.
_AGO = timedelta(hours=2)
_BORN_OF_STRANGERS = date(1971, 3, 4)
_SEX = {"female": "F", "male": "M"}


class _Fill(Schema):
    class Meta:
        unknown = RAISE

    rx = fields.String(required=True)
    pharmacy = fields.String(required=True)
    prescriber = fields.Integer(required=True, strict=True)
    days_ago = fields.Integer(required=True, strict=True, validate=validate.Range(0, 400))
    product = fields.String(required=True)
    quantity = fields.Integer(required=True, strict=True)
    days = fields.Integer(required=True, strict=True)
    refills = fields.Integer(load_default=0, strict=True)
    fill = fields.Integer(load_default=0, strict=True)
    payment = fields.String(load_default="04")
    reporting = fields.Enum(Reporting, by_value=True, load_default=Reporting.NEW)


class _Person(Schema):
    class Meta:
        unknown = RAISE

    id = fields.String(required=True)
    kind = fields.String(load_default=None)
    which = fields.Integer(load_default=0, strict=True)
    alias = fields.String(data_key="as", load_default=None)
    zip = fields.String(required=True)
    fill = fields.List(fields.Nested(_Fill), required=True, validate=validate.Length(min=1))


class _Shop(Schema):
    class Meta:
        unknown = RAISE

    id = fields.String(required=True)
    ncpdp = fields.String(required=True)
    name = fields.String(required=True)
    zip = fields.String(required=True)
    quiet_days = fields.Integer(required=True, strict=True)


class _Reports(Schema):
    class Meta:
        unknown = RAISE

    product = fields.Dict(fields.String(), fields.String(), required=True)
    pharmacy = fields.List(fields.Nested(_Shop), required=True)
    person = fields.List(fields.Nested(_Person), required=True)


def take_in(
    sessions: Sessions, library: Library, clinic: Clinic, *, by: Principal, made_at: datetime, now: datetime
) -> int:
    """Import what the record system and the pharmacies say; how many rows were stored just now."""
    stored = 0
    for name, content in files(clinic, made_at=made_at):
        (feed,) = feeds_of([(name, _opener(content))], Described(), library, now=now)
        done = importing.take_in(sessions, library.feeds, feed, by=by, clock=lambda: now)
        stored += done.report.stored
    return stored


def files(clinic: Clinic, *, made_at: datetime) -> Iterator[tuple[str, bytes]]:
    """Names and contents: the patients whom the record system describes, then a file of each pharmacy."""
    said = checked(_FILE, _Reports())
    people = {person["id"]: _identity(person, said["person"], clinic) for person in said["person"]}
    known = [p for p in said["person"] if p["kind"]]
    yield (
        "patients.ndjson",
        b"\n".join(dumps(_patient(clinic.patient(p["kind"], p["which"]), people[p["id"]])) for p in known),
    )
    for number, shop in enumerate(said["pharmacy"], 1):
        yield f"{shop['id']}.asap", _file(shop, number, said, people, made_at)


def _opener(content: bytes) -> Any:
    return lambda: io.BytesIO(content)


def _identity(person: Mapping[str, Any], everybody: list[Mapping[str, Any]], clinic: Clinic) -> Identity:
    """Who somebody is: a number for a name."""
    of = next(p for p in everybody if p["id"] == (person["alias"] or person["id"]))
    if of["kind"]:
        patient = clinic.charts[clinic.patient(of["kind"], of["which"])].patient
        last, born, sex = patient.id.upper().replace("-", ""), patient.birth_date, _SEX[patient.sex]
    else:
        last, born, sex = of["id"].upper(), _BORN_OF_STRANGERS, ""
    address = Address(line1=f"{len(last)} DEMO ST", city="DEMOVILLE", state="NY", zip=person["zip"])
    return Identity(last, "DEMO", born, sex=sex, address=address, species=Species.PERSON)


def _patient(patient_id: str, who: Identity) -> Mapping[str, Any]:
    """A FHIR Patient of the record system."""
    return {
        "resourceType": "Patient",
        "id": patient_id,
        "name": [{"family": who.last, "given": [who.first]}],
        "birthDate": who.birth_date.isoformat() if who.birth_date else None,
        "gender": next(word for word, code in _SEX.items() if code == who.sex),
        "address": [{"postalCode": who.address.zip}],
    }


def _file(
    shop: Mapping[str, Any],
    number: int,
    said: Mapping[str, Any],
    people: Mapping[str, Identity],
    made_at: datetime,
) -> bytes:
    """Everything that one pharmacy has to report, in one transmission."""
    created = (made_at - _AGO - timedelta(days=shop["quiet_days"])).astimezone(UTC)
    report = DispensingReport(
        version="4.2A",
        control_number=f"DEMO{number:04d}",
        created=created.replace(microsecond=0, tzinfo=None),
        sender_id=shop["ncpdp"],
        sender_name=shop["name"],
    )
    pharmacy = Pharmacy(ncpdp=shop["ncpdp"], name=shop["name"], address=Address(zip=shop["zip"]))
    rows = [
        Entry(_row(fill, report, pharmacy, said["product"], made_at.date()), people[person["id"]])
        for person in said["person"]
        for fill in person["fill"]
        if fill["pharmacy"] == shop["id"]
    ]
    return b"".join(write(report, rows))


def _row(
    fill: Mapping[str, Any],
    report: DispensingReport,
    pharmacy: Pharmacy,
    products: Mapping[str, str],
    today: date,
) -> Dispensed:
    day = today - timedelta(days=fill["days_ago"])
    code = products[fill["product"]]
    return Dispensed(
        report=report,
        position=0,
        reporting=fill["reporting"],
        pharmacy=pharmacy,
        prescriber=Prescriber(npi=f"99000000{fill['prescriber']}", dea=f"AD00000{fill['prescriber']}"),
        prescription=fill["rx"],
        written_on=day - timedelta(days=fill["fill"] * fill["days"]),
        refills=fill["refills"],
        filled_on=day,
        fill=fill["fill"],
        medication=Medication((Coding(NDC, code),)),
        quantity=Decimal(fill["quantity"]),
        unit="each",
        days_supply=fill["days"],
        product_qualifier="01",
        product_id=code,
        payment=fill["payment"],
    )
