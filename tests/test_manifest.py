"""The manifest as napari sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from npe2.io_utils import read

import napari_segsize
from napari_segsize.engine.config import FineTuneConfig, PretrainConfig

PLUGIN = "napari-segsize"
MANIFEST = Path(napari_segsize.__file__).parent / "napari.yaml"


@pytest.fixture
def manager(npe2pm: PluginManager) -> Iterator[PluginManager]:
    """Stand in for napari's plugin manager, with only this plugin in it."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_distribution(PLUGIN)):
        yield npe2pm


def test_it_is_found_by_its_entry_point():
    manifest = PluginManifest.from_distribution(PLUGIN)
    assert manifest.package_version == napari_segsize.__version__
    assert manifest.display_name == "Segsize"


def test_every_python_name_can_be_imported():
    PluginManifest.from_file(MANIFEST).validate_imports()


def test_the_link_at_the_top_is_the_file_in_the_package():
    link = Path(__file__).parents[1] / "napari.yaml"
    assert link.is_symlink() or sys.platform == "win32"  # git writes links as text there
    if link.is_symlink():
        assert link.resolve() == MANIFEST.resolve()


def test_menus_offer_only_declared_commands(manager: PluginManager):
    contributions = manager.get_manifest(PLUGIN).contributions
    declared = {command.id for command in contributions.commands}
    offered = {item.command for items in contributions.menus.values() for item in items}
    assert offered <= declared
    assert "napari-segsize.open" in offered


def test_sample_data_makes_layers(manager: PluginManager):
    samples = {sample.key: sample for sample in manager.get_manifest(PLUGIN).contributions.sample_data}
    assert set(samples) == {"hippocampus", "shapes"}
    for sample in samples.values():
        assert [kind for *_, kind in sample.open()] == ["image", "labels"]


def test_preferences_have_the_defaults_of_the_configs(manager: PluginManager):
    settings = manager.get_manifest(PLUGIN).contributions.configurations
    device = settings["train"].properties["device"]
    assert device.default == PretrainConfig().device == FineTuneConfig().device
    assert set(settings) == {"train", "project"}


@pytest.mark.parametrize("name", ["sizes.csv", "run3_sizes.csv", "a.segsize", "A.SEGSIZE"])
def test_files_of_ours_are_offered_to_the_reader(manager: PluginManager, name: str):
    offered = {reader.command for reader in manager.iter_compatible_readers([name])}
    assert "napari-segsize.read" in offered


@pytest.mark.parametrize("name", ["table.csv", "photo.tif"])
def test_files_of_others_are_not(manager: PluginManager, name: str):
    offered = {reader.command for reader in manager.iter_compatible_readers([name])}
    assert "napari-segsize.read" not in offered


def test_a_csv_is_read_through_npe2(manager: PluginManager, tmp_path: Path):
    file = tmp_path / "sizes.csv"
    file.write_text("image,slice,object,y,x,size,unit\nbrain,2,a,10,12,8,px\n", encoding="utf-8")
    ((data, _, kind),) = read([str(file)], stack=False, plugin_name=PLUGIN)
    assert kind == "points"
    assert np.array_equal(data, [[2, 10, 12]])
