import json
import math

import pytest
from fake_cohort import make_cohort, write_manifest

from medfm_core.errors import InputError
from training.data.manifest import read_manifest


@pytest.fixture
def rows(tmp_path):
    """Two sound rows whose files are there; `refused` writes and reads them."""
    for number in range(4):
        (tmp_path / f"{number}.nii").write_bytes(b"image %d" % number)
    return [
        {"subject": f"s{n}", "study": "first", "path": f"{n}.nii", "modality": "CT", "split": "train"} for n in range(4)
    ]


def refused(tmp_path, rows, files="content"):
    with pytest.raises(InputError) as caught:
        read_manifest(write_manifest(tmp_path / "m.csv", rows), files)
    return str(caught.value)


def test_a_manifest_is_read_as_it_is_written(tmp_path):
    manifest = read_manifest(make_cohort(tmp_path))
    row = manifest.rows[1]
    assert (row.number, row.subject, row.split, row.text) == (3, "s1", "train", "A, and B.")
    assert row.path == tmp_path / "s1.nii"
    assert row.organs == ("liver", "kidney_left")
    assert row.targets == {"age": 41.0, "side": "right"}
    assert row.info == {"site": "north"}
    assert manifest.rows[0].targets["age"] is None
    assert manifest.targets["side"].categories == ("left", "right")
    assert manifest.targets["side"].encode("right") == 1
    assert manifest.targets["side"].encode(None) == -1
    assert math.isnan(manifest.targets["age"].encode(None))


def test_parquet_gives_the_same_as_csv(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = make_cohort(tmp_path)
    plain = read_manifest(path)
    table = {
        "subject": [row.subject for row in plain.rows], "study": ["first"] * 4, "modality": ["CT"] * 4,
        "path": [row.written for row in plain.rows], "labels": [row.written_labels for row in plain.rows],
        "organs": [list(row.organs) for row in plain.rows], "split": [row.split for row in plain.rows],
        "text": [row.text for row in plain.rows], "info.site": ["north"] * 4,
        "target.age": [row.targets["age"] for row in plain.rows],
        "target.side": [row.targets["side"] for row in plain.rows],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(table), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet").rows == plain.rows


def test_all_problems_are_listed_together_with_their_rows(tmp_path, rows):
    rows[0]["modality"] = "MRI"
    rows[1]["path"] = "nowhere.nii"
    rows[2] |= {"split": "validation", "organs": "liver;kidny_left"}
    rows[3]["study"] = ""
    text = refused(tmp_path, rows)
    assert "5 problems" in text
    assert "row 2: the modality 'MRI' is not known (known: CR, CT, DX, MR, OT, PT, US)" in text
    assert "row 3: the image" in text
    assert "nowhere.nii is not there" in text
    assert "row 4: the split 'validation' is not known (known: test, train, val)" in text
    assert "row 4: there is no organ named 'kidny_left' (nearest: kidney_left" in text
    assert "row 5: study is empty" in text


def test_no_more_than_twenty_problems_are_listed(tmp_path, rows):
    many = [{**rows[0], "study": f"{n}", "path": f"missing{n}.nii"} for n in range(30)]
    text = refused(tmp_path, many)
    assert text.count("\n  row ") == 20
    assert "... and 10 more" in text


@pytest.mark.parametrize(
    ("column", "hint"),
    [("modalty", "nearest: modality"), ("targets.age", "nearest: target.age"), ("scanner", "info.scanner")],
)
def test_unknown_columns_name_the_nearest(tmp_path, rows, column, hint):
    text = refused(tmp_path, [{**row, column: "1"} for row in rows])
    assert f"row 1: the column {column!r} is not known" in text
    assert hint in text


def test_missing_columns_are_said(tmp_path):
    text = refused(tmp_path, [{"subject": "a", "path": "b"}])
    assert "the column 'study' is missing" in text
    assert "the column 'modality' is missing" in text


def test_a_subject_in_two_splits_is_leakage(tmp_path, rows):
    rows[2] |= {"subject": "s0", "study": "second", "split": "val"}
    assert "row 4: leakage: the subject is in 'val' here and in 'train' in row 2" in refused(tmp_path, rows)


def test_the_same_image_under_two_names_is_leakage(tmp_path, rows):
    (tmp_path / "3.nii").write_bytes((tmp_path / "0.nii").read_bytes())
    rows[3]["split"] = "test"
    assert "row 5: leakage: the file holds the same image as row 2, which is in another split" in refused(
        tmp_path, rows
    )
    rows[3]["split"] = "train"
    assert "same image as row 2, which is another subject's" in refused(tmp_path, rows)
    assert len(read_manifest(write_manifest(tmp_path / "m.csv", rows), "exist").rows) == 4


def test_duplicates(tmp_path, rows):
    rows[1] = {**rows[0]}
    rows[3] |= {"subject": "s2", "path": "3.nii"}
    text = refused(tmp_path, rows)
    assert "row 3: the same path as row 2" in text
    assert "row 5: the same subject, study and modality as row 4" in text
    rows[1] |= {"subject": "s1", "path": "1.nii"}
    rows[3]["sequence"] = "T1w"
    assert len(read_manifest(write_manifest(tmp_path / "m.csv", rows)).rows) == 4


def test_splits_are_for_all_rows_or_none(tmp_path, rows):
    rows[1]["split"] = ""
    assert "row 3: split is empty, but other rows have one" in refused(tmp_path, rows)


def test_a_word_among_numbers_is_a_problem(tmp_path, rows):
    for row, cell in zip(rows, ("61", "n/a", "", "58"), strict=True):
        row["target.age"] = cell
    assert "row 3: target.age is 'n/a' where other rows have numbers" in refused(tmp_path, rows)
    rows[0]["feature.bmi"] = "inf"
    assert "row 2: feature.bmi is 'inf', which is no finite number" in refused(tmp_path, rows)


def test_label_names_come_from_json_or_a_file(tmp_path, rows):
    (tmp_path / "names.json").write_text(json.dumps({"labels": {"1": "liver"}, "note": "by hand"}))
    (tmp_path / "l.nii").write_bytes(b"labels")
    rows[0] |= {"labels": "l.nii", "label_names": "names.json"}
    rows[1] |= {"labels": "l.nii", "label_names": '{"7": "spleen"}'}
    manifest = read_manifest(write_manifest(tmp_path / "m.csv", rows))
    assert manifest.rows[0].label_names == {1: "liver"}
    assert manifest.rows[1].label_names == {7: "spleen"}
    for cell in ("{1: 2}", "[]", '{"x": "y"}', "gone.json", '{"1": 5}'):
        rows[0]["label_names"] = cell
        assert "row 2: label_names cannot be used" in refused(tmp_path, rows)


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("", "no header"),
        ("subject;study;path;modality\n", "does not separate its cells by commas"),
        ("subject,subject\n1,2\n", "column 'subject' twice"),
        ("subject,study,path,modality\n", "has no rows"),
        ('subject,study,path,modality\n"a,b\n', "no proper CSV"),
        ("subject,study,path,modality\na,b,c,CT,extra\n", "5 cells instead of 4"),
    ],
)
def test_broken_tables_are_refused_by_a_sentence(tmp_path, text, clause):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=clause):
        read_manifest(path)


def test_other_broken_files(tmp_path):
    for name, data in (("m.csv", b"\xff\xfe\x00"), ("m.parquet", b"PAR1 no"), ("m.xlsx", b"PK")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            read_manifest(tmp_path / name)
    with pytest.raises(InputError, match="no manifest"):
        read_manifest(tmp_path / "gone.csv")


def test_a_spreadsheet_with_a_byte_order_mark_and_blank_lines(tmp_path, rows):
    path = write_manifest(tmp_path / "m.csv", rows)
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines[:2], ",,,,", *lines[2:]]).encode())
    assert [row.number for row in read_manifest(path).rows] == [2, 4, 5, 6]


def test_times_to_events_come_in_pairs(tmp_path, rows):
    rows[0] |= {"time.stroke": "3.5", "event.stroke": "1"}
    read = read_manifest(write_manifest(tmp_path / "m.csv", rows))
    assert (read.rows[0].times, read.rows[0].events) == ({"stroke": 3.5}, {"stroke": 1.0})
    assert (read.rows[1].times, read.rows[1].events) == ({"stroke": None}, {"stroke": None})
    rows[1] |= {"time.stroke": "2", "event.stroke": ""}
    rows[2] |= {"time.stroke": "2", "event.stroke": "0.5"}
    said = refused(tmp_path, rows)
    assert "row 3: time.stroke and event.stroke must both be given, or neither" in said
    assert "row 4: event.stroke is 0.5" in said
    alone = [{**{k: v for k, v in row.items() if "stroke" not in k}, "time.stroke": "1"} for row in rows]
    assert "needs 'event.stroke' beside it" in refused(tmp_path, alone)
