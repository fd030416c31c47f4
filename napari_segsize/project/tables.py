"""The tables of a project file, at schema version `SCHEMA_VERSION`; `migrations` leads there."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    event,
)

__all__ = [
    "SCHEMA_VERSION",
    "change",
    "image",
    "item",
    "labels",
    "meta",
    "metadata",
    "model",
    "outline",
    "session",
    "step",
]

SCHEMA_VERSION = 4
"""2: images carry `warnings` and the file's size and time; sizes carry what was entered, and its unit.
3: contours. 4: of a mask, only the box that holds its labels is stored."""

metadata = MetaData()

meta = Table(
    "meta", metadata, Column("key", String, primary_key=True), Column("value", String, nullable=False)
)

image = Table(
    "image",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("path", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("planes", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("dtype", String, nullable=False),
    Column("spacing_z", Float, nullable=False),
    Column("spacing_y", Float, nullable=False),
    Column("spacing_x", Float, nullable=False),
    Column("unit", String, nullable=False),
    Column("group", String, nullable=False),
    Column("split", String, nullable=False),
    Column("rgb", Boolean, nullable=False),
    Column("removed", Boolean, nullable=False, default=False),  # its annotations stay, for when it comes back
    Column("warnings", String, nullable=False, server_default="[]"),  # JSON list
    Column("file_bytes", Integer, nullable=False, server_default="-1"),  # -1: look again
    Column("file_time", Integer, nullable=False, server_default="-1"),  # nanoseconds
    sqlite_autoincrement=True,
)

session = Table(
    "session",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("process", Integer, nullable=False),
    Column("process_started", Float, nullable=False),  # a process number alone is used again
    Column("ended", Float),
)

# `step` and `change` only ever grow; `item` is where they have led to.
step = Table(
    "step",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session", String, ForeignKey("session.id"), nullable=False),
    Column(
        "kind", String, nullable=False
    ),  # "do", "undo", "redo", or "project": not an annotation, not undone
    Column("label", String, nullable=False),
    Column("reverts", Integer, ForeignKey("step.id")),
    Column("created", Float, nullable=False),
    sqlite_autoincrement=True,
)

labels = Table(  # masks, see `packing`
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

outline = Table(  # rings of contours, see `rings.packed`
    "outline",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

change = Table(
    "change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("step_id", Integer, ForeignKey("step.id"), nullable=False, index=True),
    Column("image_id", Integer, ForeignKey("image.id"), nullable=False),
    Column("slice", Integer, nullable=False),
    Column("kind", String, nullable=False),  # "stamp", "contour", "mask", "no_object", "skip"
    Column("object", String, nullable=False),  # of a stamp or contour; "" otherwise
    Column("present", Boolean, nullable=False),  # False: deleted
    Column("size", Float),
    Column("y", Float),
    Column("x", Float),
    Column("labels_id", Integer, ForeignKey("labels.id")),
    Column("before", Integer, ForeignKey("change.id")),  # what an undo goes back to
    Column(
        "origin", Integer
    ),  # which change an undo or redo says again; 0: none; NULL: it says something new
    Column("entered", Float),
    Column("unit", String),
    Column("points", LargeBinary),  # float64 pairs (y, x): 16 bytes a point
    Column("outline_id", Integer, ForeignKey("outline.id")),
    Column("source", String),
    sqlite_autoincrement=True,
)

item = Table(
    "item",
    metadata,
    Column("image_id", Integer, ForeignKey("image.id"), primary_key=True),
    Column("slice", Integer, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("present", Boolean, nullable=False),
    Column("change_id", Integer, ForeignKey("change.id"), nullable=False),
    Column("first_id", Integer, nullable=False),  # the order in which things were first said
    sqlite_with_rowid=False,
)

model = Table(
    "model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("metrics", String, nullable=False),  # JSON
    Column("config", String, nullable=False),  # JSON
    Column("created", Float, nullable=False),
    Column("promoted", Integer),  # the step that promoted it; the highest one is the current model
    sqlite_autoincrement=True,
)

Index("item_present", item.c.present, item.c.kind)

for _table in (step, change, labels, outline):  # history is not rewritten, by no version of this program
    for _verb in ("UPDATE", "DELETE"):
        event.listen(
            _table,
            "after_create",
            DDL(  # type: ignore[no-untyped-call]
                f"CREATE TRIGGER {_table.name}_keeps_{_verb.lower()} BEFORE {_verb} ON {_table.name} "
                "BEGIN SELECT RAISE(ABORT, 'the history of a project only grows'); END"
            ).execute_if(dialect="sqlite"),
        )
