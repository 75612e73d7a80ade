"""A folder of results becomes nodes that say what they are and lie where the scan lies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scene_results

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

import scene_offscreen
import slicer
import vtk
from MedFMLib.results import read_result
from MedFMLib.scene import SALIENCY, SlicerScene
from MedFMLib.scene_errors import SceneError
from MedFMLib.scene_nodes import from_vtk, ijk_to_ras, nodes
from vtkmodules.util.numpy_support import vtk_to_numpy


def tag(segment, name: str) -> str:
    value = vtk.reference("")
    segment.GetTag(name, value)
    return str(value)


def label_image(node):
    segmentation = node.GetSegmentation()
    image = segmentation.GetNthSegment(0).GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]), from_vtk(matrix)


def segments(node) -> dict:
    found = node.GetSegmentation()
    return {found.GetNthSegmentID(i): found.GetNthSegment(i) for i in range(found.GetNumberOfSegments())}


def test_segments_have_names_colours_codes_and_say_that_a_program_drew_them(case):
    case.bridge.import_result(case.volume, case.result)
    found = segments(case.bridge.segmentation(case.volume))
    assert list(found) == ["liver", "kidney_right", "kidney_left"]  # what the map does not show is no empty segment
    left = found["kidney_left"]
    assert left.GetName() == "Left kidney"
    assert np.allclose(np.array(left.GetColor()) * 255, scene_results.COLOURS["kidney_left"])
    term = tag(left, slicer.vtkSegment.GetTerminologyEntryTagName())
    assert "~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~" in term
    assert tag(left, "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    assert tag(left, "DICOM.SegmentAlgorithmName") == "MedFM organ-segmenter-tiny.v2"


def test_voxels_and_geometry_are_those_of_the_scan(case):
    case.bridge.import_result(case.volume, case.result)
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    voxels, matrix = label_image(case.bridge.segmentation(case.volume))
    assert np.array_equal(voxels, case.labels.transpose(2, 1, 0))
    assert np.array_equal(matrix, case.affine)
    heat = case.volume.GetNodeReference(SALIENCY)
    assert np.array_equal(ijk_to_ras(heat), case.affine)
    stored = vtk_to_numpy(heat.GetImageData().GetPointData().GetScalars()).reshape(case.heat.shape[::-1])
    assert np.array_equal(stored, case.heat.transpose(2, 1, 0))


def test_everything_lies_below_the_volume_and_under_its_transform(case):
    transform = case.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    case.volume.SetAndObserveTransformNodeID(transform.GetID())
    case.bridge.import_result(case.volume, case.result, {"Run": "7"})
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(case.scene)
    above = hierarchy.GetItemByDataNode(case.volume)
    made = [
        case.bridge.segmentation(case.volume),
        case.bridge.findings(case.volume),
        case.volume.GetNodeReference(SALIENCY),
    ]
    for node in made:
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == above
        assert node.GetAttribute("MedFM.Model") == "organ-segmenter-tiny.v2"
        if node.IsA("vtkMRMLTransformableNode"):
            assert node.GetTransformNodeID() == transform.GetID()
    assert made[0].GetAttribute("MedFM.Run") == "7"


def test_findings_are_a_table(case):
    case.bridge.import_result(case.volume, case.result)
    table = case.bridge.findings(case.volume)
    rows = [[table.GetCellText(row, column) for column in range(6)] for row in range(table.GetNumberOfRows())]
    assert rows == [
        ["Left kidney", "Renal mass", "present", "0.810", "0.500", ""],
        ["Liver", "Hepatic steatosis", "absent", "0.040", "0.500", "Half, a remark; with marks."],
    ]


def test_a_second_result_takes_the_place_of_the_first(case):
    for _ in range(2):
        case.bridge.import_result(case.volume, case.result)
        case.bridge.show_saliency(case.volume, case.map, "Renal mass")
        case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    kinds = ("vtkMRMLSegmentationNode", "vtkMRMLTableNode", "vtkMRMLScalarVolumeNode")
    assert [len(nodes(case.scene, kind)) for kind in kinds] == [1, 1, 2]
    case.bridge.remove_result(case.volume)
    assert [len(nodes(case.scene, kind)) for kind in kinds] == [0, 0, 1]
    assert case.bridge.segmentation(case.volume) is None


def test_a_result_of_the_same_voxels_in_another_order_fits(case):
    turned = case.labels[::-1].transpose(1, 0, 2)
    affine = case.affine.copy()
    affine[:3, 3] += (case.labels.shape[0] - 1) * affine[:3, 0]
    affine[:3, 0] *= -1
    affine[:, [0, 1]] = affine[:, [1, 0]]
    folder = scene_results.write_result(case.folder.parent / "turned", np.ascontiguousarray(turned), affine)
    case.bridge.import_result(case.volume, read_result(folder))
    voxels, matrix = label_image(case.bridge.segmentation(case.volume))
    assert np.array_equal(voxels, case.labels.transpose(2, 1, 0))
    assert np.array_equal(matrix, case.affine)


@pytest.mark.parametrize("change", ["shift", "spacing", "shape"])
def test_the_result_of_another_scan_is_refused_and_leaves_nothing(case, change):
    affine, labels = case.affine.copy(), case.labels
    if change == "shift":
        affine[0, 3] += 2.0
    elif change == "spacing":
        affine[:3, :3] *= 1.01
    else:
        labels = np.ascontiguousarray(labels[:-1])
    folder = scene_results.write_result(case.folder.parent / "other", labels, affine)
    with pytest.raises(SceneError, match="another scan"):
        case.bridge.import_result(case.volume, read_result(folder))
    assert not nodes(case.scene, "vtkMRMLSegmentationNode")


@pytest.mark.parametrize("damage", ["cut", "gone", "noise", "structure"])
def test_a_damaged_result_is_refused_and_leaves_nothing(case, damage):
    path = case.folder / "segmentation.nii.gz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "gone":
        path.unlink()
    elif damage == "noise":
        path.write_bytes(b"\x1f\x8b\x08\0no gzip at all")
    else:
        manifest = json.loads((case.folder / "analysis.json").read_text())
        del manifest["structures"]["liver"]
        (case.folder / "analysis.json").write_text(json.dumps(manifest))
    with pytest.raises(SceneError, match=r"segmentation\.nii\.gz|damaged"):
        case.bridge.import_result(case.volume, read_result(case.folder))
    assert not nodes(case.scene, "vtkMRMLSegmentationNode")
    assert not nodes(case.scene, "vtkMRMLTableNode")


def test_a_volume_that_is_gone_is_refused(case):
    case.scene.RemoveNode(case.volume)
    assert not case.bridge.is_alive(case.volume)
    with pytest.raises(SceneError, match="no longer in the scene"):
        case.bridge.import_result(case.volume, case.result)
    with pytest.raises(SceneError, match="no longer in the scene"):
        case.bridge.export(case.volume, "nowhere")


def test_the_volume_is_written_with_its_voxels_and_position(case, tmp_path):
    modified = case.volume.GetModifiedSinceRead()
    path = case.bridge.export(case.volume, str(tmp_path))
    assert case.volume.GetStorageNode() is None
    assert case.volume.GetModifiedSinceRead() == modified
    copy = case.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "copy")
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(path)
    assert storage.ReadData(copy)
    assert np.allclose(ijk_to_ras(copy), case.affine, atol=1e-9)
    facts = case.bridge.facts(case.volume)
    assert (facts.shape, facts.spacing_mm, facts.voxel_bytes, facts.frames) == ((40, 36, 24), (4.0, 4.0, 6.0), 2, 1)
    assert not facts.is_labels
    assert not facts.has_result
    with pytest.raises(SceneError, match="could not be written"):
        case.bridge.export(case.volume, str(tmp_path / "missing"))


def test_the_modality_is_that_of_the_series(case):
    assert case.bridge.facts(case.volume).modality == ""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(case.scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), case.volume)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert case.bridge.facts(case.volume).modality == "MR"


def test_a_scene_comes_back_from_a_file(case, tmp_path):
    view = case.space.slice_view(case.volume)
    case.bridge.import_result(case.volume, case.result)
    case.bridge.show_saliency(case.volume, case.map, "Renal mass")
    bundle = str(tmp_path / "scene.mrb")
    scene_offscreen.save_bundle(case.scene, bundle)
    case.bridge.close()
    case.scene.Clear(False)
    assert case.scene.ReadFromMRB(bundle, True)
    volume = case.scene.GetFirstNodeByName("CT")
    again = SlicerScene(case.scene)
    found = segments(again.segmentation(volume))
    assert [segment.GetName() for segment in found.values()] == ["Liver", "Right kidney", "Left kidney"]
    assert np.allclose(np.array(found["liver"].GetColor()) * 255, scene_results.COLOURS["liver"], atol=0.6)
    assert "SCT^64033007^Kidney~SCT^7771000^Left" in tag(found["kidney_left"], "TerminologyEntry")
    assert tag(found["liver"], "DICOM.SegmentAlgorithmType") == "AUTOMATIC"
    assert again.segmentation(volume).GetNodeReference("referenceImageGeometryRef") is volume
    assert again.findings(volume).GetCellText(1, 5) == "Half, a remark; with marks."
    heat = volume.GetNodeReference(SALIENCY)
    assert np.allclose(ijk_to_ras(heat), case.affine)
    assert heat.GetDisplayNode().GetColorNode().GetName() == "MedFM saliency"
    palest = heat.GetDisplayNode().GetColorNode().GetLookupTable().GetTableValue(255)
    assert np.allclose(np.array(palest[:3]) * 255, (253, 240, 166), atol=1)
    assert again.saliency is heat  # shown when it was saved, so shown now, and it can be hidden
    again.hide_saliency()
    composite = case.scene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetForegroundVolumeID() is None
    assert composite.GetBackgroundVolumeID() == volume.GetID()
    again.close()
    assert view is not None
