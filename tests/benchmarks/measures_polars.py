"""The measures written by hand in polars: how many are in the population, and how many are counted.

With the service's own reading: each dispensing once, days no later than the year's last, what is not known
leaves a "no" open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import polars as pl

from stewardship.domain.drugs import Drug, DrugClass
from stewardship.measures.stays import How
from stewardship.population.columns import Is
from tests.benchmarks.shared_scan import KEYS
from tests.population.generator import DRUGS, FIRST, Population
from tests.population.stays import Hospital

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
            "long": [bool(b & Is.LONG_ACTING) for b in made.products.bits],
        }
    )
    return table.join(what, on="product", how="left", maintain_order="left")


def _year(table: pl.DataFrame, year: int, *, sedatives: bool = False) -> pl.LazyFrame:
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    rows = _once(table, first, last, sedatives=sedatives)
    length = pl.max_horizontal(pl.col("days"), pl.lit(1))
    end = pl.min_horizontal(pl.col("day") + length - 1, pl.lit(last))
    return rows.with_columns(end=end, last=pl.lit(last))


def _once(table: pl.DataFrame, first: int, last: int, *, sedatives: bool = False) -> pl.LazyFrame:
    """The rows of some days that count, each dispensing once."""
    wanted = pl.col("opioid") | pl.col("strange")
    if sedatives:
        wanted = wanted | pl.col("sedative")
    rows = table.lazy().filter(pl.col("day").is_between(first, last) & wanted & (pl.col("treatment") != 2))
    # A copy of a dispensing that is on record: the largest stays.
    rows = rows.sort(["patient", "day", "quantity", "stated"], descending=[False, False, True, True])
    return rows.unique(KEYS, keep="first", maintain_order=True)


def _covered(rows: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    """Calendar days that each patient's rows cover, or those of each group."""
    reach = pl.col("end").cum_max().shift(1).over(by or ("patient",)).fill_null(0)
    added = (pl.col("end") - pl.max_horizontal(reach, pl.col("day") - 1)).clip(lower_bound=0)
    return rows.with_columns(added=added)


def _excluded(table: pl.DataFrame, first: int, last: int, types: list[int]) -> pl.DataFrame:
    hit = table.lazy().filter(pl.col("treatment").is_in(types) & pl.col("day").is_between(first, last))
    return hit.select("patient").unique().collect()


def _left(found: pl.LazyFrame, table: pl.DataFrame, year: int, types: list[int]) -> pl.DataFrame:
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    return found.collect().join(_excluded(table, first, last, types), on="patient", how="anti")


def hdo(table: pl.DataFrame, year: int) -> Counts:
    """Average dose over the treatment period, of who has 15 days covered."""
    return _high(table, year, pl.col("covered") >= 15)


def ohd(table: pl.DataFrame, year: int) -> Counts:
    """The same of who was supplied for 15 days, over 90 days or more."""
    return _high(table, year, (pl.col("supplied") >= 15) & (pl.col("period") >= 90))


def ohdmp(table: pl.DataFrame, year: int) -> Counts:
    """The same, and four prescribers and four pharmacies within 180 days."""
    return _high(table, year, (pl.col("supplied") >= 15) & (pl.col("period") >= 90), many=True)


def _high(table: pl.DataFrame, year: int, asked: pl.Expr, *, many: bool = False) -> Counts:
    rows = _covered(_year(table, year).filter(pl.col("opioid")))
    daily = pl.when(pl.col("counted") & (pl.col("daily") > 0)).then(pl.col("daily")).otherwise(0)
    lacking = (pl.col("days") == 0).any()
    found = rows.group_by("patient").agg(
        dates=pl.col("day").n_unique(),
        covered=pl.col("added").sum(),
        supplied=(pl.col("end") - pl.col("day") + 1).sum(),
        period=pl.col("end").max() - pl.col("day").min() + 1,
        total=(daily * (pl.col("end") - pl.col("day") + 1)).sum(),
        lacking=lacking,
    )
    inside = _left(found.filter((pl.col("dates") >= 2) & asked), table, year, [3, 4, 5])
    high = (pl.col("total") >= 90 * 10**12 * pl.col("period").cast(pl.Int64)) & ~pl.col("lacking")
    met = inside.filter(high)
    return len(inside), len(_of_many(rows, met, 180) if many else met)


def omp(table: pl.DataFrame, year: int) -> Counts:
    """Four prescribers and four pharmacies within 180 days."""
    rows = _year(table, year).filter(pl.col("opioid"))
    found = rows.group_by("patient").agg(
        dates=pl.col("day").n_unique(),
        supplied=(pl.col("end") - pl.col("day") + 1).sum(),
    )
    asked = (pl.col("dates") >= 2) & (pl.col("supplied") >= 15)
    inside = _left(found.filter(asked), table, year, [3, 4, 5])
    return len(inside), len(_of_many(rows, inside, 180))


def _of_many(rows: pl.LazyFrame, of: pl.DataFrame, days: int) -> pl.DataFrame:
    """Those who have four prescribers and four pharmacies in so many days. Days are joined with days only of
    those who have four of each at all."""

    def four(name: str) -> pl.Expr:
        return pl.col(name).filter(pl.col(name) >= 0).n_unique() >= 4

    enough = four("prescriber") & four("pharmacy")
    some = rows.group_by("patient").agg(enough=enough).filter(pl.col("enough")).select("patient")
    few = rows.join(some, on="patient", how="semi").select("patient", "day", "prescriber", "pharmacy")
    pairs = few.select("patient", at=pl.col("day")).unique().join(few, on="patient")
    within = pairs.filter(pl.col("day").is_between(pl.col("at"), pl.col("at") + days - 1))
    met = within.group_by("patient", "at").agg(enough=enough).filter(pl.col("enough"))
    return of.join(met.select("patient").unique().collect(), on="patient", how="semi")


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


def cou(table: pl.DataFrame, year: int) -> Counts:
    """Fifteen days covered in the thirty from the first start on; starts from November on."""
    first, last = date(year - 1, 11, 1).toordinal(), date(year, 10, 31).toordinal()
    starts, rows = _starts(table, first, last, lookback=180, longest=62)
    one = starts.group_by("patient", maintain_order=True).first()
    within = _within(one, rows, 30).with_columns(end=pl.min_horizontal(pl.col("end"), pl.col("start") + 29))
    covered = _covered(within.lazy()).group_by("patient").agg(value=pl.col("added").sum()).collect()
    return _counted(one, covered.filter(pl.col("value") >= 15), table, first - 180, last)


def iop_ld(table: pl.DataFrame, year: int) -> Counts:
    """Eight days' supply in the three days from a start on."""
    days = pl.col("end") - pl.col("day") + 1
    return _initial(table, year, days.sum() >= 8)


def iop_la(table: pl.DataFrame, year: int) -> Counts:
    """A long-acting opioid in the three days from a start on."""
    return _initial(table, year, pl.col("long").any())


def iop_hd(table: pl.DataFrame, year: int) -> Counts:
    """50 MME a day or more over the days covered by the supply of the three days from a start on."""
    daily = pl.when(pl.col("counted") & (pl.col("daily") > 0)).then(pl.col("daily")).otherwise(0)
    total = (daily * (pl.col("end") - pl.col("day") + 1)).sum()
    high = total >= 50 * 10**12 * pl.col("added").sum().cast(pl.Int64)
    return _initial(table, year, high & ~(pl.col("days") == 0).any())


def _initial(table: pl.DataFrame, year: int, met: pl.Expr) -> Counts:
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    starts, rows = _starts(table, first, last, lookback=90, longest=3)
    within = _covered(_within(starts, rows, 3).lazy(), "patient", "start").collect()
    found = within.group_by("patient", "start", "certain").agg(met=met)
    return _counted(starts, found.filter(pl.col("met") & pl.col("certain")), table, first - 90, last)


def _starts(
    table: pl.DataFrame, first: int, last: int, *, lookback: int, longest: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Claims with none for some time before, and whether that is certain; and all claims."""
    rows = _once(table, first - lookback, last + longest).sort(["patient", "day"]).collect()
    claims = rows.filter(pl.col("opioid")).with_columns(
        end=pl.col("day") + pl.max_horizontal(pl.col("days"), pl.lit(1)) - 1,
        before=pl.col("day") - pl.col("day").shift(1).over("patient"),
    )
    new = pl.col("before").is_null() | (pl.col("before") > lookback)
    starts = claims.filter(new & pl.col("day").is_between(first, last)).select("patient", start=pl.col("day"))
    strange = rows.filter(pl.col("strange")).select("patient", unknown=pl.col("day"))
    seen = starts.join(strange, on="patient").filter(
        pl.col("unknown").is_between(pl.col("start") - lookback, pl.col("start") - 1)
    )
    seen = seen.select("patient", "start", hidden=pl.lit(value=True)).unique()
    known = date(FIRST.year, 1, 1).toordinal()
    starts = starts.join(seen, on=["patient", "start"], how="left", maintain_order="left").with_columns(
        certain=pl.col("hidden").is_null() & (pl.col("start") - lookback >= known)
    )
    return starts, claims


def _within(starts: pl.DataFrame, claims: pl.DataFrame, days: int) -> pl.DataFrame:
    """The claims of the days from each start on."""
    beside = starts.join(claims, on="patient", maintain_order="left_right")
    return beside.filter(pl.col("day").is_between(pl.col("start"), pl.col("start") + days - 1))


def _counted(starts: pl.DataFrame, met: pl.DataFrame, table: pl.DataFrame, first: int, last: int) -> Counts:
    inside = starts.filter(pl.col("certain")).select("patient").unique()
    inside = inside.join(_excluded(table, first, last, [3, 4, 5]), on="patient", how="anti")
    return len(inside), inside.join(met.select("patient").unique(), on="patient", how="semi").height


RUNS: Mapping[str, Callable[[pl.DataFrame, int], Counts]] = {
    "hedis-hdo": hdo,
    "hedis-cou": cou,
    "pqa-ohd": ohd,
    "pqa-ohdmp": ohdmp,
    "pqa-omp": omp,
    "pqa-iop-hd": iop_hd,
    "pqa-iop-ld": iop_ld,
    "pqa-iop-la": iop_la,
    "hedis-uop": uop,
    "pqa-cob": cob,
}


def frames(made: Hospital) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Medications with what the product is, and stays by number."""
    m, s = made.medications, made.stays
    rows = pl.DataFrame({name: getattr(m, name) for name in _GIVEN})
    what = pl.DataFrame(
        {
            "product": pl.Series(range(len(DRUGS)), dtype=pl.Int32),
            "opioid": [_given(d, DrugClass.OPIOID_ANALGESIC, ("II", "III", "IV")) for d in DRUGS],
            "sedative": [_given(d, DrugClass.BENZODIAZEPINE, ("IV",)) for d in DRUGS],
            "strange": [d is None for d in DRUGS],
        }
    )
    rows = rows.join(what, on="product", how="left", maintain_order="left")
    stays = pl.DataFrame({n: getattr(s, n) for n in ("patient", "begun", "ended", "adult", "excluded")})
    return rows, stays.with_row_index("stay")


_GIVEN = ["patient", "day", "until", "written", "product", "how", "treatment"]


def _given(drug: Drug | None, of: DrugClass, schedules: tuple[str, ...]) -> bool:
    known = drug is not None and drug.schedule is not None and drug.is_a(of)
    return known and drug.schedule.value in schedules and drug.form != "injection"


def cms506(rows: pl.DataFrame, stays: pl.DataFrame, year: int) -> Counts:
    """Two opioids, or an opioid beside a benzodiazepine, of those who leave with either."""
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    here = stays.lazy().filter(pl.col("ended").is_between(first, last))
    kind = pl.col("opioid") | pl.col("sedative") | pl.col("strange")
    wanted = rows.lazy().filter(kind & (pl.col("treatment") != 2))
    both = here.join(wanted, on="patient")
    issued = pl.when(pl.col("written") < 0).then("day").otherwise("written")
    sure = (pl.col("how") & int(How.DISCHARGE) > 0) & issued.is_between(pl.col("begun"), pl.col("ended"))
    today = (pl.col("how") & int(How.PRESCRIPTION) > 0) & (pl.col("day") == pl.col("ended"))
    in_hand = (pl.col("day") < pl.col("begun")) & (pl.col("until") >= pl.col("ended"))
    maybe = (pl.col("how") & int(How.WARD) == 0) & (today | in_hand)
    each = both.with_columns(sure=sure, maybe=maybe).filter(pl.col("sure") | pl.col("maybe"))
    products = each.group_by("stay", "product").agg(
        pl.col("sure").any(), pl.col("opioid", "sedative", "strange").first()
    )
    certain = pl.col("sure") & ~pl.col("strange")
    home = products.group_by("stay").agg(
        opioids=(certain & pl.col("opioid")).sum(), sedatives=(certain & pl.col("sedative")).sum()
    )
    old_enough = (pl.col("adult") == 1) & (pl.col("ended") - pl.col("begun") <= 120) & ~pl.col("excluded")
    typed = rows.lazy().filter(pl.col("treatment").is_in([3, 4, 5]))
    typed = here.join(typed, on="patient").filter(pl.col("day").is_between(pl.col("begun"), pl.col("ended")))
    inside = here.filter(old_enough).join(home, on="stay").join(typed, on="stay", how="anti")
    opioids, sedatives = pl.col("opioids"), pl.col("sedatives")
    inside = inside.filter(opioids + sedatives >= 1)
    met = (opioids >= 2) | ((opioids >= 1) & (sedatives >= 1))
    found = inside.select(pl.len().alias("inside"), met.sum().alias("met")).collect()
    return found["inside"][0], found["met"][0]
