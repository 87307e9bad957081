"""``reference/asap/*.toml`` -> what each version of the format consists of.

A version file says everything, or names what it changes in another (``based_on``). What a state asks for
beyond the standard is laid over it. The files are checked as they are read: a mistake in one is a
``DeclarationError`` that names file and place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from stewardship.declarations.places import REFERENCE
from stewardship.domain.dispensings import Reporting
from stewardship.domain.errors import DeclarationError, InvalidInput

FOLDER = "asap"
_CODES, _STATES = "codes.toml", "states.toml"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a segment. ``codes`` is the list of what may be written, ``None`` for anything;
    ``code_list`` its name. ``needs`` is the id of the element that must stand beside it."""

    id: str
    name: str
    type: str
    max: int
    required: bool = False
    code_list: str = ""
    codes: frozenset[str] | None = None
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """The elements of one segment, by position; at least one of ``one_of`` has to be there."""

    id: str
    elements: tuple[Element, ...]
    one_of: tuple[str, ...] = ()

    def position(self, name: str) -> int | None:
        """The position of the element with this name, counted from 1."""
        return next((n for n, e in enumerate(self.elements, 1) if e.name == name), None)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What codes mean to the reader (``codes.toml``)."""

    reporting: Mapping[str, Mapping[str, Reporting]]
    partial: Mapping[str, Mapping[str, int]]
    units: Mapping[str, str]
    product_systems: Mapping[str, str]
    animals: frozenset[str]
    sends: frozenset[str]
    zero: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the format. ``terminator`` is the number of the header element whose first character
    ends every segment."""

    version: str
    terminator: int
    compound_qualifier: str
    compound_prefix: str
    segments: Mapping[str, Segment]
    vocabulary: Vocabulary

    def required_as(self, overlay: Overlay) -> Version:
        """This version as a state asks for it."""
        wanted = dict.fromkeys(overlay.required, True) | dict.fromkeys(overlay.optional, False)
        segments = {
            segment.id: replace(
                segment,
                elements=tuple(replace(e, required=wanted.get(e.id, e.required)) for e in segment.elements),
            )
            for segment in self.segments.values()
        }
        return replace(self, segments=segments)


@dataclass(frozen=True, slots=True)
class Overlay:
    """What one state's program asks for in some versions. ``verified`` is false until its guide was read."""

    state: str
    versions: frozenset[str]
    required: frozenset[str]
    optional: frozenset[str]
    verified: bool

    @property
    def asks(self) -> bool:
        """Whether anything is on file of what the state asks for. If not, its files are read by the standard
        alone."""
        return bool(self.required or self.optional)


@dataclass(frozen=True, slots=True)
class Definitions:
    """Every version and every state."""

    versions: Mapping[str, Version]
    states: Mapping[str, Overlay]

    def for_state(self, state: str) -> Mapping[str, Version]:
        """The versions as a state asks for them; as the standard says when no state is named.

        Raises ``InvalidInput`` for a state that nobody has described: it is not read by guess.
        """
        if not state:
            return self.versions
        overlay = self.states.get(state.upper())
        if overlay is None:
            known = ", ".join(sorted(self.states)) or "none"
            raise InvalidInput(f"no ASAP requirements are on file for this state; there are: {known}")
        return {
            name: version.required_as(overlay) if name in overlay.versions else version
            for name, version in self.versions.items()
        }


# --- the files ------------------------------------------------------------------------------------


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _ElementSchema(_Strict):
    id = fields.String(required=True, validate=validate.Regexp(r"\A[A-Z]{2,3}\d\d\Z"))
    name = fields.String(required=True, validate=validate.Regexp(r"\A\.?[a-z][a-z0-9_]*\Z"))
    type = fields.String(required=True, validate=validate.OneOf(("AN", "N", "D", "DT", "TM")))
    max = fields.Integer(required=True, strict=True, validate=validate.Range(min=1))
    use = fields.String(load_default="O", validate=validate.OneOf(("R", "O", "N")))
    codes = fields.String(load_default="")
    needs = fields.String(load_default="")


class _SegmentSchema(_Strict):
    one_of = fields.List(fields.String(), load_default=None)
    elements = fields.List(fields.Nested(_ElementSchema), required=True)


class _CompoundSchema(_Strict):
    qualifier = fields.String(required=True)
    prefix = fields.String(required=True)


class _SourceSchema(_Strict):
    title = fields.String(required=True)
    publisher = fields.String(required=True)
    date = fields.Raw(required=True)
    url = fields.Url(required=True)
    review_by = fields.Raw()
    verified = fields.Boolean(truthy={True}, falsy={False})
    note = fields.String()


class _VersionSchema(_Strict):
    version = fields.String(required=True)
    based_on = fields.String(load_default="")
    terminator = fields.String(load_default="", validate=validate.Regexp(r"\A(TH\d\d)?\Z"))
    compound = fields.Nested(_CompoundSchema, load_default=None)
    source = fields.Nested(_SourceSchema, required=True)
    segments = fields.Dict(fields.String(), fields.Nested(_SegmentSchema), required=True)


class _ZeroSchema(_Strict):
    last = fields.String(required=True)
    first = fields.String(required=True)


class _AnimalsSchema(_Strict):
    species = fields.List(fields.String(), required=True)


class _TransactionsSchema(_Strict):
    sends = fields.List(fields.String(), required=True)


class _CodesSchema(_Strict):
    source = fields.Nested(_SourceSchema, required=True)
    reporting = fields.Dict(
        fields.String(), fields.Dict(fields.String(), fields.Enum(Reporting, by_value=True)), required=True
    )
    parts = fields.Dict(
        fields.String(), fields.Dict(fields.String(), fields.Integer()), required=True, data_key="partial"
    )
    units = fields.Dict(fields.String(), fields.String(), required=True)
    product_systems = fields.Dict(fields.String(), fields.String(), required=True)
    animals = fields.Nested(_AnimalsSchema, required=True)
    transactions = fields.Nested(_TransactionsSchema, required=True)
    zero_report = fields.Nested(_ZeroSchema, required=True)
    lists = fields.Dict(
        fields.String(), fields.Dict(fields.String(), fields.String()), required=True, data_key="codes"
    )


class _StateSchema(_Strict):
    state = fields.String(required=True, validate=validate.Regexp(r"\A[A-Z]{2}\Z"))
    versions = fields.List(fields.String(), required=True)
    required = fields.List(fields.String(), required=True)
    optional = fields.List(fields.String(), required=True)
    verified = fields.Boolean(required=True, truthy={True}, falsy={False})
    source = fields.Nested(_SourceSchema, required=True)


class _StatesSchema(_Strict):
    state = fields.List(fields.Nested(_StateSchema), required=True)


def _load(path: Path, schema: Schema) -> Any:
    try:
        return schema.load(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"{path.name}: {error}") from None
    except ValidationError as error:
        raise DeclarationError(f"{path.name}: {error.messages}") from None


def read_definitions(reference: Path) -> Definitions:
    """Every version and state of ``reference/asap``; raises ``DeclarationError`` naming file and place."""
    folder = reference / FOLDER
    codes = _load(folder / _CODES, _CodesSchema())
    vocabulary = Vocabulary(
        reporting=codes["reporting"],
        partial=codes["parts"],
        units=codes["units"],
        product_systems=codes["product_systems"],
        animals=frozenset(codes["animals"]["species"]),
        sends=frozenset(codes["transactions"]["sends"]),
        zero=(codes["zero_report"]["last"], codes["zero_report"]["first"]),
    )
    lists = {name: frozenset(words) for name, words in codes["lists"].items()}
    said = {
        path.name: _load(path, _VersionSchema())
        for path in sorted(folder.glob("*.toml"))
        if path.name not in (_CODES, _STATES)
    }
    known: dict[str, Version] = {}
    # A version comes after the one that it is based on, however the files are named.
    while len(known) < len(said):
        ready = {
            name: entry
            for name, entry in said.items()
            if entry["version"] not in known and (not entry["based_on"] or entry["based_on"] in known)
        }
        if not ready:
            raise DeclarationError(f"{FOLDER}: a version is based on one that is not there, or on itself")
        for name, entry in ready.items():
            base = known.get(entry["based_on"])
            known[entry["version"]] = _version(name, entry, base, vocabulary, lists)
    states = _load(folder / _STATES, _StatesSchema())["state"]
    return Definitions(known, {entry["state"]: _overlay(entry, known) for entry in states})


def _version(
    file: str,
    entry: Mapping[str, Any],
    base: Version | None,
    vocabulary: Vocabulary,
    lists: Mapping[str, frozenset[str]],
) -> Version:
    segments = {} if base is None else dict(base.segments)
    for id_, said in entry["segments"].items():
        old = segments.get(id_)
        elements = {} if old is None else {e.id: e for e in old.elements}
        for element in said["elements"]:
            if element["codes"] and element["codes"] not in lists:
                raise DeclarationError(
                    f"{file}: {element['id']} names a code list that {_CODES} does not have"
                )
            elements[element["id"]] = Element(
                id=element["id"],
                name=element["name"],
                type=element["type"],
                max=element["max"],
                required=element["use"] == "R",
                code_list=element["codes"],
                codes=lists.get(element["codes"]),
                needs=element["needs"],
            )
        if list(elements) != [f"{id_}{n:02d}" for n in range(1, len(elements) + 1)]:
            raise DeclarationError(f"{file}: the elements of {id_} are not numbered without a gap from 01")
        one_of = said["one_of"] if said["one_of"] is not None else old.one_of if old else ()
        segments[id_] = Segment(id_, tuple(elements.values()), tuple(one_of))
    compound = entry["compound"]
    if base is None and (compound is None or not entry["terminator"]):
        raise DeclarationError(f"{file}: a version that stands alone says terminator and compound")
    return Version(
        version=entry["version"],
        terminator=int(entry["terminator"][2:]) if entry["terminator"] or base is None else base.terminator,
        compound_qualifier=compound["qualifier"] if compound or base is None else base.compound_qualifier,
        compound_prefix=compound["prefix"] if compound or base is None else base.compound_prefix,
        segments=segments,
        vocabulary=vocabulary,
    )


def _overlay(entry: Mapping[str, Any], versions: Mapping[str, Version]) -> Overlay:
    known = {e.id for v in versions.values() for s in v.segments.values() for e in s.elements}
    unknown = {*entry["required"], *entry["optional"]} - known | set(entry["versions"]) - set(versions)
    if unknown:
        raise DeclarationError(f"{_STATES}: {entry['state']} names what no version has: {sorted(unknown)}")
    return Overlay(
        state=entry["state"],
        versions=frozenset(entry["versions"]),
        required=frozenset(entry["required"]),
        optional=frozenset(entry["optional"]),
        verified=entry["verified"],
    )


@lru_cache(maxsize=1)
def shipped() -> Definitions:
    """The definitions that come with the service, read once."""
    return read_definitions(REFERENCE)
