"""What bears witness outside the database: a file of signed checkpoints that is only ever added to.

The owner of the database can alter its rows and knows, if he owns the host too, the key of their chain;
what he cannot do is make an earlier checkpoint fit what he made of them. So the file belongs where he
cannot write: another host's mount, or storage that is locked against change. A checkpoint is signed after
every hundredth entry, when the scheduler asks for one, and before the answer to what must never vanish
(``services.audit.AT_ONCE``). Nothing is signed that contradicts what was signed before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO

from stewardship.config import Settings
from stewardship.db import AuditKeys, Sessions, connect, transaction
from stewardship.domain.errors import Unavailable
from stewardship.services import audit
from stewardship.services.growth import Grown, grow
from stewardship.services.notes import BadNote, Checkpoint, Signer, Verifier, found_in

#: What the name of every key begins with; a new key has a new name.
KEY_NAME = "stewardship"


class Witness:
    """Appends checkpoints to a file. One process at a time grows it; any number may."""

    def __init__(self, file: Path, signer: Signer, *, retired: Collection[Verifier] = ()) -> None:
        self._file, self._signer = file, signer
        self._known = (signer.public, *retired)
        self._read_to = 0
        self._last: dict[str, Checkpoint] = {}
        self._here = Lock()

    @property
    def file(self) -> Path:
        """Where the checkpoints are."""
        return self._file

    @property
    def signer(self) -> Signer:
        """Who signs now."""
        return self._signer

    @property
    def keys(self) -> tuple[Verifier, ...]:
        """Whose signatures count: the one that signs now, and retired ones."""
        return self._known

    def ready(self) -> None:
        """Raise ``Unavailable`` when nothing could be appended: asked before what has to be witnessed at
        once is done."""
        try:
            with self._open():
                pass
        except OSError as cause:
            raise _unwritable() from cause

    def bear(self, sessions: Sessions, organisations: Iterable[str]) -> None:
        """Sign how far these organisations' trails have come. ``Unavailable`` when it cannot be written, or
        when a trail contradicts what was signed before."""
        for organisation in organisations:
            self.checkpoint(sessions, organisation)

    def checkpoint(self, sessions: Sessions, organisation_id: str) -> Checkpoint | None:
        """The checkpoint of all entries that there are; ``None`` while there is none."""
        try:
            with self._here, self._alone() as file:
                self._catch_up(file)
                before = self._last.get(organisation_id)
                with transaction(sessions, write=False) as session:
                    reached = grown_since(audit.Trail(session, organisation_id), before)
                if reached is None or (before is not None and reached.size == before.size):
                    return before
                file.write(self._signer.sign(reached).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._read_to = file.tell()
                self._last[organisation_id] = reached
                return reached
        except OSError as cause:
            raise _unwritable() from cause

    def _catch_up(self, file: IO[bytes]) -> None:
        """Take in what other processes have signed."""
        file.seek(self._read_to)
        added = file.read()
        if added.strip():
            try:
                for signed in found_in(added.decode(), self._known):
                    self._last[signed.checkpoint.organisation_id] = signed.checkpoint
            except BadNote as cause:
                raise Unavailable(f"the file of checkpoints: {cause}", code="checkpoints-altered") from cause
        self._read_to = file.tell()

    @contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        with self._open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _open(self) -> IO[bytes]:
        # For appending alone: what is there cannot be written over by this handle.
        return self._file.open("a+b")


def grown_since(trail: audit.Trail, before: Checkpoint | None) -> Checkpoint | None:
    """The checkpoint of a trail's last entry, grown from an earlier one. ``Unavailable`` when the trail does
    not contain the earlier one: then nothing is signed."""
    head = trail.entry(None)
    if head is None and before is None:
        return None
    if before is not None:
        kept = trail.entry(before.size)
        if kept is None or kept.mac != before.mac:
            raise Unavailable(
                f"the trail contradicts its checkpoint of {before.size} entries; verify it",
                code="checkpoint-contradicted",
            )
    assert head is not None  # noqa: S101 - an earlier checkpoint was found in it
    tree = before.tree if before is not None else Grown()
    if head.seq == tree.size:
        return before
    # Entries may be added meanwhile; what counts is the last one that was read.
    last = head
    grown = tree
    for portion in trail.after(tree.size):
        grown = grow(grown, (audit.canonical(audit.named(row)) for row in portion))
        last = portion[-1]
    return Checkpoint(trail.organisation_id, grown, last.mac, last.at.isoformat(timespec="microseconds"))


def _unwritable() -> Unavailable:
    return Unavailable("the file of checkpoints cannot be written; nothing was changed", code="checkpoints")


def witness_of(settings: Settings) -> Witness | None:
    """The witness that the settings name, if they name one."""
    if settings.checkpoint_file is None or not settings.checkpoint_key:
        return None
    name, _, seed = settings.checkpoint_key.rpartition(":")
    return Witness(
        settings.checkpoint_file,
        Signer.of(name or KEY_NAME, audit.seed(seed)),
        retired=[Verifier.of(line) for line in settings.checkpoint_retired],
    )


def audit_keys_of(settings: Settings) -> AuditKeys | None:
    """The keys of the chain: the one that signs now, and those that signed before it."""
    named = settings.audit_keys
    if named is None:
        return None
    current, keys = named
    return AuditKeys(current=current, keys={name: key.encode() for name, key in keys.items()})


def open_database(settings: Settings) -> Sessions:
    """Sessions on the settings' database: audited, and witnessed where a witness is set."""
    return connect(settings.database_url, audit_keys=audit_keys_of(settings), witness=witness_of(settings))
