"""Results read by nothing but Python, and the table of findings."""

from __future__ import annotations

import pytest
from MedFMLib.findings_table import NOTICE, STATES, FindingsTable
from MedFMLib.results import ResultError, read_result
from panel_stand_ins import write_result


@pytest.fixture
def result(tmp_path):
    return read_result(write_result(tmp_path / "case"))


@pytest.fixture
def table(result):
    made = FindingsTable()
    made.show(result)
    return made


def listed(table):
    return {group.organ: [row.finding for row in group.rows] for group in table.groups()}


def test_organs_come_in_the_results_order_and_the_present_first(table):
    assert listed(table) == {
        "liver": ["liver_mass", "hepatic_steatosis"],
        "kidney_left": ["renal_cyst"],
        "vertebrae_thoracic": ["kyphosis"],
    }
    assert [group.note for group in table.groups()] == ["1,532 mL", "89 mL, cut", ""]
    assert table.groups()[0].title == "Liver"
    assert table.counts == {"present": 1, "uncertain": 2, "absent": 1, "not_assessable": 2}


def test_states_are_filtered_and_words_searched(table):
    changes = []
    table.changed.connect(lambda: changes.append(1))
    table.set_states(set(STATES))
    assert listed(table)["liver"] == ["liver_mass", "hepatic_steatosis", "cirrhosis"]
    assert "sternum" in listed(table)
    table.set_states({"present", "nonsense"})
    assert listed(table) == {"kidney_left": ["renal_cyst"]}
    table.set_states(set(STATES))
    for text, organs in (("CYST kidney", ["kidney_left"]), ("uncertain liver", ["liver"]), ("nothing", [])):
        table.set_search(text)
        assert list(listed(table)) == organs
    assert len(changes) == 6


def test_a_row_says_what_its_score_means_and_no_more(table):
    row = table.row_of("renal_cyst", "kidney_left")
    assert (row.label, row.score, row.state_word) == ("Renal cyst (left), 21 mm", "0.90", "present")
    assert "calls 0.60 and more present, less than 0.40 absent" in row.wording
    assert "Part of the organ is cut." in row.wording
    assert row.wording.endswith(NOTICE)
    row = table.row_of("cirrhosis", "liver")
    assert row.wording.startswith("Not assessable; that does not mean that it is absent.")
    assert "says nothing by itself" in row.wording
    assert table.row_of("fracture", "sternum").score == "\u2013"
    assert table.row_of("fracture", "liver") is None


def test_a_row_knows_where_a_click_goes(table):
    row = table.row_of("renal_cyst", "kidney_left")
    assert row.centre_ras == (-60.0, -40.0, -50.0)
    assert row.saliency.name == "saliency_renal_cyst_kidney_left.nii.gz"
    assert table.row_of("kyphosis", "vertebrae_thoracic").centre_ras == (0.0, -60.0, 0.0)  # the spine's
    assert table.row_of("fracture", "sternum").centre_ras is None
    assert table.row_of("liver_mass", "liver").saliency is None


def test_no_result_is_an_empty_table(table):
    table.show(None)
    assert (table.groups(), sum(table.counts.values())) == ((), 0)


@pytest.mark.parametrize("name", ["analysis.json", "segmentation.json", "findings.csv"])
def test_a_damaged_result_is_one_sentence(tmp_path, name):
    folder = write_result(tmp_path / "case")
    for data in (b"", b"\xff\xfe", b"[]", b'{"schema": 5}', b"name\nx\n"):
        (folder / name).write_bytes(data)
        with pytest.raises(ResultError) as error:
            read_result(folder)
        assert str(error.value).endswith(".")
    (folder / name).unlink()
    with pytest.raises(ResultError, match="missing"):
        read_result(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ResultError, match="holds no result"):
        read_result(tmp_path)


def test_what_the_pipeline_writes_is_read(tmp_path, monkeypatch):
    import fake_findings
    import fake_organs

    from medfm_core import segmentation
    from medfm_core.pipeline import analyze

    (tmp_path / "resources").mkdir()
    fake_organs.install(tmp_path / "resources", monkeypatch.setenv)
    monkeypatch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
    fake_findings.make(tmp_path / "resources" / "cards")
    analysis = analyze(fake_organs.save_ct(tmp_path / "ct.nii.gz"), tmp_path / "case")
    result = read_result(tmp_path / "case")
    assert len(result.findings) == len(analysis.findings)
    assert {name: s.state for name, s in result.structures.items()}["liver"] == "present"
    liver = next(m for m in analysis.measurements if m.name == "liver")
    assert result.centre_of("liver") == pytest.approx(liver.centre_mm, abs=0.01)
    assert {label.name for label in result.labels} >= set(fake_organs.ORGANS)
    explained = {(found.finding, found.organ) for found in analysis.saliency}
    assert set(result.saliency) == explained
    table = FindingsTable()
    table.show(result)
    assert sum(table.counts.values()) == len(analysis.findings)
