"""What a token is bound to besides role, scopes and expiry: the networks it comes from, and how often.

Whoever has stolen a token is elsewhere, and in a hurry. A network is written as in ``10.20.0.0/16``; one
address is a network of its own. Uses are counted by the minute, over all processes together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, token_tables
from stewardship.domain.errors import InvalidInput
from stewardship.domain.people import Principal
from stewardship.services import audit

Network = IPv4Network | IPv6Network

#: Networks that one token may be used from, at the most; what they fill is bounded by their column.
MOST_NETWORKS = 20
#: Uses a minute that can be asked for; more than any one process can answer.
MOST_PER_MINUTE = 1_000_000

_limits: Any = token_tables.TokenLimit.__table__


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a token may come from, empty for everywhere, and how often a minute, ``None`` for any number."""

    networks: tuple[Network, ...] = ()
    per_minute: int | None = None

    def admits(self, address: str | None) -> bool:
        """Whether a request from that address may bring the token. An unknown address is in no network."""
        if not self.networks:
            return True
        try:
            asked = ip_address(address or "")
        except ValueError:
            return False
        if isinstance(asked, IPv6Address) and asked.ipv4_mapped is not None:
            asked = asked.ipv4_mapped
        return any(asked in network for network in self.networks)


#: Bound to nothing.
NO_LIMITS = Limits()


def limits_of(networks: Iterable[str], per_minute: int | None) -> Limits:
    """The limits as somebody writes them; raises ``InvalidInput`` for what is no network or no number."""
    found: list[Network] = []
    for text in networks:
        try:
            found.append(ip_network(text.strip()))
        except ValueError:
            raise InvalidInput(
                f"{text!r} is no network: write an address such as 192.0.2.7, or a network with the bits of "
                "the host at zero, such as 192.0.2.0/24"
            ) from None
    if len(found) > MOST_NETWORKS:
        raise InvalidInput(f"a token is bound to at most {MOST_NETWORKS} networks")
    if per_minute is not None and not 1 <= per_minute <= MOST_PER_MINUTE:
        raise InvalidInput(f"a token may be used between 1 and {MOST_PER_MINUTE} times a minute")
    return Limits(tuple(dict.fromkeys(found)), per_minute)


def keep(session: Session, token_id: str, limits: Limits, *, organisation_id: str) -> None:
    """Bind a new token. One without limits has no row."""
    if limits == NO_LIMITS:
        return
    row = {
        "organisation_id": organisation_id,
        "token_id": token_id,
        "addresses": documents.encode([str(network) for network in limits.networks]),
        "per_minute": limits.per_minute,
        "minute": None,
        "used": 0,
    }
    session.connection().execute(insert(_limits), row)


def read(addresses: str | None, per_minute: int | None) -> Limits:
    """The limits of a row; those of a token that has none."""
    if addresses is None:
        return NO_LIMITS
    return Limits(tuple(ip_network(text) for text in documents.decode(addresses, list[str])), per_minute)


def count(session: Session, token_id: str, uses: int, *, by: Principal, now: datetime) -> int:
    """Add uses of the token in this minute, and tell how many there were of all processes.

    The first that is too many is on record as an incident.
    """
    minute = now.replace(second=0, microsecond=0)
    mine = (_limits.c.organisation_id == by.organisation_id, _limits.c.token_id == token_id)
    connection = session.connection()
    row = connection.execute(
        select(_limits.c.minute, _limits.c.used, _limits.c.per_minute).where(*mine).with_for_update()
    ).one()
    before = row.used if row.minute == minute else 0
    connection.execute(update(_limits).where(*mine).values(minute=minute, used=before + uses))
    if row.per_minute is not None and before <= row.per_minute < before + uses:
        detail = {"per_minute": row.per_minute}
        audit.record(session, "incident.token-used-often", subject=token_id, by=by, now=now, detail=detail)
    return int(before + uses)
