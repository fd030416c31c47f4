"""The networks of a project: rows that say what each file is, and which one is in use."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, insert, select, update

from napari_segsize.errors import SegsizeError
from napari_segsize.project import tables
from napari_segsize.project.annotation import ModelRecord

if TYPE_CHECKING:
    from napari_segsize.project.history import History
    from napari_segsize.project.store import Store

__all__ = ["ModelKind", "Trained", "kind_of"]

ModelKind = Literal["pixels", "contours", "levelsets", "edges", "alignment"]
"""What a network makes. A project has one in use of each kind."""
_KINDS: dict[str, ModelKind] = {"levelset": "levelsets", "edges": "edges", "alignment": "alignment"}


def kind_of(stage: str) -> ModelKind:
    """The kind of network that a stage trains."""
    if stage.startswith("contour"):
        return "contours"
    return _KINDS.get(stage, "pixels")


class Trained:
    """The table of models; the files lie in the project's models folder."""

    def __init__(self, store: Store, history: History, folder: Path) -> None:
        self._store, self._history, self._folder = store, history, folder

    def add(
        self, path: Path, *, stage: str, metrics: Mapping[str, float], config: Mapping[str, object]
    ) -> ModelRecord:
        """Tell the project about a file that is complete on the disk."""
        file = path if path.is_absolute() else self._folder / path
        if not file.is_file():
            raise SegsizeError(f"{file} is not there, so it cannot become a model: save it first.")
        stored = (
            file.relative_to(self._folder).as_posix()
            if file.is_relative_to(self._folder)
            else file.as_posix()
        )
        row = {
            "path": stored, "stage": stage, "metrics": json.dumps(dict(metrics)),
            "config": json.dumps(dict(config)), "created": time.time(),
        }  # fmt: skip
        with self._history.step(f"Model of {stage}", kind="project") as step:
            step.touch()
            key = step.connection.execute(insert(tables.model).values(row)).inserted_primary_key
            assert key is not None
        return self.get(int(key[0]))

    def all(self) -> tuple[ModelRecord, ...]:
        """Every model, oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(select(tables.model).order_by(tables.model.c.id)).mappings().all()
        last: dict[ModelKind, int] = {}
        for row in rows:
            if row["promoted"] is not None:
                kind = kind_of(row["stage"])
                last[kind] = max(row["promoted"], last.get(kind, row["promoted"]))
        return tuple(self._record(row, last.get(kind_of(row["stage"]))) for row in rows)

    def get(self, model_id: int) -> ModelRecord:
        """One model."""
        for record in self.all():
            if record.id == model_id:
                return record
        raise SegsizeError(f"The project has no model number {model_id}: choose one of its list.")

    def promote(self, model_id: int) -> None:
        """Let predictions be made with this one from now on; the others stay."""
        with self._history.step(f"Model {model_id} is in use", kind="project") as step:
            number = step.touch()
            found = step.connection.scalar(select(func.count()).where(tables.model.c.id == model_id))
            if not found:
                raise SegsizeError(f"The project has no model number {model_id}: choose one of its list.")
            where = tables.model.c.id == model_id
            step.connection.execute(update(tables.model).where(where).values(promoted=number))

    def retire(self, kind: ModelKind) -> None:
        """Let none of a kind be in use; they stay, and can be promoted again."""
        with self._history.step(f"No model for {kind} is in use", kind="project") as step:
            step.touch()
            stages = step.connection.scalars(select(tables.model.c.stage).distinct())
            own = [stage for stage in stages if kind_of(stage) == kind]
            where = tables.model.c.stage.in_(own)
            step.connection.execute(update(tables.model).where(where).values(promoted=None))

    def current(self, kind: ModelKind) -> ModelRecord | None:
        """The one of a kind in use."""
        return next(
            (record for record in self.all() if record.promoted and kind_of(record.stage) == kind), None
        )

    def _record(self, row: Mapping[Any, Any], last: int | None) -> ModelRecord:
        return ModelRecord(
            id=row["id"], path=self._folder / row["path"], stage=row["stage"],
            metrics=json.loads(row["metrics"]), config=json.loads(row["config"]),
            created=row["created"], promoted=last is not None and row["promoted"] == last,
        )  # fmt: skip
