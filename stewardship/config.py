"""Settings: read once from the environment, then handed down; nothing else reads the environment.

=================================  =====================================================================
``STEWARDSHIP_ENV``                ``production`` (the default), ``demo`` or ``test``
``STEWARDSHIP_DATABASE_URL``       ``sqlite:///file.db`` or ``postgresql://...``; a file here by default
``STEWARDSHIP_SECRET_KEY``         signs what browsers keep; 32 characters or more
``STEWARDSHIP_AUDIT_KEY``          keys the chain of audit events; 32 characters or more, not the same
``STEWARDSHIP_AUDIT_RETIRED_KEYS`` keys that signed entries before, ``k1:...``, space-separated
``STEWARDSHIP_CHECKPOINT_FILE``    where signed checkpoints of the audit trail are appended
``STEWARDSHIP_CHECKPOINT_KEY``     signs them: 32 bytes in URL-safe base64, ``name:`` before it if it has one
``STEWARDSHIP_CHECKPOINT_RETIRED`` public keys that signed checkpoints before, space-separated
``STEWARDSHIP_CDS_ALLOWED_ORIGINS`` origins of browser clients that may call CDS Hooks, comma-separated
``STEWARDSHIP_CDS_OPEN``           demo only: CDS Hooks calls need no token of ours
``STEWARDSHIP_DEMO_ORGANISATION``  whose EHR such a call is taken for
``STEWARDSHIP_POLICIES_DIR``       another folder of policy files
``STEWARDSHIP_PUBLIC_URL``         the address under which clients reach the service, for links in cards
``STEWARDSHIP_CONNECTIONS``        a file that names record systems and identity providers
``STEWARDSHIP_TRUSTED_PROXIES``    how many proxies before the service say who calls; none by default
``STEWARDSHIP_TIME_BUDGET_MS``     how long a check may take before it says that it could not finish
``STEWARDSHIP_SMTP_URL``           who sends mail: ``smtps://user:password@host``, ``smtp+starttls://...``
``STEWARDSHIP_MAIL_FROM``          the address that mail comes from
``STEWARDSHIP_DEBUG``              never in production
=================================  =====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stewardship.domain.errors import StewardshipError

DEFAULT_DATABASE_URL = "sqlite:///stewardship.db"

#: Characters of a key, at the least; 32 of URL-safe base64 are 192 bits.
SHORTEST_KEY = 32
#: Keys with fewer different characters than this were typed, not drawn.
_FEWEST_DIFFERENT = 12
_MAKE_ONE = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
_WORDS_OF_DEFAULTS = ("change", "default", "secret", "example", "password", "insecure")

_SMTP = re.compile(
    r"smtp(?:s|\+starttls)?://(?:[^\s:@/]+(?::[^\s:@/]*)?@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/?"
)
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_KEY = re.compile(r"(?P<name>k[0-9]+):(?P<key>\S+)")
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::[0-9]{1,5})?")


class Misconfigured(StewardshipError):
    """A setting is missing or unsafe; the text names it and says what to write. Nothing is started."""

    code = "misconfigured"


class Environment(StrEnum):
    """What the process is for. Only production guards real patients, so it is the default."""

    PRODUCTION = "production"
    DEMO = "demo"
    TEST = "test"


@dataclass(frozen=True)
class Settings:
    """Everything that an operator decides. Keys are kept out of ``repr`` and so out of logs."""

    environment: Environment = Environment.PRODUCTION
    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    secret_key: str = field(default="", repr=False)
    audit_key: str = field(default="", repr=False)
    audit_retired: tuple[str, ...] = field(default=(), repr=False)
    checkpoint_file: Path | None = None
    checkpoint_key: str = field(default="", repr=False)
    checkpoint_retired: tuple[str, ...] = ()
    cds_allowed_origins: tuple[str, ...] = ()
    cds_open: bool = False
    demo_organisation: str = "demo-clinic"
    policies_dir: Path | None = None
    public_url: str = ""
    debug: bool = False
    connections_file: Path | None = None
    trusted_proxies: int = 0
    #: Without one, mail waits in the outbox.
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    #: Largest bodies, in bytes, and most object members in one body.
    order_bytes: int = 256 * 1024
    hook_bytes: int = 5 * 1024 * 1024
    import_bytes: int = 2 * 1024 * 1024 * 1024
    order_keys: int = 10_000
    hook_keys: int = 200_000
    #: A check that takes longer, in seconds, answers that it could not be finished.
    time_budget: float = 1.5

    @property
    def audit_keys(self) -> tuple[str, Mapping[str, str]] | None:
        """Which key signs the audit trail now, and all that ever did, by name; ``None`` without any. A key
        whose setting does not begin with ``k2:`` or the like is ``k1``."""
        if not self.audit_key:
            return None
        named = _KEY.fullmatch(self.audit_key)
        current, key = (named["name"], named["key"]) if named else ("k1", self.audit_key)
        retired = (match for text in self.audit_retired if (match := _KEY.fullmatch(text)))
        return current, {match["name"]: match["key"] for match in retired} | {current: key}

    @property
    def encrypted(self) -> bool:
        """Whether browsers reach the service over TLS alone: everywhere but on one's own machine."""
        return self.environment is Environment.PRODUCTION

    @property
    def second_factor(self) -> bool:
        """Whether a second factor is asked of the roles that should have one; a demonstration offers it."""
        return self.environment is not Environment.DEMO

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """The settings that the environment names; ``Misconfigured`` for one that cannot be read."""
        origins = environ.get("STEWARDSHIP_CDS_ALLOWED_ORIGINS", "")
        policies = environ.get("STEWARDSHIP_POLICIES_DIR", "")
        checkpoints = environ.get("STEWARDSHIP_CHECKPOINT_FILE", "")
        return cls(
            environment=_environment(environ.get("STEWARDSHIP_ENV", Environment.PRODUCTION)),
            database_url=environ.get("STEWARDSHIP_DATABASE_URL") or DEFAULT_DATABASE_URL,
            secret_key=environ.get("STEWARDSHIP_SECRET_KEY", ""),
            audit_key=environ.get("STEWARDSHIP_AUDIT_KEY", ""),
            audit_retired=_retired_keys(environ.get("STEWARDSHIP_AUDIT_RETIRED_KEYS", "")),
            checkpoint_file=Path(checkpoints) if checkpoints else None,
            checkpoint_key=environ.get("STEWARDSHIP_CHECKPOINT_KEY", ""),
            checkpoint_retired=tuple(environ.get("STEWARDSHIP_CHECKPOINT_RETIRED", "").split()),
            cds_allowed_origins=tuple(_origin(o) for o in origins.replace(",", " ").split()),
            cds_open=_flag(environ, "STEWARDSHIP_CDS_OPEN"),
            demo_organisation=environ.get("STEWARDSHIP_DEMO_ORGANISATION") or cls.demo_organisation,
            policies_dir=Path(policies) if policies else None,
            public_url=_public_url(environ.get("STEWARDSHIP_PUBLIC_URL", "")),
            debug=_flag(environ, "STEWARDSHIP_DEBUG"),
            connections_file=_file(environ, "STEWARDSHIP_CONNECTIONS"),
            trusted_proxies=_few(environ, "STEWARDSHIP_TRUSTED_PROXIES"),
            smtp_url=_smtp_url(environ.get("STEWARDSHIP_SMTP_URL", "")),
            mail_from=_mail_from(environ.get("STEWARDSHIP_MAIL_FROM", "")),
            time_budget=_milliseconds(environ, "STEWARDSHIP_TIME_BUDGET_MS", cls.time_budget),
        )

    def refuse_unsafe(self) -> None:
        """Raise ``Misconfigured`` when a server with these settings would put patients at risk."""
        if self.environment is not Environment.PRODUCTION:
            return
        _refuse_weak_key("STEWARDSHIP_SECRET_KEY", self.secret_key)
        _refuse_weak_key("STEWARDSHIP_AUDIT_KEY", self.audit_key)
        if self.secret_key == self.audit_key:
            raise Misconfigured("STEWARDSHIP_AUDIT_KEY must not be the same as STEWARDSHIP_SECRET_KEY")
        if self.checkpoint_file is None or not self.checkpoint_key:
            raise Misconfigured(
                "STEWARDSHIP_CHECKPOINT_FILE and STEWARDSHIP_CHECKPOINT_KEY are not both set: the end of the "
                "audit trail could be cut off unseen; name a file that the database's owner cannot write, "
                "and " + _MAKE_ONE
            )
        if self.smtp_url and not self.mail_from:
            raise Misconfigured("STEWARDSHIP_SMTP_URL is set; name the sender in STEWARDSHIP_MAIL_FROM too")
        if self.debug:
            raise Misconfigured("STEWARDSHIP_DEBUG cannot be on in production; take it away")
        if self.cds_open:
            raise Misconfigured(
                "STEWARDSHIP_CDS_OPEN lets anybody ask as an EHR; it is for STEWARDSHIP_ENV=demo only"
            )


def _environment(word: str) -> Environment:
    try:
        return Environment(word)
    except ValueError:
        known = ", ".join(Environment)
        raise Misconfigured(f"STEWARDSHIP_ENV must be one of {known}") from None


def _retired_keys(text: str) -> tuple[str, ...]:
    keys = tuple(text.split())
    if not all(_KEY.fullmatch(key) for key in keys):
        raise Misconfigured("STEWARDSHIP_AUDIT_RETIRED_KEYS takes k1:KEY k2:KEY, each with its name")
    return keys


def _flag(environ: Mapping[str, str], name: str) -> bool:
    word = environ.get(name, "").strip().lower()
    if word in {"", "0", "false", "no", "off"}:
        return False
    if word in {"1", "true", "yes", "on"}:
        return True
    raise Misconfigured(f"{name} must be 1 or 0")


def _milliseconds(environ: Mapping[str, str], name: str, default: float) -> float:
    word = environ.get(name, "").strip()
    if not word:
        return default
    if not (word.isascii() and word.isdigit() and 50 <= int(word[:9]) <= 60_000):
        raise Misconfigured(f"{name} must be a number of milliseconds from 50 to 60000")
    return int(word) / 1000


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    word = environ.get(name, "").strip()
    return Path(word) if word else None


def _few(environ: Mapping[str, str], name: str) -> int:
    word = environ.get(name, "").strip() or "0"
    if not (word.isascii() and word.isdigit() and len(word) == 1):
        raise Misconfigured(f"{name} must be a number from 0 to 9")
    return int(word)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise Misconfigured(
            "STEWARDSHIP_CDS_ALLOWED_ORIGINS takes origins such as https://ehr.example, no paths, no *"
        )
    return text


def _public_url(text: str) -> str:
    address = text.strip().rstrip("/")
    if address and not _ORIGIN.match(address):
        raise Misconfigured("STEWARDSHIP_PUBLIC_URL must begin with https:// or http:// and name a host")
    return address


def _smtp_url(text: str) -> str:
    address = text.strip()
    if address and not _SMTP.fullmatch(address):
        raise Misconfigured(
            "STEWARDSHIP_SMTP_URL must be smtps://, smtp+starttls:// or smtp:// with a host, "
            "for example smtps://user:password@mail.example; "
            "user and password are percent-encoded"
        )
    plain = address.startswith("smtp://")
    if plain and "@" in address:
        raise Misconfigured("STEWARDSHIP_SMTP_URL would send the password in the clear; use smtps://")
    return address


def _mail_from(text: str) -> str:
    address = text.strip()
    if address and not _ADDRESS.fullmatch(address):
        raise Misconfigured("STEWARDSHIP_MAIL_FROM must be a bare address such as reviews@clinic.example")
    return address


def _refuse_weak_key(name: str, key: str) -> None:
    if not key:
        raise Misconfigured(f"{name} is not set; {_MAKE_ONE}")
    if len(key) < SHORTEST_KEY:
        raise Misconfigured(f"{name} has fewer than {SHORTEST_KEY} characters; {_MAKE_ONE}")
    if len(set(key)) < _FEWEST_DIFFERENT or any(word in key.lower() for word in _WORDS_OF_DEFAULTS):
        raise Misconfigured(f"{name} looks like a default or a typed word; {_MAKE_ONE}")
