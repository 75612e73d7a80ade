"""Virtual patients to organ vectors, a short whole-body training, a card, and that card in `medfm analyze`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import fake_findings
import fake_organs
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from medfm_core import pipeline, segmentation
from medfm_core.analysis import Options
from medfm_core.card_library import load_card
from medfm_core.errors import InputError, WeightsError
from medfm_core.geometry import Affine
from medfm_core.models.pan_fm_weights import load_pan_fm
from medfm_core.volume import Kind, Volume
from training import encode_organs, export, pretrain
from training.data.organ_making import read_making
from training.data.organ_sets import OrganSets
from training.data.organ_vectors import known_labels, units_of_organs
from training.data.vector_scales import vector_scale, with_scales
from training.engine.runs import load_run
from training.synthetic.cohort import CohortPlan, make_cohort

ORGANS = [
    {"name": name, "kind": "vectors", "count": count, "values": fake_findings.WIDTH}
    for name, count in (("heart", 1), ("liver", 1), ("kidney", 2), ("spleen", 1), ("pancreas", 1))
]
RUN = {"steps": 2, "batch_size": 4, "workers": 0, "checkpoint_every": 2, "precision": "fp32", "device": "cpu"}
QUIET = {"terminal": "none", "tensorboard": False, "measure_peak": False, "health_every": 0, "probe_every": 0,
         "plots_every": 0}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven patients, their organ vectors, a run of two steps and its card."""
    folder = tmp_path_factory.mktemp("bodies")
    with pytest.MonkeyPatch.context() as patch:
        fake_organs.install(folder / "res", patch.setenv)
        patch.setattr(segmentation, "LoadingPredictor", fake_organs.LoadingPredictor)
        patch.setattr("medfm_core.models.text.load_text_tower", lambda name: fake_findings.FakeTower())
        patch.setattr("medfm_core.findings_stage.load_findings", lambda: ())
        patch.setattr(pipeline.report, "render_html", lambda analysis, facts: "not drawn here")
        patch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
        fake_findings.make(folder / "res" / "cards")
        make_cohort(CohortPlan(6, 0, 12.0, ("torso", "chest", "abdomen"), ()), folder / "patients")
        assert encode(folder) == 0
        write(folder / "recipe.yaml", recipe(folder / "vectors"))
        assert pretrain.main(["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
        about = {"licence": "Apache-2.0", "trained_on": ["virtual patients"], "intended_use": "tests"}
        (folder / "about.json").write_text(json.dumps(about))
        assert export.main(["--run", str(folder / "run"), "--id", "body-toy.v1", "--about", str(folder / "about.json"),
                            "--resources", str(folder / "out")]) == 0  # fmt: skip
        yield folder


def encode(folder, *more):
    return encode_organs.main(["--manifest", str(folder / "patients" / "manifest.csv"),
                               "--out", str(folder / "vectors"), "--device", "cpu", *more])  # fmt: skip


def recipe(place, **data):
    organs = data.pop("organs", ORGANS)
    return {
        "model": {"name": "pan_fm", "organs": organs, "width": 12, "depth": 1, "heads": 2, "mlp_width": 12},
        "objective": {"name": "pan_fm", "head": {"prototypes": 8, "hidden": 8, "bottleneck": 4}},
        "data": {"name": "organ_sets", "manifest": str(place / "manifest.csv"), "organs": organs,
                 "standardise_vectors": True, **data},
        "optim": {"lr": 1.0e-3}, "run": RUN, "monitor": QUIET,
    }  # fmt: skip


def write(path, data):
    path.write_text(yaml.safe_dump(data))


def rows_of(folder):
    with (folder / "vectors" / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_manifest_says_what_each_scan_shows(folder):
    rows = rows_of(folder)
    assert len(rows) == 6
    assert {"target.sex", "split", "info.region", "info.cut"} <= set(rows[0])
    shown = {row["info.region"]: row["organs"].split(";") for row in rows}
    assert "heart" in shown["chest"]
    assert any(row["info.cut"] for row in rows)
    whole = next(row for row in rows if row["info.region"] == "torso")
    vectors = load_file(folder / "vectors" / whole["path"])
    assert set(vectors) == set(whole["organs"].split(";"))
    assert vectors["kidney"].shape == (2, fake_findings.WIDTH)
    assert torch.allclose(vectors["liver"].norm(dim=1), torch.ones(1), atol=1e-4)
    making = read_making(folder / "vectors" / "manifest.csv")
    assert making.encoder.card == fake_findings.CARD_ID
    assert making.units["kidney"] == ("kidney_right", "kidney_left")


def test_what_is_there_is_kept(folder, monkeypatch):
    before = (folder / "vectors" / "manifest.csv").read_bytes()
    monkeypatch.setattr("training.data.organ_vectors.encode_organs", lambda *_: pytest.fail("made again"))
    assert encode(folder) == 0
    assert (folder / "vectors" / "manifest.csv").read_bytes() == before


def test_scans_without_outlines_are_outlined(folder, tmp_path):
    ct = fake_organs.save_ct(tmp_path / "ct.nii.gz")
    (tmp_path / "manifest.csv").write_text(f"subject,study,path,modality\ns,1,{ct.name},CT\n")
    assert encode_organs.main(["--manifest", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "manifest.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["organs"] == "heart;liver;kidney;spleen"


def test_what_cannot_be_encoded(folder, capsys, tmp_path):
    assert encode(folder, "--organ", "brain=hippocampus") == 2
    assert "no organ unit of fake-findings.v1 named 'hippocampus'" in capsys.readouterr().err
    assert encode(folder, "--organ", "brain") == 2
    assert "write NAME=unit" in capsys.readouterr().err
    units = units_of_organs(load_card(fake_findings.CARD_ID), {"aorta": ["aorta"]})
    assert list(units) == ["heart", "liver", "kidney", "spleen", "pancreas", "aorta"]


def test_labels_of_other_numbers():
    labels = Volume(np.array([[[0, 1, 7, 9]]], np.int16), Affine(np.eye(4)), Kind.LABEL)
    found, covered = known_labels(labels, {1: "liver", 7: "no organ", 9: "spleen"})
    assert found.voxels.ravel().tolist() == [0, 5, 0, 1]
    assert covered == ("liver", "spleen")


def test_the_card_takes_vectors_as_the_encoder_gives_them(folder):
    card = load_card(folder / "out" / "cards" / "body-toy.v1.json")
    assert (card.task, card.input.modality) == ("whole_body_embedding", ("CT",))
    kidney = card.input.body["kidney"]
    assert (kidney.card, kidney.width, kidney.units) == (
        fake_findings.CARD_ID, fake_findings.WIDTH, ("kidney_right", "kidney_left"))  # fmt: skip
    assert kidney.weights_sha256 == load_card(fake_findings.CARD_ID).sha256_of("weights")
    objective, made, _ = load_run(folder / "run")
    scaled = OrganSets(made.data)

    raw = OrganSets(replace(made.data, standardise_vectors=False))
    assert not torch.allclose(scaled.batch([0])["organ.liver"], raw.batch([0])["organ.liver"], atol=0.1)
    everyone = range(len(raw))
    wanted = objective.encode(scaled.batch(everyone))
    found = load_pan_fm(card).encode(raw.batch(everyone))
    assert torch.allclose(found, wanted, atol=2e-2)  # weights are fp16


def test_the_card_is_loaded_strictly(folder, tmp_path):
    path = folder / "out" / "cards" / "body-toy.v1.json"
    data = json.loads(path.read_text())
    (tmp_path / "cards").mkdir()
    data["architecture"]["depth"] = 2
    data["source"]["path"] = str(folder / "out" / "weights")
    (tmp_path / "cards" / "body-toy.v1.json").write_text(json.dumps(data))
    with pytest.raises(WeightsError, match="another"):
        load_pan_fm(load_card(tmp_path / "cards" / "body-toy.v1.json"))
    with pytest.raises(WeightsError, match="not a pan_fm of whole bodies"):
        load_pan_fm(load_card(fake_findings.CARD_ID))


def test_medfm_analyze_uses_it(folder, tmp_path):
    ct = fake_organs.save_ct(tmp_path / "ct.nii.gz")
    options = Options(body_card=str(folder / "out" / "cards" / "body-toy.v1.json"))
    analysis = pipeline.analyze(ct, tmp_path / "case", options)
    assert [organ.name for organ in analysis.body.seen] == ["heart", "liver", "kidney", "spleen"]
    assert analysis.body.not_known == ("brain", "adipose")
    assert "out" not in json.loads((tmp_path / "case" / "analysis.json").read_text())["options"]


def test_tables_export_their_scales(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    rng = np.random.default_rng(0)
    lines = ["subject,study,path,modality,split,feature.liver.volume,feature.liver.fat"]
    lines += [f"s{n},1,nowhere/{n},MR,train,{1500 + 200 * rng.normal()},{5 + rng.normal()}" for n in range(9)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    organs = [{"name": "liver", "kind": "table", "fields": ["volume", "fat"]}]
    write(tmp_path / "recipe.yaml", recipe(tmp_path, organs=organs, standardise_vectors=False))
    assert pretrain.main(["--config", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]) == 0
    card = load_card(export.export(tmp_path / "run", "tables.v1", tmp_path / "out", {}))
    source = OrganSets(load_run(tmp_path / "run")[1].data)
    liver = card.input.body["liver"]
    assert np.allclose([liver.mean, liver.deviation], source.scales["liver"], rtol=1e-5)
    assert card.input.modality == ("MR",)
    assert load_pan_fm(card).config.names == ("liver",)


def test_scales_in_embedders_change_nothing_but_the_input():
    from medfm_core.models.pan_fm import PanFM, PanFMConfig
    from medfm_core.models.pan_fm_organs import OrganSpec

    torch.manual_seed(0)
    net = PanFM(PanFMConfig((OrganSpec("liver", count=2, values=5),), 12, 1, 2, 12)).eval()
    values, known = 0.3 + 0.05 * torch.randn(6, 2, 5), torch.rand(6, 2) > 0.3
    known[:, 0] = True
    scale = vector_scale([(v, k) for v, k in zip(values, known, strict=True)])
    standard = scale(values)
    assert torch.allclose(standard[:, 0].mean(0), torch.zeros(5), atol=1e-5)
    assert float(standard[known].std(unbiased=False)) == pytest.approx(1, abs=0.05)
    wanted = net.encode({"organ.liver": standard, "known.liver": known})
    found = with_scales(net, {"liver": scale}).encode({"organ.liver": values, "known.liver": known})
    assert torch.allclose(found, wanted, atol=1e-4)
    same = vector_scale([(values[0], known[0])])
    assert same.deviation == 1
    table = PanFM(PanFMConfig((OrganSpec("liver", "table", fields=("a",)),), 12, 1, 2, 12))
    with pytest.raises(InputError, match="does not come as vectors"):
        with_scales(table, {"liver": scale})
