"""What stands in the file that ``stewardship check`` is given: recognised by its shape, read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from stewardship.declarations import Library
from stewardship.domain.chart import Chart
from stewardship.domain.errors import InvalidInput
from stewardship.domain.orders import Order
from stewardship.intake import fhir_r4, strict_json
from stewardship.intake.case import Case, read_case
from stewardship.intake.cds_request import read_request

#: A whole history of one patient as a Bundle; larger files are refused before they are read.
MOST_BYTES = 20 * 1024 * 1024
MOST_KEYS = 1_000_000

_SHAPES = (
    "a CDS Hooks request (with `hook`), a FHIR R4 Bundle (with `resourceType`), or our own JSON "
    "(with `patient` and `order`)"
)


@dataclass(frozen=True, slots=True)
class Question:
    """The orders to judge and what is known beside them. ``note`` says what was taken for the order
    where the file does not say it."""

    orders: tuple[Order, ...]
    chart: Chart
    note: str = ""


@dataclass(frozen=True)
class Reader:
    """Reads documents as of a moment."""

    library: Library
    now: datetime

    def question(self, body: bytes, *, new_order: Mapping[str, Any] | None = None) -> Question:
        """What a file asks; ``new_order`` takes the place of the orders in it."""
        document = strict_json.loads(body, max_bytes=MOST_BYTES, max_keys=MOST_KEYS)
        if not isinstance(document, dict):
            raise InvalidInput(f"the file holds no JSON object; it may hold {_SHAPES}")
        if "hook" in document:
            asked = self._hook(document)
        elif "resourceType" in document:
            asked = self._bundle(document, wants_order=new_order is None)
        elif "patient" in document:
            return self._case(document, new_order)
        else:
            raise InvalidInput(f"the file is not of a known kind; it may hold {_SHAPES}")
        if new_order is None:
            return asked
        return replace(asked, orders=(self._order(new_order, asked.chart.patient.id),), note="")

    def _case(self, document: Mapping[str, Any], new_order: Mapping[str, Any] | None) -> Question:
        if new_order is not None and "resourceType" not in new_order:
            document = {**document, "order": new_order}
        case = self._read_case(document)
        if new_order is not None and "resourceType" in new_order:
            return Question((self._order(new_order, case.chart.patient.id),), case.chart)
        return Question((case.order,), case.chart)

    def _bundle(self, document: Mapping[str, Any], *, wants_order: bool) -> Question:
        read = self._read_bundle(document)
        if read.orders or not wants_order:
            return Question(read.orders, read.chart)
        written_on, newest = _newest_active(fhir_r4.Resources(document))
        if written_on is None:
            raise InvalidInput(
                "the Bundle holds no MedicationRequest that is a draft, or active with the day it was "
                "written; give the order with --order or --drug"
            )
        read = self._read_bundle(document, order_ids=newest)
        # What fills the order is not its history.
        earlier = tuple(s for s in read.chart.supplies if s.prescription not in newest)
        note = f"no draft in the Bundle: judged is what was written last and is active, of {written_on}"
        return Question(read.orders, replace(read.chart, supplies=earlier), note)

    def _hook(self, document: Mapping[str, Any]) -> Question:
        asked = read_request(document, as_of=self.now, **self._meanings)
        if asked.asks_for_nothing:
            return Question((), asked.chart, "the request selects no medicine's order")
        return Question(asked.orders, asked.chart)

    @property
    def _meanings(self) -> Any:
        """What gives codes and units their meaning."""
        library = self.library
        return {"catalogue": library.catalogue, "code_sets": library.code_sets, "units": library.units}

    def _read_bundle(
        self, document: Mapping[str, Any], *, order_ids: Collection[str] | None = None
    ) -> fhir_r4.Reading:
        return fhir_r4.read_bundle(document, as_of=self.now, order_ids=order_ids, **self._meanings)

    def _order(self, document: Mapping[str, Any], patient_id: str) -> Order:
        """A new order: a FHIR MedicationRequest, or the ``order`` of our own JSON."""
        if "resourceType" in document:
            orders, _ = fhir_r4.read_orders(
                fhir_r4.Resources(document),
                fhir_r4.Resources(),
                catalogue=self.library.catalogue,
                code_sets=self.library.code_sets,
                units=self.library.units,
                as_of=self.now,
                patient_id=patient_id,
            )
            if len(orders) != 1:
                raise InvalidInput("the order's file holds no MedicationRequest that could be signed")
            return orders[0]
        return replace(
            self._read_case({"patient": {"id": "new-order"}, "order": document}).order, patient_id=patient_id
        )

    def _read_case(self, document: object) -> Case:
        return read_case(document, now=self.now, **self._meanings)


def at_noon(day: date) -> datetime:
    """A moment of the day that is of that day in UTC and in most places."""
    return datetime.combine(day, time(12), UTC)


def _newest_active(resources: fhir_r4.Resources) -> tuple[date | None, frozenset[str]]:
    """The day on which an active MedicationRequest was written last, and the ids of those of that day."""
    written: dict[date, set[str]] = {}
    for own_id, resource in resources.of("MedicationRequest"):
        if own_id and resource.get("status") == "active":
            try:
                day = date.fromisoformat(str(resource.get("authoredOn"))[:10])
            except ValueError:
                continue
            written.setdefault(day, set()).add(own_id)
    newest = max(written, default=None)
    return newest, frozenset(written[newest] if newest else ())
