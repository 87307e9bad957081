"""What the demonstration keeps in its folder: a database, keys of its own, tokens, and passwords.

Everything secret is made at the first start, readable by its owner only, and used again at every other.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stewardship.domain.errors import Unavailable

#: The file of each role's API token, and the roles in it.
TOKENS = "tokens.json"
ROLES = ("prescriber", "pharmacist", "compliance", "ehr")

#: The file of the passwords by which people sign in.
ACCOUNTS = "accounts.json"

_KEYS = "keys.json"
_KEY_NAMES = ("secret_key", "audit_key", "checkpoint_key")
_CHECKPOINTS = "checkpoints.txt"
_DATABASE = "stewardship.db"


@dataclass(frozen=True)
class House:
    """The demonstration's folder."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> House:
        """The folder, made if it is not there."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise Unavailable(f"cannot make the folder {folder}: {fault.strerror}") from None
        return cls(folder.resolve())

    @property
    def database_url(self) -> str:
        """The embedded database."""
        return f"sqlite:///{self.folder / _DATABASE}"

    @property
    def tokens_file(self) -> Path:
        """Where the tokens are."""
        return self.folder / TOKENS

    def keys(self) -> Mapping[str, str]:
        """The demonstration's own ``secret_key``, ``audit_key`` and ``checkpoint_key``, never a default."""
        known = _read(self.folder / _KEYS, _KEY_NAMES)
        if known is None:
            known = {name: secrets.token_urlsafe(48) for name in _KEY_NAMES}
            known["checkpoint_key"] = secrets.token_urlsafe(32)
            _write(self.folder / _KEYS, known)
        return known

    @property
    def checkpoints(self) -> Path:
        """Where the audit trail's checkpoints are appended."""
        return self.folder / _CHECKPOINTS

    def tokens(self, *, still_good: Callable[[str], bool], issue: Callable[[str], str]) -> Mapping[str, str]:
        """A token for each role: those of the file while the database knows them, otherwise new ones."""
        known = dict(_read(self.tokens_file, ROLES) or {})
        held = {role: token for role, token in known.items() if still_good(token)}
        if set(held) != set(ROLES):
            held = {role: held.get(role) or issue(role) for role in ROLES}
            _write(self.tokens_file, held)
        return held

    @property
    def accounts_file(self) -> Path:
        """Where the passwords are."""
        return self.folder / ACCOUNTS

    def passwords(self, logins: tuple[str, ...], *, make: Callable[[], str]) -> Mapping[str, str]:
        """A password for each login, drawn once."""
        known = _read(self.accounts_file, logins)
        if known is None:
            known = {login: make() for login in logins}
            _write(self.accounts_file, known)
        return known


def _read(file: Path, names: tuple[str, ...]) -> dict[str, str] | None:
    """The file's content, or ``None`` when it is not there yet; what is not ours is refused."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise Unavailable(f"{file} cannot be read; take it away, or name another folder with --dir") from None
    if not isinstance(content, dict) or set(content) != set(names):
        raise Unavailable(f"{file} is not the demonstration's; name another folder with --dir")
    return content


def _write(file: Path, content: Mapping[str, str]) -> None:
    """Write the whole file or nothing, readable by its owner only from its first byte on."""
    beside = file.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(dict(content), out, indent=2)
        out.write("\n")
    beside.replace(file)
