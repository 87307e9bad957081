"""Policy files: TOML checked by a schema, parameters checked against the rule's own fields.

A file is published when ``published.lock`` holds its SHA-256 (the format of ``sha256sum``); a file that
the lock names with another hash has been changed after publication and is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import string
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from stewardship.declarations.policy_schema import SCHEMA, refused
from stewardship.domain.errors import DeclarationError, Fault, InvalidInput
from stewardship.domain.exemptions import ExemptionRule
from stewardship.domain.mme import FactorSet
from stewardship.domain.orders import PhaseBounds
from stewardship.domain.policy import (
    AppliesTo,
    Card,
    ExceptionPath,
    OverrideReason,
    Policy,
    Review,
    Rule,
    Source,
)
from stewardship.domain.prescribers import Qualification
from stewardship.domain.rules import KINDS
from stewardship.domain.tolerance import Tolerance
from stewardship.intake.fields import (
    Choice,
    ExactDecimal,
    Flag,
    StrictSchema,
    Token,
    WholeNumber,
    faults,
    read,
)

LOCK = "published.lock"
_NAME = re.compile(r"(?P<id>[a-z0-9]+(?:-[a-z0-9]+)*)\.v(?P<version>[1-9][0-9]*)\.toml")


@dataclass(frozen=True, slots=True)
class References:
    """What parameters may name: factor sets, exemptions and definitions of the reference files."""

    factor_sets: Mapping[str, FactorSet]
    exemptions: Mapping[str, ExemptionRule]
    tolerances: Mapping[str, Tolerance]
    phase_bounds: PhaseBounds
    qualifications: Mapping[str, Qualification] = dataclasses.field(default_factory=dict)


# --- reading -------------------------------------------------------------------------------------


def read_policies(folder: Path, references: References) -> tuple[Policy, ...]:
    """Every policy file of a folder, published or draft, in the order of id and version."""
    lock = read_lock(folder / LOCK)
    policies = [read_policy(path, references, lock) for path in sorted(folder.glob("*.toml"))]
    absent = sorted(set(lock) - {p.name for p in folder.glob("*.toml")})
    if absent:
        raise DeclarationError(f"{LOCK} names files that are not there: {', '.join(absent)}")
    return tuple(sorted(policies, key=lambda p: (p.id, p.version)))


def read_lock(path: Path) -> dict[str, str]:
    """File name -> SHA-256, from lines as ``sha256sum`` writes them."""
    if not path.exists():
        return {}
    lock: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64}) [ *](\S+)", line)
        if found is None or found[2] in lock:
            raise DeclarationError(f"{path.name}: line {number} is not one new '<sha256>  <file>'")
        lock[found[2]] = found[1]
    return lock


def unlike_lock(folder: Path) -> list[str]:
    """The names of published files that are gone, or are not what was published."""
    unlike = []
    for name, digest in sorted(read_lock(folder / LOCK).items()):
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            unlike.append(name)
    return unlike


def read_policy(path: Path, references: References, lock: Mapping[str, str]) -> Policy:
    """One file; what is wrong with it is said with its name and place."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if path.name in lock and lock[path.name] != digest:
        raise DeclarationError(
            f"{path.name}: was changed after it was published; restore it and write the next version instead"
        )
    data = read_document(path.name, content)
    named = _NAME.fullmatch(path.name)
    if named is None or named["id"] != data["id"] or int(named["version"]) != data["version"]:
        raise DeclarationError(f"{path.name}: must be named {data['id']}.v{data['version']}.toml")
    try:
        return _policy(data, references, sha256=digest, published=path.name in lock)
    except InvalidInput as wrong:
        raise refused(path.name, wrong.faults) from None


def read_document(name: str, content: bytes) -> dict[str, Any]:
    """The file as checked by the schema, with its tests."""
    try:
        document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise DeclarationError(f"{name}: {wrong}") from None
    try:
        data: dict[str, Any] = read(SCHEMA, document)
    except InvalidInput as wrong:
        raise refused(name, wrong.faults) from None
    return data


def _policy(data: Mapping[str, Any], references: References, *, sha256: str, published: bool) -> Policy:
    applies = data["applies_to"]
    exemptions = []
    for kind in applies["exemptions"]:
        if kind not in references.exemptions:
            known = ", ".join(sorted(references.exemptions))
            raise _fault("/applies_to/exemptions", f"there is no exemption {kind!r}; there are {known}")
        exemptions.append(references.exemptions[kind])
    kind = data["rule"].get("kind")
    if kind not in KINDS:
        raise _fault("/rule/kind", f"there is no such kind of rule; there are {', '.join(sorted(KINDS))}")
    path = data.get("exception")
    policy = Policy(
        id=data["id"],
        version=data["version"],
        title=data["title"],
        effective_from=data["effective_from"],
        effective_until=data.get("effective_until"),
        jurisdiction=data["jurisdiction"],
        enforcement=data["enforcement"],
        severity=data["severity"],
        rationale=_flowing(data["rationale"]),
        limitations=_flowing(data["limitations"]),
        source=Source(**data["source"]),
        review=Review(**data["review"]),
        applies_to=AppliesTo(
            drug_classes=tuple(applies["drug_classes"]),
            settings=tuple(applies["settings"]),
            phases=tuple(applies["phases"]),
            moments=tuple(applies["moments"]),
            min_age=applies.get("min_age"),
            exemptions=tuple(exemptions),
            phase_bounds=references.phase_bounds,
        ),
        kind=kind,
        rule=make_rule(kind, data["rule"], references),
        card=Card(**{name: _flowing(words) for name, words in data["card"].items()}),
        overrides=tuple(OverrideReason(**o) for o in data["override"]),
        exception=None
        if path is None
        else ExceptionPath(
            path["countersignatures"],
            tuple(r.value for r in path["roles"]),
            tuple(r.value for r in path["including"]),
            path["requires_note"],
            _qualification(path["requires"], references),
            path["requires_of"],
        ),
        sha256=sha256,
        published=published,
    )
    _check_templates(policy.card)
    return policy


def _qualification(name: str, references: References) -> Qualification | None:
    known = references.qualifications
    if name and name not in known:
        raise _fault("/exception/requires", f"there is no {name!r}; there are {', '.join(sorted(known))}")
    return known[name] if name else None


def _flowing(words: str) -> str:
    """Lines are broken in a file for its readers; only an empty line parts paragraphs."""
    return "\n\n".join(" ".join(part.split()) for part in words.split("\n\n") if part.strip())


def _check_templates(card: Card) -> None:
    for field in dataclasses.fields(card):
        for _, name, form, conversion in string.Formatter().parse(getattr(card, field.name)):
            if name is not None and (form or conversion or not name.isidentifier()):
                raise _fault(f"/card/{field.name}", f"write {{{name}}} as a plain fact's name")


# --- rules and their parameters --------------------------------------------------------------------


def make_rule(kind: str, parameters: Mapping[str, Any], references: References) -> Rule:
    """The rule with its parameters; unknown, missing and ill-typed ones are refused by name."""
    cls = KINDS[kind]
    hints = typing.get_type_hints(cls)
    taken = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    given = {name: value for name, value in parameters.items() if name != "kind"}
    unknown = sorted(set(given) - set(taken))
    if unknown:
        raise _fault("/rule", f"{kind} takes {sorted(taken)}, not {unknown}")
    missing = sorted(n for n, f in taken.items() if n not in given and f.default is dataclasses.MISSING)
    if missing:
        raise _fault("/rule", f"{kind} needs {missing}")
    schema = StrictSchema.from_dict({name: _field(hints[name]) for name in taken})()
    try:
        loaded = schema.load(given)
    except ValidationError as wrong:
        found = faults(wrong, under="/rule")
        raise InvalidInput("a parameter is wrong", faults=found) from None
    return typing.cast(Rule, cls(**{n: _bound(hints[n], n, v, references) for n, v in loaded.items()}))


def _field(hint: Any) -> fields.Field[Any]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(h for h in typing.get_args(hint) if h is not type(None))
    if typing.get_origin(hint) is tuple:
        return fields.List(_field(typing.get_args(hint)[0]))
    if hint in (FactorSet, Tolerance) or hint is str:
        return Token(longest=100)
    if hint is bool:
        return Flag()
    if hint is int:
        return WholeNumber(least=0, most=100_000)
    if hint is Decimal:
        return ExactDecimal(least=0, most=1_000_000)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return Choice(hint)
    raise TypeError(f"no field for a rule parameter of type {hint}")


def _bound(hint: Any, name: str, value: Any, references: References) -> Any:
    """Names become what they name, lists become tuples."""
    named: Mapping[str, object] | None = (
        references.factor_sets if hint is FactorSet else references.tolerances if hint is Tolerance else None
    )
    if named is not None:
        if value not in named:
            raise _fault(f"/rule/{name}", f"there is no {value!r}; there are {', '.join(sorted(named))}")
        return named[value]
    return tuple(value) if isinstance(value, list) else value


def _fault(pointer: str, message: str) -> InvalidInput:
    return InvalidInput(message, faults=(Fault(pointer, "invalid", message),))


def past_review(policy: Policy, on: date) -> bool:
    """Whether the policy ought to have been looked at again before the day."""
    return policy.review.review_by < on
