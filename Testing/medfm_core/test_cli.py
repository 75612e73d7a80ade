"""The command line end to end: exit codes, one sentence per failure, JSON lines, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import fake_organs
import nibabel
import pytest
from bad_files import file_size_limit
from bad_inputs import BAD_INPUTS
from dicom_maker import SECRETS

from medfm_core import RESEARCH_USE, pipeline, segmentation
from medfm_core.cli import main
from medfm_core.pipeline import FILES

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture
def ct(tmp_path):
    return str(fake_organs.save_ct(tmp_path / "ct.nii.gz"))


@pytest.fixture
def sample(fake_model):
    (fake_model / "sample").mkdir()
    return fake_organs.save_ct(fake_model / "sample" / "chest_ct_3mm.nii.gz")


def sentences(text):
    """Lines of standard error besides the research-use line."""
    return [line for line in text.splitlines() if line != RESEARCH_USE]


def run(capsys, *arguments):
    """Run a command; exit code, standard output, lines of standard error."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, sentences(err)


def test_analyze_says_where_the_report_is(capsys, ct, tmp_path):
    code, out, err = run(capsys, "analyze", ct, "--out", tmp_path / "case")
    assert code == 0
    assert out.strip().endswith(str(tmp_path / "case" / "report.html"))
    assert "9 structures (" in out
    assert any(line.startswith("Read the image: done") for line in err)
    assert sorted(p.name for p in (tmp_path / "case").iterdir()) == sorted(FILES)


def test_the_research_use_line_is_printed_once(capsys, ct, tmp_path):
    main(["analyze", ct, "--out", str(tmp_path / "case"), "--quiet"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == RESEARCH_USE + "\n"


def test_json_lines_end_with_the_result(capsys, ct, tmp_path):
    code, out, err = run(capsys, "analyze", ct, "--out", tmp_path / "case", "--json")
    assert (code, err) == (0, [])
    events = [json.loads(line) for line in out.splitlines()]
    assert {event["event"] for event in events[:-1]} == {"stage"}
    result = events[-1]
    assert result["event"] == "result"
    assert result["states"]["present"] + result["states"]["cut"] == len(fake_organs.ORGANS)
    assert all(os.path.isfile(path) for path in result["files"].values())
    assert set(result["files"]) == set(FILES)


def test_json_tells_errors_too(capsys, tmp_path):
    code, out, err = run(capsys, "analyze", tmp_path / "no.nii", "--out", tmp_path / "case", "--json")
    error = json.loads(out.splitlines()[-1])
    assert (code, error["event"], error["kind"], error["exit_code"]) == (2, "error", "InputError", 2)
    assert err == [f"medfm: {error['message']}"]


def test_warnings_are_lines_on_stderr(capsys, tmp_path):
    volume = fake_organs.make_ct()
    volume.voxels[:, :, -2:] = -1000
    path = fake_organs.save_ct(tmp_path / "ct.nii.gz", volume)
    code, _, err = run(capsys, "analyze", path, "--out", tmp_path / "case")
    assert code == 0
    assert "warning: Blank slices: 2 of 76 hold one value throughout." in err


def test_the_sample_needs_no_arguments(capsys, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "analyze", "--sample")
    assert code == 0
    assert "trained on" in err[0]
    assert (tmp_path / "medfm-sample" / "report.html").is_file()
    code, _, _ = run(capsys, "analyze", "--sample")  # again: our own result is replaced
    assert code == 0


def test_a_missing_sample_is_said(capsys, tmp_path):
    code, _, err = run(capsys, "analyze", "--sample", "--out", tmp_path / "case")
    assert code == 2
    assert "sample CT" in err[-1]


def test_segment_writes_one_file(capsys, ct, tmp_path):
    out_file = tmp_path / "organs.seg.nrrd"
    code, out, _ = run(capsys, "segment", "--organs", "liver, kidneys", ct, "--out", out_file)
    assert code == 0
    assert out.strip().endswith(str(out_file))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz", "organs.seg.nrrd"]
    code, _, err = run(capsys, "segment", ct, "--out", out_file, "--json")
    assert (code, "exists already" in err[0]) == (2, True)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.name)
def test_bad_inputs_end_in_one_sentence(capsys, tmp_path, case):
    folder = tmp_path / "input"
    folder.mkdir()
    source = case.build(folder)
    sources = source if isinstance(source, list) else [source]
    series = ["--series", case.series] if case.series else []
    code, out, err = run(capsys, "analyze", *sources, *series, "--out", tmp_path / "case", "--quiet")
    assert code == case.error.exit_code or case.error.exit_code == 1
    assert code in (2, 3)
    assert out == ""
    assert len(err) == 1
    assert err[0].startswith("medfm: ")
    assert err[0].endswith(".")
    assert all(word in err[0] for word in case.words)
    assert not [secret for secret in SECRETS if secret in err[0]]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input"]


def test_a_full_disk_ends_in_one_sentence(capsys, ct, tmp_path):
    with file_size_limit(2000):
        code, _, err = run(capsys, "analyze", ct, "--out", tmp_path / "case", "--quiet")
    assert code == 3
    assert "no space is left" in err[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "ct.nii", "--out", "o", "--devise", "cpu"], "unknown option --devise (did you mean --device?)"),
        (["analyze", "ct.nii"], "--out is missing"),
        (["analyze", "--out", "o"], "SOURCE is missing"),
        (["analyze", "ct.nii", "--sample"], "not both"),
        (["analyze", "ct.nii", "--out", "o", "--threads", "none"], "'none' is not a number of at least 1"),
        (["analyze", "ct.nii", "--out", "o", "--hu-offset", "nan"], "'nan' is not a number of HU"),
        (["analyse", "ct.nii"], "did you mean analyze?"),
        (["models", "shw"], "did you mean show?"),
        (["models", "show"], "ID of the model to show is missing"),
        ([], "required"),
    ],
)
def test_usage_errors_name_the_nearest_option(capsys, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1
    assert words in err[0]
    assert "--help`." in err[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "fake-organs.v2"], "nearest: fake-organs.v1"),
        (["--organs", "livr"], "nearest: liver"),
        (["--organs", "brain"], "does not cover 'brain'"),
    ],
)
def test_unknown_names_are_refused(capsys, ct, tmp_path, arguments, words):
    code, _, err = run(capsys, "analyze", ct, "--out", tmp_path / "case", *arguments)
    assert code == 2
    assert words in err[-1]


def test_a_negative_offset_is_a_value_and_options_may_come_first(capsys, tmp_path):
    volume = fake_organs.make_ct()
    path = fake_organs.save_ct(tmp_path / "ct.nii.gz", volume.with_voxels(volume.voxels + 1024))
    code, _, err = run(capsys, "analyze", "--out", tmp_path / "case", path)
    assert (code, "--hu-offset -1024" in err[-1]) == (2, True)
    code, _, _ = run(capsys, "analyze", "--hu-offset", "-1024", "--out", tmp_path / "case", path)
    assert code == 0


def test_the_other_position_of_a_nifti_can_be_chosen(capsys, tmp_path):
    volume = fake_organs.make_ct()
    image = nibabel.Nifti1Image(volume.voxels, volume.affine.matrix)
    shifted = volume.affine.matrix.copy()
    shifted[2, 3] += 50
    image.set_sform(volume.affine.matrix, 1)
    image.set_qform(shifted, 1)
    path = tmp_path / "ct.nii.gz"
    nibabel.save(image, path)
    code, _, err = run(capsys, "analyze", path, "--out", tmp_path / "case")
    assert (code, any("--nifti-form qform" in line for line in err)) == (0, True)
    places = {}
    for form in ("sform", "qform"):
        code, _, _ = run(capsys, "analyze", path, "--nifti-form", form, "--out", tmp_path / form, "--json")
        data = json.loads((tmp_path / form / "analysis.json").read_text())
        assert (code, data["options"]["nifti_form"]) == (0, form)
        places[form] = data["structures"]["liver"]["centre_ras_mm"][2]
        label_map = nibabel.load(tmp_path / form / "segmentation.nii.gz")  # lies on the scan in whatever reads both
        assert (label_map.get_qform() == nibabel.load(path).get_qform()).all()
        assert (label_map.get_sform() == nibabel.load(path).get_sform()).all()
    assert places["qform"] == pytest.approx(places["sform"] + 50, abs=0.1)
    code, _, err = run(capsys, "analyze", path, "--nifti-form", "best", "--out", tmp_path / "no")
    assert (code, "best" in err[0]) == (2, True)
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "analyze", tmp_path / "empty", "--nifti-form", "qform", "--out", tmp_path / "no")
    assert (code, "is no NIfTI file, so it has no qform; leave --nifti-form out" in err[-1]) == (2, True)


def test_an_unexpected_error_is_one_sentence_and_debug_shows_the_rest(capsys, ct, tmp_path, monkeypatch):
    def defect(*args, **kwargs):
        raise ValueError("shapes differ\nand more")

    monkeypatch.setattr(segmentation.LoadingPredictor, "__call__", defect)
    code, _, err = run(capsys, "analyze", ct, "--out", tmp_path / "case", "--quiet")
    assert code == 1
    assert len(err) == 1
    assert "unexpected error (ValueError: shapes differ)" in err[0]
    assert "--debug" in err[0]
    assert main(["analyze", ct, "--out", str(tmp_path / "case"), "--quiet", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz"]


@pytest.mark.parametrize(("error", "expected"), [(MemoryError(), 3), (KeyboardInterrupt(), 130)])
def test_memory_and_ctrl_c(capsys, ct, tmp_path, monkeypatch, error, expected):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(pipeline, "measure", fail)
    code, _, err = run(capsys, "analyze", ct, "--out", tmp_path / "case", "--quiet")
    assert code == expected
    assert len(err) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz"]


def test_models(capsys, fake_model):
    code, out, _ = run(capsys, "models")
    assert (code, fake_organs.CARD_ID in out) == (0, True)
    code, out, _ = run(capsys, "models", "show", fake_organs.CARD_ID)
    assert (code, "anything that is not made up" in out, "0.910  liver" in out) == (0, True, True)
    code, out, _ = run(capsys, "models", "show", fake_organs.CARD_ID, "--json")
    assert json.loads(out)["card"]["id"] == fake_organs.CARD_ID
    code, out, _ = run(capsys, "models", "verify")
    assert (code, out.strip()) == (0, f"{fake_organs.CARD_ID}: whole")
    (fake_model / "cards" / "w.safetensors").write_bytes(b"damaged")
    code, _, err = run(capsys, "models", "verify")
    assert code == 3
    assert "7 bytes" in err[0]
    code, out, _ = run(capsys, "models", "verify", "--json")
    assert (code, json.loads(out)["state"]) == (3, "damaged")
    code, _, err = run(capsys, "models", "show", "fake-organs")
    assert (code, fake_organs.CARD_ID in err[0]) == (2, True)


def test_doctor(capsys):
    code, out, _ = run(capsys, "doctor", "--json")
    report = json.loads(out)
    assert report["event"] == "doctor"
    assert code == (3 if report["state"] == "missing" else 0)


@pytest.mark.parametrize("command", ["analyze", "segment", "findings", "ask", "similar", "models", "doctor", "batch"])
def test_every_help_has_examples(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"medfm {command}" in out.split("examples:")[1]


def test_help_and_version_import_nothing_heavy():
    probe = (
        "import sys\nfrom medfm_core.cli import main\n"
        "assert main(['--version']) == 0\nassert main(['analyze', '--help']) == 0\n"
        "heavy = {'numpy', 'torch', 'rich', 'jinja2', 'PIL', 'nibabel', 'SimpleITK', 'pydicom'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cleans_up(ct, tmp_path, number, expected):
    probe = f"""
import sys, time
sys.path.insert(0, {os.path.dirname(fake_organs.__file__)!r})
from medfm_core import segmentation
from medfm_core.cli import main

def wait(*args, **kwargs):
    print("waiting", flush=True)
    time.sleep(60)

segmentation.LoadingPredictor = lambda *args, **kwargs: wait
sys.exit(main(["analyze", {ct!r}, "--out", {str(tmp_path / "case")!r}, "--quiet"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", probe],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == expected
    assert sentences(err) == ["medfm: stopped; nothing was written."]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz"]
