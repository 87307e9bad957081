"""What a CDS Hooks client reports about cards -> one entry for each report.

The specification's ``feedback``: a card by its uuid, ``accepted`` with the suggestions that were taken or
``overridden`` with or without a reason, and the moment. Fields that a client adds are dropped.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from stewardship.intake.fields import Choice, Instant, Said, Text, Token, read

_LONGEST_CODE = 200
_LONGEST_SYSTEM = 500
_LONGEST_COMMENT = 4000
_MOST_REPORTS = 500
_MOST_SUGGESTIONS = 50


class Outcome(StrEnum):
    """What somebody did about a card. A card that was ignored is not reported."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, slots=True)
class Entry:
    """One report. ``accepted`` are ids of suggestions; reason and comment are those of an override."""

    card: str
    outcome: Outcome
    accepted: tuple[str, ...]
    reason_code: str
    reason_system: str
    comment: str
    at: datetime


def read_feedback(document: object) -> tuple[Entry, ...]:
    """The reports of one call; raises ``InvalidInput`` with the places that are wrong."""
    return tuple(_entry(said) for said in read(_FEEDBACK, document)["feedback"])


def _entry(said: Mapping[str, Any]) -> Entry:
    override = said["override_reason"] or {}
    reason = override.get("reason") or {}
    return Entry(
        card=_as_issued(said["card"]),
        outcome=said["outcome"],
        accepted=tuple(_as_issued(one["id"]) for one in said["accepted"] or ()),
        reason_code=reason.get("code", ""),
        reason_system=reason.get("system", ""),
        comment=override.get("comment") or "",
        at=said["at"],
    )


def _as_issued(written: str) -> str:
    """A uuid as we write it, whatever its case and with or without ``urn:uuid:``; else what it is."""
    try:
        return str(uuid.UUID(written))
    except ValueError:
        return written


class _Lenient(Schema):
    """Unknown fields are dropped: clients add extensions and newer fields."""

    class Meta:
        """Later versions of the specification only add."""

        unknown = EXCLUDE


class _Coding(_Lenient):
    code = Token(longest=_LONGEST_CODE, required=True)
    system = Token(longest=_LONGEST_SYSTEM, load_default="")


class _Override(_Lenient):
    reason = fields.Nested(_Coding, allow_none=True)
    comment = Text(longest=_LONGEST_COMMENT, allow_none=True, data_key="userComment")


class _Accepted(_Lenient):
    id = Token(required=True)


class _Report(_Lenient):
    card = Token(required=True)
    outcome = Choice(Outcome, required=True)
    accepted = fields.List(
        fields.Nested(_Accepted),
        allow_none=True,
        load_default=None,
        data_key="acceptedSuggestions",
        validate=validate.Length(max=_MOST_SUGGESTIONS),
    )
    override_reason = fields.Nested(_Override, allow_none=True, load_default=None, data_key="overrideReason")
    at = Instant(required=True, data_key="outcomeTimestamp")

    @validates_schema(skip_on_field_errors=True)
    def says_what_was_accepted(self, loaded: Mapping[str, Any], **_kwargs: Any) -> None:
        """Acceptance is of suggestions; an override is of none."""
        accepted = loaded["outcome"] is Outcome.ACCEPTED
        if accepted and not loaded["accepted"]:
            raise ValidationError({"acceptedSuggestions": [Said("Which were accepted?", code="required")]})
        if not accepted and loaded["accepted"]:
            words = "Belongs to an accepted card; this one was overridden."
            raise ValidationError({"acceptedSuggestions": [Said(words, code="contradiction")]})


class _Feedback(_Lenient):
    feedback = fields.List(
        fields.Nested(_Report), required=True, validate=validate.Length(min=1, max=_MOST_REPORTS)
    )


_FEEDBACK = _Feedback()
