"""Images of virtual organs: they show what was measured, agree with the tables, and are the same again."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from training import pretrain, synthesize_cohort
from training.data.manifest import read_manifest
from training.synthetic.organ_images import draw_organ, image_specs

SPECS = {spec.name: spec for spec in image_specs()}
HEART = {"lv_end_diastolic_ml": 148.0, "lv_mass_g": 86.0, "rv_end_diastolic_ml": 156.0, "la_volume_ml": 71.0}
LIVER = {"volume_ml": 300.0, "fat_percent": 5.0, "iron_r2star": 45.0, "t1_ms": 800.0}
KIDNEY = {"volume_ml": 300.0, "cortex_ml": 210.0, "sinus_fat_ml": 9.0, "t1_ms": 800.0}
USUAL = {"heart": HEART, "liver": LIVER, "kidney": KIDNEY}


def drawn(name, subject=0, **changes):
    return draw_organ(SPECS[name], USUAL[name] | changes, subject, 0, 5).astype(np.float64)


def bright(image, above):
    return int((image > above).sum())


def mean_of(function, name, **changes):
    return np.mean([function(drawn(name, subject, **changes)) for subject in range(12)])


@pytest.mark.parametrize(
    ("organ", "field", "more", "seen"),
    [
        ("heart", "lv_end_diastolic_ml", 260.0, lambda image: bright(image, 0.7)),
        ("heart", "lv_mass_g", 170.0, lambda image: bright(image, 0.2) - bright(image, 0.55)),
        ("heart", "rv_end_diastolic_ml", 280.0, lambda image: bright(image, 0.5)),
        ("heart", "la_volume_ml", 180.0, lambda image: bright(image[:, 10:], 0.5)),
        ("liver", "volume_ml", 500.0, lambda image: bright(image, 0.25)),
        ("liver", "fat_percent", 20.0, lambda image: image[0, 6:10, 10:14, 8:16].mean()),
        ("liver", "iron_r2star", 10.0, lambda image: image[0, 6:10, 10:14, 8:16].mean()),
        ("liver", "t1_ms", 1300.0, lambda image: image[0, 6:10, 10:14, 8:16].std()),
        ("kidney", "volume_ml", 500.0, lambda image: bright(image, 0.25)),
        ("kidney", "cortex_ml", 270.0, lambda image: bright(image, 0.42)),
        ("kidney", "sinus_fat_ml", 30.0, lambda image: bright(image, 0.7)),
    ],
)
def test_more_of_it_is_seen_as_more(organ, field, more, seen):
    assert mean_of(seen, organ, **{field: more}) > 1.1 * mean_of(seen, organ)


def test_subjects_differ_and_the_same_one_is_the_same_again():
    assert np.array_equal(drawn("liver", 3), drawn("liver", 3))
    assert not np.array_equal(drawn("liver", 3), drawn("liver", 4))
    for name, spec in SPECS.items():
        image = drawn(name)
        assert image.shape == spec.shape
        assert np.isfinite(image).all()
        assert -0.3 < image.min() < image.max() < 1.6


@pytest.mark.parametrize("organ", ["heart", "liver", "kidney"])
def test_measurements_from_a_skewed_tail_are_drawn_all_the_same(organ):
    assert np.isfinite(drawn(organ, **dict.fromkeys(USUAL[organ], -100.0))).all()
    assert np.isfinite(drawn(organ, **dict.fromkeys(USUAL[organ], 5000.0))).all()


def test_a_cohort_has_images_of_the_organs_that_it_shows_and_a_model_reads_them(tmp_path, monkeypatch):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self, panels=True: None)
    folder = tmp_path / "bodies"
    assert synthesize_cohort.main(["--out", str(folder), "--count", "60", "--images"]) == 0
    sizes, volumes = [], []
    for row in read_manifest(folder / "manifest.csv").rows:
        stored = load_file(row.path)
        assert set(stored) == set(row.organs) - {"spleen", "pancreas"}
        if "liver" in stored:
            sizes.append(bright(stored["liver"], 0.25))
            volumes.append(row.features["liver.volume_ml"])
    assert np.corrcoef(sizes, volumes)[0, 1] > 0.7
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "model: {name: pan_fm, size: images}\n"
        "objective: {name: pan_fm, organ_weight: 1, body_weight: 0, token_weight: 0, spread_weight: 0}\n"
        f"data: {{name: organ_sets, manifest: {folder}/manifest.csv, architecture: images}}\n"
        "run: {steps: 2, batch_size: 4, workers: 0, precision: fp32, monitor_samples: 4}\n"
        "monitor: {terminal: none, tensorboard: false, count_flops: false, measure_peak: false, health_every: 0,"
        " probe_every: 0, log_every: 1}\n"
    )
    assert pretrain.main(["--config", str(recipe), "--out", str(tmp_path / "run")]) == 0
