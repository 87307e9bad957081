"""Every report that can be asked for: adding one is a module and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from stewardship.reports import (
    adherence,
    alternatives,
    equity,
    feeds,
    flagged,
    function_outcomes,
    of_policy,
    overrides,
    peers,
    quality_measures,
    reassessed,
    self_checks,
    unchecked,
    usefulness,
)
from stewardship.reports.reporting import Listed

REPORTS: Mapping[str, Listed] = {
    listed.id: listed
    for listed in (
        adherence.LISTED,
        overrides.LISTED,
        *of_policy.LISTED,
        flagged.LISTED,
        usefulness.LISTED,
        unchecked.LISTED,
        reassessed.LISTED,
        function_outcomes.LISTED,
        feeds.LISTED,
        alternatives.LISTED,
        self_checks.LISTED,
        peers.LISTED,
        equity.LISTED,
        *quality_measures.LISTED,
    )
}
