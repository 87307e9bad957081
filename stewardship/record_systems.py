"""Tokens of record systems: the JSON Web Tokens by which CDS Hooks says who calls.

A library checks the signature. What a token must be besides is checked here: who may have issued it, for
which address, for how long, by which key and algorithm, and that it was not used before. Nothing in a token
makes the service fetch anything: keys come from the file of connections, or from the address that it names.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError

from stewardship import record_keys
from stewardship.db.engine import transaction
from stewardship.domain.connections import RecordSystem
from stewardship.domain.errors import MalformedInput, TooLarge
from stewardship.domain.identity import HookTokenTerms
from stewardship.intake.strict_json import loads
from stewardship.observability import log
from stewardship.runtime import Runtime
from stewardship.services import audit, hook_tokens

#: What a header may hold. Keys, or addresses of keys, in it are the sender's and prove nothing.
_HEADERS = frozenset({"alg", "kid", "typ", "jku"})
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SHORTEST_RSA = 2048
#: The end of the year 2999, in seconds.
_LATEST = 32_503_680_000


class Refused(Exception):
    """A token is not good; ``code`` says why, for the log alone. ``proven`` once its signature was right."""

    def __init__(self, code: str, *, proven: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.proven = proven


def caller(token: str, running: Runtime, *, addresses: frozenset[str]) -> RecordSystem | None:
    """Which record system calls; ``None`` when the token is not good for one of the addresses, now.

    A token that is good is used up by this.
    """
    terms, now = running.library.identity.hook_token, running.clock()
    system: RecordSystem | None = None
    try:
        header, claims = _opened(token, terms)
        system = running.connections.record_system(_text(claims, "iss"), _text(claims, "tenant", default=""))
        if system is None:
            raise Refused("issuer")
        _refuse_header(header, system, terms)
        _refuse_signature(token, header, _key(running, system, header, now))
        until = _refuse_claims(claims, addresses, terms, now)
        with transaction(running.sessions) as session:
            if not hook_tokens.use(session, claims["jti"], until=until, by=system.principal, now=now):
                raise Refused("replayed", proven=True)
    except Refused as refusal:
        _note(running, system, refusal, now)
        return None
    return system


def _opened(token: str, terms: HookTokenTerms) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, not believed yet."""
    parts = token.split(".")
    if len(token) > terms.longest_bytes or len(parts) != 3 or not all(parts):
        raise Refused("form")
    header, claims = (_object(part) for part in parts[:2])
    if header.get("alg") not in terms.algorithms:
        raise Refused("algorithm")
    return header, claims


def _object(part: str) -> Mapping[str, Any]:
    try:
        raw = b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        # Strictly: of two members of one name, two readers may believe each another one.
        said = loads(raw, max_bytes=len(raw))
    except (binascii.Error, ValueError, MalformedInput, TooLarge):
        raise Refused("form") from None
    if not isinstance(said, dict):
        raise Refused("form")
    return said


def _refuse_header(header: Mapping[str, Any], system: RecordSystem, terms: HookTokenTerms) -> None:
    if header.get("typ") != "JWT":
        raise Refused("type")
    if set(header) - _HEADERS:
        raise Refused("header")
    # The address of the keys may be named, as the specification has it; it must be the one that we know.
    if "jku" in header and (not system.keys_url or header["jku"] != system.keys_url):
        raise Refused("keys-address")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= terms.longest_id:
        raise Refused("key")


def _refuse_signature(token: str, header: Mapping[str, Any], key: Any) -> None:
    try:
        jws.deserialize_compact(token, key, algorithms=[header["alg"]])
    except (JoseError, ValueError):
        raise Refused("signature") from None


def _refuse_claims(
    claims: Mapping[str, Any], addresses: frozenset[str], terms: HookTokenTerms, now: datetime
) -> datetime:
    """Check what a token whose signature is right says; until when it must be remembered as used."""
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in addresses for one in named):
        raise Refused("audience", proven=True)
    issued, expires = _instant(claims, "iat"), _instant(claims, "exp")
    not_before = _instant(claims, "nbf") if "nbf" in claims else issued
    if not timedelta(0) < expires - issued <= terms.longest:
        raise Refused("life", proven=True)
    if max(issued, not_before) > now + terms.skew:
        raise Refused("too-early", proven=True)
    if now >= expires + terms.skew:
        raise Refused("expired", proven=True)
    token_id = claims.get("jti")
    if not isinstance(token_id, str) or not token_id.strip() or len(token_id) > terms.longest_id:
        raise Refused("id", proven=True)
    return expires + terms.skew


def _instant(claims: Mapping[str, Any], name: str) -> datetime:
    """A moment as a number of seconds: not a text, not ``true``, and within the calendar."""
    said = claims.get(name)
    if isinstance(said, bool) or not isinstance(said, int | Decimal) or not 0 <= said < _LATEST:
        raise Refused(name, proven=True)
    return datetime.fromtimestamp(int(said), UTC)


def _text(claims: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    said = claims.get(name, default)
    if not isinstance(said, str):
        raise Refused(name)
    return said


def _note(running: Runtime, system: RecordSystem | None, refusal: Refused, now: datetime) -> None:
    """Say in the log why; and on record where the signature was right: anybody can send the rest."""
    log.warning("hook token refused", code=refusal.code, organisation=system and system.organisation_id)
    if system is None or not refusal.proven:
        return
    with transaction(running.sessions) as session:
        detail = {"reason": refusal.code}
        audit.record(
            session, "hook-token.refused", subject=system.id, by=system.principal, now=now, detail=detail
        )


def _key(running: Runtime, system: RecordSystem, header: Mapping[str, Any], now: datetime) -> Any:
    """The one public key of the name that the header gives, if it may sign with the header's algorithm."""
    terms, kid = running.library.identity.hook_token, header["kid"]
    known = record_keys.listed(running.key_ring.keys(system, kid, terms, now))
    fitting = [key for key in known if key.get("kid") == kid]
    if len(fitting) != 1:
        raise Refused("key")
    (said,), algorithm = fitting, header["alg"]
    if said.get("use", "sig") != "sig" or said.get("alg", algorithm) != algorithm:
        raise Refused("key")
    try:
        key = jwk.import_key(dict(said))
    except (JoseError, ValueError, TypeError, KeyError):
        raise Refused("key") from None
    if not _suits(key, algorithm):
        raise Refused("key")
    return key


def _suits(key: Any, algorithm: str) -> bool:
    """Whether the key is of the algorithm's kind and long enough. One that two sides hold never is."""
    if key.key_type == "EC":
        return bool(key.curve_name == _CURVES.get(algorithm))
    if key.key_type == "RSA":
        return algorithm[:2] in {"RS", "PS"} and bool(key.public_key.key_size >= _SHORTEST_RSA)
    return key.key_type == "OKP" and algorithm == "EdDSA"
