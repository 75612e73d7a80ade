"""Maps of brain MRI over their scans: where they lie, what is seen, and what is left afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import scene_brains
from scene_brains import COLOURS, affine_of, phantom


@pytest.fixture
def study(space, tmp_path):
    from types import SimpleNamespace

    from MedFMLib.results import read_result
    from MedFMLib.scene import SlicerScene

    names = ("T1w", "FLAIR")
    folder = scene_brains.write_result(tmp_path / "result", names)
    volumes = {name: space.volume(phantom(name)[0].transpose(2, 1, 0), affine_of(name), name) for name in names}
    bridge = SlicerScene(space.scene)
    yield SimpleNamespace(
        space=space, scene=space.scene, bridge=bridge, volumes=volumes, folder=folder, result=read_result(folder)
    )
    bridge.close()


def near(picture, colour, reach=30):
    return (np.abs(picture.astype(int) - colour).max(-1) < reach).sum()


def test_the_result_is_read(study):
    assert study.result.is_brain
    assert [scan.name for scan in study.result.scans] == ["T1w", "FLAIR"]
    assert [label.title for label in study.result.labels] == [f"Expert {n}" for n in range(4)]
    assert study.result.scans[1].routing == {3: study.folder / "routing_FLAIR_block3.nii.gz"}
    assert study.result.warnings == ("T1w: the skull is still there.",)


def test_saliency_and_experts_are_seen_where_they_are_one_at_a_time(study):
    scene, bridge, volume = study.scene, study.bridge, study.volumes["T1w"]
    bridge.import_brain(study.volumes, study.result, {"Device": "cpu"})
    assert volume.GetAttribute("MedFM.Model") == "brain.v1"
    assert bridge.facts(volume).has_result
    view = study.space.slice_view(study.volumes["FLAIR"])
    before = view.picture()

    bridge.show_saliency(volume, study.folder / "saliency_T1w.nii.gz", "Saliency of T1w")
    assert view.composite.GetBackgroundVolumeID() == volume.GetID()
    bridge.centre_on((-30, 30, 0))
    picture = view.picture()
    row, column = view.pixel_of((-30, 30, 0))
    red, _, blue = picture[row, column].astype(int)
    assert red > 150
    assert red - blue > 40
    mirrored = picture[view.pixel_of((30, 30, 0))].astype(int)
    assert mirrored.max() - mirrored.min() < 10  # left is left

    bridge.show_routing(volume, study.folder / "routing_T1w_block3.nii.gz", "Experts of block 3, T1w")
    assert bridge.saliency is None
    bridge.set_saliency_opacity(1.0)
    picture = view.picture()
    for point, colour in (((30, 30, 0), COLOURS[0]), ((-30, 30, 0), COLOURS[1])):
        assert np.abs(picture[view.pixel_of(point)].astype(int) - colour).max() < 30
    segmentation = bridge.routing.GetSegmentation()
    assert [segmentation.GetNthSegment(n).GetName() for n in range(2)] == ["Expert 0", "Expert 1"]
    assert segmentation.GetNumberOfSegments() == 2

    bridge.show_saliency(volume, study.folder / "saliency_T1w.nii.gz", "Saliency of T1w")
    assert bridge.routing is None
    bridge.hide_saliency()
    assert view.composite.GetBackgroundVolumeID() == study.volumes["FLAIR"].GetID()
    bridge.centre_on((0, 0, 0))
    assert near(view.picture(), COLOURS[0]) == 0
    assert view.picture().shape == before.shape
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1  # kept for the next time


def test_the_map_of_another_scan_is_refused_and_nothing_is_left(study):
    from MedFMLib.scene_errors import SceneError

    swapped = dict(zip(study.volumes, reversed(study.volumes.values()), strict=True))
    with pytest.raises(SceneError, match="another scan"):
        study.bridge.import_brain(swapped, study.result, {})
    assert study.volumes["T1w"].GetAttribute("MedFM.Model") is None
    study.bridge.import_brain(study.volumes, study.result, {})
    with pytest.raises(SceneError, match="another scan"):
        study.bridge.show_routing(study.volumes["FLAIR"], study.folder / "routing_T1w_block3.nii.gz", "x")
    assert study.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_new_result_takes_the_maps_of_the_old_one_away(study):
    volume = study.volumes["T1w"]
    study.bridge.import_brain(study.volumes, study.result, {})
    view = study.space.slice_view(volume)
    study.bridge.show_routing(volume, study.folder / "routing_T1w_block3.nii.gz", "Experts")
    study.bridge.show_saliency(volume, study.folder / "saliency_T1w.nii.gz", "Saliency")
    study.bridge.import_brain({"T1w": volume}, study.result, {})
    assert study.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert study.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
    assert view.composite.GetForegroundVolumeID() is None
    study.bridge.remove_result(volume)
    assert not study.bridge.facts(volume).has_result


def test_the_views_come_back_when_the_volume_below_a_map_of_experts_goes(study):
    volume = study.volumes["T1w"]
    study.bridge.import_brain(study.volumes, study.result, {})
    view = study.space.slice_view(study.volumes["FLAIR"])
    study.bridge.show_routing(volume, study.folder / "routing_T1w_block3.nii.gz", "Experts")
    study.scene.RemoveNode(volume)
    assert study.bridge.routing is None
    assert view.composite.GetBackgroundVolumeID() == study.volumes["FLAIR"].GetID()
