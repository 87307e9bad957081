"""Trees as RFC 9162 has them, by another hand too; notes that only their signer could have made."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from stewardship.services.growth import Grown, grow
from stewardship.services.notes import BadNote, Checkpoint, Signer, Verifier, found_in

SIGNER = Signer.of("here", b"s" * 32)
OTHER = Signer.of("here", b"t" * 32)


def a_checkpoint(entries=7):
    tree = grow(Grown(), (str(n).encode() for n in range(entries)))
    return Checkpoint("org-1", tree, "ab" * 32, "2026-11-21T12:00:00.000000+00:00")


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=70), st.integers(0, 70))
def test_the_root_is_the_librarys_however_the_tree_was_grown(entries, cut):
    tree = InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    grown = grow(grow(Grown(), entries[:cut]), entries[cut:])
    assert grown.root == tree.get_root()
    assert grown.whole


def test_the_hashes_are_those_of_rfc_9162():
    leaf = sha256(b"\x00a").digest()
    other = sha256(b"\x00b").digest()
    assert Grown().root == sha256(b"").digest()
    assert grow(Grown(), [b"a"]).root == leaf
    assert grow(Grown(), [b"a", b"b"]).root == sha256(b"\x01" + leaf + other).digest()


def test_a_note_is_read_back_as_it_was_signed():
    (signed,) = found_in(SIGNER.sign(a_checkpoint()), [SIGNER.public])
    assert signed.checkpoint == a_checkpoint()


def test_notes_are_found_in_a_text_that_holds_more():
    text = f"A report\n\n{SIGNER.sign(a_checkpoint(3))}\nand\r\n{SIGNER.sign(a_checkpoint(5))}"
    assert [s.checkpoint.size for s in found_in(text, [SIGNER.public])] == [3, 5]


@pytest.mark.parametrize(
    ("was", "is_"),
    [("\n7\n", "\n6\n"), ("org-1", "org-2"), ("mac ab", "mac ac"), ("at 2026", "at 2025")],
)
def test_a_changed_note_is_refused(was, is_):
    note = SIGNER.sign(a_checkpoint())
    assert was in note
    with pytest.raises(BadNote):
        found_in(note.replace(was, is_, 1), [SIGNER.public])


def test_a_note_of_another_key_of_the_same_name_is_refused():
    with pytest.raises(BadNote, match="nobody who is known"):
        found_in(OTHER.sign(a_checkpoint()), [SIGNER.public])


def test_a_text_without_a_checkpoint_is_refused():
    with pytest.raises(BadNote, match="no checkpoint"):
        found_in("nothing to see", [SIGNER.public])


def test_a_public_key_is_handed_on_as_a_line():
    assert Verifier.of(SIGNER.public.line).raw == SIGNER.public.raw


@pytest.mark.parametrize("line", ["", "here", "here+00+AAAA", SIGNER.public.line.replace("here", "there")])
def test_a_line_that_is_no_key_is_refused(line):
    with pytest.raises(BadNote):
        Verifier.of(line)
