"""Every resource of one request: found by type, whatever it was wrapped in, and by reference.

Clients send what they have: Bundles of any type, a lone resource where a Bundle is due, a resource
inside ``{"response": ..., "resource": ...}``, the same resource under two keys. Here all of them are
laid out by type. The same resource (type and id) counts once; resources without an id are never taken
for one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from stewardship.domain.codes import CodeSets
from stewardship.domain.drugs import Catalogue, Drug, Medication
from stewardship.domain.units import Units
from stewardship.intake.fhir_r4.elements import Faults, Json, codings, words
from stewardship.intake.fhir_r4.kept import ByText

#: The same record again counts once. One under the same id that is about somebody or something else is no
#: twin, and must be seen.
_TELLING = ("subject", "medicationCodeableConcept", "medicationReference")


class Resources:
    """The resources of one request. ``of(type)`` gives them with the id by which they are known."""

    def __init__(self, *documents: Any) -> None:
        self._by_type: dict[str, list[tuple[str, Json]]] = {}
        self._known_as: dict[str, tuple[str, Json]] = {}
        self._ids: dict[str, str] = {}
        self._others: Resources | None = None
        for document in documents:
            self.add(document)

    def add(self, document: Any, *, full_url: str = "") -> None:
        """Take in whatever this is; anything that is not a resource is passed over."""
        if type(document) is list:
            for item in document:
                self.add(item)
        elif type(document) is dict:
            kind = document.get("resourceType")
            if kind == "Bundle":
                self._add_entries(document)
            elif type(kind) is str:
                self._add_resource(kind, document, full_url)
            elif "resource" in document:
                self.add(document["resource"], full_url=full_url or words(document.get("fullUrl")))

    def _add_entries(self, bundle: Json) -> None:
        entries = bundle.get("entry")
        if type(entries) is not list:
            entries = [entries]
        for entry in entries:
            self.add(entry)

    def _add_resource(self, kind: str, resource: Json, full_url: str) -> None:
        own_id = words(resource.get("id")) or tail(full_url)
        known = (own_id, resource)
        if own_id:
            name = f"{kind}/{own_id}"
            twin = self._known_as.setdefault(name, known)
            if twin is not known and all(twin[1].get(e) == resource.get(e) for e in _TELLING):
                return
        if full_url:
            self._known_as.setdefault(full_url, known)
        self._by_type.setdefault(kind, []).append(known)

    def of(self, kind: str) -> list[tuple[str, Json]]:
        """All resources of a type, each with its id (empty when it has none)."""
        return self._by_type.get(kind, [])

    def beside(self, others: Resources) -> Resources:
        """The same resources, whose references may also name one of the others."""
        both = Resources()
        both._by_type, both._known_as, both._others = self._by_type, self._known_as, others
        return both

    def resolve(self, reference: Any, *, within: Json) -> Json | None:
        """The resource that a Reference names: contained in ``within``, or elsewhere in the request."""
        if type(reference) is not dict:
            return None
        name = words(reference.get("reference"))
        if name.startswith("#"):
            contained = within.get("contained")
            if type(contained) is list:
                for resource in contained:
                    if type(resource) is dict and words(resource.get("id")) in (name[1:], name):
                        return resource
            return None
        known = self.find(name)
        return known[1] if known else None

    def id_of(self, reference: Any) -> str:
        """The bare id of what a Reference names, whether or not it is in the request; never a name."""
        if type(reference) is not dict:
            return ""
        name = words(reference.get("reference"))
        if not name or name.startswith("#"):
            return ""
        own_id = self._ids.get(name)
        if own_id is None:
            known = self.find(name)
            own_id = self._ids[name] = known[0] if known else tail(name)
        return own_id

    def find(self, name: str) -> tuple[str, Json] | None:
        """The resource of that name (``Type/id``, address, urn) with its id, here or among the others."""
        known = self._known_as.get(name)
        if known is None and "/" in name:
            # An absolute address, or a version: what counts is Type/id.
            parts = name.partition("/_history")[0].rsplit("/", 2)
            known = self._known_as.get("/".join(parts[-2:]))
        if known is None and self._others is not None:
            known = self._others.find(name)
        return known


def tail(reference: str) -> str:
    """The id at the end of a reference: of ``Patient/1``, an address, ``urn:uuid:…``, or a search by
    identifier (``Practitioner?identifier=system|value``)."""
    if "|" in reference:
        return reference.rsplit("|", 1)[1]
    return reference.partition("/_history")[0].rsplit("/", 1)[-1].removeprefix("urn:uuid:")


@dataclass(slots=True)
class Desk:
    """What reading needs at hand: the other resources, the reference data, and the day."""

    resources: Resources
    catalogue: Catalogue
    code_sets: CodeSets
    units: Units
    today: date

    def medicine(self, resource: Json, faults: Faults) -> tuple[Medication, Drug | None]:
        """The medicine as written, and the product that its codes name."""
        concept = resource.get("medicationCodeableConcept")
        if concept is None and resource.get("medicationReference") is not None:
            reference = resource["medicationReference"]
            named = self.resources.resolve(reference, within=resource)
            if named is None:
                faults.append("medicationReference")
                text = words(reference.get("display")) if type(reference) is dict else ""
                return Medication((), text), None
            concept = named.get("code")
        medication, drug, unreadable = _MEDICINES.of(concept, self.catalogue, self._named)
        faults += unreadable
        return medication, drug

    def _named(self, concept: Any) -> tuple[Medication, Drug | None, tuple[str, ...]]:
        """What a CodeableConcept names, and what of it could not be read."""
        faults: Faults = []
        written = codings(concept, "medication", faults)
        text = words(concept.get("text")) if type(concept) is dict else ""
        medication = Medication(written, text)
        return medication, self.catalogue.recognise(medication) if written else None, tuple(faults)


_MEDICINES: ByText[Catalogue, tuple[Medication, Drug | None, tuple[str, ...]]] = ByText()
