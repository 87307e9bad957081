"""Small numbers are withheld, and cannot be worked out from what is shown."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stewardship.reports.reporting import WITHHELD, Column, Kind, Table
from stewardship.reports.suppression import suppressed

COLUMNS = (Column("who", "Who"), Column("n", "Patients", Kind.COUNT), Column("share", "Share", Kind.SHARE))


def shown(*counts, **how):
    rows = [(str(place), n, Decimal(5)) for place, n in enumerate(counts)]
    table, hidden = suppressed(Table("t", "T", COLUMNS, rows), fewest=11, **how)
    return [row[1] for row in table.rows], [row[2] for row in table.rows], hidden


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, WITHHELD), (10, WITHHELD), (11, 11)])
def test_from_one_to_ten_is_withheld(count, kept):
    assert shown(count)[0] == [kept]


def test_a_share_beside_a_withheld_count_is_withheld_too():
    counts, shares, hidden = shown(5, 50)
    assert (counts, shares, hidden) == ([WITHHELD, 50], [WITHHELD, Decimal(5)], 2)


def test_one_gap_alone_could_be_filled_in_from_the_total():
    assert shown(5, 50, 20, 0, totals=True)[0] == [WITHHELD, 50, WITHHELD, 0]


def test_two_gaps_cannot():
    assert shown(5, 50, 3, totals=True)[0] == [WITHHELD, 50, WITHHELD]
