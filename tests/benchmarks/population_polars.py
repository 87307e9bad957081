"""The shared part of the scan, written by hand in polars: the same sweeps, with its own expressions."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.shared_scan import KEYS, Answer, Question

_ROOM = 1 << 20  # days of a key


def frame(table: dict[str, np.ndarray]) -> pl.DataFrame:
    """The rows as polars has them."""
    return pl.DataFrame(table)


def scan(df: pl.DataFrame, q: Question) -> Answer:
    """Everything that is asked."""
    df = _once(df)
    df = df.with_columns(
        last=pl.col("day") + pl.max_horizontal("days", 1) - 1,
        possible=pl.col("day") + pl.when(pl.col("days") > 0).then("days").otherwise(q.unknown_days) - 1,
        key=pl.col("patient") * _ROOM + pl.col("day"),
    )
    counted = df.filter(pl.col("bits") & q.counted > 0)
    opioids = df.filter(pl.col("bits") & q.analgesic > 0)
    flags = {
        "beyond-refills": _rows(
            df.filter(
                (pl.col("fill") >= 0)
                & (pl.col("refills") >= 0)
                & (pl.col("schedule") > 0)
                & (pl.col("schedule") != 2)
                & (pl.col("fill") > pl.col("refills"))
            )
        ),
        "schedule-ii-refill": _rows(
            df.filter(
                (pl.col("schedule") == 2)
                & ((pl.col("refills") > 0) | ((pl.col("fill") > 0) & (pl.col("partial") <= 1)))
            )
        ),
        "improbable-days-supply": _rows(
            df.filter(
                (pl.col("stated") != -1) & (pl.col("schedule") > 0) & ~pl.col("stated").is_between(*q.days)
            )
        ),
        "no-known-order": _rows(opioids.filter(pl.col("ordered") == 0)),
        "cash-beside-insurance": _cash(df, q),
        "long-acting-in-naive": _naive(df, q),
        "multiple-providers": _providers(opioids, q),
        "opioid-with-benzodiazepine": _beside(df, q),
        "high-daily-mme": _high(counted, q),
    }
    return Answer(_figures(counted, q), flags)


def _rows(df: pl.DataFrame) -> np.ndarray:
    return df["row"].to_numpy()


def _once(df: pl.DataFrame) -> pl.DataFrame:
    same = (pl.col("patient") == pl.col("patient").shift(1)) & (pl.col("day") == pl.col("day").shift(1))
    beside = df.filter(same.fill_null(False) | same.shift(-1).fill_null(False))
    beside = beside.filter((pl.col("pharmacy") >= 0) & (pl.col("rx") >= 0) & (pl.col("fill") >= 0))
    beside = beside.sort(
        [*KEYS, "quantity", "stated", "row"], descending=[False] * len(KEYS) + [True, True, False]
    )
    again = beside.filter(~pl.struct(KEYS).is_first_distinct())
    return df.filter(~pl.col("row").is_in(again["row"].implode()))


def _running(value: pl.Expr) -> pl.Expr:
    """The highest of the same patient so far, days or 0, without a partition."""
    return (pl.col("patient") * _ROOM + value).cum_max()


def _figures(counted: pl.DataFrame, q: Question) -> dict[str, np.ndarray]:
    inside = counted.filter(pl.col("day").is_between(q.first, q.until))
    reach = pl.max_horizontal(
        (_running(pl.col("possible")).shift(1) - pl.col("patient") * _ROOM).fill_null(-1), pl.col("day") - 1
    )
    sums = (
        inside.with_columns(
            added=pl.max_horizontal(pl.col("possible") - reach, 0), known=pl.max_horizontal("amount", 0)
        )
        .group_by("patient")
        .agg(
            amount=pl.col("known").sum(),
            supplied=(pl.col("possible") - pl.col("day") + 1).sum(),
            covered=pl.col("added").sum(),
        )
    )
    steps = _steps(counted, "last")
    within = steps.filter((pl.col("mme") > 0) & (pl.col("day") <= q.until) & (pl.col("until") >= q.first))
    length = pl.min_horizontal("until", q.until) - pl.max_horizontal("day", q.first) + 1
    by_day = within.group_by("patient").agg(
        maximum=pl.col("mme").max(),
        **{
            f"over_{n}": length.filter(pl.col("mme") >= limit - 500).sum()
            for n, limit in enumerate(q.guidance)
        },
    )
    all_ = pl.DataFrame({"patient": np.arange(q.patients)})
    joined = all_.join(sums, on="patient", how="left").join(by_day, on="patient", how="left").fill_null(0)
    joined = joined.sort("patient")
    return {name: joined[name].to_numpy() for name in q.figures}


def _steps(counted: pl.DataFrame, end: str) -> pl.DataFrame:
    """MME a day as steps: two events a supply, one sort, one running sum over everybody."""
    dosed = counted.filter(pl.col("daily") >= 0)
    starts = dosed.select("key", change=pl.col("daily"))
    ends = dosed.select(key=pl.col("key") + pl.col(end) - pl.col("day") + 1, change=-pl.col("daily"))
    events = pl.concat([starts, ends]).sort("key").with_columns(mme=pl.col("change").cum_sum())
    events = events.filter((pl.col("key") != pl.col("key").shift(-1)).fill_null(True))
    return events.select(
        "key",
        "mme",
        patient=pl.col("key") // _ROOM,
        day=pl.col("key") % _ROOM,
        until=pl.col("key") % _ROOM + (pl.col("key").shift(-1) - pl.col("key")) - 1,
    )


def _begins(df: pl.DataFrame, gap: int, first: str = "day", last: str = "day", more: int = 0) -> pl.Expr:
    apart = pl.col(first) - pl.col(last).shift(1) - more > gap
    return ((pl.col("patient") != pl.col("patient").shift(1)) | apart).fill_null(True)


def _cash(df: pl.DataFrame, q: Question) -> np.ndarray:
    paid = pl.when(pl.col("paid") == 2).then("day").otherwise(0)
    # The last insured day up to and with the day itself: of the day's last row.
    found = df.with_columns(insured=_running(paid) - pl.col("patient") * _ROOM)
    found = found.with_columns(insured=pl.col("insured").last().over("key", mapping_strategy="group_to_rows"))
    chosen = found.filter(
        (pl.col("bits") & q.analgesic > 0)
        & (pl.col("paid") == 1)
        & (pl.col("insured") > 0)
        & (pl.col("insured") >= pl.col("day") - q.cash[0])
    )
    return _rows(chosen.filter(_begins(chosen, q.cash[1])))


def _naive(df: pl.DataFrame, q: Question) -> np.ndarray:
    had = pl.when(pl.col("bits") & q.opioid > 0).then("last").otherwise(0)
    perhaps = pl.when(pl.col("bits") & (q.opioid | q.unknown) > 0).then("possible").otherwise(0)
    first = (pl.col("key") != pl.col("key").shift(1)).fill_null(True)
    found = df.with_columns(had=_running(pl.max_horizontal(had, perhaps)).shift(1))
    # What was before the day, for every row of the day.
    found = found.with_columns(had=pl.when(first).then("had").otherwise(None).forward_fill())
    before = (pl.col("had") - pl.col("patient") * _ROOM).fill_null(0)
    long_acting = pl.col("bits") & (q.analgesic | q.long_acting) == (q.analgesic | q.long_acting)
    return _rows(found.filter(long_acting & (before < pl.col("day") - q.lookback)))


def _providers(opioids: pl.DataFrame, q: Question) -> np.ndarray:
    changes: dict[str, Any] = {
        name: (
            (pl.col(name) != pl.col(name).shift(1)) & (pl.col("patient") == pl.col("patient").shift(1))
        ).fill_null(False)
        for name in ("prescriber", "pharmacy")
    }
    often = opioids.select("patient", **changes).group_by("patient").agg(pl.all().sum())
    often = often.filter((pl.col("prescriber") >= q.providers - 1) & (pl.col("pharmacy") >= q.providers - 1))
    chosen = opioids.join(often.select("patient"), on="patient", how="semi", maintain_order="left")
    keys = chosen["key"]
    for name in ("prescriber", "pharmacy"):
        named = chosen.filter(pl.col(name) >= 0).sort(["patient", name, "day"])
        new = _begins(named, q.window - 1) | (pl.col(name) != pl.col(name).shift(1)).fill_null(True)
        named = named.with_columns(new=new).with_columns(gone=pl.col("new").shift(-1).fill_null(True))
        comes = named.filter("new")["key"].sort()
        goes = named.filter("gone").select(pl.col("key") + q.window).to_series().sort()
        distinct = comes.search_sorted(keys, "right").cast(pl.Int64) - goes.search_sorted(keys, "right").cast(
            pl.Int64
        )
        chosen = chosen.with_columns(distinct.alias(f"distinct_{name}"))
    enough = (pl.col("distinct_prescriber") >= q.providers) & (pl.col("distinct_pharmacy") >= q.providers)
    found = chosen.filter(enough)
    return _rows(found.filter(_begins(found, q.window)))


def _union(rows: pl.DataFrame) -> pl.DataFrame:
    reach = _running(pl.col("last")).shift(1).fill_null(-1)
    spans = rows.with_columns(span=(pl.col("key") > reach + 1).cum_sum())
    return spans.group_by("span", maintain_order=True).agg(
        first=pl.col("key").first(), last=(pl.col("key") + pl.col("last") - pl.col("day")).max()
    )


def _beside(df: pl.DataFrame, q: Question) -> np.ndarray:
    both = df.group_by("patient").agg(
        a=(pl.col("bits") & q.analgesic > 0).any(), b=(pl.col("bits") & q.benzodiazepine > 0).any()
    )
    both = both.filter(pl.col("a") & pl.col("b")).select("patient")
    rows = df.filter(pl.col("bits") & (q.analgesic | q.benzodiazepine) > 0)
    rows = rows.join(both, on="patient", how="semi", maintain_order="left")
    unions = [_union(rows.filter(pl.col("bits") & bit > 0)) for bit in (q.analgesic, q.benzodiazepine)]
    events = pl.concat(
        [u.select(key=pl.col("first"), change=pl.lit(1)) for u in unions]
        + [u.select(key=pl.col("last") + 1, change=pl.lit(-1)) for u in unions]
    ).sort(["key", "change"])
    events = events.with_columns(active=pl.col("change").cum_sum(), until=pl.col("key").shift(-1) - 1)
    spans = events.filter((pl.col("active") == 2) & (pl.col("until") >= pl.col("key")))
    return _anchors(spans.select("key", "until"), rows, q.beside)


def _anchors(spans: pl.DataFrame, rows: pl.DataFrame, gap: int) -> np.ndarray:
    """The first row on the day on which each run of spans begins."""
    spans = spans.with_columns(patient=pl.col("key") // _ROOM)
    spans = spans.filter(_begins(spans, gap, "key", "until", 1))
    firsts = rows.group_by("key").agg(pl.col("row").min())
    return _rows(spans.join(firsts, on="key", how="left", maintain_order="left"))


def _high(counted: pl.DataFrame, q: Question) -> np.ndarray:
    chain = (pl.col("patient") * 64 + pl.col("strength")) * _ROOM
    chained = counted.with_columns(
        at=chain + pl.col("day"),
        end=chain + pl.col("last"),
        wanted=chain + pl.max_horizontal(pl.col("day") + 1, pl.col("last") - q.carry + 1),
    )
    starts = chained.select(start=pl.col("at")).sort("start")
    found = chained.sort("wanted").join_asof(starts, left_on="wanted", right_on="start", strategy="forward")
    found = found.with_columns(
        ended=pl.when(pl.col("start") <= pl.col("end"))
        .then(pl.col("start") - chain - 1)
        .otherwise(pl.col("last"))
    )
    spans = _steps(found, "ended").filter(pl.col("mme") >= q.high - 500)
    spans = spans.select("key", until=pl.col("key") + pl.col("until") - pl.col("day"))
    return _anchors(spans, counted, q.high_gap)
