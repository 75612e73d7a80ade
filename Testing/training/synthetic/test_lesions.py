import numpy as np
import pytest
from fake_anatomy import MM, fake_anatomy

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from training.synthetic.appearance import render
from training.synthetic.contrast import draw_contrast
from training.synthetic.lesions import KINDS, Scene, draw_kinds, physique_for, place_kinds
from training.synthetic.lesions.places import level_name, liver_segment, organ_ids
from training.synthetic.lesions.registry import NORMAL_LIMITS
from training.synthetic.lesions.scene import Region

BODY = fake_anatomy()
SIZE_ONLY = {"hepatomegaly", "splenomegaly", "prostatomegaly"}  # the physique makes them


def new_scene(seed=0, phase="portal_venous"):
    contrast = draw_contrast(np.random.default_rng(seed), phase)
    labels, tissues = BODY.labels.voxels.copy(), BODY.tissues.voxels.copy()
    return Scene(labels, tissues, (MM, MM, MM), contrast, np.random.default_rng(seed))


def placed(name, seed=0, phase="portal_venous"):
    phase = KINDS[name].phases[0] if KINDS[name].phases else phase
    scene = new_scene(seed, phase)
    drawn = draw_kinds(np.random.default_rng(seed), (name,))
    return scene, place_kinds(scene, drawn)


def picture(scene):
    base = np.where(scene.tissues >= 100, BODY.tissues.voxels, scene.tissues)
    body = type(BODY)(labels=BODY.labels.with_voxels(scene.labels), tissues=BODY.tissues.with_voxels(base))
    return render(body, 0, contrast=scene.contrast.shifted(scene.shifts), edits=scene.edits)


def test_there_are_many_kinds_over_many_organs():
    assert len(KINDS) >= 50
    assert len({organ for kind in KINDS.values() for organ in kind.organs}) >= 20
    assert 2.5 < sum(kind.prevalence for kind in KINDS.values()) < 6


def test_every_organ_is_in_the_vocabulary():
    vocabulary = load_vocabulary()
    for kind in KINDS.values():
        for organ in kind.organs:
            assert vocabulary.by_name(organ).name == organ
            if organ != "gluteal_muscles":
                parts = vocabulary.by_name(organ).parts or (organ,)
                ids = {vocabulary.by_name(part).id for part in parts}
                assert set(organ_ids(organ)) <= ids
    assert [level_name(vocabulary.by_name(f"vertebrae_{x}").id) for x in ("S1", "L5", "T12", "C1")] == [
        "S1", "L5", "T12", "C1",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(KINDS) - SIZE_ONLY))
def test_every_kind_is_placed_and_its_truth_agrees_with_the_maps(name):
    tries = (placed(name, seed) for seed in range(4))
    scene, findings = next(pair for pair in tries if pair[1])
    ids = [number for finding in findings for number in finding.lesion_ids]
    assert set(np.unique(scene.lesions)) - {0} <= set(ids)
    for finding in findings:
        assert finding.name == name
        assert finding.side in (None, "left", "right")
        assert finding.side is None or finding.side in finding.organ
        assert finding.count >= 1
        assert finding.size_mm is None or (0 < finding.size_mm < 200 and type(finding.size_mm) is float)
        for number in finding.lesion_ids:
            assert (scene.lesions == number).any() or len(finding.lesion_ids) > 1
    changed = (scene.labels != BODY.labels.voxels) | (scene.tissues != BODY.tissues.voxels)
    assert ids or scene.edits or scene.shifts or changed.any() or KINDS[name].physique
    for edit in scene.edits:
        assert edit.weight.dtype == np.float32
        assert edit.weight.min() >= -1e-6
        assert scene.labels[edit.box].shape == np.broadcast_shapes(edit.weight.shape, scene.labels[edit.box].shape)


@pytest.mark.parametrize("name", ["renal_cyst", "consolidation", "pleural_effusion", "kidney_stone", "emphysema"])
def test_placing_is_a_pure_function_of_the_seed(name):
    (first, a), (second, b) = placed(name, 3), placed(name, 3)
    assert a == b
    np.testing.assert_array_equal(first.lesions, second.lesions)
    np.testing.assert_array_equal(first.labels, second.labels)


@pytest.mark.parametrize(
    ("name", "phase", "low", "high"),
    [
        ("renal_cyst", "portal_venous", -25, 70),
        ("hepatic_cyst", "portal_venous", -25, 60),
        ("bladder_stone", "non_contrast", 150, 1400),
        ("consolidation", "portal_venous", -60, 160),
        ("ground_glass_opacity", "portal_venous", -800, -400),
        ("pleural_effusion", "portal_venous", -60, 80),
        ("pneumothorax", "portal_venous", -1010, -880),
        ("free_air", "portal_venous", -1010, -600),
        ("ascites", "portal_venous", -60, 60),
        ("sclerotic_bone_metastasis", "non_contrast", 250, 1200),
        ("lytic_bone_metastasis", "non_contrast", -20, 250),
    ],
)
def test_lesions_measure_what_they_should(name, phase, low, high):
    scene, findings = next(pair for pair in (placed(name, seed, phase) for seed in range(4)) if pair[1])
    assert findings
    assert low < float(np.median(picture(scene)[scene.lesions > 0])) < high


def test_liver_lesions_contrast_with_the_liver_as_their_kind_does():
    for name, phase, sign in (
        ("liver_metastases", "portal_venous", -1),
        ("hypervascular_liver_mass", "arterial", 1),
        ("hypervascular_liver_mass", "portal_venous", -1),
    ):
        scene, _ = placed(name, 1, phase)
        hu = picture(scene)
        liver = float(np.median(hu[(scene.labels == 5) & (scene.lesions == 0)]))
        assert sign * (float(np.median(hu[scene.lesions > 0])) - liver) > 8


def test_a_hemangioma_fills_from_its_rim():
    scene, findings = placed("hepatic_hemangioma", 2, "arterial")
    assert findings[0].size_mm > 0
    lesion = scene.lesions > 0
    hu, rim = picture(scene), lesion & (scene.depth(Region((slice(None),) * 3, lesion)) <= MM)
    if findings[0].size_mm > 25:
        assert hu[rim].mean() > hu[lesion & ~rim].mean()


def test_steatosis_darkens_the_liver_but_not_its_vessels():
    scene, (finding,) = placed("hepatic_steatosis")
    assert scene.hu("LIVER") < scene.contrast.hu["LIVER"] - 10
    assert scene.hu("LIVER_VESSEL") == scene.contrast.hu["LIVER_VESSEL"]
    assert finding.attributes["severity"] in ("mild", "moderate", "severe")


def test_an_effusion_takes_its_room_from_its_own_lung_and_lies_behind():
    scene, findings = placed("pleural_effusion", 5)
    side = findings[0].side
    ids = (10, 11) if side == "left" else (12, 13, 14)
    fluid = scene.lesions == findings[0].lesion_ids[0]
    before = np.isin(BODY.labels.voxels, ids)
    assert before[fluid].all()
    assert (scene.labels[fluid] == 0).all()
    rows = np.nonzero(before)[1]
    assert np.nonzero(fluid)[1].mean() < rows.mean()
    measured = fluid.sum() * MM**3 / 1000
    assert findings[0].attributes["volume_ml"] == pytest.approx(measured, rel=0.02)


def test_a_renal_cyst_gets_the_label_of_a_kidney_cyst_on_its_side():
    scene, findings = placed("renal_cyst", 1)
    for finding in findings:
        want = 23 if finding.side == "left" else 24
        lesion = np.isin(scene.lesions, finding.lesion_ids)
        assert (scene.labels[lesion] == want).all()
        assert finding.attributes["location"] in ("upper pole", "interpolar region", "lower pole")


def test_removed_organs_are_gone():
    scene, findings = placed("absent_kidney", 0)
    number = 3 if findings[0].side == "left" else 2
    assert not (scene.labels == number).any()
    scene, _ = placed("absent_gallbladder", 0)
    assert not (scene.labels == 4).any()


def test_sizes_are_those_of_the_lesion_map():
    for seed in range(6):
        scene, findings = placed("hepatic_cyst", seed)
        for finding in findings:
            extents = []
            for number in finding.lesion_ids:
                where = np.argwhere(scene.lesions == number)
                if len(where):
                    extents.append(float((np.ptp(where[:, :2], axis=0).max() + 1) * MM))
            assert max(extents) == pytest.approx(finding.size_mm, abs=2.5 * MM)


def test_liver_segments_lie_where_couinaud_put_them():
    scene = new_scene()
    liver = scene.region(5)
    middle = [(s.start + s.stop) / 2 for s in liver.box]
    right_back_top = (liver.box[0].stop - 3, middle[1] - 8, liver.box[2].stop - 3)
    assert liver_segment(scene, right_back_top)["location"] == "segment VII"
    left_low = (liver.box[0].start + 1, middle[1], liver.box[2].start + 2)
    assert liver_segment(scene, left_low) == {"location": "segment III", "lobe": "left lobe"}


def test_findings_are_drawn_by_prevalence_and_exclude_each_other():
    drawn = [draw_kinds(np.random.default_rng(seed), "random") for seed in range(400)]
    names = [[kind.name for kind, _ in kinds] for kinds in drawn]
    assert 2.5 < np.mean([len(n) for n in names]) < 6
    assert {name for n in names for name in n} == set(KINDS)
    for kinds in names:
        assert not {"emphysema", "pulmonary_fibrosis"} <= set(kinds)
    assert draw_kinds(np.random.default_rng(0), ()) == []
    with pytest.raises(InputError, match="renal_cyst"):
        draw_kinds(np.random.default_rng(0), ("renal_cist",))


def test_the_physique_follows_the_findings_and_is_normal_otherwise():
    drawn = dict.fromkeys(NORMAL_LIMITS, 1e6) | {"sex": "female"}
    rng = np.random.default_rng(0)
    normal = physique_for(rng, [], drawn)
    assert normal["spleen_ml"] == NORMAL_LIMITS["spleen_ml"][1]
    assert "sex" not in normal
    big = physique_for(rng, [KINDS["splenomegaly"], KINDS["prostatomegaly"]], drawn)
    assert big["spleen_ml"] > 500
    assert big["sex"] == "male"


def test_a_scan_without_the_organ_has_no_finding_and_raises_nothing():
    labels = np.zeros((20, 20, 20), np.uint8)
    tissues = np.full((20, 20, 20), 3, np.uint8)
    contrast = draw_contrast(np.random.default_rng(0), "arterial")
    for kind in KINDS.values():
        scene = Scene(labels.copy(), tissues.copy(), (3, 3, 3), contrast, np.random.default_rng(0))
        assert kind.name in ("anasarca",) or kind.place(scene, kind.organs[0]) == []
