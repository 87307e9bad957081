"""The unit of a FHIR Quantity in the service's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def canonical_unit(quantity: Mapping[str, Any]) -> str:
    """The unit by its code, else by its words; as written when neither is known."""
    code, unit = quantity.get("code"), quantity.get("unit")
    written = code if type(code) is str and code else unit if type(unit) is str else ""
    return written.strip("{}")
