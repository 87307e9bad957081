"""A suggestion that is declared wrongly is refused with words for its author."""

from __future__ import annotations

from pathlib import Path

import pytest

from stewardship.declarations.suggestions import FILE, read_suggestions
from stewardship.domain.errors import DeclarationError


@pytest.mark.parametrize(
    ("was", "wrong", "named"),
    [
        ('kind = "referral"', 'kind = "surgery"', "kind"),
        ('product = "1725059"', 'product = "Narcan"', "product"),
        ('product = "1725059"', "", "takes product"),
        ('kind = "shorter-course"', 'kind = "medicine"', "takes product"),
        ('"7804" = "1049621"', 'oxycodone = "1049621"', "products"),
        ('system = "snomed-ct"', 'system = "loinc"', "code"),
        ("recommended = true", 'recommended = "yes"', "recommended"),
        ('text = "Physical therapy"', 'txt = "Physical therapy"', "txt"),
        ("[suggestion.source]", "[suggestion.sauce]", "source"),
    ],
)
def test_a_wrong_suggestion_is_refused_and_named(copied: Path, was: str, wrong: str, named: str) -> None:
    path = copied / FILE
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, wrong, 1))
    with pytest.raises(DeclarationError) as refused:
        read_suggestions(copied)
    assert FILE in refused.value.message
    assert named in refused.value.message
