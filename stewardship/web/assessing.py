"""The pain, as somebody looked at it on a day: what was found, and what was tried before.

Only what was looked at is kept; what is left open stays unknown. What was said before stands beside each
question with its day, and the newest word about each counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as WSGIResponse

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.evaluation import (
    CameBecause,
    DocumentKind,
    DocumentState,
    ExamPart,
    Finding,
    PainType,
    StudyKind,
)
from stewardship.domain.suitability import Response as Effect
from stewardship.domain.triggers import Change, Limit
from stewardship.runtime import runtime
from stewardship.services import care, worklists
from stewardship.services.care import Assessed, DocumentSeen, Examined, StudyMade, TriedBefore
from stewardship.web.patient_forms import (
    acting,
    chart_of,
    day,
    done,
    form_page,
    library,
    needed_day,
    one_of,
    patient,
    typed,
    whole,
    wrong,
    yes_or_no,
)
from stewardship.web.patient_forms import today as organisations_day

room = Blueprint("assessing", __name__)

#: The questions that are answered with yes or no, in the order of a conversation.
QUESTIONS: Mapping[str, str] = {
    "conservative": "Care without needles was tried",
    "active_rehab": "Exercise or physical therapy is part of care now",
    "prevents_exercise": "The pain keeps the patient from exercising",
    "adequate_relief": "The relief is enough",
    "imaging_agrees": "History and examination fit what the image shows",
    "neurological_deficit": "There is a neurological deficit",
    "low_mood_or_fear": "Low mood, or fear of moving",
    "wants_to_reduce": "The patient wants to take less of the opioid",
    "surgical_candidate": "Surgery is an option",
    "declines_surgery": "The patient does not want surgery",
    "residual_after_surgery": "Pain in the operated region of the spine is left",
}
LIMITS = {
    Limit.WORK: "work",
    Limit.SLEEP: "sleep",
    Limit.DAILY_ACTIVITY: "daily activities",
}
CHANGES = {Change.BETTER: "better", Change.SAME: "the same", Change.WORSE: "worse"}
EFFECTS = {
    Effect.MEANINGFUL: "helped",
    Effect.PARTIAL: "helped in part",
    Effect.NONE: "did not help",
    Effect.HARM: "did harm",
    Effect.DECLINED: "the patient did not want it",
}
PAIN_TYPES = {
    PainType.NOCICEPTIVE: "nociceptive",
    PainType.NEUROPATHIC: "neuropathic",
    PainType.NOCIPLASTIC: "nociplastic",
    PainType.MIXED: "mixed",
}
REASONS = {
    CameBecause.NO_WORKUP: "nobody has looked for the cause yet",
    CameBecause.UNSURE_OF_SURGERY: "unsure whether to have surgery",
    CameBecause.NO_SURGERY_WANTED: "does not want surgery",
    CameBecause.NO_RELIEF: "nothing has brought relief",
    CameBecause.OTHER: "something else",
}
PARTS = {
    ExamPart.POSTURE: "Posture",
    ExamPart.MOVEMENT: "Range of motion",
    ExamPart.PALPATION: "Palpation",
    ExamPart.STRENGTH: "Strength",
    ExamPart.REFLEXES: "Reflexes",
    ExamPart.SENSATION: "Sensation",
}
FINDINGS = {Finding.NORMAL: "normal", Finding.ABNORMAL: "abnormal"}
DOCUMENTS = {
    DocumentKind.REFERRAL: "Letter of referral",
    DocumentKind.NOTES: "Earlier notes",
    DocumentKind.SURGERY: "Surgical history",
    DocumentKind.MEDICATIONS: "List of medications",
    DocumentKind.IMAGING: "Images and their reports",
}
STATES = {
    DocumentState.RECEIVED: "received",
    DocumentState.OUTSTANDING: "asked for, not here yet",
    DocumentState.NONE: "there is none",
}
STUDIES = {
    StudyKind.X_RAY: "X-ray",
    StudyKind.CT: "CT",
    StudyKind.MRI: "MRI",
    StudyKind.ULTRASOUND: "ultrasound",
    StudyKind.NERVE_CONDUCTION: "nerve conduction",
    StudyKind.LABORATORY: "laboratory",
}
#: Things that were tried, and studies, which one form takes; the next form takes the next ones.
_ROWS = 3
_STUDY_ROWS = 2
_MOST_ALLERGIES = 50
_LONGEST = {"where": 200, "eases": 500, "worsens": 500, "study": 100}
_LONGEST_NOTE, _LONGEST_DOSE, _LONGEST_REASON = 500, 100, 300
_WORDS = ("where", "eases", "worsens")
_CHOICES: Mapping[str, Mapping[Any, str]] = {
    "change": CHANGES,
    "pain_type": PAIN_TYPES,
    "came_because": REASONS,
}
_FIELDS = (
    "on", "onset_on", "limits_none", "surgery_on", "allergies", "allergies_none",
    *_WORDS, *_CHOICES, *QUESTIONS,
)  # fmt: skip
_OF_TRIED = ("what", "response", "on", "note", "began_on", "dose", "relief_percent", "stopped_because")
_OF_STUDY = ("kind", "region", "on")
_TRIED = tuple(f"tried-{n}-{part}" for n in range(_ROWS) for part in _OF_TRIED)
_STUDIES = tuple(f"studies-{n}-{part}" for n in range(_STUDY_ROWS) for part in _OF_STUDY)
_EXAMINED = tuple(f"examined-{part}{end}" for part in ExamPart for end in ("", "-note"))
_DOCUMENTS = tuple(f"documents-{kind}" for kind in DocumentKind)
_PLACES = {
    **{f"/tried/{n}/{part}": f"tried-{n}-{part}" for n in range(_ROWS) for part in _OF_TRIED},
    **{f"/studies/{n}/{part}": f"studies-{n}-{part}" for n in range(_STUDY_ROWS) for part in _OF_STUDY},
    **{f"/examined/{name}": f"examined-{name}" for part in ExamPart for name in (part, f"{part}-note")},
    **{f"/documents/{kind}": f"documents-{kind}" for kind in DocumentKind},
}


@room.get("/patients/<patient_id>/assessment")
@requires(Permission.RECORD_CARE)
def form(patient_id: str) -> Response:
    """The questions, each with what was said before."""
    return _page(patient_id, {}, {})


@room.post("/patients/<patient_id>/assessment")
@requires(Permission.RECORD_CARE)
def assess(patient_id: str) -> Response | WSGIResponse:
    """Keep what was found."""
    _, known_as = patient(patient_id)
    said = typed(*_FIELDS, *_TRIED, *_EXAMINED, *_DOCUMENTS, *_STUDIES)

    def act(session: Session) -> str:
        stated = _stated(said)
        on = needed_day(said["on"], "/on")
        care.assess(session, library(), known_as, Assessed(**stated), on=on, **acting())
        return "The assessment is on record; what else could help is told by it."

    return done(act, lambda faults: _page(patient_id, said, faults), to=chart_of(patient_id), places=_PLACES)


def _stated(said: Mapping[str, str]) -> dict[str, Any]:
    """What was looked at. Raises ``InvalidInput`` when that is nothing."""
    stated: dict[str, Any] = {name: yes_or_no(said[name]) for name in QUESTIONS}
    stated |= {name: day(said[name], f"/{name}") for name in ("onset_on", "surgery_on")}
    for name, words in _CHOICES.items():
        if said[name]:
            stated[name] = one_of(said[name], words, f"/{name}", "Choose one of those that are listed.")
    for name in _WORDS:
        if said[name]:
            stated[name] = _short(said[name], f"/{name}", _LONGEST[name])
    limits = [one for one in Limit if one.value in request.form.getlist("limits")]
    if limits or said["limits_none"]:
        stated["limits"] = tuple(limits)
    names = [name.strip() for name in said["allergies"].replace("\n", ",").split(",") if name.strip()]
    if len(names) > _MOST_ALLERGIES:
        raise wrong("/allergies", "too-many", f"At most {_MOST_ALLERGIES}.")
    if names or said["allergies_none"]:
        stated["allergies"] = tuple(names)
    rows: Mapping[str, list[Any]] = {
        "tried": [_tried(said, n) for n in range(_ROWS)],
        "studies": [_study(said, n) for n in range(_STUDY_ROWS)],
        "examined": [_examined(said, part) for part in ExamPart],
        "documents": [_document(said, kind) for kind in DocumentKind],
    }
    for name, found in rows.items():
        if any(one is not None for one in found):
            stated[name] = tuple(one for one in found if one is not None)
    stated = {name: value for name, value in stated.items() if value is not None}
    if not stated:
        raise wrong("/form", "required", "Nothing is filled in: answer what you looked at.")
    return stated


def _tried(said: Mapping[str, str], n: int) -> TriedBefore | None:
    """One row of what was tried, if it says anything."""
    row = {part: said[f"tried-{n}-{part}"] for part in _OF_TRIED}
    if not any(row.values()):
        return None
    at = f"/tried/{n}/"
    if not row["what"]:
        raise wrong(f"{at}what", "required", "Say what was tried.")
    return TriedBefore(
        row["what"],
        one_of(row["response"], Effect, f"{at}response", "Say what it did."),
        day(row["on"], f"{at}on"),
        _short(row["note"], f"{at}note", _LONGEST_NOTE),
        day(row["began_on"], f"{at}began_on"),
        _short(row["dose"], f"{at}dose", _LONGEST_DOSE),
        whole(row["relief_percent"], f"{at}relief_percent", most=100),
        _short(row["stopped_because"], f"{at}stopped_because", _LONGEST_REASON),
    )


def _study(said: Mapping[str, str], n: int) -> StudyMade | None:
    """One study that was made, if the row says anything."""
    kind, region, on = (said[f"studies-{n}-{part}"] for part in _OF_STUDY)
    if not any((kind, region, on)):
        return None
    at = f"/studies/{n}/"
    made = one_of(kind, STUDIES, f"{at}kind", "Say which study it was.")
    if not region:
        raise wrong(f"{at}region", "required", "Say of which region.")
    return StudyMade(made, _short(region, f"{at}region", _LONGEST["study"]), day(on, f"{at}on"))


def _examined(said: Mapping[str, str], part: ExamPart) -> Examined | None:
    """What was found in one part, if it was looked at."""
    found, words = said[f"examined-{part}"], said[f"examined-{part}-note"]
    if not found and not words:
        return None
    finding = one_of(found, FINDINGS, f"/examined/{part}", "Say normal or abnormal.")
    return Examined(part, finding, _short(words, f"/examined/{part}-note", _LONGEST_NOTE))


def _document(said: Mapping[str, str], kind: DocumentKind) -> DocumentSeen | None:
    """Where one document is, if somebody asked."""
    state = said[f"documents-{kind}"]
    if not state:
        return None
    return DocumentSeen(kind, one_of(state, STATES, f"/documents/{kind}", "Choose one of those listed."))


def _short(words: str, pointer: str, most: int) -> str:
    """Words of at most so many characters: nothing is cut off in silence."""
    if len(words) > most:
        raise wrong(pointer, "too-long", f"At most {most} characters.")
    return words


def _page(patient_id: str, said: dict[str, str], faults: dict[str, str]) -> Response:
    who, known_as = patient(patient_id, "" if faults else "assessment")
    with transaction(runtime().sessions, write=False) as session:
        before = care.beside(session, library(), patient_id, by=principal()).assessed
        known = care.advise(session, library(), known_as, **acting())
        today = organisations_day(session)
        looks = worklists.looks_at(session, patient_id, today=today, by=principal())
    treatments = library().alternatives.treatments.values()
    return form_page(
        "assessment.html",
        who,
        said,
        faults,
        today=today,
        limits=request.form.getlist("limits"),
        before=_latest(before),
        known=known,
        looks=looks,
        triggers={rule.id: rule for rule in library().triggers.rules},
        questions=QUESTIONS,
        limit_words=LIMITS,
        changes=CHANGES,
        pain_types=PAIN_TYPES,
        reasons=REASONS,
        parts=PARTS,
        findings=FINDINGS,
        documents=DOCUMENTS,
        states=STATES,
        studies=STUDIES,
        effects=EFFECTS,
        rows=range(_ROWS),
        study_rows=range(_STUDY_ROWS),
        treatments=sorted(((one.id, one.title) for one in treatments), key=lambda pair: pair[1]),
    )


def _latest(assessed: tuple[tuple[date, Assessed], ...]) -> dict[str, tuple[date, Any]]:
    """The last word about each fact, with its day."""
    found: dict[str, tuple[date, Any]] = {}
    for on, one in sorted(assessed, key=lambda pair: pair[0]):
        for name in one.__struct_fields__:
            value = getattr(one, name)
            if value is not None:
                found[name] = (on, value)
    return found
