"""FHIR R4 Questionnaire out, QuestionnaireResponse in: an instrument as a form, and its answers.

Our own address names an instrument and its version; a response that names neither is refused, never
guessed. An answer that cannot be read is a fault at its place; an item without an answer is left open, and
whether there is a score without it is the instrument's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.instruments import Instrument, Wording
from stewardship.domain.measurements import Reporter
from stewardship.domain.scoring import Item
from stewardship.intake.fhir_r4.elements import Faults, Json, day, objects, words
from stewardship.intake.fhir_r4.resources import tail

_BASE = "https://opioid-stewardship.example/Questionnaire/"
_CHOICES = "https://opioid-stewardship.example/CodeSystem/"
_LEAST = "http://hl7.org/fhir/StructureDefinition/minValue"
_MOST = "http://hl7.org/fhir/StructureDefinition/maxValue"
_ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
_LOINC = "http://loinc.org"
_COMPLETE = ("completed", "amended")
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Response:
    """The answers of one response by item, the day they were given on and whom they are about, by id; and
    who gave them, as far as the response says."""

    instrument: Instrument
    answers: Mapping[str, Decimal | None]
    on: date | None
    patient_id: str
    id: str
    reporter: Reporter = Reporter.SYSTEM


# --- out ---------------------------------------------------------------------------------------------


def questionnaire(instrument: Instrument) -> dict[str, Any]:
    """The instrument as a Questionnaire; numbers are ``int`` or ``Decimal``.

    Of a licensed form only the fields for its results are there, and it is for clinicians to enter them.
    """
    form: dict[str, Any] = {
        "resourceType": "Questionnaire",
        "id": f"{instrument.id}-v{instrument.version}",
        "url": _BASE + instrument.id,
        "version": str(instrument.version),
        "name": "".join(part.capitalize() for part in instrument.id.split("-")),
        "title": instrument.title,
        "status": "active",
        "subjectType": ["Patient"],
        "copyright": instrument.licence,
        "item": [_item(instrument, item) for item in instrument.items],
    }
    if instrument.wording is Wording.NONE:
        form["purpose"] = "Results of a licensed form, entered by a clinician; the form itself is not shown."
    if instrument.loinc and instrument.loinc_verified:
        form["code"] = [{"system": _LOINC, "code": instrument.loinc}]
    return form


def _item(instrument: Instrument, item: Item) -> dict[str, Any]:
    made: dict[str, Any] = {"linkId": item.id, "text": item.text}
    if item.loinc and instrument.loinc_verified:
        made["code"] = [{"system": _LOINC, "code": item.loinc}]
    if item.yes_no:
        return {**made, "type": "boolean"}
    if item.choices:
        options = [_option(instrument, value, label) for value, label in item.choices]
        return {**made, "type": "choice", "answerOption": options}
    whole = item.step == item.step.to_integral_value() and item.least == item.least.to_integral_value()
    kind, name = ("integer", "valueInteger") if whole else ("decimal", "valueDecimal")
    bounds = [
        {"url": url, name: int(bound) if whole else bound}
        for url, bound in ((_LEAST, item.least), (_MOST, item.most))
    ]
    return {**made, "type": kind, "extension": bounds}


def _option(instrument: Instrument, value: Decimal, label: str) -> dict[str, Any]:
    return {
        "valueCoding": {
            "system": _CHOICES + instrument.id,
            "code": f"{value.normalize():f}",
            "display": label,
            "extension": [{"url": _ORDINAL, "valueDecimal": value}],
        }
    }


# --- in ----------------------------------------------------------------------------------------------


def read_response(document: Any, instruments: Mapping[str, Instrument]) -> Response:
    """A QuestionnaireResponse to one of our forms.

    Raises ``InvalidInput`` when it is none, is not complete, or holds an answer that cannot be read or that
    the item does not take; ``NotFound`` when it is to a form, or a version of one, that we do not have.
    """
    if type(document) is not dict or document.get("resourceType") != "QuestionnaireResponse":
        raise _refused("", "not-a-response", "Not a QuestionnaireResponse.")
    if "modifierExtension" in document:
        raise _refused("/modifierExtension", "not-understood", "Says something that may change its meaning.")
    if words(document.get("status")) not in _COMPLETE:
        raise _refused("/status", "not-complete", "Only completed or amended responses are taken.")
    instrument = _instrument(words(document.get("questionnaire")), instruments)
    faults: list[Fault] = []
    answers: dict[str, Decimal | None] = {}
    items = {item.id: item for item in instrument.items}
    _read_items(document, "", items, answers, faults, depth=0)
    unreadable: Faults = []
    on = day(document.get("authored"), "authored", unreadable)
    faults += [Fault(f"/{path}", "not-a-day", "Not a date.") for path in unreadable]
    if faults:
        raise InvalidInput("the response holds answers that cannot be taken", faults=tuple(faults))
    subject = document.get("subject")
    patient = tail(words(subject.get("reference"))) if type(subject) is dict else ""
    return Response(instrument, answers, on, patient, words(document.get("id")), _reporter(document))


def _reporter(document: Json) -> Reporter:
    """The patient when the source is one, a clinician when it is a practitioner, else a system."""
    source = document.get("source")
    kind = (
        words(source.get("reference")).rpartition("/")[0].rpartition("/")[2] if type(source) is dict else ""
    )
    return {"Patient": Reporter.PATIENT, "RelatedPerson": Reporter.PATIENT}.get(
        kind, Reporter.CLINICIAN if kind.startswith("Practitioner") else Reporter.SYSTEM
    )


def _instrument(address: str, instruments: Mapping[str, Instrument]) -> Instrument:
    place, _, version = address.partition("|")
    found = instruments.get(place.removeprefix(_BASE)) if place.startswith(_BASE) else None
    if found is None or version not in ("", str(found.version)):
        raise NotFound("there is no such form, or not in that version")
    return found


def _read_items(
    holder: Json,
    under: str,
    items: Mapping[str, Item],
    answers: dict[str, Decimal | None],
    faults: list[Fault],
    *,
    depth: int,
) -> None:
    """The items of a response, those inside groups included."""
    unreadable: Faults = []
    for place, written in enumerate(objects(holder.get("item"), "item", unreadable)):
        pointer = f"{under}/item/{place}"
        link = words(written.get("linkId"))
        item = items.get(link)
        if item is None:
            if "answer" in written:
                faults.append(Fault(f"{pointer}/linkId", "unknown-item", "The form has no such item."))
            elif depth < _DEEPEST:
                _read_items(written, pointer, items, answers, faults, depth=depth + 1)
            else:
                faults.append(Fault(pointer, "too-deep", "Groups inside groups go no deeper than that."))
            continue
        if link in answers:
            faults.append(Fault(f"{pointer}/linkId", "twice", "The item is answered twice."))
            continue
        given = objects(written.get("answer"), f"{pointer}/answer", unreadable)
        answers[link] = None
        if len(given) > 1:
            faults.append(Fault(f"{pointer}/answer", "several", "One answer, not several."))
        elif given:
            value = _value(given[0], item)
            if value is None or not item.takes(value):
                faults.append(Fault(f"{pointer}/answer", "not-taken", "Not an answer that the item takes."))
            answers[link] = value
    faults += [Fault(f"/{path.lstrip('/')}", "not-a-list", "Not a list of objects.") for path in unreadable]


def _value(answer: Json, item: Item) -> Decimal | None:
    """A number, a yes or no, or a choice by its code; text is never read as a number."""
    if "valueBoolean" in answer:
        said = answer["valueBoolean"]
        return Decimal(said) if type(said) is bool and item.yes_no else None
    for name in ("valueInteger", "valueDecimal"):
        if name in answer:
            number = answer[name]
            return Decimal(number) if type(number) in (int, Decimal) and not item.yes_no else None
    coding = answer.get("valueCoding")
    if type(coding) is dict:
        code = words(coding.get("code"))
        return next((value for value, _ in item.choices if f"{value.normalize():f}" == code), None)
    return None


def _refused(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput("not a response that can be taken", faults=(Fault(pointer, code, message),))
