from training.data.manifest import read_manifest
from training.data.manifest_table import write_table
from training.synthetic.cohort_manifest import MANIFEST_COLUMNS, manifest_cells
from training.synthetic.lesions import KINDS


def truth(organs, findings=(), phase="portal_venous"):
    found = [{"name": name, "lesion_ids": ids} for name, ids in findings]
    return {
        "organs_ml": dict.fromkeys(organs, 100.0), "findings": found, "phase": phase,
        "parameters": {"physique": {"sex": "female"}},
    }  # fmt: skip


def row(number=0, split="train"):
    return {
        "subject": f"p{number}", "study": "ct", "path": f"p{number}/image.nii.gz", "modality": "CT",
        "organs": "liver;heart", "labels": f"p{number}/organs.nii.gz", "lesions": f"p{number}/lesions.nii.gz",
        "split": split, "region": "torso", "text": "No ascites, no free air.",
    }  # fmt: skip


def test_a_finding_is_present_absent_or_not_assessable():
    cells = manifest_cells(row(), truth(["liver", "heart"], [("hepatic_cyst", [1, 2])]))
    assert cells["target.hepatic_cyst"] == 1
    assert cells["target.liver_metastases"] == 0
    assert cells["target.thyroid_nodule"] is None
    assert cells["target.healthy"] == 0
    assert cells["target.lesions"] == 2
    assert cells["target.sex"] == "female"


def test_a_phase_that_does_not_show_a_finding_tells_nothing_of_it():
    lungs = ["lung_upper_lobe_left"]
    assert manifest_cells(row(), truth(lungs, phase="native"))["target.pulmonary_embolism"] is None
    assert manifest_cells(row(), truth(lungs, phase="ctpa"))["target.pulmonary_embolism"] == 0


def test_every_kind_has_a_column_and_organs(tmp_path):
    everything = truth({organ for kind in KINDS.values() for organ in kind.organs})
    cells = manifest_cells(row(), everything)
    assert set(cells) == set(MANIFEST_COLUMNS)
    write_table(tmp_path / "manifest.csv", MANIFEST_COLUMNS, [cells, manifest_cells(row(1, "val"), truth(["liver"]))])
    manifest = read_manifest(tmp_path / "manifest.csv", files="none")
    assert set(KINDS) < set(manifest.targets)
    assert manifest.rows[0].targets["phase"] == "portal_venous"
    assert manifest.targets["hepatic_cyst"].categories == ()
    assert manifest.rows[1].organs == ("liver", "heart")
