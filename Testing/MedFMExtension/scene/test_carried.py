"""A result is read back from a scene that was saved and opened again, without the folder that it came from."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import scene_brains

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

import scene_offscreen
from MedFMLib.brain_maps import brain_maps
from MedFMLib.findings_table import FindingsTable
from MedFMLib.results import read_result
from MedFMLib.scene import FINDINGS, ORGANS, SALIENCY, SlicerScene
from MedFMLib.scene_errors import SceneError

FINDING = "renal_mass", "kidney_left"


def reopen(case, tmp_path):
    """Save, close and open the scene; the folder of the result is gone."""
    bundle = tmp_path / "scene.mrb"
    scene_offscreen.save_bundle(case.scene, bundle)
    case.bridge.close()
    case.scene.Clear(False)
    shutil.rmtree(case.folder)
    assert case.scene.ReadFromMRB(str(bundle), True)
    return SlicerScene(case.scene)


def listed(result):
    table = FindingsTable()
    table.show(result)
    table.set_states({"present", "uncertain", "absent", "not_assessable"})
    return table.groups()


def without_maps(groups):
    return [(g.title, g.note, [replace(row, saliency=None) for row in g.rows]) for g in groups]


def test_findings_are_listed_as_they_were(case, tmp_path):
    exact = replace(case.result.findings[0], score=0.45491, spread=(0.1234567, 0.95), size_mm=21.25)
    told = replace(case.result, findings=(exact, case.result.findings[1]), warnings=('The "body"; cut: 5 % <é>.',))
    case.bridge.import_result(case.volume, told)
    view = case.space.slice_view(case.volume)
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    assert case.bridge.shown_map(case.volume) == case.map.name
    bridge = reopen(case, tmp_path)
    volume = case.scene.GetFirstNodeByName("CT")
    found = bridge.carried(volume)
    assert found.scans == {}
    assert found.result.findings == told.findings
    assert found.result.warnings == told.warnings
    assert found.result.report is None
    assert without_maps(listed(found.result)) == without_maps(listed(told))
    assert found.result.centre_of("kidney_left") == pytest.approx(told.centre_of("kidney_left"))
    assert found.result.title_of("spleen") == "Spleen"  # which the scan does not show
    assert bridge.shown_map(volume) == case.map.name
    bridge.hide_saliency()
    bridge.show_saliency(volume, found.result.saliency[FINDING], "Renal mass")
    assert bridge.saliency is not None
    bridge.close()
    assert view is not None


def test_only_maps_that_were_shown_are_there_and_one_that_was_removed_is_said(case):
    case.bridge.import_result(case.volume, case.result)
    assert case.bridge.carried(case.volume).result.saliency == {}
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    kept = case.bridge.carried(case.volume).result.saliency[FINDING]
    case.scene.RemoveNode(case.volume.GetNodeReference(SALIENCY))
    with pytest.raises(SceneError, match="no longer in the scene; open the folder"):
        case.bridge.show_saliency(case.volume, kept, "Renal mass")


def test_what_carries_nothing_gives_nothing(case):
    assert case.bridge.carried(case.volume) is None
    case.bridge.import_result(case.volume, case.result)
    case.bridge.remove_result(case.volume)
    assert case.bridge.carried(case.volume) is None


def test_a_result_without_findings_is_known_by_its_organs(case):
    case.bridge.import_result(case.volume, replace(case.result, findings=()))
    found = case.bridge.carried(case.volume).result
    assert (found.findings, found.structures["liver"].state) == ((), "present")


def test_the_scene_of_an_older_release_still_lists_its_findings(case):
    case.bridge.import_result(case.volume, case.result)
    case.volume.GetNodeReference(ORGANS).RemoveAttribute("MedFM.Result")
    table = case.volume.GetNodeReference(FINDINGS)
    for name in ("Exact score", "Side", "Absent below", "Highest score", "Exact present from"):
        table.RemoveColumn(table.GetColumnIndex(name))
    first = case.bridge.carried(case.volume).result.findings[0]
    assert (first.name, first.score, first.present_from, first.spread, first.side) == (
        "renal_mass",
        0.81,
        0.5,
        None,
        "",
    )


@pytest.mark.parametrize("damage", ["column", "state", "words", "structure"])
def test_nodes_that_do_not_fit_each_other_are_told(case, damage):
    case.bridge.import_result(case.volume, case.result)
    organs, table = case.volume.GetNodeReference(ORGANS), case.volume.GetNodeReference(FINDINGS)
    table.SetLocked(False)
    if damage == "column":
        table.RemoveColumn(table.GetColumnIndex("Name"))
    elif damage == "state":
        table.SetCellText(0, table.GetColumnIndex("State"), "perhaps")
    else:
        organs.SetAttribute(
            "MedFM.Result", "{" if damage == "words" else '{"warnings": [], "structures": {"liver": 1}}'
        )
    with pytest.raises(SceneError, match=r"cannot be read .* open its folder, or analyse the scan anew"):
        case.bridge.carried(case.volume)


def test_scans_of_one_study_find_each_other(space, tmp_path):
    from types import SimpleNamespace

    names = ("T1w", "FLAIR")
    folder = scene_brains.write_result(tmp_path / "result", names)
    volumes = {
        name: space.volume(scene_brains.phantom(name)[0].transpose(2, 1, 0), scene_brains.affine_of(name), name)
        for name in names
    }
    alone = space.volume(scene_brains.phantom("T1w")[0].transpose(2, 1, 0), scene_brains.affine_of("T1w"), "other")
    bridge, result = SlicerScene(space.scene), read_result(folder)
    bridge.import_brain(volumes, result)
    other = read_result(scene_brains.write_result(tmp_path / "other", ("T1w",)))
    bridge.import_brain({"T1w": alone}, replace(other, warnings=()))
    for one in brain_maps(result)[:1] + brain_maps(result)[-1:]:
        show = bridge.show_saliency if one.kind == "saliency" else bridge.show_routing
        show(volumes[one.scan], one.path, one.title)
    case = SimpleNamespace(scene=space.scene, bridge=bridge, folder=folder)
    bridge = reopen(case, tmp_path)
    volume = space.scene.GetFirstNodeByName("FLAIR")
    found = bridge.carried(volume)
    assert {name: node.GetName() for name, node in found.scans.items()} == {"T1w": "T1w", "FLAIR": "FLAIR"}
    assert [one.key for one in brain_maps(found.result)] == ["saliency T1w", "routing FLAIR 3"]
    assert found.result.warnings == result.warnings
    assert bridge.shown_map(volume) == "routing_FLAIR_block3.nii.gz"
    assert bridge.shown_map(found.scans["T1w"]) == ""
    assert list(bridge.carried(space.scene.GetFirstNodeByName("other")).scans) == ["T1w"]
    bridge.close()
