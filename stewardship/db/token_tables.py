"""From where, and how often, a token of the API may be used."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import Base, Key, OfOrganisation, belongs_to, between, check_lengths

_MOST_PER_MINUTE = 1_000_000
_MOST = 1_000_000_000


class TokenLimit(OfOrganisation, Base):
    """What a token is bound to besides role, scopes and expiry; a token without a row is bound to nothing.

    ``addresses`` is a JSON list of networks, empty for everywhere; ``per_minute`` is empty for any number.
    ``used`` counts the requests of ``minute``, the last one in which any came.
    """

    __tablename__ = "token_limits"
    __table_args__ = (
        belongs_to("api_tokens", "token_id"),
        between("per_minute", 1, _MOST_PER_MINUTE),
        between("used", 0, _MOST),
    )

    token_id: Mapped[Key]
    addresses: Mapped[str] = mapped_column(Words(2000))
    per_minute: Mapped[int | None]
    minute: Mapped[datetime | None]
    used: Mapped[int]


check_lengths(TokenLimit.__table__)  # type: ignore[arg-type]
