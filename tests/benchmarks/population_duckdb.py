"""The shared part of the scan, written by hand in SQL for DuckDB."""

# ruff: noqa: S608 - what is put together here is the text of this file

from __future__ import annotations

import duckdb
import numpy as np

from tests.benchmarks.shared_scan import Answer, Question

_ONCE = """
CREATE OR REPLACE TEMP TABLE kept AS
WITH beside AS (
    SELECT *, count(*) OVER (PARTITION BY patient, day) AS that_day FROM dispensings
), again AS (
    SELECT row FROM beside
    WHERE that_day > 1 AND pharmacy >= 0 AND rx >= 0 AND fill >= 0
    QUALIFY row_number() OVER (
        PARTITION BY patient, day, pharmacy, rx, fill, partial, product
        ORDER BY quantity DESC, stated DESC, row
    ) > 1
)
SELECT d.*, day + greatest(days, 1) - 1 AS last,
       day + CASE WHEN days > 0 THEN days ELSE $unknown_days END - 1 AS possible
FROM dispensings d WHERE row NOT IN (SELECT row FROM again)
"""

_STEPS = """
    SELECT patient, day, mme, lead(day) OVER (PARTITION BY patient ORDER BY day) - 1 AS until
    FROM (
        SELECT patient, day, sum(sum(change)) OVER (PARTITION BY patient ORDER BY day) AS mme
        FROM (
            SELECT patient, day, daily AS change FROM {rows} WHERE daily >= 0
            UNION ALL SELECT patient, {end} + 1, -daily FROM {rows} WHERE daily >= 0
        ) GROUP BY patient, day
    )
"""

_FIGURES = f"""
WITH counted AS (SELECT * FROM kept WHERE bits & $counted > 0),
inside AS (
    SELECT *, greatest(0, possible - greatest(day - 1, coalesce(max(possible) OVER (
        PARTITION BY patient ORDER BY day, row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0))) AS added
    FROM counted WHERE day BETWEEN $first AND $until
),
sums AS (
    SELECT patient, sum(greatest(amount, 0))::BIGINT AS amount, sum(possible - day + 1)::BIGINT AS supplied,
           sum(added)::BIGINT AS covered
    FROM inside GROUP BY patient
),
steps AS ({_STEPS.format(rows="counted", end="last")}),
within AS (
    SELECT *, least(until, $until) - greatest(day, $first) + 1 AS length
    FROM steps WHERE mme > 0 AND day <= $until AND until >= $first
),
by_day AS (
    SELECT patient, max(mme)::BIGINT AS maximum,
        sum(length) FILTER (mme >= $low - 500)::BIGINT AS over_0,
        sum(length) FILTER (mme >= $high - 500)::BIGINT AS over_1
    FROM within GROUP BY patient
)
SELECT p.patient, coalesce(amount, 0) AS amount, coalesce(supplied, 0) AS supplied,
       coalesce(covered, 0) AS covered, coalesce(maximum, 0) AS maximum,
       coalesce(over_0, 0) AS over_0, coalesce(over_1, 0) AS over_1
FROM range($patients) p(patient) LEFT JOIN sums USING (patient) LEFT JOIN by_day USING (patient)
ORDER BY p.patient
"""

_SINGLE = {
    "beyond-refills": "fill >= 0 AND refills >= 0 AND schedule > 0 AND schedule <> 2 AND fill > refills",
    "schedule-ii-refill": "schedule = 2 AND (refills > 0 OR (fill > 0 AND partial <= 1))",
    "improbable-days-supply": "stated <> -1 AND schedule > 0 AND stated NOT BETWEEN $least AND $most",
    "no-known-order": "bits & $analgesic > 0 AND ordered = 0",
}

_CASH = """
WITH paid AS (
    SELECT *, max(day) FILTER (paid = 2) OVER (
        PARTITION BY patient ORDER BY day RANGE UNBOUNDED PRECEDING
    ) AS insured FROM kept
)
SELECT row FROM paid WHERE bits & $analgesic > 0 AND paid = 1 AND insured >= day - $window
QUALIFY coalesce(day - lag(day) OVER (PARTITION BY patient ORDER BY day, row) > $gap, true)
"""

_NAIVE = """
WITH had AS (
    SELECT *, max(CASE WHEN bits & $known > 0 THEN possible END) OVER (
        PARTITION BY patient ORDER BY day RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS earlier FROM kept
)
SELECT row FROM had WHERE bits & $wanted = $wanted AND coalesce(earlier, 0) < day - $lookback
"""

_PROVIDERS = """
WITH named AS (
    SELECT patient, day, row, nullif(prescriber, -1) AS prescriber, nullif(pharmacy, -1) AS pharmacy
    FROM kept WHERE bits & $analgesic > 0
),
often AS (
    SELECT patient FROM named GROUP BY patient
    HAVING count(DISTINCT prescriber) >= $providers AND count(DISTINCT pharmacy) >= $providers
),
counted AS (
    SELECT patient, day, row,
        count(DISTINCT prescriber) OVER w AS prescribers, count(DISTINCT pharmacy) OVER w AS pharmacies
    FROM named WHERE patient IN (SELECT patient FROM often)
    WINDOW w AS (PARTITION BY patient ORDER BY day RANGE BETWEEN $window - 1 PRECEDING AND CURRENT ROW)
)
SELECT row FROM counted WHERE prescribers >= $providers AND pharmacies >= $providers
QUALIFY coalesce(day - lag(day) OVER (PARTITION BY patient ORDER BY day, row) > $window, true)
"""

_RUNS = """
runs AS (
    SELECT patient, day FROM spans
    QUALIFY coalesce(day - lag(until) OVER (PARTITION BY patient ORDER BY day) - 1 > $gap, true)
)
SELECT min(rows.row) FROM runs JOIN rows USING (patient, day) GROUP BY patient, day
"""

_BESIDE = f"""
WITH both_ AS (
    SELECT patient FROM kept GROUP BY patient
    HAVING bool_or(bits & $analgesic > 0) AND bool_or(bits & $benzodiazepine > 0)
),
rows AS (
    SELECT patient, day, last, row, bits & $analgesic > 0 AS opioid FROM kept
    WHERE bits & ($analgesic | $benzodiazepine) > 0 AND patient IN (SELECT patient FROM both_)
),
begun AS (
    SELECT *, day > coalesce(max(last) OVER (
        PARTITION BY patient, opioid ORDER BY day, row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) + 1 AS begins FROM rows
),
unions AS (
    SELECT patient, min(day) AS first, max(last) AS last FROM (
        SELECT *, sum(begins::INT) OVER (PARTITION BY patient, opioid ORDER BY day, row) AS span FROM begun
    ) GROUP BY patient, opioid, span
),
events AS (
    SELECT patient, day, lead(day) OVER (PARTITION BY patient ORDER BY day) - 1 AS until,
           sum(change) OVER (PARTITION BY patient ORDER BY day) AS active
    FROM (
        SELECT patient, day, sum(change) AS change FROM (
            SELECT patient, first AS day, 1 AS change FROM unions
            UNION ALL SELECT patient, last + 1, -1 FROM unions
        ) GROUP BY patient, day
    )
),
spans AS (SELECT patient, day, until FROM events WHERE active = 2),
{_RUNS}
"""

_HIGH = f"""
WITH rows AS (SELECT * FROM kept WHERE bits & $counted > 0),
ended AS (
    SELECT r.patient, r.day, r.daily,
        CASE WHEN s.day <= r.last THEN s.day - 1 ELSE r.last END AS ended
    FROM (SELECT *, greatest(day + 1, last - $carry + 1) AS wanted FROM rows) r
    ASOF LEFT JOIN (SELECT DISTINCT patient, strength, day FROM rows) s
    ON r.patient = s.patient AND r.strength = s.strength AND s.day >= r.wanted
),
steps AS ({_STEPS.format(rows="ended", end="ended")}),
spans AS (SELECT patient, day, until FROM steps WHERE mme >= $high - 500),
{_RUNS}
"""


def loaded(table: dict[str, np.ndarray]) -> duckdb.DuckDBPyConnection:
    """The rows in a database in memory."""
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute("CREATE TABLE dispensings AS SELECT * FROM given")
    connection.unregister("given")
    return connection


def scan(connection: duckdb.DuckDBPyConnection, q: Question) -> Answer:
    """Everything that is asked."""

    def rows(sql: str, **given: int) -> np.ndarray:
        return next(iter(connection.execute(sql, given).fetchnumpy().values()))

    connection.execute(_ONCE, {"unknown_days": q.unknown_days})
    window = {"first": q.first, "until": q.until, "patients": q.patients, "counted": q.counted}
    low, high = q.guidance
    figures = connection.execute(_FIGURES, {**window, "low": low, "high": high}).fetchnumpy()
    least, most = q.days
    more = {
        "improbable-days-supply": {"least": least, "most": most},
        "no-known-order": {"analgesic": q.analgesic},
    }
    flags = {
        kind: rows(f"SELECT row FROM kept WHERE {where}", **more.get(kind, {}))
        for kind, where in _SINGLE.items()
    }
    flags["cash-beside-insurance"] = rows(_CASH, analgesic=q.analgesic, window=q.cash[0], gap=q.cash[1])
    wanted = q.analgesic | q.long_acting
    flags["long-acting-in-naive"] = rows(
        _NAIVE, known=q.opioid | q.unknown, wanted=wanted, lookback=q.lookback
    )
    flags["multiple-providers"] = rows(
        _PROVIDERS, analgesic=q.analgesic, providers=q.providers, window=q.window
    )
    flags["opioid-with-benzodiazepine"] = rows(
        _BESIDE, analgesic=q.analgesic, benzodiazepine=q.benzodiazepine, gap=q.beside
    )
    flags["high-daily-mme"] = rows(_HIGH, counted=q.counted, carry=q.carry, high=q.high, gap=q.high_gap)
    return Answer({name: figures[name] for name in q.figures}, flags)
