"""What a patient wants and does not want, what a payer asks for: words of a day; the newest counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from stewardship.domain.treatments import Source, Treatment


class Stance(StrEnum):
    """What was said of a kind of treatment."""

    DECLINED = "declined"
    WANTED = "wanted"
    OPEN = "open"  # not declined any more, nor asked for


class SaidBy(StrEnum):
    """Who said it."""

    PATIENT = "patient"
    REPRESENTATIVE = "representative"


@dataclass(frozen=True, slots=True)
class PreferenceKind:
    """A kind of treatment that may be declined: what is on these rungs, and of these modalities."""

    id: str
    title: str
    rungs: frozenset[int]
    modalities: frozenset[str]
    sources: tuple[Source, ...] = ()
    verified: bool = False

    def covers(self, treatment: Treatment) -> bool:
        """Whether the treatment is of the kind."""
        return treatment.rung in self.rungs or treatment.modality in self.modalities


@dataclass(frozen=True, slots=True)
class Preference:
    """What was said of a kind (``about`` is its id), by whom, on which day."""

    about: str
    stance: Stance
    said_on: date
    said_by: SaidBy
    note: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a payer was found to ask for in a discipline. ``None`` is "not known", never "no limit".

    ``visits_left`` are those that were left ``on`` the day of asking, until ``until``.
    """

    discipline: str
    on: date
    referral_needed: bool | None = None
    visits_left: int | None = None
    until: date | None = None
    note: str = ""


def latest(said: Iterable[Preference]) -> Mapping[str, Preference]:
    """The newest word about each kind; of one day, the one that was written down last."""
    found: dict[str, Preference] = {}
    for one in said:
        known = found.get(one.about)
        if known is None or known.said_on <= one.said_on:
            found[one.about] = one
    return found


def declined(
    treatment: Treatment, said: Iterable[Preference], kinds: Mapping[str, PreferenceKind]
) -> Preference | None:
    """The word by which the patient does not want the treatment; ``None`` when there is none."""
    for about, one in latest(said).items():
        if one.stance is Stance.DECLINED and about in kinds and kinds[about].covers(treatment):
            return one
    return None


def newest(facts: Iterable[Coverage]) -> Mapping[str, Coverage]:
    """What is known of each discipline, by the newest inquiry."""
    found: dict[str, Coverage] = {}
    for one in facts:
        known = found.get(one.discipline)
        if known is None or known.on <= one.on:
            found[one.discipline] = one
    return found
