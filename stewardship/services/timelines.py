"""A patient's timeline from what is on record: under a factor set of the reader's choice, with what the rules
see in it, and with what is not known and how current the rest is. That it was read is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

from sqlalchemy.orm import Session

from stewardship.domain.exposure import Definition, Figure
from stewardship.domain.flags import Flags, history, raised
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import SupplyKind
from stewardship.domain.people import Principal
from stewardship.domain.timeline import Timeline, timeline
from stewardship.services import patients, watch
from stewardship.services.answers import instant_json


class Library(watch.Library, Protocol):
    """What is declared: products, flags, and the sets of factors."""

    @property
    def factor_sets(self) -> Mapping[str, FactorSet]:
        """The sets of factors by name."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """A timeline that was read. ``patient`` is our own id, ``known_as`` the EHR's; ``gaps`` are codes of why
    the history may be less than whole, each with what it is about."""

    patient: str
    known_as: str
    line: Timeline
    flags: Flags
    gaps: tuple[tuple[str, str], ...]
    undated: int


def read(
    session: Session,
    library: Library,
    patient_id: str,
    *,
    factor_set: FactorSet,
    first: date,
    until: date,
    by: Principal,
    now: datetime,
) -> Read:
    """The timeline of a patient (our own id) of the caller's organisation. Runs well in a ``late``
    transaction. Raises ``NotFound``."""
    terms = watch.terms_of(session, library, by=by)
    opened = patients.open_chart(session, library, patient_id, what="timeline", by=by, now=now)
    chart, rules = opened.chart, library.flags
    supplies = [s for s in chart.supplies if s.kind is not SupplyKind.DRAFT]
    known: dict[str, Any] = {
        "as_of": now.date(),
        "known_from": terms.known_from,
        "own": terms.own,
        "areas": rules.areas,
    }
    # What the rules see does not depend on the factors that a reader chooses.
    seen = raised(history(supplies, rules.common, **known), (d.rule for d in rules.rules.values()))
    chosen = replace(rules, common=replace(rules.common, factor_set=factor_set))
    line = timeline(
        opened.known_as,
        history(supplies, chosen.common, **known),
        chosen,
        first=first,
        until=until,
        flags=seen.flags,
        untold=seen.untold,
        data_as_of=chart.data_as_of,
    )
    return Read(
        patient_id,
        opened.known_as,
        line,
        rules,
        tuple((gap.code, gap.about) for gap in chart.gaps),
        sum(1 for s in supplies if s.start_on is None),
    )


# --- in words --------------------------------------------------------------------------------------


def timeline_json(found: Read, definition: Definition) -> dict[str, Any]:
    """A timeline as the faces show it; ``definition`` is the figure that the reader asked for."""
    line = found.line
    kinds = found.flags.work.kinds
    return {
        "patient": found.patient,
        "patient_id": found.known_as,
        "as_of": line.as_of.isoformat(),
        "data_as_of": line.data_as_of and instant_json(line.data_as_of),
        "factor_set": line.factor_set,
        "first": line.first.isoformat(),
        "until": line.until.isoformat(),
        "unit": "MME a day",
        "daily": [
            {
                "first": s.first.isoformat(),
                "last": s.last.isoformat(),
                "mme_per_day": s.mme,
                "complete": s.complete,
                "supplies": s.medicines,
            }
            for s in line.steps
        ],
        "definition": definition.value,
        "figures": [_figure(figure) for figure in line.figures],
        "guidance": [_plain(guide) for guide in line.guidance],
        "episodes": [_plain(part) for part in line.episodes],
        "gaps": [_plain(part) for part in line.gaps],
        "overlaps": [_plain(part) for part in line.overlaps],
        "supplies": [_plain(supply) for supply in line.supplies],
        "flags": [
            {
                "kind": str(flag.kind),
                "title": kinds[flag.kind].title,
                "label": flag.supply,
                "first_on": flag.on.isoformat(),
                "last_on": flag.until.isoformat(),
                "supplies": list(flag.supplies),
                "facts": _plain(dict(flag.facts)),
                "complete": flag.complete,
            }
            for flag in line.flags
        ],
        "untold": [
            {"kind": str(u.kind), "title": kinds[u.kind].title, "label": u.supply, "missing": list(u.missing)}
            for u in line.untold
        ],
        "not_known": {
            "gaps": [{"code": code, "about": about} for code, about in found.gaps],
            "undated_supplies": found.undated,
            "no_feed": line.data_as_of is None,
        },
        "further_reports": line.further_reports,
        "complete": line.complete,
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "definition": figure.definition.value,
        "value": figure.value,
        "amount_mme": figure.amount,
        "days": figure.days,
        "supplies": figure.supplies,
        "complete": figure.complete,
        "reasons": [{"code": r.code, "about": r.about} for r in figure.reasons],
        "excluded": list(figure.excluded),
    }


def _plain(value: Any) -> Any:
    """A value of the domain as JSON; numbers stay exact."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    assert value is None or isinstance(value, str | int | Decimal)  # noqa: S101 - the timeline holds no more
    return value
