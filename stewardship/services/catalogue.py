"""A site's own products: loaded from a newer list than the one that ships, and laid over the catalogue.

A load adds and replaces; it removes nothing, for old records name old codes. It is one transaction with
its audit event. ``SiteCatalogues`` keeps the overlaid catalogue of each organisation in memory and reads it
again when a load has happened since, in this process or in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.orm import Session

from stewardship.db import documents, tables
from stewardship.domain.codes import NDC, RXNORM
from stewardship.domain.drugs import Catalogue, Row, SiteProduct
from stewardship.domain.errors import InvalidInput, NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit

#: The system under which each load leaves a row of its own: what was loaded last, and when.
LOADS = "load"

_products: Table = tables.CatalogueProduct.__table__  # type: ignore[assignment]
_organisations: Table = tables.Organisation.__table__  # type: ignore[assignment]
_BATCH = 500

#: What an organisation has loaded: the same as long as nothing was.
Stamp = tuple[tuple[str, datetime], ...]


@dataclass(frozen=True, slots=True)
class Load:
    """What a list of products is: its ``kind`` (``rxnorm``, ``fda-ndc``), its name and date in words, and
    the SHA-256 of the files it was read from."""

    kind: str
    source: str
    sha256: str


def load(session: Session, found: Iterable[SiteProduct], load: Load, *, by: Principal, now: datetime) -> int:
    """Store a site's products; how many codes there were. Raises ``InvalidInput`` when there are none (a list
    without a known product is the wrong file) and ``NotFound`` for an unknown organisation."""
    if session.scalar(select(_organisations.c.id).where(_organisations.c.id == by.organisation_id)) is None:
        raise NotFound("there is no such organisation")
    # The last of several rows for one code counts, as it would if they were stored one after the other.
    rows = {(product.system, product.code): product for product in found}
    if not rows:
        raise InvalidInput("the list holds no product whose ingredients are known; is it the right file?")
    fresh = (_stored(product, load, by=by, now=now) for product in rows.values())
    while batch := list(islice(fresh, _BATCH)):
        _put(session, batch, by)
    summary = {"kind": load.kind, "source": load.source, "sha256": load.sha256, "codes": len(rows)}
    mark = {
        "organisation_id": by.organisation_id,
        "system": LOADS,
        "code": load.kind,
        "name": load.source,
        "document": documents.encode(summary),
        "source": load.source,
        "loaded_at": now,
    }
    _put(session, [mark], by)
    audit.record(session, "catalogue.loaded", subject=load.kind, by=by, now=now, detail=summary)
    return len(rows)


def _stored(product: SiteProduct, load: Load, *, by: Principal, now: datetime) -> dict[str, Any]:
    row = product.row
    # An NDC points to its product, which is stored once.
    points = product.system == NDC
    return {
        "organisation_id": by.organisation_id,
        "system": product.system,
        "code": product.code,
        "name": row.name,
        "document": documents.encode({"of": row.code, "kind": load.kind} if points else row._asdict()),
        "source": load.source,
        "loaded_at": now,
    }


def _put(session: Session, batch: list[dict[str, Any]], by: Principal) -> None:
    for system in {row["system"] for row in batch}:
        codes = [row["code"] for row in batch if row["system"] == system]
        session.execute(
            delete(_products).where(
                _products.c.organisation_id == by.organisation_id,
                _products.c.system == system,
                _products.c.code.in_(codes),
            )
        )
    session.execute(insert(_products), batch)


def organisations_with_products(session: Session) -> list[str]:
    """The organisations that have loaded a list of their own."""
    return list(
        session.scalars(select(_products.c.organisation_id).where(_products.c.system == LOADS).distinct())
    )


def stamp(session: Session, *, organisation_id: str) -> Stamp:
    """What the organisation has loaded, by kind and time; empty when nothing."""
    query = (
        select(_products.c.code, _products.c.loaded_at)
        .where(_products.c.organisation_id == organisation_id, _products.c.system == LOADS)
        .order_by(_products.c.code)
    )
    return tuple((code, at) for code, at in session.execute(query))


def site_products(session: Session, *, organisation_id: str) -> Iterator[SiteProduct]:
    """Everything that the organisation has loaded, each NDC with the row of its product."""
    query = select(_products.c.system, _products.c.code, _products.c.document).where(
        _products.c.organisation_id == organisation_id, _products.c.system != LOADS
    )
    described: dict[tuple[str, str], Row] = {}
    pointing: list[tuple[str, str, str]] = []
    for system, code, document in session.execute(query):
        content = documents.decode(document, dict[str, str])
        if system == NDC:
            pointing.append((code, content["kind"], content["of"]))
        else:
            described["rxnorm" if system == RXNORM else "fda-ndc", code] = Row(**content)
            yield SiteProduct(system, code, described["rxnorm" if system == RXNORM else "fda-ndc", code])
    for code, kind, of in pointing:
        if (kind, of) in described:
            yield SiteProduct(NDC, code, described[kind, of])


@dataclass
class SiteCatalogues:
    """The catalogue of each organisation: what ships, with the organisation's own products over it."""

    shipped: Catalogue
    _kept: dict[str, tuple[Stamp, Catalogue]] = field(default_factory=dict)
    _reading: Lock = field(default_factory=Lock)

    def of(self, session: Session, *, organisation_id: str) -> Catalogue:
        """The organisation's catalogue as of its last load; the shipped one when it has loaded nothing."""
        now_there = stamp(session, organisation_id=organisation_id)
        if not now_there:
            return self.shipped
        # A whole list takes long to read: once, while others wait for it.
        with self._reading:
            kept = self._kept.get(organisation_id)
            if kept is None or kept[0] != now_there:
                overlaid = self.shipped.overlaid(site_products(session, organisation_id=organisation_id))
                kept = self._kept[organisation_id] = (now_there, overlaid)
            return kept[1]
