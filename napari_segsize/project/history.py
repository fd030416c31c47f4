"""What was said, in the order it was said: changes, undo and redo are appended, nothing is rewritten."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psutil  # type: ignore[import-untyped,unused-ignore]
from sqlalchemy import Connection, bindparam, func, insert, select, update

from napari_segsize.project import tables
from napari_segsize.project.annotation import Change, PlaneRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from napari_segsize.project.store import Store

__all__ = ["OBJECTS", "Entry", "History", "Key", "Kind", "Step"]

Kind = Literal["stamp", "contour", "mask", "no_object", "skip"]
OBJECTS: tuple[Kind, ...] = ("stamp", "contour", "mask")
"""What says that there is something on a plane."""

# An annotation is a handful of statements; built once, they cost a third of their time.
_INSERT_STEP, _INSERT_CHANGE = insert(tables.step), insert(tables.change)
_INSERT_ITEM, _INSERT_LABELS = insert(tables.item), insert(tables.labels)
_INSERT_OUTLINE = insert(tables.outline)
_VALUES = ("size", "y", "x", "entered", "unit", "labels_id", "points", "outline_id", "source")
_UPDATE_ITEM = (
    update(tables.item)
    .where(
        *(tables.item.c[name] == bindparam(f"of_{name}") for name in ("image_id", "slice", "kind", "object"))
    )
    .values(present=bindparam("present"), change_id=bindparam("change_id"))
)
_SELECT_PLANE = (
    select(tables.change)
    .join_from(tables.item, tables.change, tables.item.c.change_id == tables.change.c.id)
    .where(tables.item.c.image_id == bindparam("image"), tables.item.c.slice == bindparam("slice"))
    .order_by(tables.item.c.first_id)
)
_SELECT_OBJECTS = _SELECT_PLANE.where(tables.item.c.object.in_(bindparam("objects", expanding=True)))


@dataclass(frozen=True, slots=True)
class Key:
    """What a change is about."""

    plane: PlaneRef
    kind: Kind
    object: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said about a key now, and which change said so."""

    key: Key
    change_id: int
    origin: int  # the change that said it first, before it was undone and redone
    present: bool
    values: Mapping[str, Any]  # the columns `_VALUES`


class Step:
    """The changes that one undo takes back, being written."""

    def __init__(
        self, connection: Connection, session: str, label: str, kind: str, reverts: int | None
    ) -> None:
        self.connection = connection
        self.id: int | None = None  # given at the first change: a step without one leaves no trace
        self.kind, self._session, self._label, self._reverts = kind, session, label, reverts

    def touch(self) -> int:
        """Row of this step."""
        if self.id is None:
            row = {
                "session": self._session, "kind": self.kind, "label": self._label, "reverts": self._reverts,
                "created": time.time(),
            }  # fmt: skip
            key = self.connection.execute(_INSERT_STEP, row).inserted_primary_key
            assert key is not None
            self.id = int(key[0])
        return self.id

    def put(
        self, key: Key, before: Entry | None, values: Mapping[str, Any] | None, *, origin: int | None = None
    ) -> Entry:
        """Append one change; `values` None deletes, `origin` is the change that is said again."""
        where = {
            "image_id": key.plane.image,
            "slice": key.plane.slice,
            "kind": key.kind,
            "object": key.object,
        }
        row = {
            **where, **(values or {}), "step_id": self.touch(), "present": values is not None,
            "before": None if before is None else before.change_id, "origin": origin,
        }  # fmt: skip
        inserted = self.connection.execute(_INSERT_CHANGE, row).inserted_primary_key
        assert inserted is not None
        change_id = int(inserted[0])
        now = {"present": values is not None, "change_id": change_id}
        if before is None:
            self.connection.execute(_INSERT_ITEM, {**where, **now, "first_id": change_id})
        else:
            same = {f"of_{name}": value for name, value in where.items()}
            self.connection.execute(_UPDATE_ITEM, {**same, **now})
        first = change_id if origin is None else origin
        return Entry(key, change_id, first, values is not None, values or {})

    def has_labels(self, entry: Entry, data: bytes) -> bool:
        """Whether an entry is this mask."""
        query = select(tables.labels.c.data).where(tables.labels.c.id == entry.values["labels_id"])
        return self.connection.scalar(query) == data

    def put_outline(self, data: bytes) -> int:
        """Store the rings of a contour; their number goes into the change."""
        key = self.connection.execute(_INSERT_OUTLINE, {"data": data}).inserted_primary_key
        assert key is not None
        return int(key[0])

    def put_labels(self, data: bytes) -> int:
        """Store a mask; its number goes into the change."""
        key = self.connection.execute(_INSERT_LABELS, {"data": data}).inserted_primary_key
        assert key is not None
        return int(key[0])


class History:
    """The append-only history of one open project, and which of its steps this session may take back.

    A session takes back its own steps, and those of sessions that had ended (or died) when it began; never
    one of another session that was open at the same time. And it takes back a change only while that is the
    last word on its key: what somebody else has said since stays.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session = uuid.uuid4().hex
        self._known = False  # whether the session has its row
        self._lock = threading.RLock()
        self._step: Step | None = None
        self._undoable: list[int] = []
        self._redoable: list[int] = []
        self._replay()

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undoable)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back and nothing said since."""
        return bool(self._redoable)

    def revision(self) -> int:
        """Number of the last step of any session."""
        with self._store.reading() as connection:
            return connection.scalar(select(func.max(tables.step.c.id))) or 0

    def end(self) -> bool:
        """Leave; later sessions may take back what this one said. Whether it said anything."""
        said = self._known
        if said:
            with self._store.writing() as connection:
                mine = tables.session.c.id == self._session
                connection.execute(update(tables.session).where(mine).values(ended=time.time()))
            self._session, self._known = uuid.uuid4().hex, False
        return said

    @contextmanager
    def step(self, label: str, *, kind: str = "do", reverts: int | None = None) -> Iterator[Step]:
        """One transaction and one step of undo; inside another step, a part of that one."""
        with self._lock:
            if self._step is not None:
                yield self._step
                return
            with self._store.writing() as connection:
                known = self._known
                if not known:
                    self._introduce(connection)
                step = self._step = Step(connection, self._session, label, kind, reverts)
                try:
                    yield step
                finally:
                    self._step = None
            self._known = True
            if step.id is not None and kind == "do":
                self._undoable.append(step.id)
                self._redoable.clear()

    def undo(self) -> Change | None:
        """Take back the last step; None when there is none."""
        return self._turn(self._undoable, self._redoable, "undo")

    def redo(self) -> Change | None:
        """Say again what was taken back last; None when there is none."""
        return self._turn(self._redoable, self._undoable, "redo")

    def entries(
        self, connection: Connection, plane: PlaneRef, objects: Collection[str] | None = None
    ) -> dict[Key, Entry]:
        """Everything ever said about a plane and where it has led to, what was deleted included.

        `objects` leaves out the stamps and contours of all others: a plane may have thousands.
        """
        where: dict[str, Any] = {"image": plane.image, "slice": plane.slice}
        if objects is None:
            rows = connection.execute(_SELECT_PLANE, where)
        else:
            rows = connection.execute(_SELECT_OBJECTS, {**where, "objects": ["", *objects]})
        entries = map(_entry, rows.mappings())
        return {entry.key: entry for entry in entries}

    def _turn(self, source: list[int], target: list[int], kind: Literal["undo", "redo"]) -> Change | None:
        with self._lock:
            if self._step is not None:
                raise ValueError(f"{kind}: not inside a step that is being written")
            if not source:
                return None
            step_id = source[-1]
            with self._store.reading() as connection:
                label = (
                    connection.scalar(select(tables.step.c.label).where(tables.step.c.id == step_id)) or ""
                )
            with self.step(label, kind=kind, reverts=step_id) as step:
                planes, applied = self._revert(step, step_id)
            source.pop()
            if step.id is not None:
                target.append(step.id)
            plane = planes[0] if len(planes) == 1 else None
            verb = "Undone" if kind == "undo" else "Done again"
            if not applied:
                return Change(
                    plane=plane,
                    applied=False,
                    description=f"Left as it is, because it was changed elsewhere: {label}",
                )
            return Change(plane=plane, description=f"{verb}: {label}")

    def _revert(self, step: Step, step_id: int) -> tuple[list[PlaneRef], bool]:
        """Go back to before a step where its word is still the last; its planes, and whether that was any."""
        connection = step.connection
        query = (
            select(tables.change)
            .where(tables.change.c.step_id == step_id)
            .order_by(tables.change.c.id.desc())
        )
        rows = connection.execute(query).mappings().all()
        changes = [_entry(row) for row in rows]
        before = {row["id"]: row["before"] for row in rows}
        planes = list(dict.fromkeys(change.key.plane for change in changes))
        applied = False
        current = {plane: self.entries(connection, plane) for plane in planes}
        for change in changes:
            now = current[change.key.plane].get(change.key)
            if now is None or now.origin != change.origin:
                continue
            prior = self._change(connection, before[change.change_id])
            values = prior.values if prior is not None and prior.present else None
            if (
                change.key.kind == "no_object"
                and values is not None
                and _says_object(current[change.key.plane])
            ):
                continue  # an object was put here meanwhile
            current[change.key.plane][change.key] = step.put(
                change.key, now, values, origin=0 if prior is None else prior.origin
            )
            applied = True
        return planes, applied

    def _change(self, connection: Connection, change_id: int | None) -> Entry | None:
        if change_id is None:
            return None
        query = select(tables.change).where(tables.change.c.id == change_id)
        return _entry(connection.execute(query).mappings().one())

    def _introduce(self, connection: Connection) -> None:
        process = psutil.Process()
        connection.execute(insert(tables.session).values(
            id=self._session, host=socket.gethostname(), process=process.pid,
            process_started=process.create_time(),
        ))  # fmt: skip

    def _replay(self) -> None:
        """Find the steps of ended sessions that are still to be taken back, or to be said again."""
        with self._store.reading() as connection:
            others = connection.execute(select(tables.session)).mappings().all()
            over = [row["id"] for row in others if row["ended"] is not None or _is_dead(row)]
            query = select(tables.step.c.id, tables.step.c.kind, tables.step.c.reverts)
            query = query.where(tables.step.c.session.in_(over), tables.step.c.kind != "project")
            for step_id, kind, reverts in connection.execute(query.order_by(tables.step.c.id)):
                source, target = {
                    "do": ([], self._undoable), "undo": (self._undoable, self._redoable),
                    "redo": (self._redoable, self._undoable),
                }[kind]  # fmt: skip
                if reverts in source:
                    source.remove(reverts)
                target.append(step_id)
                if kind == "do":
                    self._redoable.clear()


def _entry(row: Mapping[Any, Any]) -> Entry:
    key = Key(PlaneRef(row["image_id"], row["slice"]), row["kind"], row["object"])
    values = {name: row[name] for name in _VALUES}
    origin = row["id"] if row["origin"] is None else row["origin"]
    return Entry(key, row["id"], origin, bool(row["present"]), values)


def _says_object(entries: Mapping[Key, Entry]) -> bool:
    return any(entry.present and entry.key.kind in OBJECTS for entry in entries.values())


def _is_dead(row: Mapping[Any, Any]) -> bool:
    """Whether the session's process, on this computer, is gone."""
    if row["host"] != socket.gethostname() or row["process"] == os.getpid():
        return False
    try:
        started: float = psutil.Process(row["process"]).create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
    return abs(started - float(row["process_started"])) > 1.0  # another process with the same number
