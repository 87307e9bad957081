"""``reference/identity.toml`` -> how people and record systems prove who they are, and for how long."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from marshmallow import fields

from stewardship.declarations.policy_schema import refused
from stewardship.domain.errors import DeclarationError, InvalidInput
from stewardship.domain.identity import (
    AttemptKind,
    HashTerms,
    HookTokenTerms,
    IdentityTerms,
    OverrideTerms,
    PasswordTerms,
    SecondFactorTerms,
    SessionTerms,
    Throttle,
)
from stewardship.domain.people import Role
from stewardship.intake.fields import Choice, Day, Flag, StrictSchema, Text, Token, WholeNumber, read

FILE = "identity.toml"

#: What signs for an EHR: keys that two sides share are not among them, whatever a file says.
_SIGNATURES = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")


def _number(least: int, most: int) -> WholeNumber:
    return WholeNumber(required=True, least=least, most=most)


class _Source(StrictSchema):
    title = Text(required=True, longest=300, blank=False)
    publisher = Text(required=True, longest=200, blank=False)
    date = Day(required=True)
    url = Text(required=True, longest=300, blank=False)
    review_by = Day(required=True)
    verified = Flag(required=True)
    note = Text(longest=2_000, load_default="")


class _Password(StrictSchema):
    source = fields.Nested(_Source, required=True)
    shortest = _number(8, 64)
    longest = _number(64, 1_024)
    least_left = _number(1, 64)
    words = fields.List(Text(longest=40, blank=False), required=True)
    rows = fields.List(Text(longest=40, blank=False), required=True)
    replacements = fields.Dict(Text(longest=1), Text(longest=1), required=True)


class _Hash(StrictSchema):
    source = fields.Nested(_Source, required=True)
    memory_kib = _number(8_192, 1_048_576)
    passes = _number(1, 20)
    lanes = _number(1, 16)


class _Session(StrictSchema):
    source = fields.Nested(_Source, required=True)
    idle_minutes = _number(1, 60)
    longest_hours = _number(1, 24)
    unfinished_minutes = _number(1, 60)


class _SecondFactor(StrictSchema):
    source = fields.Nested(_Source, required=True)
    roles = fields.List(Choice(Role), required=True)
    neighbours = _number(0, 2)
    recovery_codes = _number(1, 20)


class _Throttle(StrictSchema):
    free = _number(1, 99)
    first_seconds = _number(1, 3_600)
    longest_seconds = _number(1, 3_600)
    forgotten_minutes = _number(1, 1_440)


class _Throttles(StrictSchema):
    source = fields.Nested(_Source, required=True)
    account_and_address = fields.Nested(_Throttle, required=True, data_key="account-and-address")
    account = fields.Nested(_Throttle, required=True)
    address = fields.Nested(_Throttle, required=True)


class _HookToken(StrictSchema):
    source = fields.Nested(_Source, required=True)
    algorithms = fields.List(Token(), required=True)
    longest_seconds = _number(30, 3_600)
    skew_seconds = _number(0, 300)
    longest_id = _number(16, 200)
    longest_bytes = _number(1_024, 65_536)
    keys_minutes = _number(1, 1_440)
    keys_longest_hours = _number(1, 168)
    look_again_seconds = _number(1, 3_600)
    fetch_seconds = _number(1, 10)


class _Refusals(StrictSchema):
    source = fields.Nested(_Source, required=True)
    incident = _number(1, 1_000)


class _Overrides(StrictSchema):
    source = fields.Nested(_Source, required=True)
    incident = _number(2, 10_000)
    within_minutes = _number(1, 1_440)


class _Identity(StrictSchema):
    password = fields.Nested(_Password, required=True)
    password_hash = fields.Nested(_Hash, required=True)
    session = fields.Nested(_Session, required=True)
    second_factor = fields.Nested(_SecondFactor, required=True)
    throttle = fields.Nested(_Throttles, required=True)
    hook_token = fields.Nested(_HookToken, required=True)
    refusals = fields.Nested(_Refusals, required=True)
    overrides = fields.Nested(_Overrides, required=True)


def read_identity_terms(reference: Path) -> IdentityTerms:
    """The terms; raises ``DeclarationError`` naming the place."""
    path = reference / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        said = read(_Identity(), document)
    except tomllib.TOMLDecodeError as wrong:
        raise DeclarationError(f"{path.name}: {wrong}") from None
    except InvalidInput as wrong:
        raise refused(path.name, wrong.faults) from None
    _refuse_shared_keys(said["hook_token"]["algorithms"])
    password, session, second = said["password"], said["session"], said["second_factor"]
    return IdentityTerms(
        password=PasswordTerms(
            shortest=password["shortest"],
            longest=password["longest"],
            least_left=password["least_left"],
            words=tuple(password["words"]),
            rows=tuple(password["rows"]),
            replacements=password["replacements"],
        ),
        hashing=HashTerms(
            said["password_hash"]["memory_kib"],
            said["password_hash"]["passes"],
            said["password_hash"]["lanes"],
        ),
        session=SessionTerms(
            idle=timedelta(minutes=session["idle_minutes"]),
            longest=timedelta(hours=session["longest_hours"]),
            unfinished=timedelta(minutes=session["unfinished_minutes"]),
        ),
        second_factor=SecondFactorTerms(
            frozenset(Role(role) for role in second["roles"]), second["neighbours"], second["recovery_codes"]
        ),
        throttles={
            AttemptKind.ACCOUNT_AND_ADDRESS: _throttle(said["throttle"]["account_and_address"]),
            AttemptKind.ACCOUNT: _throttle(said["throttle"]["account"]),
            AttemptKind.ADDRESS: _throttle(said["throttle"]["address"]),
        },
        hook_token=_hook_token(said["hook_token"]),
        refusals=said["refusals"]["incident"],
        overrides=OverrideTerms(
            said["overrides"]["incident"], timedelta(minutes=said["overrides"]["within_minutes"])
        ),
    )


def _throttle(said: dict[str, Any]) -> Throttle:
    return Throttle(
        said["free"],
        timedelta(seconds=said["first_seconds"]),
        timedelta(seconds=said["longest_seconds"]),
        timedelta(minutes=said["forgotten_minutes"]),
    )


def _hook_token(said: dict[str, Any]) -> HookTokenTerms:
    return HookTokenTerms(
        algorithms=tuple(said["algorithms"]),
        longest=timedelta(seconds=said["longest_seconds"]),
        skew=timedelta(seconds=said["skew_seconds"]),
        longest_id=said["longest_id"],
        longest_bytes=said["longest_bytes"],
        keys=timedelta(minutes=said["keys_minutes"]),
        keys_longest=timedelta(hours=said["keys_longest_hours"]),
        look_again=timedelta(seconds=said["look_again_seconds"]),
        fetch=timedelta(seconds=said["fetch_seconds"]),
    )


def _refuse_shared_keys(algorithms: list[str]) -> None:
    for name in algorithms:
        if name not in _SIGNATURES:
            raise DeclarationError(
                f"{FILE}: hook_token.algorithms takes {list(_SIGNATURES)}, not [{name!r}]: the service "
                "must not hold a key that signs for an EHR"
            )
