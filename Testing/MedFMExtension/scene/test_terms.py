"""SNOMED CT codes on segments, as Slicer's lists and its DICOM export read them."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import scene_results
from MedFMLib.results import read_result

pytest.importorskip("slicer", reason="needs slicer-core: pip install 'medfm[slicer]'")

import slicer
from MedFMLib.scene_terms import terminology


@pytest.fixture
def labels(case):
    return {label.name: label for label in case.result.labels}


def test_a_lesion_names_the_region_that_the_side_belongs_to(labels):
    assert terminology(labels["kidney_cyst_left"]) == (
        "Segmentation category and type - DICOM master list"
        "~SCT^49755003^Morphologically Altered Structure~SCT^367643001^Cyst~^^"
        "~Anatomic codes - DICOM master list~SCT^64033007^Kidney~SCT^7771000^Left|"
    )


def test_what_has_no_code_is_tissue(labels):
    assert "~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~" in terminology(labels["shoulder_girdle"])


def test_slicer_reads_what_we_write(labels):
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    for label in labels.values():
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(terminology(label), entry)
        assert entry.GetTypeObject().GetCodeValue() == (label.code.get("value") or "85756007")


def test_every_category_is_one_of_slicers(labels):
    package = pytest.importorskip("trame_slicer", reason="needs Slicer's lists, which trame-slicer carries")
    folder = resources.files(package.__name__) / "resources" / "terminologies"
    lists = json.loads((folder / "SegmentationCategoryTypeModifier-DICOM-Master.term.json").read_text())
    known = {entry["CodeValue"]: entry["CodeMeaning"] for entry in lists["SegmentationCodes"]["Category"]}
    for label in labels.values():
        _, value, meaning = terminology(label).split("~")[1].split("^")
        assert known[value] == meaning


def test_results_without_regions_are_read_too(tmp_path, case):
    table = json.loads((case.folder / "segmentation.json").read_text())
    for entry in table["labels"]:
        del entry["region"], entry["category"]
    (case.folder / "segmentation.json").write_text(json.dumps(table))
    liver = next(label for label in read_result(case.folder).labels if label.name == "liver")
    assert "~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~" in terminology(liver)
    assert scene_results.IDS["liver"] == liver.value
