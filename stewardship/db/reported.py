"""What a pharmacy reported, read from its row with those of its source and of whom it names."""

from typing import Any

from stewardship.db import sparse
from stewardship.domain.dispensings import Dispensed, DispensingReport, Pharmacy


def as_reported(row: Any) -> Dispensed:
    """What a pharmacy reported, of a row with its ``document`` and that of its ``source``."""
    source = sparse.plain(row.source)
    report: DispensingReport = sparse.restored(source["report"], DispensingReport)
    pharmacy: Pharmacy = sparse.restored(source.get("pharmacy", {}), Pharmacy)
    return sparse.decode(row.document, Dispensed, report=report, pharmacy=pharmacy)


def zip_of(row: Any) -> str:
    """The ZIP code of whom a row names, by the document of its ``identity``; empty when none is stated."""
    return str(sparse.plain(row.identity).get("address", {}).get("zip", ""))
