"""``python -m tests.benchmarks decide``, ``... orders [--database URL]``, ``... population [--rows N]`` and
``... import [--rows N] [--beside-orders] [--postgres]``, ``... exports [--rows N]``.

Timed when somebody asks, never with the tests. Answers are checked before anything is timed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tests.benchmarks import deciding, measuring, orders, watching
from tests.benchmarks.databases import postgresql


@click.group()
def main() -> None:
    """How quick the service is, on this machine."""


@main.command()
@click.option("--rounds", default=100, show_default=True, type=click.IntRange(3, 10_000))
def decide(rounds: int) -> None:
    """One order against a chart of 30 supplies, in process."""
    deciding.benchmark(rounds=rounds, say=click.echo)


@main.command(name="watch")
@click.option("--patients", default=10_000, show_default=True, type=click.IntRange(10, 1_000_000))
@click.option("--postgres", is_flag=True, help="On a PostgreSQL that is started for it.")
def nightly_watch(patients: int, postgres: bool) -> None:
    """The nightly watch over a population whose dispensings are taken in first."""
    if postgres:
        with postgresql() as address:
            watching.benchmark(address, patients=patients, say=click.echo)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        watching.benchmark(f"sqlite:///{folder}/benchmark.db", patients=patients, say=click.echo)


@main.command(name="orders")
@click.option("--database", help="Address of an empty database; without it a new SQLite file.")
@click.option("--postgres", is_flag=True, help="Also on a PostgreSQL that is started for it.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 50))
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.5, 30))
def order_checks(database: str | None, postgres: bool, rounds: int, seconds: float) -> None:
    """One order-sign over HTTP, beside the floors."""
    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        given = database or f"sqlite:///{folder}/benchmark.db"
        orders.benchmark(given, Path(folder), rounds=rounds, seconds=seconds, say=click.echo)
    if postgres:
        with tempfile.TemporaryDirectory(prefix="benchmark") as folder, postgresql() as started:
            orders.benchmark(started, Path(folder), rounds=rounds, seconds=seconds, say=click.echo)


@main.command(name="measures")
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(1_000, 20_000_000))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 50))
def quality_measures(rows: int, rounds: int) -> None:
    """Quality measures as columns, each beside the same written by hand in polars."""
    measuring.benchmark(rows=rows, rounds=rounds, say=click.echo)


@main.command(name="population")
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(1_000, 20_000_000))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 50))
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64))
def population_scan(rows: int, rounds: int, workers: int) -> None:
    """Figures and flags of a whole population, beside polars and DuckDB."""
    from tests.benchmarks import population

    population.benchmark(rows=rows, rounds=rounds, workers=workers, say=click.echo)


@main.command(name="trail")
@click.option("--database", help="Address of an empty database; without it a new SQLite file.")
@click.option("--entries", default=1_000_000, show_default=True, type=click.IntRange(1_000, 20_000_000))
def trail_verification(database: str | None, entries: int) -> None:
    """Verification of an audit trail, its checkpoints and the rows that it bears witness to."""
    from tests.benchmarks import trail

    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        trail.main(database, Path(folder), entries=entries, say=click.echo)


@main.command(name="import")
@click.option("--database", help="Address of an empty database; without it a new SQLite file.")
@click.option("--postgres", is_flag=True, help="Also on a PostgreSQL that is started for it.")
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(10_000, 20_000_000))
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(2, 30))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 50))
@click.option(
    "--beside-orders", is_flag=True, help="Only orders beside an import; a fifth of the rows will do."
)
def import_files(
    database: str | None, postgres: bool, rows: int, seconds: float, rounds: int, beside_orders: bool
) -> None:
    """Files of dispensings: rows a second, memory, and orders checked beside."""
    from tests.benchmarks import imports

    run = imports.beside_orders if beside_orders else imports.benchmark
    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        given = database or f"sqlite:///{folder}/benchmark.db"
        run(given, Path(folder), rows=rows, seconds=seconds, rounds=rounds, say=click.echo)
    if postgres:
        with tempfile.TemporaryDirectory(prefix="benchmark") as folder, postgresql() as started:
            run(started, Path(folder), rows=rows, seconds=seconds, rounds=rounds, say=click.echo)


@main.command(name="pages")
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(3, 1_000))
def patient_pages(rounds: int) -> None:
    """The pages of a patient with 500 supplies, rendered on the server."""
    from tests.benchmarks import pages

    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        pages.benchmark(Path(folder), rounds=rounds, say=click.echo)


@main.command(name="exports")
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(1_000, 1_000_000))
def export_reports(rows: int) -> None:
    """A report of so many rows as JSON, CSV and XLSX: seconds, and how much memory grows."""
    from tests.benchmarks import exports

    exports.benchmark(rows=rows, say=click.echo)


if __name__ == "__main__":
    main()
