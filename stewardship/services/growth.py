"""The Merkle tree over an organisation's audit entries, as RFC 9162 has it, grown entry by entry.

A state of the tree is a handful of hashes: those of its largest complete subtrees, the left one first. They
are all that is needed to add the next entry and to tell the root, so that a checkpoint after a million
entries costs as much as after ten. Proofs, and a second opinion on every root, come from pymerkle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

_LEAF, _NODE = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Grown:
    """The tree of the first ``size`` entries; ``subtrees`` are hashes of complete subtrees, the largest
    (and oldest) first: one for each bit that is set in ``size``."""

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        """The hash that all entries are under; that of nothing for an empty tree."""
        if not self.subtrees:
            return sha256(b"").digest()
        *rest, root = self.subtrees
        for left in reversed(rest):
            root = sha256(_NODE + left + root).digest()
        return root

    @property
    def whole(self) -> bool:
        """Whether there are as many subtrees as the size asks for."""
        return len(self.subtrees) == self.size.bit_count()


def grow(tree: Grown, entries: Iterable[bytes]) -> Grown:
    """The tree with more entries, each given by its canonical bytes."""
    size, subtrees = tree.size, list(tree.subtrees)
    for entry in entries:
        node = sha256(_LEAF + entry).digest()
        size += 1
        # Every complete pair becomes one subtree, as a carry goes up when counting.
        rest = size
        while not rest & 1:
            node = sha256(_NODE + subtrees.pop() + node).digest()
            rest >>= 1
        subtrees.append(node)
    return Grown(size, tuple(subtrees))
