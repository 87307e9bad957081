"""Whether two descriptions are of one person: by fixed rules, each with a confidence, never by a guess.

Names count as the same when they are the same letters, whatever their case, accents, spaces and hyphens.
What is compared: numbers (same kind and issuer), names and date of birth together, sex, the first five
digits of the ZIP code. The rules are data: the first one that fits says how sure the match is, and
``accept`` from which confidence on nobody needs to be asked.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from stewardship.domain.dispensings import Identity

_ZIP_DIGITS = 5


class Agreement(StrEnum):
    """How two descriptions compare in one respect."""

    SAME = "same"
    PARTLY = "partly"  # of a person: the date of birth and one of the names
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # one of them does not say


class Number(NamedTuple):
    """A number that names a person."""

    kind: str
    jurisdiction: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Traits:
    """What of an identity is compared."""

    last: str
    first: str
    birth_date: date | None
    sex: str
    zip: str
    numbers: frozenset[Number]

    @property
    def key(self) -> str:
        """The same text for the same names and date of birth; it gives none of them away to a reader."""
        born = "" if self.birth_date is None else self.birth_date.isoformat()
        return hashlib.sha256(f"{self.last}\x1f{self.first}\x1f{born}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MatchRule:
    """When each respect has one of these agreements, the confidence is this."""

    id: str
    confidence: Decimal
    number: frozenset[Agreement]
    person: frozenset[Agreement]
    sex: frozenset[Agreement]
    zip: frozenset[Agreement]


@dataclass(frozen=True, slots=True)
class MatchRules:
    """The rules in their order, and the confidence from which on a match is made. ``numbers`` are the
    kinds of number that name a person, ``national`` those of them that one authority issues for all
    jurisdictions; ``sexes`` what each code of sex stands for."""

    accept: Decimal
    rules: tuple[MatchRule, ...]
    numbers: frozenset[str]
    national: frozenset[str]
    sexes: Mapping[str, str]


class Match(NamedTuple):
    """Two descriptions may be of one person."""

    rule: str
    confidence: Decimal


def traits(identity: Identity, rules: MatchRules) -> Traits:
    """What of an identity is compared."""
    zip_code = "".join(c for c in identity.address.zip if c.isdigit())[:_ZIP_DIGITS]
    return Traits(
        last=fold(identity.last),
        first=fold(identity.first),
        birth_date=identity.birth_date,
        sex=rules.sexes.get(identity.sex, ""),
        # Zeros stand for an address abroad.
        zip=zip_code if len(zip_code) == _ZIP_DIGITS and zip_code.strip("0") else "",
        numbers=frozenset(_numbers(identity, rules)),
    )


def fold(name: str) -> str:
    """The letters and digits of a name, without accents, in upper case."""
    plain = name if name.isascii() else unicodedata.normalize("NFKD", name)
    return "".join(c for c in plain.upper() if c.isalnum())


def compare(one: Traits, other: Traits, rules: MatchRules) -> Match | None:
    """How sure it is that two descriptions are of one person; ``None`` when nothing says so."""
    number = _number(one.numbers, other.numbers)
    person = _person(one, other)
    sex = _same(one.sex, other.sex)
    zip_code = _same(one.zip, other.zip)
    for rule in rules.rules:
        if number in rule.number and person in rule.person and sex in rule.sex and zip_code in rule.zip:
            return Match(rule.id, rule.confidence)
    return None


def agreements(one: Traits, other: Traits) -> Mapping[str, Agreement]:
    """How two descriptions compare, respect by respect: for a person who has to say whether they are one."""

    def born() -> Agreement:
        if one.birth_date is None or other.birth_date is None:
            return Agreement.UNKNOWN
        return Agreement.SAME if one.birth_date == other.birth_date else Agreement.DIFFERENT

    return {
        "last": _same(one.last, other.last),
        "first": _same(one.first, other.first),
        "birth_date": born(),
        "sex": _same(one.sex, other.sex),
        "zip": _same(one.zip, other.zip),
        "number": _number(one.numbers, other.numbers),
    }


def _numbers(identity: Identity, rules: MatchRules) -> Iterable[Number]:
    for number in identity.ids:
        value = fold(number.value)
        # 000000000 and the like are what is typed when nobody has a number.
        if number.kind in rules.numbers and len(set(value)) > 1:
            yield Number(number.kind, "" if number.kind in rules.national else number.jurisdiction, value)


def _number(one: frozenset[Number], other: frozenset[Number]) -> Agreement:
    if one & other:
        return Agreement.SAME
    comparable = {number[:2] for number in one} & {number[:2] for number in other}
    return Agreement.DIFFERENT if comparable else Agreement.UNKNOWN


def _person(one: Traits, other: Traits) -> Agreement:
    born = one.birth_date is not None and one.birth_date == other.birth_date
    names = (bool(one.last) and one.last == other.last) + (bool(one.first) and one.first == other.first)
    if born and names == 2:
        return Agreement.SAME
    return Agreement.PARTLY if born and names else Agreement.DIFFERENT


def _same(one: str, other: str) -> Agreement:
    if not one or not other:
        return Agreement.UNKNOWN
    return Agreement.SAME if one == other else Agreement.DIFFERENT
