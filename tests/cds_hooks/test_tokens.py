"""The JSON Web Tokens of record systems: T08 forged, T09 replayed, T10 for another address or time."""

from __future__ import annotations

import hmac
import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from flask import Flask
from joserfc import jwk, jwt
from sqlalchemy import select, text

from stewardship.app import create_app
from stewardship.config import Settings
from stewardship.db import tables, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import hook_tokens, organisations
from tests.builders import NOW
from tests.cds_hooks.conftest import ORGANISATION, SETTINGS, Ehr, read
from tests.cds_hooks.requests import a_draft, a_hook, a_new_patient

ISSUER, BASE = "https://ehr.example/issuer", "https://stewardship.example"
SIGN = f"{BASE}/cds-services/opioid-order-sign"
_ids = count(1)


@dataclass
class Keys:
    """What a record system publishes, served on this machine; how often somebody came for it."""

    public: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    location: str = ""
    address: str = ""


@pytest.fixture(scope="module")
def key_server() -> Iterator[Keys]:
    published = Keys()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            self.send_response(published.status)
            if published.location:
                self.send_header("Location", published.location)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": published.public}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    published.address = f"http://127.0.0.1:{server.server_port}/jwks"
    yield published
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def keys(key_server: Keys, signers: dict[str, Any]) -> Keys:
    """What is published at the beginning of a test; nobody has come for it yet."""
    key_server.asked.clear()
    key_server.status, key_server.location = 200, ""
    names = ("ec", "rsa", "short", "p256")
    key_server.public = [signers[name].as_dict(private=False, use="sig") for name in names]
    return key_server


@pytest.fixture(scope="session")
def signers() -> dict[str, Any]:
    """Key pairs of the record system, and one of somebody else."""
    return {
        "ec": jwk.generate_key("EC", "P-384", {"kid": "ec"}),
        "rsa": jwk.generate_key("RSA", 2048, {"kid": "rsa"}),
        "other": jwk.generate_key("EC", "P-384", {"kid": "ec"}),
        "short": jwk.generate_key("RSA", 1024, {"kid": "short"}),
        "p256": jwk.generate_key("EC", "P-256", {"kid": "p256"}),
    }


@dataclass
class Moved:
    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(head: dict[str, Any], body: Any, key: Any) -> str:
    """A token as its sender would have it, also one that no library would make."""
    content = f"{b64(head)}.{b64(body)}"
    private = key.private_key
    if key.key_type == "RSA":
        return f"{content}.{b64(private.sign(content.encode(), PKCS1v15(), SHA384()))}"
    length = (private.curve.key_size + 7) // 8
    hashed = SHA256() if length == 32 else SHA384()
    r, s = decode_dss_signature(private.sign(content.encode(), ECDSA(hashed)))
    return f"{content}.{b64(r.to_bytes(length, 'big') + s.to_bytes(length, 'big'))}"


@dataclass
class House:
    """The service with a record system registered, and what that one sends."""

    app: Flask
    keys: Keys
    signers: dict[str, Any]
    clock: Moved

    def token(self, *, signer: str = "ec", header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token, but for what is said; a claim that is ``...`` is left out."""
        key = self.signers[signer]
        said = {"alg": "RS384" if key.key_type == "RSA" else "ES384", "kid": key.kid, "typ": "JWT"}
        head = {k: v for k, v in (said | (header or {})).items() if v is not ...}
        now = int(self.clock.at.timestamp())
        good = {"iss": ISSUER, "aud": SIGN, "iat": now, "exp": now + 300, "jti": f"jti-{next(_ids)}"}
        body = {k: v for k, v in (good | claims).items() if v is not ...}
        return signed(head, body, key)

    def call(self, token: str | None, request: dict[str, Any] | None = None, **more: Any) -> Any:
        return Ehr(self.app, token).post(request or self.hook(), **more)

    def hook(self, **more: Any) -> dict[str, Any]:
        patient = a_new_patient()
        return a_hook(patient, a_draft(patient), **more)


@pytest.fixture(scope="module")
def make_app(library, sessions, tmp_path_factory) -> Callable[[str], tuple[Flask, Moved]]:
    """The service with those connections, made once for each of them."""
    made: dict[str, tuple[Flask, Moved]] = {}

    def make(registered: str, beside: Path | None = None) -> tuple[Flask, Moved]:
        if registered not in made or beside is not None:
            folder = beside or tmp_path_factory.mktemp("connections")
            file = folder / "connections.toml"
            file.write_text(registered)
            own: Settings = replace(SETTINGS, public_url=BASE, connections_file=file)
            clock = Moved()
            made[registered] = create_app(own, library=library, sessions=sessions, clock=clock), clock
        return made[registered]

    return make


@pytest.fixture
def settle(make_app, sessions, keys, signers) -> Callable[..., House]:
    """The service with one record system; ``lines`` are added to its registration."""

    def make(lines: str = "", *, systems: str | None = None, beside: Path | None = None) -> House:
        one = f'keys_url = "{keys.address}"\n{lines}' if "keys_file" not in lines else lines
        registered = systems or (
            f'[[record_system]]\nid = "main-ehr"\norganisation = "{ORGANISATION}"\nissuer = "{ISSUER}"\n{one}'
        )
        with transaction(sessions) as session:
            by = Principal("setup", ORGANISATION, Role.ADMIN)
            organisations.ensure(session, ORGANISATION, name="Here", by=by, now=NOW)
        app, clock = make_app(registered, beside)
        clock.at = NOW
        # As after a start.
        app.extensions["stewardship"].key_ring.__init__()
        return House(app, keys, signers, clock)

    return make


@pytest.fixture
def house(settle) -> House:
    return settle()


def refused(answer: Any) -> None:
    """Whoever is not known learns nothing."""
    assert answer.status_code == 401
    assert answer.get_data() == b""


@pytest.mark.parametrize("signer", ["ec", "rsa"])
def test_a_registered_record_system_is_answered(house: House, signer: str) -> None:
    answer = house.call(house.token(signer=signer))
    assert answer.status_code == 200
    assert "cards" in read(answer)


def test_what_it_asks_is_its_organisations(house: House, sessions) -> None:
    house.call(house.token())
    with transaction(sessions, write=False) as session:
        decision = session.execute(
            select(tables.Decision).where(tables.Decision.by_user == "main-ehr").limit(1)
        ).scalar_one()
    assert decision.organisation_id == ORGANISATION
    assert decision.by_role == "ehr"


def test_an_audience_may_be_one_of_several(house: House) -> None:
    assert house.call(house.token(aud=["https://other.example", SIGN])).status_code == 200


# --- T08: forged ------------------------------------------------------------------------------------


def test_t08_an_unsigned_token_is_refused(house: House) -> None:
    _, claims, signature = house.token().split(".")
    for alg in ("none", "None", "NONE", ""):
        head = b64({"alg": alg, "kid": "ec", "typ": "JWT"})
        refused(house.call(f"{head}.{claims}."))
        refused(house.call(f"{head}.{claims}.{signature}"))
    assert house.keys.asked == []


def test_t08_a_token_signed_with_our_copy_of_the_public_key_is_refused(house: House) -> None:
    """HMAC with the public key as its secret: what a reader of the key set can do."""
    public = house.signers["rsa"].as_pem(private=False)
    claims = house.token(signer="rsa").split(".")[1]
    content = f"{b64({'alg': 'HS384', 'kid': 'rsa', 'typ': 'JWT'})}.{claims}"
    refused(house.call(f"{content}.{b64(hmac.digest(public, content.encode(), 'sha384'))}"))


def test_t08_another_key_of_the_same_name_is_refused(house: House) -> None:
    refused(house.call(house.token(signer="other")))


@pytest.mark.parametrize("signer", ["short", "p256"])
def test_t08_a_key_that_is_too_short_or_of_another_kind_is_refused_even_where_it_is_published(
    house: House, signer: str
) -> None:
    key = house.signers[signer]
    alg = {"short": "RS384", "p256": "ES256"}[signer]
    refused(house.call(house.token(signer=signer, header={"alg": alg})))
    assert key.kid in str(house.keys.public)


def test_t08_a_key_for_encryption_or_for_another_algorithm_is_refused(house: House) -> None:
    for change in ({"use": "enc"}, {"alg": "RS256"}):
        house.keys.public = [house.signers["rsa"].as_dict(private=False) | change]
        house.app.extensions["stewardship"].key_ring.__init__()
        refused(house.call(house.token(signer="rsa")))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "http://169.254.169.254/latest/meta-data"},
        {"jku": "https://ehr.example/other-jwks"},
        {"x5u": "http://127.0.0.1:1/cert"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "EC"}},
        {"crit": ["exp"], "exp": 1},
        {"zip": "DEF"},
        {"kid": ...},
        {"kid": ""},
        {"kid": "k" * 500},
        {"kid": "unknown"},
        {"kid": "../../etc/passwd"},
    ],
    ids=lambda header: "-".join(f"{name} {str(value)[:12]}" for name, value in header.items()),
)
def test_t08_what_the_sender_says_of_keys_proves_nothing_and_is_not_fetched(
    house: House, header: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []
    get = requests.get
    monkeypatch.setattr(
        "stewardship.record_keys.requests.get", lambda url, **more: (went.append(url), get(url, **more))[1]
    )
    refused(house.call(house.token(header=header)))
    assert set(went) <= {house.keys.address}


def test_t08_the_address_of_the_keys_may_be_named_when_it_is_the_one_that_is_known(house: House) -> None:
    assert house.call(house.token(header={"jku": house.keys.address})).status_code == 200


@pytest.mark.parametrize(
    "token",
    ["a.b.c", "..", "e30.e30.e30", b64({"alg": "ES384"}) + ".x", "x" * 9000, "a" * 9000 + ".b.c"],
    ids=["letters", "dots", "empty", "two parts", "long", "long parts"],
)  # fmt: skip
def test_t08_what_is_no_token_is_refused(house: House, token: str) -> None:
    refused(house.call(token))


def test_t08_two_claims_of_one_name_are_refused(house: House) -> None:
    now = int(NOW.timestamp())
    body = (
        f'{{"iss":"{ISSUER}","aud":"{SIGN}","aud":"https://other.example",'
        f'"iat":{now},"exp":{now + 300},"jti":"twice"}}'
    )
    head = {"alg": "ES384", "kid": "ec", "typ": "JWT"}
    key = house.signers["ec"]
    refused(house.call(signed(head, body.encode(), key)))
    once = body.replace('"aud":"https://other.example",', "")
    assert house.call(signed(head, once.encode(), key)).status_code == 200


def test_t08_keys_are_fetched_once_and_looked_for_again_only_now_and_then(house: House) -> None:
    for _ in range(3):
        assert house.call(house.token()).status_code == 200
    assert len(house.keys.asked) == 1
    for n in range(20):
        refused(house.call(house.token(header={"kid": f"unknown-{n}"})))
    assert len(house.keys.asked) == 1
    house.clock.at += timedelta(seconds=61)
    refused(house.call(house.token(header={"kid": "unknown"})))
    assert len(house.keys.asked) == 2


def test_a_new_key_is_found(house: House) -> None:
    assert house.call(house.token()).status_code == 200
    new = house.signers["other"].as_dict(private=False) | {"kid": "new"}
    house.keys.public = [new]
    house.clock.at += timedelta(seconds=61)
    head = {"kid": "new"}
    assert house.call(house.token(signer="other", header=head)).status_code == 200


def test_a_withdrawn_key_is_refused_an_hour_later(house: House) -> None:
    assert house.call(house.token()).status_code == 200
    house.keys.public = [k for k in house.keys.public if k["kid"] != "ec"]
    house.clock.at += timedelta(minutes=61)
    refused(house.call(house.token()))


def test_keys_that_cannot_be_fetched_are_used_on_for_a_day_and_no_longer(house: House) -> None:
    """An address that is away must not silence a record system at once."""
    assert house.call(house.token()).status_code == 200
    house.keys.status = 500
    house.clock.at += timedelta(hours=2)
    assert house.call(house.token()).status_code == 200
    house.clock.at += timedelta(hours=23)
    refused(house.call(house.token()))


def test_a_redirect_is_not_followed(house: House) -> None:
    house.keys.status, house.keys.location = 302, house.keys.address + "/elsewhere"
    refused(house.call(house.token()))
    assert house.keys.asked == ["/jwks"]


def test_keys_may_be_in_a_file(settle, signers, tmp_path: Path) -> None:
    (tmp_path / "ehr.json").write_text(json.dumps({"keys": [signers["ec"].as_dict(private=False)]}))
    house = settle('keys_file = "ehr.json"', beside=tmp_path)
    assert house.call(house.token()).status_code == 200
    assert house.keys.asked == []
    # Without an address of keys, none may be named.
    refused(house.call(house.token(header={"jku": house.keys.address})))


# --- T09: replayed ----------------------------------------------------------------------------------


def test_t09_a_token_is_good_once(house: House) -> None:
    token = house.token()
    assert house.call(token).status_code == 200
    refused(house.call(token))


def test_t09_also_after_a_restart_and_on_another_worker(settle) -> None:
    first = settle()
    token = first.token()
    assert first.call(token).status_code == 200
    refused(settle().call(token))


def test_t09_of_twenty_at_once_one_is_answered(house: House) -> None:
    token = house.token()
    house.call(house.token())
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(a.status_code for a in pool.map(lambda _: house.call(token), range(20)))
    assert answers == [200] + [401] * 19


def test_t09_an_id_may_be_used_by_another_record_system(settle, signers) -> None:
    both = "".join(
        f'[[record_system]]\nid = "ehr-{n}"\norganisation = "{ORGANISATION}"\nissuer = "{ISSUER}/{n}"\n'
        'keys_url = "{address}"\n'
        for n in (1, 2)
    )
    house = settle(systems=both.replace("{address}", settle().keys.address))
    for n in (1, 2):
        assert house.call(house.token(iss=f"{ISSUER}/{n}", jti="the same")).status_code == 200


def test_t09_a_token_that_is_refused_for_something_else_is_not_used_up(house: House) -> None:
    refused(house.call(house.token(jti="kept", aud="https://other.example")))
    assert house.call(house.token(jti="kept")).status_code == 200


def test_t09_what_was_used_is_forgotten_when_it_would_have_expired_anyway(house: House, sessions) -> None:
    by = Principal("tidy-ehr", ORGANISATION, Role.EHR)
    with transaction(sessions) as session:
        for n in range(1000):
            assert hook_tokens.use(session, f"t-{n}", until=NOW, by=by, now=NOW - timedelta(minutes=5))
        for n in range(1000, 2000):
            hook_tokens.use(
                session, f"t-{n}", until=NOW + timedelta(days=1), by=by, now=NOW + timedelta(hours=1)
            )
        kept = session.execute(
            text("SELECT count(*) FROM used_hook_tokens WHERE client = 'tidy-ehr'")
        ).scalar_one()
    assert kept == 1000


# --- T10: for another address, tenant or time -------------------------------------------------------

SECONDS = int(NOW.timestamp())
BROKEN: dict[str, dict[str, Any]] = {
    "no issuer": {"iss": ...},
    "other issuer": {"iss": "https://other.example"},
    "issuer in capitals": {"iss": ISSUER.upper()},
    "issuer with a slash": {"iss": ISSUER + "/"},
    "issuer is a list": {"iss": [ISSUER]},
    "no audience": {"aud": ...},
    "audience is the base": {"aud": BASE},
    "audience is another service": {"aud": f"{BASE}/cds-services/opioid-order-select"},
    "audience with a slash": {"aud": SIGN + "/"},
    "audience of somebody else": {"aud": "https://stewardship.example.evil.example/cds-services/x"},
    "no expiry": {"exp": ...},
    "no time of issue": {"iat": ...},
    "expired": {"iat": SECONDS - 400, "exp": SECONDS - 100},
    "just expired": {"iat": SECONDS - 300, "exp": SECONDS - 60},
    "from the future": {"iat": SECONDS + 61, "exp": SECONDS + 200},
    "not yet": {"nbf": SECONDS + 61},
    "lives too long": {"exp": SECONDS + 301},
    "lives ten years": {"exp": SECONDS + 10 * 365 * 86400},
    "ends before it begins": {"iat": SECONDS, "exp": SECONDS - 1},
    "issued long ago": {"iat": SECONDS - 5 * 365 * 86400},
    "expiry is a text": {"exp": str(SECONDS + 300)},
    "expiry is true": {"exp": True},
    "expiry is null": {"exp": None},
    "expiry is beyond all calendars": {"exp": 10**18},
    "no id": {"jti": ...},
    "empty id": {"jti": ""},
    "blank id": {"jti": " "},
    "id is a number": {"jti": 7},
    "id is too long": {"jti": "j" * 129},
    "a tenant that is not registered": {"tenant": "another-hospital"},
    "tenant is a number": {"tenant": 1},
}


@pytest.mark.parametrize("claims", BROKEN.values(), ids=BROKEN)
def test_t10_each_claim_is_held_to_what_it_has_to_be(house: House, claims: dict[str, Any]) -> None:
    refused(house.call(house.token(**claims)))


@pytest.mark.parametrize("typ", [..., "at+jwt", "jwt", "", None], ids=str)
def test_t10_it_says_that_it_is_such_a_token(house: House, typ: Any) -> None:
    refused(house.call(house.token(header={"typ": typ})))


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": SECONDS - 300, "exp": SECONDS},
        {"iat": SECONDS - 359, "exp": SECONDS - 59},
        {"iat": SECONDS + 60, "exp": SECONDS + 360},
        {"nbf": SECONDS + 60},
        {"jti": "j" * 128},
    ],
    ids=["just expired", "expired a while", "ahead", "not yet", "long id"],
)  # fmt: skip
def test_t10_clocks_may_differ_by_a_minute(house: House, claims: dict[str, Any]) -> None:
    if len(claims.get("jti", "")) > 100:
        claims = {"jti": f"{next(_ids):0128}"}
    assert house.call(house.token(**claims)).status_code == 200


def test_t10_a_tenant_is_bound_to_its_organisation(settle, sessions) -> None:
    with transaction(sessions) as session:
        by = Principal("setup", "org-tenant", Role.ADMIN)
        organisations.ensure(session, "org-tenant", name="Tenant", by=by, now=NOW)
    address = settle().keys.address
    both = "".join(
        f'[[record_system]]\nid = "cloud-{tenant}"\norganisation = "{organisation}"\nissuer = "{ISSUER}"\n'
        f'tenant = "{tenant}"\nkeys_url = "{address}"\n'
        for tenant, organisation in (("here", ORGANISATION), ("there", "org-tenant"))
    )
    house = settle(systems=both)
    refused(house.call(house.token()))
    assert house.call(house.token(tenant="there")).status_code == 200
    with transaction(sessions, write=False) as session:
        owners = session.execute(
            select(tables.Decision.organisation_id).where(tables.Decision.by_user == "cloud-there")
        ).scalars()
        assert set(owners) == {"org-tenant"}


def test_t10_another_fhir_server_than_the_registered_ones_is_not_checked_and_the_prescriber_is_told(
    settle,
) -> None:
    house = settle('fhir_servers = ["https://ehr.example/fhir"]')
    here = house.hook() | {"fhirServer": "https://ehr.example/fhir/"}
    assert read(house.call(house.token(), here))["extension"]["stewardship"]["findings"]
    elsewhere = house.hook() | {"fhirServer": "https://other-hospital.example/fhir"}
    told = read(house.call(house.token(), elsewhere))
    (card,) = told["cards"]
    assert "could not be made" in card["summary"]
    assert "other-hospital" not in json.dumps(told)


def test_t12_a_fhir_server_is_never_called(house: House) -> None:
    request = house.hook() | {"fhirServer": house.keys.address + "/fhir"}
    assert house.call(house.token(), request).status_code == 200
    assert house.keys.asked == ["/jwks"]


def test_feedback_takes_a_token_for_its_service_or_for_itself(house: House) -> None:
    for audience in (SIGN, f"{SIGN}/feedback"):
        answer = Ehr(house.app, house.token(aud=audience)).post(
            {"feedback": []}, service="opioid-order-sign/feedback"
        )
        assert answer.status_code != 401


def test_a_token_of_a_record_system_is_worth_nothing_at_the_api(house: House) -> None:
    for audience in (SIGN, f"{BASE}/api/v1/whoami"):
        headers = {"Authorization": f"Bearer {house.token(aud=audience)}"}
        assert house.app.test_client().get("/api/v1/whoami", headers=headers).status_code == 401


def test_a_proven_refusal_is_on_record_and_what_anybody_can_send_is_not(house: House, sessions) -> None:
    def recorded() -> int:
        with transaction(sessions, write=False) as session:
            return session.execute(
                text("SELECT count(*) FROM audit_events WHERE action = 'hook-token.refused'")
            ).scalar_one()

    before = recorded()
    refused(house.call(house.token(signer="other")))
    assert recorded() == before
    refused(house.call(house.token(aud="https://other.example")))
    assert recorded() == before + 1


def test_t13_no_token_is_in_the_database(house: House, sessions) -> None:
    token = house.token(jti="SECRET-TOKEN-42")
    request = house.hook() | {
        "fhirAuthorization": {"access_token": "SECRET-TOKEN-43", "token_type": "Bearer"}
    }
    house.call(token, request)
    house.call(token, request)
    with transaction(sessions, write=False) as session:
        for table in tables.Base.metadata.tables.values():
            for row in session.execute(select(table)):
                kept = " ".join(map(str, row))
                assert "SECRET-TOKEN" not in kept
                assert token not in kept


def test_the_library_would_take_what_we_refuse(house: House) -> None:
    """Why these checks are ours: to the library, a replayed token that lives ten years is a good one."""
    token = house.token(exp=SECONDS + 10 * 365 * 86400, jti="")
    key = house.signers["ec"]
    for _ in range(2):
        assert jwt.decode(token, key, algorithms=["ES384"]).claims["jti"] == ""
