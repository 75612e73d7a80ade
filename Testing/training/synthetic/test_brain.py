"""Virtual heads: what their truth says is what their scans show."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from medfm_core.errors import InputError
from medfm_core.io import read_volume, write_labels
from medfm_core.volume import Kind, Volume
from training.data.manifest import read_manifest
from training.synthesize_brains import main
from training.synthetic.brain.contrast import RELAXATION, Timing, signal
from training.synthetic.brain.labelled import read_head
from training.synthetic.brain.lesion_plan import KINDS, plan_lesion
from training.synthetic.brain.parts import Part
from training.synthetic.brain.person import draw_person
from training.synthetic.brain.subject import BrainPlan, synthesize_brain
from training.synthetic.physique import stream

COARSE = BrainPlan(spacing_mm=4.0, quality=0.0)


@pytest.fixture(scope="module")
def heads():
    """One head of each kind, the same person, without artefacts."""
    plan = {kind: replace(COARSE, kinds=(kind,)) for kind in KINDS}
    return {kind: synthesize_brain(7, plan[kind], white_matter_ml=0.0) for kind in KINDS}


def share(brain, *numbers):
    return np.isin(brain.labels.voxels, numbers)


def test_the_same_seed_is_the_same_head(heads):
    again = synthesize_brain(7, replace(COARSE, kinds=("ms",)), white_matter_ml=0.0)
    for sequence, volume in heads["ms"].scans.items():
        assert np.array_equal(volume.voxels, again.scans[sequence].voxels)
    assert again.truth == heads["ms"].truth
    other = synthesize_brain(8, replace(COARSE, kinds=("ms",)))
    assert not np.array_equal(other.scans["T1w"].voxels, again.scans["T1w"].voxels)


def test_tissues_have_the_order_of_brightness_of_each_sequence(heads):
    brain = heads["healthy"]
    white, grey, fluid = share(brain, 2, 41), share(brain, 3, 42), share(brain, 4, 43)
    for sequence, order in (
        ("T1w", (white, grey, fluid)),
        ("T2w", (fluid, grey, white)),
        ("FLAIR", (grey, white, fluid)),
    ):
        values = [float(np.median(brain.scans[sequence].voxels[mask])) for mask in order]
        assert values == sorted(values, reverse=True), sequence


def test_the_two_sides_are_where_the_patients_are(heads):
    places = np.argwhere(share(heads["healthy"], 12)), np.argwhere(share(heads["healthy"], 51))
    assert heads["healthy"].labels.affine.codes == "RAS"
    assert places[0][:, 0].mean() < places[1][:, 0].mean()


@pytest.mark.parametrize("kind", ["stroke_acute", "stroke_chronic", "tumour"])
def test_a_lesion_lies_on_its_side_and_is_bright_on_flair_where_it_is_solid(heads, kind):
    brain = heads[kind]
    solid = np.isin(brain.lesions.voxels, (3, 4, 6, 8))
    x = (
        brain.lesions.affine.matrix[0, 0] * np.argwhere(brain.lesions.voxels > 1)[:, 0]
        + brain.lesions.affine.matrix[0, 3]
    )
    assert brain.truth["side"] == brain.plan.side == ("left" if np.median(x) < 0 else "right")
    flair = brain.scans["FLAIR"].voxels
    assert np.median(flair[solid]) > 1.15 * np.median(flair[share(heads["healthy"], 2, 41)])
    millilitre = np.prod(brain.lesions.spacing) / 1000
    assert brain.truth["lesion_ml"] == pytest.approx((brain.lesions.voxels > 1).sum() * millilitre, abs=0.01)


def test_healthy_heads_have_no_lesion_and_plaques_lie_in_the_brain(heads):
    assert not heads["healthy"].lesions.voxels.any()
    assert heads["healthy"].truth["side"] == ""
    plaques = heads["ms"].lesions.voxels == 2
    assert plaques.any()
    assert (heads["ms"].scans["T2w"].voxels[plaques] > 0).all()


def test_atrophy_widens_the_ventricles_and_takes_cortex():
    young, old = (
        synthesize_brain(3, replace(COARSE, kinds=("healthy",), sequences=("T1w",)), atrophy=degree, ventricles=1.0)
        for degree in (0.0, 0.9)
    )
    assert old.truth["ventricles_ml"] > 1.8 * young.truth["ventricles_ml"]
    assert old.truth["cortex_ml"] < 0.9 * young.truth["cortex_ml"]
    assert old.truth["hippocampi_ml"] < 0.8 * young.truth["hippocampi_ml"]


def test_age_brings_atrophy_and_hyperintensities():
    young = [draw_person(seed, age=25.0) for seed in range(40)]
    old = [draw_person(seed, age=85.0) for seed in range(40)]
    for name in ("atrophy", "white_matter_ml"):
        assert np.mean([getattr(p, name) for p in old]) > 3 * np.mean([getattr(p, name) for p in young])
    assert np.mean([draw_person(s, sex="male").size for s in range(40)]) > np.mean(
        [draw_person(s, sex="female").size for s in range(40)]
    )


def test_a_mass_displaces_the_middle():
    seed = next(s for s in range(50) if _large_tumour(s))
    with_mass, without = (
        synthesize_brain(seed, replace(COARSE, kinds=("tumour",), sequences=("T1w",), mass_effect=mass))
        for mass in (True, False)
    )
    assert with_mass.plan.push is not None
    assert without.plan.push is None
    assert not np.array_equal(with_mass.labels.voxels, without.labels.voxels)


def _large_tumour(seed):
    return plan_lesion(stream(seed, "plan"), "tumour").volume_ml > 30


def test_stripping_leaves_nothing_but_the_brain_and_whole_heads_have_skin():
    stripped = synthesize_brain(5, replace(COARSE, kinds=("healthy",), sequences=("T1w",), quality=1.0))
    assert not share(stripped, 511)[stripped.scans["T1w"].voxels > 0].any()
    assert (stripped.scans["T1w"].voxels == 0).mean() > 0.4
    whole = synthesize_brain(5, replace(COARSE, kinds=("healthy",), sequences=("T1w",), stripped=False))
    assert share(whole, 511).any()
    assert (whole.scans["T1w"].voxels[share(whole, 511)] > 0).any()


def test_signals_follow_the_equations():
    timing = Timing("FLAIR", 9000, 120, 4000 * np.log(2 / (1 + np.exp(-9000 / 4000))))
    assert signal((4000, 1e9, 1.0), timing) == pytest.approx(0, abs=1e-9)
    assert signal((800, 80, 0.7), Timing("T2w", 1e9, 80)) == pytest.approx(0.7 / np.e)
    assert set(RELAXATION) == set(Part)


def test_heads_come_from_label_maps(tmp_path, heads):
    source = heads["healthy"].labels
    write_labels(source, tmp_path / "one.nii.gz", {})
    read_head.cache_clear()
    plan = replace(COARSE, kinds=("healthy",), label_maps=(str(tmp_path / "one.nii.gz"),), label_map_share=1.0)
    brain = synthesize_brain(7, plan, atrophy=0.0)
    assert brain.truth["anatomy"] == "one.nii.gz"
    assert brain.truth["brain_ml"] == pytest.approx(heads["healthy"].truth["brain_ml"], rel=0.35)
    empty = Volume(np.arange(64, dtype=np.uint8).reshape(4, 4, 4) % 2, source.affine, Kind.LABEL)
    write_labels(empty, tmp_path / "two.nii.gz", {})
    with pytest.raises(InputError, match="hardly any brain"):
        read_head(tmp_path / "two.nii.gz")


@pytest.mark.parametrize(
    "wrong", [{"spacing_mm": 0.1}, {"kinds": ("stroke",)}, {"kinds": ()}, {"sequences": ("T1w", "T1w")}, {"quality": 9}]
)
def test_an_impossible_plan_is_refused(wrong):
    with pytest.raises(InputError):
        BrainPlan(**wrong)


def test_the_command_makes_a_manifest_and_goes_on(tmp_path, capsys):
    out = tmp_path / "brains"
    command = ["--out", str(out), "--count", "2", "--spacing", "4", "--seed", "3", "--preview"]
    assert main(command) == 0
    manifest = read_manifest(out / "manifest.csv")
    assert [row.sequence for row in manifest.rows] == ["T1w", "T2w", "FLAIR"] * 2
    assert {row.subject for row in manifest.rows} == {"brain_000003", "brain_000004"}
    assert {"lesion", "side", "age", "atrophy", "sex", "sequence"} <= set(manifest.targets)
    truth = json.loads((out / "brain_000003" / "truth.json").read_text())
    lesions = read_volume(out / "brain_000003" / "lesions.nii.gz", kind=Kind.LABEL)
    assert lesions.grid.same_as(read_volume(out / "brain_000003" / "T1w.nii.gz").grid)
    assert (truth["kind"] != "healthy") == bool((lesions.voxels > 1).any())
    before = (out / "brain_000003" / "T1w.nii.gz").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "brain_000003" / "T1w.nii.gz").stat().st_mtime_ns == before
    assert main([*command[:-1], "--kinds", "ms"]) == 2
    assert "another head" in capsys.readouterr().err
