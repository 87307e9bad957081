"""Whom an installation is connected to: record systems that ask, and identity providers that vouch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stewardship.domain.people import Principal, Role


class Unknown(StrEnum):
    """What is done with somebody whom an identity provider vouches for and who has no account."""

    REFUSE = "refuse"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class RecordSystem:
    """An EHR that calls with JSON Web Tokens of its own. ``keys`` are its public keys as a JWK Set, where
    they are not fetched from ``keys_url``; with a ``tenant``, it speaks for one of several customers."""

    id: str
    organisation_id: str
    issuer: str
    tenant: str = ""
    keys_url: str = ""
    keys: Mapping[str, Any] | None = None
    fhir_servers: tuple[str, ...] = ()

    @property
    def principal(self) -> Principal:
        """Who acts when it calls."""
        return Principal(self.id, self.organisation_id, Role.EHR)

    def serves(self, fhir_server: str) -> bool:
        """Whether it may ask for that FHIR server. Without a list, it may ask for any."""
        named = {address.rstrip("/") for address in self.fhir_servers}
        return not named or fhir_server.rstrip("/") in named


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An OpenID Connect provider, and what its claims mean here.

    ``roles`` pairs values of ``role_claim`` with roles, and the first that fits counts. Where ``methods`` are
    named, one of them must be among those that the provider says it used, for roles that need two factors.
    """

    id: str
    label: str
    organisation_id: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid",)
    role_claim: str = "groups"
    login_claim: str = "email"
    roles: tuple[tuple[str, Role], ...] = ()
    unknown: Unknown = Unknown.REFUSE
    methods: frozenset[str] = frozenset()

    def role_of(self, claims: Mapping[str, Any]) -> Role | None:
        """The role that the claims give; ``None`` when no line of the mapping fits."""
        said = set(_values(_at(claims, self.role_claim)))
        return next((role for value, role in self.roles if value in said), None)

    def login_of(self, claims: Mapping[str, Any]) -> str | None:
        """What somebody is called, for lists of accounts."""
        said = _at(claims, self.login_claim)
        return said if isinstance(said, str) and said.strip() else None

    def proves_enough(self, claims: Mapping[str, Any]) -> bool:
        """Whether the provider used a method that counts as a second factor."""
        return not self.methods or bool(self.methods & set(_values(claims.get("amr"))))


@dataclass(frozen=True, slots=True)
class Connections:
    """All of them."""

    record_systems: tuple[RecordSystem, ...] = ()
    providers: tuple[IdentityProvider, ...] = ()

    def record_system(self, issuer: str, tenant: str = "") -> RecordSystem | None:
        """The one that issues such tokens."""
        found = (one for one in self.record_systems if (one.issuer, one.tenant) == (issuer, tenant))
        return next(found, None)

    def provider(self, provider_id: str) -> IdentityProvider | None:
        """The one of that id."""
        return next((one for one in self.providers if one.id == provider_id), None)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim at a path with dots, as some providers nest them; a name that holds dots goes first."""
    if path in claims:
        return claims[path]
    here: Any = claims
    for part in path.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(part)
    return here


def _values(said: Any) -> Iterable[str]:
    if isinstance(said, str):
        return (said,)
    return tuple(one for one in said if isinstance(one, str)) if isinstance(said, list) else ()
