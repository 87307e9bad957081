"""HDO, UOP and COB written by hand in polars: how many are in the population, and how many are counted.

With the service's own reading: each dispensing once, days no later than the year's last, what is not known
leaves a "no" open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import polars as pl

from stewardship.domain.drugs import DrugClass
from stewardship.population.columns import Is
from tests.benchmarks.shared_scan import KEYS
from tests.population.generator import DRUGS, Population

Counts = tuple[int, int]
_NEEDED = ["patient", "day", "days", "product", "daily", "told", "prescriber", "pharmacy", "rx", "fill"]
_NEEDED += ["partial", "quantity", "stated", "treatment"]


def frame(made: Population) -> pl.DataFrame:
    """The rows with what the product is."""
    c = made.columns
    table = pl.DataFrame({name: getattr(c, name) for name in _NEEDED})
    what = pl.DataFrame(
        {
            "product": pl.Series(range(len(DRUGS)), dtype=pl.Int32),
            "opioid": [d is not None and d.is_a(DrugClass.OPIOID_ANALGESIC) for d in DRUGS],
            "sedative": [d is not None and d.is_a(DrugClass.BENZODIAZEPINE) for d in DRUGS],
            "strange": [d is None for d in DRUGS],
            "counted": [bool(b & Is.COUNTED) for b in made.products.bits],
        }
    )
    return table.join(what, on="product", how="left", maintain_order="left")


def _year(table: pl.DataFrame, year: int, *, sedatives: bool = False) -> pl.LazyFrame:
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    wanted = pl.col("opioid") | pl.col("strange")
    if sedatives:
        wanted = wanted | pl.col("sedative")
    rows = table.lazy().filter(pl.col("day").is_between(first, last) & wanted & (pl.col("treatment") != 2))
    # A copy of a dispensing that is on record: the largest stays.
    rows = rows.sort(["patient", "day", "quantity", "stated"], descending=[False, False, True, True])
    rows = rows.unique(KEYS, keep="first", maintain_order=True)
    length = pl.max_horizontal(pl.col("days"), pl.lit(1))
    end = pl.min_horizontal(pl.col("day") + length - 1, pl.lit(last))
    return rows.with_columns(end=end, last=pl.lit(last))


def _covered(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Calendar days that each patient's rows cover."""
    reach = pl.col("end").cum_max().shift(1).over("patient").fill_null(0)
    added = (pl.col("end") - pl.max_horizontal(reach, pl.col("day") - 1)).clip(lower_bound=0)
    return rows.with_columns(added=added)


def _excluded(table: pl.DataFrame, year: int, types: list[int]) -> pl.DataFrame:
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    hit = table.lazy().filter(pl.col("treatment").is_in(types) & pl.col("day").is_between(first, last))
    return hit.select("patient").unique().collect()


def _left(found: pl.LazyFrame, table: pl.DataFrame, year: int, types: list[int]) -> pl.DataFrame:
    return found.collect().join(_excluded(table, year, types), on="patient", how="anti")


def hdo(table: pl.DataFrame, year: int) -> Counts:
    """Average dose over the treatment period."""
    rows = _covered(_year(table, year).filter(pl.col("opioid")))
    daily = pl.when(pl.col("counted") & (pl.col("daily") > 0)).then(pl.col("daily")).otherwise(0)
    lacking = (pl.col("days") == 0).any()
    found = rows.group_by("patient").agg(
        dates=pl.col("day").n_unique(),
        covered=pl.col("added").sum(),
        period=pl.col("end").max() - pl.col("day").min() + 1,
        total=(daily * (pl.col("end") - pl.col("day") + 1)).sum(),
        lacking=lacking,
    )
    inside = _left(found.filter((pl.col("dates") >= 2) & (pl.col("covered") >= 15)), table, year, [3, 4, 5])
    high = (pl.col("total") >= 90 * 10**12 * pl.col("period").cast(pl.Int64)) & ~pl.col("lacking")
    return len(inside), inside.filter(high).height


def uop(table: pl.DataFrame, year: int) -> Counts:
    """Four prescribers and four pharmacies in the year."""
    rows = _year(table, year).filter(pl.col("opioid"))
    found = rows.group_by("patient").agg(
        dates=pl.col("day").n_unique(),
        supplied=(pl.col("end") - pl.col("day") + 1).sum(),
        prescribers=pl.col("prescriber").filter(pl.col("prescriber") >= 0).n_unique(),
        pharmacies=pl.col("pharmacy").filter(pl.col("pharmacy") >= 0).n_unique(),
    )
    inside = _left(found.filter((pl.col("dates") >= 2) & (pl.col("supplied") >= 15)), table, year, [5])
    return len(inside), inside.filter((pl.col("prescribers") >= 4) & (pl.col("pharmacies") >= 4)).height


def cob(table: pl.DataFrame, year: int) -> Counts:
    """Thirty days of opioid and benzodiazepine together: days of one, of the other, less those of either."""
    rows = _year(table, year, sedatives=True).filter(~pl.col("strange"))
    opioid, sedative = rows.filter(pl.col("opioid")), rows.filter(pl.col("sedative"))
    some = sedative.select("patient").unique()
    found = opioid.group_by("patient").agg(
        dates=pl.col("day").n_unique(),
        supplied=(pl.col("end") - pl.col("day") + 1).sum(),
        left=pl.col("last").first() - pl.col("day").min() + 1,
    )
    asked = (pl.col("dates") >= 2) & (pl.col("supplied") >= 15) & (pl.col("left") >= 30)
    inside = _left(found.filter(asked), table, year, [3, 4, 5])
    claims = sedative.group_by("patient").agg(claims=pl.col("day").n_unique())

    def days(part: pl.LazyFrame, name: str) -> pl.LazyFrame:
        part = part.join(some, on="patient", how="semi").sort(["patient", "day"])
        return _covered(part).group_by("patient").agg(pl.col("added").sum().alias(name))

    both = days(opioid, "one").join(days(sedative, "other"), on="patient")
    both = both.join(days(rows, "either"), on="patient").join(claims, on="patient")
    together = pl.col("one") + pl.col("other") - pl.col("either")
    met = both.filter((together >= 30) & (pl.col("claims") >= 2)).select("patient").collect()
    return len(inside), inside.join(met, on="patient", how="semi").height


RUNS: Mapping[str, Callable[[pl.DataFrame, int], Counts]] = {
    "hedis-hdo": hdo,
    "hedis-uop": uop,
    "pqa-cob": cob,
}
