"""Words on cards do no harm as text, as Markdown or as HTML, whatever they quote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stewardship.cds_hooks.wording import clip, markdown, paragraphs, summary

#: What makes GitHub-flavoured Markdown link, show an image or leave Markdown, when it is not escaped.
LIVE = re.compile(r"<|(?<!\\)[`\[\]|@]|(?<!\\)://|(?<!\\)\bwww\.", re.IGNORECASE)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("10 days' supply, 5 mg/day (as needed).", "10 days' supply, 5 mg/day (as needed)."),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("[sign](https://evil.example)", r"\[sign\](https\://evil.example)"),
        ("see WWW.evil.example", r"see WWW\.evil.example"),
        ("a@evil.example", r"a\@evil.example"),
        ("x\n# APPROVED", "x # APPROVED"),
        ("# APPROVED", r"\# APPROVED"),
        ("1. sign it", r"1\. sign it"),
        ("10.5 mg", r"10\.5 mg"),
        ("- sign it", r"\- sign it"),
        ("**sign** _it_", r"\*\*sign\*\* \_it\_"),
        ("`code` | cell", r"\`code\` \| cell"),
        ("a\u202eb\u200bc", "a b c"),
    ],
)
def test_markdown_is_shown_as_it_is_written(written, shown):
    assert markdown(written) == shown


@given(st.text(alphabet=st.sampled_from("<>&[]()`|@:/\\#*!w.\n\r\u202e\u200b aA1htps"), max_size=60))
def test_no_text_makes_markdown_do_anything(text):
    escaped = markdown(text)
    assert not LIVE.search(escaped.replace("\\\\", "~"))
    assert "\n" not in escaped


@given(st.text(max_size=400))
def test_a_summary_is_one_short_line_without_tags(text):
    said = summary(text)
    assert len(said) < 140
    assert not set(said) & set("<>\n\r\u2028\u202e")


def test_a_long_text_is_cut_at_a_word_and_marked():
    assert clip("the quick brown fox jumps", 20) == "the quick brown fox…"
    assert clip("x" * 30, 10) == "x" * 9 + "…"
    assert clip("short", 10) == "short"


def test_paragraphs_leave_out_what_is_empty():
    assert paragraphs("one", "", "two") == "one\n\ntwo"
