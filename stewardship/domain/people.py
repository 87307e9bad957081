"""Who acts: always passed in as ``by``, never looked up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or machine client is here to do; permissions by role are data in ``auth``."""

    PRESCRIBER = "prescriber"
    PHARMACIST = "pharmacist"
    COMPLIANCE = "compliance"
    EHR = "ehr"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or client asking: ids only. Everything it sees is its organisation's.

    ``scopes`` narrow what the role may do, as the token used says; empty means: all that the role may.
    """

    user_id: str
    organisation_id: str
    role: Role
    scopes: frozenset[str] = frozenset()
