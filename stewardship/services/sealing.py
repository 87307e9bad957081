"""What the service has to read again but nobody else: encrypted under keys made from the secret key.

Each purpose has a key of its own, so that what was sealed for one opens for no other.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stewardship.domain.errors import Unavailable

_SALT = b"stewardship sealing 1"


class Seals:
    """Seals and opens texts for named purposes."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()

    def seal(self, purpose: str, words: str, *, now: datetime) -> str:
        """The text, unreadable and unchangeable for whoever does not have the key."""
        return self._cipher(purpose).encrypt_at_time(words.encode(), int(now.timestamp())).decode()

    def open(
        self, purpose: str, sealed: str, *, now: datetime, longest: timedelta | None = None
    ) -> str | None:
        """The text; ``None`` when it was not sealed here for this, was changed, or is too old."""
        cipher, token = self._cipher(purpose), sealed.encode(errors="replace")
        try:
            if longest is None:
                return cipher.decrypt(token).decode()
            seconds = int(longest.total_seconds())
            return cipher.decrypt_at_time(token, seconds, int(now.timestamp())).decode()
        except InvalidToken:
            return None

    def _cipher(self, purpose: str) -> Fernet:
        if not self._secret:
            raise Unavailable("STEWARDSHIP_SECRET_KEY is not set", code="secret-key-missing")
        derived = HKDF(SHA256(), 32, salt=_SALT, info=purpose.encode()).derive(self._secret)
        return Fernet(base64.urlsafe_b64encode(derived))
