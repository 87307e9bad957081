"""Flags: what a pharmacist should look at in one patient's dispensings, each with its evidence.

A flag labels a prescription or a pattern of prescriptions, never a person. It is raised by an order and by
the watch over all patients alike, and one problem is one flag: its key stays the same while it goes on.
Each rule is a small class whose fields are its parameters (``reference/flags.toml``). What cannot be ruled
out for want of a fact is ``Untold``, which is not the same as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from stewardship.domain.flags.doses import (
    DoseFalling,
    DoseRising,
    HighDailyMme,
    LongActingInNaive,
    NewLongTermUse,
    OpioidBenzodiazepineCarisoprodol,
    OpioidWithBenzodiazepine,
    Stage,
)
from stewardship.domain.flags.fills import (
    BeyondRefills,
    EarlyRefill,
    ImprobableDays,
    PartialFills,
    ScheduleTwoRefill,
)
from stewardship.domain.flags.history import (
    Area,
    Common,
    Flag,
    FlagRule,
    History,
    Kind,
    Seen,
    Untold,
    history,
)
from stewardship.domain.flags.kinds import FlagKind, Resolution, Weight, Work
from stewardship.domain.flags.providers import (
    CashBesideInsurance,
    LongDistance,
    MultipleProviders,
    NoKnownOrder,
    OverlappingPrescribers,
)

__all__ = [
    "RULES",
    "Area",
    "Common",
    "Described",
    "Flag",
    "FlagKind",
    "FlagRule",
    "Flags",
    "History",
    "Kind",
    "Raised",
    "Resolution",
    "Seen",
    "Stage",
    "Untold",
    "Weight",
    "Work",
    "history",
    "raised",
]

RULES: Mapping[Kind, type[FlagRule]] = {
    rule.kind: rule
    for rule in (
        MultipleProviders,
        EarlyRefill,
        OverlappingPrescribers,
        OpioidWithBenzodiazepine,
        OpioidBenzodiazepineCarisoprodol,
        HighDailyMme,
        DoseRising,
        DoseFalling,
        LongActingInNaive,
        BeyondRefills,
        ScheduleTwoRefill,
        PartialFills,
        CashBesideInsurance,
        ImprobableDays,
        NoKnownOrder,
        LongDistance,
        NewLongTermUse,
    )
}


@dataclass(frozen=True, slots=True)
class Described:
    """A rule with its parameters, what it is called, and where they come from. Not ``verified``: the
    numbers were not read in the source, or are our own choice."""

    rule: FlagRule
    title: str
    source: str
    verified: bool


@dataclass(frozen=True)
class Flags:
    """All rules with their parameters, what they share, the areas of ZIP codes, the daily totals that a
    picture shows as guidance, how long a gap an episode of therapy bridges, and the terms of the work on
    flags. ``sha256`` is that of the files, so that it can be told which parameters a look was made with."""

    common: Common
    rules: Mapping[Kind, Described]
    areas: Mapping[str, Area]
    guidance: tuple[Decimal, ...]
    episode_gap_days: int
    work: Work
    sha256: str


@dataclass(frozen=True, slots=True)
class Raised:
    """What the rules saw: flags in order of their first day, and what could not be ruled out."""

    flags: tuple[Flag, ...]
    untold: tuple[Untold, ...]


def raised(seen: History, rules: Iterable[FlagRule]) -> Raised:
    """The flags of one patient."""
    flags: list[Flag] = []
    untold: list[Untold] = []
    for rule in rules:
        for found in rule.look(seen):
            if isinstance(found, Flag):
                flags.append(found)
            else:
                untold.append(found)
    flags.sort(key=lambda f: (f.on, f.key))
    return Raised(tuple(flags), tuple(untold))
