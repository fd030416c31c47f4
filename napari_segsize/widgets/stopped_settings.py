"""What Resume trains with: the settings of the stopped training, which may not be those that are shown."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_segsize.engine.config import FineTuneConfig, PretrainConfig
from napari_segsize.engine.option import settings, to_dict
from napari_segsize.widgets.sentence import Sentence
from napari_segsize.widgets.train_words import left_over

if TYPE_CHECKING:
    from napari_segsize.widgets.form import Form
    from napari_segsize.widgets.recipe_table import RecipeTable
    from napari_segsize.widgets.runs import Resume
    from napari_segsize.widgets.state import State

__all__ = ["StoppedSettings", "goes_on"]

_TOLD = ("recipe", "loss", "steps", "model", "learning_rate")
_TITLES = {
    field.name: field.metadata["title"].lower() or field.name.replace("_", " ")
    for config in (PretrainConfig, FineTuneConfig)
    for field in settings(config)
} | {"model": "network"}
_MOST = 3  # settings that are named in one sentence


class StoppedSettings(Sentence):
    """A line under Resume; it follows what is edited. Hidden while there is nothing to resume."""

    def __init__(
        self, pretrain: Form[PretrainConfig], finetune: Form[FineTuneConfig], loss: RecipeTable
    ) -> None:
        super().__init__("stopped-settings")
        self._pretrain, self._finetune, self._loss = pretrain, finetune, loss
        self._left: Resume | None = None
        for editor in (pretrain, finetune, loss):
            editor.changed.connect(self._say)
        self._say()

    def show_state(self, state: State) -> None:
        """Take over what can be resumed."""
        self._left = None if state.busy else left_over(state)
        self._say()

    def _say(self) -> None:
        said = "" if self._left is None else goes_on(self._left, self._shown(self._left.stage))
        self.setText(said)
        self.setVisible(bool(said))

    def _shown(self, stage: str) -> dict[str, object]:
        """Return the settings of a stage as they are on the page; nothing where they do not fit together."""
        try:
            config = self._pretrain.config() if stage == "pretrain" else self._finetune.config()
            return to_dict(replace(config, loss=self._loss.recipe()))
        except ValueError:
            return {}


def goes_on(left: Resume, shown: Mapping[str, object]) -> str:
    """Say what Resume trains with, and where the page shows something else.

    Parameters
    ----------
    left : Resume
    shown : mapping
        The settings of its stage as they are on the page; empty while they are not known.
    """
    config = left.config
    alone = config.get("recipe") == "paper"  # sizes, without a loss on masks
    told = [name for name in _TOLD if name in config and not (alone and name == "loss")]
    if not told:
        return ""
    text = f"Resume goes on with {', '.join(f'{_TITLES[name]} {_said(config[name])}' for name in told)}."
    other = [
        name
        for name in shown
        if name in config and name != "device" and _plain(shown[name]) != _plain(config[name])
    ]
    if not other:
        return text
    named = ", ".join(f"{_TITLES[name]} {_said(shown[name])}" for name in other[:_MOST])
    more = f" and {len(other) - _MOST} more" if len(other) > _MOST else ""
    return f"{text} <b>What this page shows instead ({named}{more}) counts only when you train anew.</b>"


def _plain(value: object) -> object:
    """Spaces in a recipe mean nothing."""
    return value.replace(" ", "") if isinstance(value, str) else value


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return html.escape(f"{value:g}" if isinstance(value, float) else str(value))
