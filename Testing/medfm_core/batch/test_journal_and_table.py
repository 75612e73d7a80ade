"""When a result counts as finished, and what the cohort table holds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import fake_findings
import fake_organs
import pytest

from medfm_core import segmentation
from medfm_core.analysis import Options
from medfm_core.batch.cases import Case
from medfm_core.batch.journal import JOURNAL, Journal, is_same_scan, matching_manifest, stamp_of
from medfm_core.batch.table import DONE, FAILED, Row, values_of, write_table
from medfm_core.card_library import default_card
from medfm_core.pipeline import analyze

OPTIONS = Options(saliency=("none",))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A folder of results with findings, its two cards, and the scan."""
    folder = tmp_path_factory.mktemp("journal")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "resources").mkdir()
        fake_organs.install(folder / "resources", patch.setenv)
        patch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
        fake_findings.make(folder / "resources" / "cards")
        ct = fake_organs.save_ct(folder / "ct.nii.gz")
        analyze(ct, folder / "case", OPTIONS)
        yield folder / "case", default_card("organ_segmentation"), default_card("findings"), ct


def test_a_result_counts_only_for_its_own_models_options_and_files(result, tmp_path):
    folder, card, findings_card, _ = result
    manifest = matching_manifest(folder, OPTIONS, card, findings_card)
    assert manifest is not None
    assert matching_manifest(folder, replace(OPTIONS, device="cpu", threads=1, findings=True), card, findings_card)
    for options in (replace(OPTIONS, organs=("liver",)), replace(OPTIONS, hu_offset=1.0), Options()):
        assert matching_manifest(folder, options, card, findings_card) is None
    assert matching_manifest(folder, OPTIONS, replace(card, limits=("other",)), findings_card) is None
    assert matching_manifest(folder, OPTIONS, card, None) is None
    assert matching_manifest(tmp_path, OPTIONS, card, findings_card) is None
    assert is_same_scan(manifest, manifest["input"])
    for name, value in (("voxels_sha256", "0"), ("shape", [1, 2, 3]), ("affine_ras", [])):
        assert not is_same_scan(manifest, {**manifest["input"], name: value})
    table = folder / "measurements.csv"
    whole = table.read_bytes()
    table.write_bytes(whole + b"\n")
    assert matching_manifest(folder, OPTIONS, card, findings_card) is None
    table.write_bytes(whole)


def test_a_stamp_changes_with_the_files(tmp_path):
    path = tmp_path / "ct.nii"
    case = Case("ct", path)
    assert stamp_of(case) is None
    path.write_bytes(b"1")
    first = stamp_of(case)
    path.write_bytes(b"22")
    assert None not in (first, stamp_of(case))
    assert stamp_of(case) != first
    (tmp_path / "dicom").mkdir()
    assert stamp_of(Case("d", tmp_path / "dicom")) is None
    (tmp_path / "dicom" / "a").write_bytes(b"1")
    assert stamp_of(Case("d", tmp_path / "dicom"))
    (tmp_path / "ct.mhd").write_bytes(b"header")
    assert stamp_of(Case("m", tmp_path / "ct.mhd")) is None  # its voxels lie in another file


def test_the_journal_survives_half_a_line(tmp_path):
    one, two = Case("a", tmp_path / "a.nii"), Case("b", tmp_path / "b.nii", "3")
    journal = Journal(tmp_path)
    journal.add(one, DONE, stamp="s")
    with (tmp_path / JOURNAL).open("ab") as stream:
        stream.write(b'{"case": "b", "sta')
    journal = Journal(tmp_path)
    assert journal.entry(one)["stamp"] == "s"
    assert journal.entry(two) == {}
    journal.add(two, FAILED, error="x")
    journal = Journal(tmp_path)
    assert (journal.entry(one)["state"], journal.entry(two)["state"]) == (DONE, FAILED)
    assert journal.entry(Case("b", tmp_path / "other.nii", "3")) == {}
    assert journal.entry(Case("b", tmp_path / "b.nii")) == {}


def test_the_table_has_a_row_per_case_and_never_a_score_of_what_was_not_assessed(result, tmp_path):
    folder = result[0]
    manifest = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    rows = [
        Row("one", "/data/one.nii", state=DONE, values=values_of(manifest)),
        Row("two", "/data/\udcff.nii", "3", FAILED, "It is broken; mend it."),
        Row("three", "three.nii"),
    ]
    path = write_table(rows, tmp_path)
    with path.open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [(row["case"], row["state"]) for row in table] == [("one", "done"), ("two", "failed"), ("three", "waiting")]
    assert float(table[0]["liver.volume_ml"]) == manifest["structures"]["liver"]["volume_ml"]
    assert table[0]["gallbladder.state"] == "absent"
    assert "gallbladder.volume_ml" not in table[0] or table[0]["gallbladder.volume_ml"] == ""
    assert (table[1]["error"], table[1]["liver.state"]) == ("It is broken; mend it.", "")
    found = {f"{f['organ']}.{f['finding']}": f for f in manifest["findings"]["findings"]}
    scored = [name for name, f in found.items() if "present_above" in f and "score" in f]
    assert scored
    for name in scored:
        assert float(table[0][f"{name}.score"]) == found[name]["score"]
        assert table[0][f"{name}.state"] == found[name]["state"]
    never = [name for name, f in found.items() if f["state"] == "not_assessable"]
    assert not [column for column in table[0] if column.removesuffix(".state").removesuffix(".score") in never]
