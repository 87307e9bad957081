"""Who signs in: accounts, browser sessions, recovery codes, what slows guessing down, used hook tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from stewardship.db.columns import Instant, Words
from stewardship.domain.errors import Conflict

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROLES = ("prescriber", "pharmacist", "compliance", "ehr", "admin")

# In the order in which they can be removed.
TABLES = (
    "browser_sessions",
    "recovery_codes",
    "accounts",
    "used_hook_tokens",
    "refusals",
    "sign_in_attempts",
)


def words(name: str, length: int = 200, *, null: bool = False) -> tuple[sa.Column, sa.CheckConstraint]:
    """A column of text and the check that makes SQLite keep to its length."""
    check = sa.CheckConstraint(f"length({name}) <= {length}", name=f"{name}_length")
    return sa.Column(name, Words(length), nullable=null), check


def column(name: str, kind: sa.types.TypeEngine, *, null: bool = False) -> tuple[sa.Column]:
    """Any other column."""
    return (sa.Column(name, kind, nullable=null),)


def check(name: str, rule: str) -> tuple[sa.CheckConstraint]:
    """A rule of the row."""
    return (sa.CheckConstraint(rule, name=name),)


def one_of(name: str, *listed: str) -> tuple[sa.CheckConstraint]:
    """The column holds one of these words."""
    quoted = ", ".join(f"'{word}'" for word in listed)
    return check(name, f"{name} IN ({quoted})")


def belongs_to(table: str, column_name: str, to: str = "id") -> tuple[sa.ForeignKeyConstraint]:
    """A reference that stays within the organisation."""
    here = ["organisation_id", column_name]
    return (sa.ForeignKeyConstraint(here, [f"{table}.organisation_id", f"{table}.{to}"]),)


def create(name: str, key: tuple[str, ...], *parts: tuple[sa.schema.SchemaItem, ...]) -> None:
    """Create a table of rows that belong to an organisation; the key begins with it."""
    organisation = (
        *words("organisation_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
    )
    items = [item for part in (organisation, *parts) for item in part]
    op.create_table(name, *items, sa.PrimaryKeyConstraint("organisation_id", *key))


def upgrade() -> None:
    """Create the tables."""
    create_accounts()
    create_sessions()
    create_counters()


def create_accounts() -> None:
    """How a person proves who he is."""
    create(
        "accounts",
        ("user_id",),
        words("user_id"),
        words("login"),
        words("email"),
        words("password_hash", null=True),
        column("password_set_at", Instant(), null=True),
        column("must_change", sa.Boolean()),
        words("totp_secret", 500, null=True),
        column("totp_confirmed_at", Instant(), null=True),
        column("totp_step", sa.BigInteger(), null=True),
        words("issuer", 500, null=True),
        words("subject", 500, null=True),
        column("created_at", Instant()),
        column("signed_in_at", Instant(), null=True),
        belongs_to("users", "user_id"),
        (sa.UniqueConstraint("login"), sa.UniqueConstraint("issuer", "subject")),
        check("login_given", "length(login) > 0"),
        check("password_hash_and_password_set_at", "(password_hash IS NULL) = (password_set_at IS NULL)"),
        check("issuer_and_subject", "(issuer IS NULL) = (subject IS NULL)"),
        check("confirmed_what", "totp_confirmed_at IS NULL OR totp_secret IS NOT NULL"),
    )
    create(
        "recovery_codes",
        ("user_id", "code_hash"),
        words("user_id"),
        words("code_hash", 64),
        column("made_at", Instant()),
        column("used_at", Instant(), null=True),
        belongs_to("accounts", "user_id", "user_id"),
        check("hash_only", "length(code_hash) = 64"),
    )


def create_sessions() -> None:
    """Who is signed in where."""
    create(
        "browser_sessions",
        ("id",),
        words("id"),
        words("token_hash", 64),
        words("user_id"),
        words("role", 64),
        words("stage", 64),
        words("method", 64),
        words("agent", 500),
        column("began_at", Instant()),
        column("seen_at", Instant()),
        column("expires_at", Instant()),
        column("ended_at", Instant(), null=True),
        words("ended_by", 64, null=True),
        belongs_to("users", "user_id"),
        one_of("role", *ROLES),
        one_of("stage", "second-factor", "enrolment", "new-password", "whole"),
        one_of("method", "password", "provider"),
        (sa.UniqueConstraint("token_hash"),),
        check("hash_only", "length(token_hash) = 64"),
        check("expires", "expires_at > began_at"),
        check("ended_at_and_ended_by", "(ended_at IS NULL) = (ended_by IS NULL)"),
    )
    name = op.f("ix_browser_sessions_organisation_id_user_id")
    op.create_index(name, "browser_sessions", ["organisation_id", "user_id"])


def create_counters() -> None:
    """What slows guessing down, what was refused, and which tokens of an EHR were used."""
    op.create_table(
        "sign_in_attempts",
        *words("kind", 64),
        *words("about", 64),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", Instant(), nullable=False),
        sa.Column("not_before", Instant(), nullable=False),
        *one_of("kind", "account-and-address", "account", "address"),
        *check("failures", "failures BETWEEN 0 AND 1000000000"),
        *check("hash_only", "length(about) = 64"),
        sa.PrimaryKeyConstraint("kind", "about"),
    )
    op.create_index(op.f("ix_sign_in_attempts_last_at"), "sign_in_attempts", ["last_at"])
    create(
        "refusals",
        ("user_id", "hour"),
        words("user_id"),
        column("hour", Instant()),
        column("count", sa.Integer()),
        check("count", "count BETWEEN 1 AND 1000000000"),
    )
    create(
        "used_hook_tokens",
        ("client", "token_hash"),
        words("client"),
        words("token_hash", 64),
        column("expires_at", Instant()),
        check("hash_only", "length(token_hash) = 64"),
    )
    name = op.f("ix_used_hook_tokens_expires_at")
    op.create_index(name, "used_hook_tokens", ["expires_at"])


def downgrade() -> None:
    """Remove the tables; refused while there are rows, unless they may be discarded."""
    bind = op.get_bind()
    if not context.config.attributes.get("discard"):
        kept = [name for name in TABLES if bind.execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first()]  # noqa: S608
        if kept:
            raise Conflict(f"rows would be lost in {', '.join(kept)}: say that they may be discarded")
    for name in TABLES:
        op.drop_table(name)
