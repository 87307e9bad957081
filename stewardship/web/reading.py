"""How a reader sees things: the time zone, the theme, and values as a person writes them.

Zone and theme are two cookies that say nothing about anybody; ``site.js`` sets them. Without them dates are
in UTC, and the theme is the one that the reader's system asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from flask import request
from markupsafe import Markup, escape

from stewardship.domain.policy import age_on
from stewardship.domain.wording import said
from stewardship.services.matching import UNNAMED

ZONE = "zone"
THEME = "theme"
THEMES = ("light", "dark")


def zone() -> tzinfo:
    """The reader's time zone; UTC while it is not known."""
    name = request.cookies.get(ZONE, "")
    return ZoneInfo(name) if name in _zones() else UTC


def theme() -> str:
    """``light`` or ``dark`` when the reader chose one, else empty: as the reader's system asks."""
    chosen = request.cookies.get(THEME, "")
    return chosen if chosen in THEMES else ""


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def day(value: date | str | None) -> Markup:
    """A day: 21 Nov 2026. A clinical day is a date, in no zone."""
    if value is None or value == "":
        return Markup('<span class="unknown">not known</span>')
    on = date.fromisoformat(value) if isinstance(value, str) else value
    return Markup('<time datetime="{}">{}</time>').format(on.isoformat(), _day(on))


def moment(value: datetime | str | None) -> Markup:
    """A moment in the reader's zone, with its name: 21 Nov 2026, 14:05 EST."""
    if value is None or value == "":
        return Markup('<span class="unknown">not known</span>')
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    local = at.astimezone(zone())
    words = f"{_day(local)}, {local:%H:%M} {local.tzname()}"
    return Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(), words)


def local_day(at: datetime) -> date:
    """The reader's day of a moment."""
    return at.astimezone(zone()).date()


def _day(on: date) -> str:
    return f"{on.day} {on:%b %Y}"


def amount(value: Decimal | int | None, unit: str = "", *, places: int = 1, least: bool = False) -> Markup:
    """A number with its unit, to so many places; "at least" when it is a lower bound, never zero when
    it is not known."""
    if value is None:
        return Markup('<span class="unknown">cannot tell</span>')
    rounded = value if isinstance(value, int) else round(value, places)
    words = f"{rounded.normalize():f}" if isinstance(rounded, Decimal) else str(rounded)
    bound = Markup('<span class="at-least">at least</span> ') if least else Markup("")
    after = Markup('&nbsp;<span class="unit">{}</span>').format(unit) if unit else Markup("")
    return bound + escape(words) + after


def fact(value: Any) -> str:
    """A fact of a finding as a person writes it; JSON's lists and dates too."""
    if isinstance(value, list):
        apart = "; " if any(isinstance(v, Mapping) for v in value) else ", "
        return apart.join(fact(v) for v in value) or "none"
    if isinstance(value, str) and len(value) == _ISO_DAY and value[4:5] == "-":
        try:
            return _day(date.fromisoformat(value))
        except ValueError:
            return value
    if isinstance(value, float):
        return said(Decimal(str(value)))
    return said(value)


def spoken(code: str) -> str:
    """A code as words: ``early-refill`` as "early refill"."""
    return code.replace("-", " ").replace("_", " ")


def counted(number: int, one: str, many: str = "") -> str:
    """1 day, 2 days."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    """Words as choices: each is its own code."""
    return [(word, spoken(word)) for word in words]


def coded(parts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Codes with their titles as choices: M54.50 Low back pain."""
    return [(code, f"{code} {title}".strip()) for code, title in parts]


def titled(code: str, titles: Mapping[str, str]) -> str:
    """A code by its title, or the code itself."""
    return titles.get(code, code)


def age(born: date, on: date) -> str:
    """How old somebody is on a day."""
    return counted(age_on(born, on), "year") + " old"


def patient(number: str) -> str:
    """A patient by the record number, or as one of whom only pharmacies have told."""
    return (
        f"Patient {number}"
        if number and not number.startswith(UNNAMED)
        else "Patient without a record number"
    )


def listed(parts: Iterable[str]) -> str:
    """a, b and c."""
    words = list(parts)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_ISO_DAY = 10
FILTERS = {
    "day": day,
    "moment": moment,
    "amount": amount,
    "fact": fact,
    "spoken": spoken,
    "counted": counted,
    "listed": listed,
    "pairs": pairs,
    "coded": coded,
    "age": age,
    "titled": titled,
    "patient": patient,
}
