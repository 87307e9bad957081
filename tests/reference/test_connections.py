"""The operator's file of connections: what is refused, with words for whoever wrote it."""

from __future__ import annotations

import json

import pytest
from joserfc import jwk

from stewardship.declarations.connections import read_connections
from stewardship.domain.connections import Unknown
from stewardship.domain.errors import DeclarationError
from stewardship.domain.people import Role

EHR = """
[[record_system]]
id = "main-ehr"
organisation = "our-hospital"
issuer = "https://ehr.example"
keys_url = "https://ehr.example/jwks.json"
"""
PROVIDER = """
[[identity_provider]]
id = "hospital"
label = "Hospital account"
organisation = "our-hospital"
issuer = "https://login.hospital.example"
client_id = "stewardship"
client_secret_file = "hospital.secret"
[[identity_provider.role]]
value = "opioid-pharmacists"
role = "pharmacist"
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "hospital.secret").write_text("a secret\n")

    def made(text):
        path = tmp_path / "connections.toml"
        path.write_text(text)
        return read_connections(path)

    return made


def test_without_a_file_there_is_nobody():
    assert read_connections(None).providers == ()


def test_what_is_written_is_read(write):
    found = write(EHR + PROVIDER)
    assert found.record_system("https://ehr.example").organisation_id == "our-hospital"
    provider = found.provider("hospital")
    assert provider.client_secret == "a secret"
    assert provider.unknown is Unknown.REFUSE
    assert provider.role_of({"groups": ["other", "opioid-pharmacists"]}) is Role.PHARMACIST
    assert "a secret" not in repr(found)


WRONG = {
    "not TOML": ("[[", "connections.toml"),
    "an unknown word": (EHR + 'secret = "x"', "record_system"),
    "no issuer": (EHR.replace('issuer = "https://ehr.example"\n', ""), "issuer"),
    "keys in the clear": (EHR.replace("https://ehr.example/jwks", "http://ehr.example/jwks"), "keys_url"),
    "no keys": (EHR.replace('keys_url = "https://ehr.example/jwks.json"\n', ""), "keys_url or keys_file"),
    "keys twice": (EHR + 'keys_file = "keys.json"', "keys_url or keys_file"),
    "one id twice": (EHR + EHR.replace("https://ehr.example", "https://other.example"), "main-ehr"),
    "one issuer twice": (EHR + EHR.replace("main-ehr", "other-ehr"), "issuer"),
    "no secret": (PROVIDER.replace("hospital.secret", "missing.secret"), "missing.secret"),
    "a provider in the clear": (PROVIDER.replace("https://login", "http://login"), "issuer"),
    "no openid": (PROVIDER.replace("client_id", 'scopes = ["email"]\nclient_id'), "openid"),
    "people as record systems": (PROVIDER.replace('"pharmacist"', '"ehr"'), "ehr"),
    "a role that there is not": (PROVIDER.replace('"pharmacist"', '"surgeon"'), "role"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(write, text, said):
    with pytest.raises(DeclarationError, match=said):
        write(text)


def test_a_file_of_private_keys_is_refused(write, tmp_path):
    key = jwk.generate_key("EC", "P-384", {"kid": "a"})
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.as_dict(private=True)]}))
    with pytest.raises(DeclarationError, match="private"):
        write(EHR.replace('keys_url = "https://ehr.example/jwks.json"', 'keys_file = "keys.json"'))


def test_on_this_machine_addresses_may_be_in_the_clear(write):
    assert write(EHR.replace("https://ehr.example/jwks", "http://127.0.0.1:8080/jwks")).record_systems


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": "opioid-pharmacists"}, Role.PHARMACIST),
        ({"groups": [["opioid-pharmacists"]]}, None),
        ({"groups": {"opioid-pharmacists": True}}, None),
        ({"groups": None}, None),
        ({}, None),
    ],
    ids=["text", "nested", "object", "null", "absent"],
)
def test_claims_of_any_form_give_a_role_or_none(write, claims, role):
    assert write(PROVIDER).provider("hospital").role_of(claims) is role
