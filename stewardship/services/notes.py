"""Checkpoints as signed notes: how far an audit trail had come, under a key that no database holds.

The form is that of C2SP's tlog-checkpoint and signed-note: an origin line, the number of entries, the
root of the tree over them, lines of our own, an empty line, and a line for each signature (Ed25519). Our
own lines are the MAC of the last entry, its time, and the hashes from which the tree goes on growing.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from stewardship.services.growth import Grown

#: What a note of this service begins with; the organisation follows.
ORIGIN = "stewardship/audit/"
#: The signature algorithm's byte: Ed25519 over the text.
_ED25519 = b"\x01"
_NOTE = re.compile(
    r"^stewardship/audit/(?P<organisation>\S+)\n(?P<size>[0-9]{1,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"mac (?P<mac>[0-9a-f]{64})\nat (?P<at>\S+)\ntree(?P<tree>(?: [A-Za-z0-9+/]{43}=)*)\n"
    r"\n(?P<signatures>(?:\u2014 \S+ [A-Za-z0-9+/=]+\n?)+)",
    re.MULTILINE,
)
_SIGNATURE = re.compile(r"\u2014 (?P<name>\S+) (?P<bytes>[A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a trail had come: ``mac`` and ``at`` are of its last entry."""

    organisation_id: str
    tree: Grown
    mac: str
    at: str

    @property
    def size(self) -> int:
        """How many entries."""
        return self.tree.size

    @property
    def text(self) -> str:
        """What is signed; ends with a line end."""
        tree = "".join(f" {_b64(node)}" for node in self.tree.subtrees)
        return (
            f"{ORIGIN}{self.organisation_id}\n{self.size}\n{_b64(self.tree.root)}\n"
            f"mac {self.mac}\nat {self.at}\ntree{tree}\n"
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with whose signature was found good on it."""

    checkpoint: Checkpoint
    key: str


class BadNote(ValueError):
    """A note that cannot be read, or that nobody who is known has signed."""


@dataclass(frozen=True)
class Signer:
    """Who signs checkpoints. ``name`` is the key's, as it stands on every signature line."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def of(cls, name: str, seed: bytes) -> Signer:
        """The signer of 32 secret bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> Verifier:
        """What others check its signatures with."""
        return Verifier(self.name, self.key.public_key())

    def sign(self, checkpoint: Checkpoint) -> str:
        """The note."""
        text = checkpoint.text
        signature = self.public.hash + self.key.sign(text.encode())
        return f"{text}\n\u2014 {self.name} {_b64(signature)}\n"


@dataclass(frozen=True)
class Verifier:
    """A public key and its name."""

    name: str
    key: Ed25519PublicKey

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return self.key.public_bytes_raw()

    @property
    def hash(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def line(self) -> str:
        """The key as one line to hand on: name, hash, key."""
        return f"{self.name}+{self.hash.hex()}+{_b64(_ED25519 + self.raw)}"

    @classmethod
    def of(cls, line: str) -> Verifier:
        """The key that a line names; raises ``BadNote``."""
        try:
            name, given, encoded = line.strip().split("+", 2)
            raw = b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise BadNote("a public key is written as name+hash+key") from None
        if raw[:1] != _ED25519 or len(raw) != 33:
            raise BadNote("the public key is not an Ed25519 key")
        made = cls(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
        if made.hash.hex() != given:
            raise BadNote("the public key's hash is not its own")
        return made


def found_in(text: str, keys: Iterable[Verifier]) -> list[Signed]:
    """Every checkpoint that a text holds (a file of them, or a report), in the order of the text. Raises
    ``BadNote`` for one without a good signature by one of the keys, or when there is none at all."""
    known = {(key.name, key.hash): key for key in keys}
    notes = [_opened(match, known) for match in _NOTE.finditer(text.replace("\r\n", "\n"))]
    if not notes:
        raise BadNote("there is no checkpoint in it")
    return notes


def _opened(match: re.Match[str], known: Mapping[tuple[str, bytes], Verifier]) -> Signed:
    tree = Grown(int(match["size"]), tuple(b64decode(node) for node in match["tree"].split()))
    checkpoint = Checkpoint(match["organisation"], tree, match["mac"], match["at"])
    where = f"the checkpoint of {checkpoint.size} entries"
    if not tree.whole or _b64(tree.root) != match["root"]:
        raise BadNote(f"{where} contradicts itself")
    for line in _SIGNATURE.finditer(match["signatures"]):
        signature = b64decode(line["bytes"])
        key = known.get((line["name"], signature[:4]))
        if key is None:
            continue
        try:
            key.key.verify(signature[4:], checkpoint.text.encode())
        except InvalidSignature:
            raise BadNote(f"{where} bears a false signature of {key.name}") from None
        return Signed(checkpoint, key.line)
    raise BadNote(f"{where} is signed by nobody who is known here")


def _b64(content: bytes) -> str:
    return b64encode(content).decode()
