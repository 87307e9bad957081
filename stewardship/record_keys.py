"""The public keys of record systems: from the file of connections, or from the address that it names."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from stewardship.domain.connections import RecordSystem
from stewardship.domain.errors import MalformedInput, TooLarge
from stewardship.domain.identity import HookTokenTerms
from stewardship.intake.strict_json import loads
from stewardship.observability import log

_MOST_BYTES = 256 * 1024
_MOST_KEYS = 100
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class KeyRing:
    """The keys of record systems as they were fetched last. One for an application."""

    _fetched: dict[str, tuple[datetime, Mapping[str, Any]]] = field(default_factory=dict)
    _tried: dict[str, datetime] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def keys(self, system: RecordSystem, kid: str, terms: HookTokenTerms, now: datetime) -> Mapping[str, Any]:
        """The JWK Set of a record system. It is fetched when it has become old, and when it lacks a key that
        is asked for, which tokens of anybody can do: so not more often than the terms say."""
        if system.keys is not None:
            return system.keys
        # One of those who wait looks, and nobody waits for the keys of another system.
        with self._locks.setdefault(system.id, threading.Lock()):
            since, known = self._fetched.get(system.id, (_NEVER, {}))
            # An address that does not answer must not silence a record system at once; but a key that was
            # withdrawn must not be believed for ever.
            usable = known if now - since < terms.keys_longest else {}
            if now - since < terms.keys and any(key.get("kid") == kid for key in listed(known)):
                return known
            tried = self._tried.get(system.id)
            if tried is not None and timedelta(0) <= now - tried < terms.look_again:
                return usable
            self._tried[system.id] = now
            found = _fetch(system.keys_url, terms)
            if found is None:
                return usable
            self._fetched[system.id] = (now, found)
            return found


def listed(keys: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The keys of a JWK Set that can be looked at."""
    found = keys.get("keys")
    return [key for key in found[:_MOST_KEYS] if isinstance(key, dict)] if isinstance(found, list) else []


def _fetch(address: str, terms: HookTokenTerms) -> Mapping[str, Any] | None:
    """The JWK Set at the address that the operator named, and at no other: redirects are not followed."""
    seconds = terms.fetch.total_seconds()
    try:
        with requests.get(address, timeout=seconds, allow_redirects=False, stream=True) as answer:
            if answer.status_code != 200:
                raise ValueError
            raw = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
        said = loads(raw, max_bytes=_MOST_BYTES)
        if not isinstance(said, dict):
            raise ValueError
    except (requests.RequestException, ValueError, OSError, MalformedInput, TooLarge):
        log.error("keys of a record system could not be fetched", code="keys")
        return None
    return said
