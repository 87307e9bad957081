"""The pages of a patient with a long history, rendered on the server: 500 supplies in four years.

In process, through the whole application: admission, the chart, the audit entry, the page. The answer is
checked first; what is timed is the processor's time, for a machine has other things to do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

from flask.testing import FlaskClient

from stewardship.app import create_app
from stewardship.config import Environment, Settings
from stewardship.db import AuditKeys, connect, migrate, transaction
from stewardship.declarations import Library, load
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.codes import RXNORM, Coding
from stewardship.domain.dosage import Quantity
from stewardship.domain.drugs import Medication
from stewardship.domain.orders import Supply, SupplyKind
from stewardship.domain.people import Principal, Role
from stewardship.observability import configure_logging
from stewardship.services import history, organisations, patients, tokens
from tests.builders import tablets

#: The project's aim, in milliseconds.
AIM = 200.0
SUPPLIES = 500
#: What a patient with a long history is dispensed: two opioids, a sedative and a plain analgesic.
_PRODUCTS = ("1049621", "1049683", "197901", "310965")

_KEY = "only-for-the-benchmark-0123456789abcdef"
_BY = Principal("benchmark", "benchmark", Role.PRESCRIBER)


def long_history(library: Library, now: datetime) -> Chart:
    """The chart: fills of each product every eleven or twelve days, some of them early."""
    supplies = []
    for number in range(SUPPLIES):
        drug = library.catalogue.by_rxcui(_PRODUCTS[number % len(_PRODUCTS)])
        if drug is None:
            raise SystemExit("a product of the benchmark is not in the catalogue")
        supplies.append(
            Supply(
                id=f"supply-{number}",
                kind=SupplyKind.DISPENSING,
                medication=Medication((Coding(RXNORM, drug.code.code, drug.name),), drug.name),
                drug=drug,
                start_on=(now - timedelta(days=number * 1460 // SUPPLIES)).date(),
                dosage=(tablets(1, times=2),),
                quantity=Quantity(Decimal(24 + number % 5), "tablet"),
                days_supply=Decimal(12 + number % 3),
                status="completed",
                prescriber=f"prescriber-{number % 7}",
                pharmacy=f"pharmacy-{number % 5}",
            )
        )
    return Chart(Patient("long-history"), now, tuple(supplies), data_as_of=now)


def opened(folder: Path) -> tuple[FlaskClient, str, dict[str, str]]:
    """The application over a new database with that patient: a client, the patient's path, and who asks."""
    library, now = load(), datetime.now(UTC)
    settings = Settings(
        environment=Environment.TEST,
        database_url=f"sqlite:///{folder / 'pages.db'}",
        secret_key=_KEY,
        audit_key=_KEY[::-1],
    )
    sessions = connect(settings.database_url, audit_keys=AuditKeys.single(settings.audit_key.encode()))
    migrate.upgrade(sessions.kw["bind"])
    with transaction(sessions) as session:
        organisations.ensure(session, _BY.organisation_id, name="Benchmark", by=_BY, now=now)
        history.store(session, [long_history(library, now)], source="benchmark", by=_BY, now=now)
        (found,) = patients.find(session, number="long-history", by=_BY)
        token = tokens.issue(
            session,
            organisation_id=_BY.organisation_id,
            role=_BY.role,
            scopes=(),
            expires_at=now + timedelta(days=1),
            by=_BY,
            now=now,
            user_id=_BY.user_id,
        )
    app = create_app(settings, library=library, sessions=sessions)
    return app.test_client(), f"/patients/{found.id}", {"Authorization": f"Bearer {token}"}


def pages(patient: str) -> dict[str, tuple[str, str]]:
    """What is timed, each with words that the page must hold."""
    return {
        "the patient, 12 months": (patient, "500 supplies"),
        "the patient, 24 months": (f"{patient}?days=730", "500 supplies"),
        "an order form": (f"{patient}/order", "Name of the medicine"),
        "what else could help": (f"{patient}/alternatives", "What else could help"),
    }


def benchmark(folder: Path, *, rounds: int, say: Callable[[str], None]) -> None:
    """Check the pages, then time them."""
    configure_logging(level=logging.ERROR)
    client, patient, who = opened(folder)
    say(f"pages of a patient with {SUPPLIES} supplies, in process; milliseconds of the processor")
    say(f"{'':28}{'best':>8}{'median':>8}{'worst':>8}{'KB':>8}")
    slowest = 0.0
    for name, (path, words) in pages(patient).items():
        size = len(checked(client, path, who, words))
        taken = sorted(timed(client, path, who) for _ in range(rounds))
        slowest = max(slowest, median(taken))
        say(f"{name:28}{taken[0]:8.0f}{median(taken):8.0f}{taken[-1]:8.0f}{size / 1024:8.0f}")
    say(f"aim: a median under {AIM:g} ms: {slowest:.0f}, {'reached' if slowest < AIM else 'NOT reached'}")


def checked(client: FlaskClient, path: str, who: dict[str, str], words: str) -> bytes:
    """The page, if it is the one that it must be."""
    answer = client.get(path, headers=who)
    if answer.status_code != 200 or words not in answer.text:
        raise SystemExit(f"{path} answers {answer.status_code}, without the words {words!r}")
    return answer.data


def timed(client: FlaskClient, path: str, who: dict[str, str]) -> float:
    """One page, in milliseconds of the processor."""
    begun = time.process_time()
    client.get(path, headers=who)
    return (time.process_time() - begun) * 1000
