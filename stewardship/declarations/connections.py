"""The operator's file of connections -> record systems and identity providers; the README shows one."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.connections import Connections, IdentityProvider, RecordSystem, Unknown
from stewardship.domain.errors import DeclarationError, InvalidInput, StewardshipError
from stewardship.domain.people import Role
from stewardship.intake.fields import Choice, Said, StrictSchema, Text, Token, read
from stewardship.intake.strict_json import loads

_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")
#: On one's own machine nobody listens in.
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?(/[!-~]*)?")
_MOST_KEYS = 256 * 1024
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


class _Address(Text):
    """An address over TLS, or on this machine."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        address = str(super()._deserialize(value, attr, data, **kwargs))
        if address and not (_HTTPS.fullmatch(address) or _LOOPBACK.fullmatch(address)):
            raise ValidationError([Said("Not an address that begins with https://", code="not-https")])
        return address


class _RecordSystem(StrictSchema):
    id = Token(required=True)
    organisation = Token(required=True)
    issuer = Text(required=True, longest=500, blank=False)
    tenant = Text(longest=200, load_default="")
    keys_url = _Address(longest=500, load_default="")
    keys_file = Text(longest=300, load_default="")
    fhir_servers = fields.List(_Address(longest=500, blank=False), load_default=list)


class _Line(StrictSchema):
    value = Text(required=True, longest=300, blank=False)
    role = Choice(Role, required=True)


class _Provider(StrictSchema):
    id = Token(required=True)
    label = Text(required=True, longest=100, blank=False)
    organisation = Token(required=True)
    issuer = _Address(required=True, longest=500, blank=False)
    client_id = Text(required=True, longest=300, blank=False)
    client_secret_file = Text(required=True, longest=300, blank=False)
    scopes = fields.List(Token(), load_default=lambda: ["openid", "email", "profile"])
    role_claim = Text(longest=200, blank=False, load_default="groups")
    login_claim = Text(longest=200, blank=False, load_default="email")
    # ``unknown`` is marshmallow's own word.
    strangers = Choice(Unknown, data_key="unknown", load_default=Unknown.REFUSE)
    methods = fields.List(Token(), load_default=list)
    role = fields.List(fields.Nested(_Line), required=True)


class _Connections(StrictSchema):
    record_system = fields.List(fields.Nested(_RecordSystem), load_default=list)
    identity_provider = fields.List(fields.Nested(_Provider), load_default=list)


def read_connections(path: Path | None) -> Connections:
    """What the file names; nothing without a file. Raises ``DeclarationError`` with what to write instead.

    Files that it names lie beside it.
    """
    if path is None:
        return Connections()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        said = read(_Connections(), document)
    except (OSError, UnicodeDecodeError):
        raise DeclarationError(f"{path} cannot be read") from None
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise refused(path.name, wrong.faults) from None
    found = Connections(
        tuple(_record_system(path, one) for one in said["record_system"]),
        tuple(_provider(path, one) for one in said["identity_provider"]),
    )
    _once(path, "record_system.id", (one.id for one in found.record_systems))
    _once(path, "record_system.issuer and tenant", ((o.issuer, o.tenant) for o in found.record_systems))
    _once(path, "identity_provider.id", (one.id for one in found.providers))
    return found


def _record_system(path: Path, said: dict[str, Any]) -> RecordSystem:
    if bool(said["keys_url"]) == bool(said["keys_file"]):
        raise DeclarationError(
            f"{path.name}: record_system {said['id']} names keys_url or keys_file, one of both"
        )
    return RecordSystem(
        id=said["id"],
        organisation_id=said["organisation"],
        issuer=said["issuer"],
        tenant=said["tenant"],
        keys_url=said["keys_url"],
        keys=_keys(path, said["keys_file"]) if said["keys_file"] else None,
        fhir_servers=tuple(said["fhir_servers"]),
    )


def _keys(path: Path, name: str) -> Mapping[str, Any]:
    try:
        keys = loads((path.parent / name).read_bytes(), max_bytes=_MOST_KEYS)
    except (OSError, StewardshipError):
        raise DeclarationError(f"{path.name}: {name} is not JSON that can be read") from None
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if not isinstance(keys, dict) or not isinstance(listed, list):
        raise DeclarationError(f'{path.name}: {name} is not a JWK Set: {{"keys": [...]}}')
    if any(_PRIVATE & set(key) for key in listed if isinstance(key, dict)):
        raise DeclarationError(f"{path.name}: {name} holds private keys; only public ones belong there")
    return keys


def _provider(path: Path, said: dict[str, Any]) -> IdentityProvider:
    if "openid" not in said["scopes"]:
        raise DeclarationError(f"{path.name}: identity_provider {said['id']}: scopes must name openid")
    if any(line["role"] is Role.EHR for line in said["role"]):
        raise DeclarationError(
            f"{path.name}: identity_provider {said['id']}: nobody signs in with the role ehr"
        )
    file = path.parent / said["client_secret_file"]
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        secret = ""
    if not secret:
        raise DeclarationError(f"{path.name}: {said['client_secret_file']} holds no secret that can be read")
    return IdentityProvider(
        id=said["id"],
        label=said["label"],
        organisation_id=said["organisation"],
        issuer=said["issuer"],
        client_id=said["client_id"],
        client_secret=secret,
        scopes=tuple(said["scopes"]),
        role_claim=said["role_claim"],
        login_claim=said["login_claim"],
        roles=tuple((line["value"], Role(line["role"])) for line in said["role"]),
        unknown=said["strangers"],
        methods=frozenset(said["methods"]),
    )


def _once(path: Path, what: str, values: Iterable[object]) -> None:
    twice = [value for value, times in Counter(values).items() if times > 1]
    if twice:
        raise DeclarationError(f"{path.name}: {what} stands twice: {twice[0]}")
