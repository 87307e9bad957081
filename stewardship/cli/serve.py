"""``stewardship serve``: the service on an address, for a reverse proxy in front of it."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65_535))
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Answer orders over HTTP: the JSON API, CDS Hooks and the front page.

    Settings come from the environment (STEWARDSHIP_...). The database must have been brought up with
    `stewardship db upgrade`.
    """
    import os

    from stewardship.config import Settings
    from stewardship.runtime import prepare

    # Refuse here, with words, rather than in every worker again and again.
    prepare(Settings.from_env(os.environ)).sessions.kw["bind"].dispose()
    run(host=host, port=port, workers=workers)


def run(*, host: str, port: int, workers: int, application: str = "stewardship.app:from_environment") -> None:
    """Serve the application that the environment describes until the process is told to stop.

    A worker that dies is replaced; one that is told to stop finishes its requests first. ``application``
    names the function that makes it.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings

    Granian(
        application,
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
        websockets=False,
        workers=workers,
        blocking_threads=THREADS,
        backlog=1024,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        log_access=False,
    ).serve()


#: Requests that one worker works on at a time; Python runs one, the others wait for the database.
THREADS = 4
