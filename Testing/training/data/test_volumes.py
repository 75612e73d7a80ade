from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_cohort import INPUT, body, make_cohort, write_manifest, write_nifti

from medfm_core.card_inputs import InputSpec, Intensity, Window
from medfm_core.errors import InputError
from medfm_core.preprocessing import to_channels
from training.data.crop_augmentation import AUGMENTATIONS, Crop, swap_sides
from training.data.crops import draw_start, resolved
from training.data.volumes import Volumes, VolumesConfig
from training.engine.draw import DrawKey
from training.engine.order import item_at
from training.prepare import main

SPEC = InputSpec(("CT",), Intensity("windows", to=(-1.0, 1.0), windows=(Window(0, 2000), Window(40, 400))),
                 spacing_mm=(6.0, 6.0, 6.0))  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A prepared cohort of six, four of them in `train`, and its shards."""
    folder = tmp_path_factory.mktemp("volumes")
    make_cohort(folder, 6)
    (folder / "input.yaml").write_text(INPUT)
    assert run(folder, "--shards", str(folder / "shards"), "--shard-mb", "1") == 0
    return folder


def run(folder, *more):
    return main(["--manifest", str(folder / "manifest.csv"), "--store", str(folder / "store"),
                 "--input", str(folder / "input.yaml"), *more])  # fmt: skip


def config_of(made, **more):
    given = {"manifest": str(made / "manifest.csv"), "store": str(made / "store"), "input": SPEC, "crop": (16, 20, 24)}
    return VolumesConfig(**(given | more))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k].nan_to_num(7), other[k].nan_to_num(7)) for k in one)


def test_a_sample_is_a_crop_in_the_cards_channels(made):
    source = Volumes(config_of(made, labels=True))
    assert len(source) == 4
    sample = source.sample(1, DrawKey(3, 11))
    assert sample["image"].shape == (2, 16, 20, 24)
    assert sample["image"].dtype == torch.float32
    assert sample["labels"].shape == (16, 20, 24)
    assert sample["target.age"] == 41
    assert sample["target.side"] == 1
    assert sample["spacing_mm"].tolist() == pytest.approx([6, 6, 6])
    assert torch.isnan(source.sample(0, DrawKey(0, 0))["target.age"])
    volume = source.volume(1)
    start = draw_start(volume.shape, (16, 20, 24), _after_share(DrawKey(3, 11)))
    expected = to_channels(torch.from_numpy(volume.crop(start, (16, 20, 24))), SPEC.intensity)
    assert torch.equal(sample["image"], expected)


def _after_share(key):
    rng = key.rng("crop")
    rng.random()
    return rng


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_samples_are_pure_functions_of_item_and_key(made, augment):
    config = config_of(made, augment=augment, labels=True, foreground_share=0.5)
    one, other = Volumes(config), Volumes(config)
    samples = [one.sample(i % 4, DrawKey(5, i)) for i in range(6)]
    for i in reversed(range(6)):
        assert same(samples[i], other.sample(i % 4, DrawKey(5, i)))
    assert not same(samples[0], one.sample(0, DrawKey(6, 0)))


def test_foreground_crops_hold_a_label(made):
    source = Volumes(config_of(made, labels=True, foreground_share=1.0, crop=(4, 4, 4)))
    found = [source.sample(i % 4, DrawKey(0, i))["labels"].any() for i in range(40)]
    assert all(found)
    plain = Volumes(config_of(made, labels=True, crop=(4, 4, 4)))
    assert sum(bool(plain.sample(i % 4, DrawKey(0, i))["labels"].any()) for i in range(40)) < 30


def test_random_crops_reach_every_place():
    rng = np.random.default_rng(0)
    starts = np.array([draw_start((10, 6, 3), (4, 6, 8), rng) for _ in range(300)])
    assert sorted(set(starts[:, 0])) == list(range(7))
    assert set(starts[:, 1]) == {0}
    assert set(starts[:, 2]) == {-3}
    point = np.array([[9, 0, 1]])
    assert {draw_start((10, 6, 3), (4, 2, 2), rng, point)[0] for _ in range(50)} == {6}


def test_volumes_smaller_than_the_crop_are_padded_with_air(made):
    source = Volumes(config_of(made, crop=(64, 64, 64)))
    image = source.sample(0, DrawKey(0, 0))["image"]
    assert image.shape == (2, 64, 64, 64)
    assert image[0, 0, 0, 0] == pytest.approx(-1)


def test_epochs_of_several_crops_per_volume(made):
    source = Volumes(config_of(made, crops_per_volume=3, split="all", place="centre"))
    assert len(source) == 18 == len(source.rows)
    assert source.rows[4].subject == "s1"
    assert same(source.sample(3, DrawKey(0, 0)), source.sample(5, DrawKey(0, 1)))
    assert not hasattr(source, "item_at")


def test_monitor_samples_are_fixed_and_of_the_validation_split(made):
    source = Volumes(config_of(made, augment="flip_intensity"))
    samples = source.monitor_samples(3, seed=1)
    assert [sample["subject"] for sample in samples] == ["s5"] * 3
    assert samples[0]["target.side"] == "right"
    assert not torch.equal(samples[0]["image"], samples[1]["image"])
    batch = source.monitor_batch(3, seed=1)
    assert batch["image"].shape == (3, 2, 16, 20, 24)
    assert torch.equal(batch["image"][2], samples[2]["image"])
    assert batch["target.age"] == [45.0] * 3


def test_mirrored_labels_change_sides():
    names = {1: "kidney_left", 2: "kidney_right", 3: "liver", 4: "RightParotid", 5: "LeftParotid", 6: "rib_left_3"}
    labels = np.array([0, 1, 2, 3, 4, 5, 6, 7], np.int16)
    assert swap_sides(labels, names).tolist() == [0, 2, 1, 3, 5, 4, 6, 7]
    assert swap_sides(np.array([2, 3, 5], np.int16), {}).tolist() == [3, 2, 5]


def test_mirror_swaps_left_and_right_of_image_and_labels_alike(made):
    volume = Volumes(config_of(made)).volume(0)
    crop = Crop(volume.crop((0, 0, 0), volume.shape), volume.labels_crop((0, 0, 0), volume.shape).astype(int), volume)
    mirrored = next(
        AUGMENTATIONS["mirror"][0](crop, rng) for rng in map(np.random.default_rng, range(9)) if rng.random() >= 0.5
    )
    axis = volume.affine.codes.find("L")
    both = [np.argwhere(c.labels == 2)[:, axis].mean() for c in (crop, mirrored)]
    other = [np.argwhere(c.labels == 3)[:, axis].mean() for c in (crop, mirrored)]
    turned = not np.array_equal(mirrored.image, crop.image)
    assert both[0] < other[0]
    assert both[1] < other[1]
    assert turned == np.array_equal(mirrored.image, np.flip(crop.image, axis))


def test_percentiles_are_those_of_the_whole_volume(made):
    volume = Volumes(config_of(made)).volume(0)
    rule = resolved(Intensity("percentiles", to=(0.0, 1.0), percentiles=(1.0, 99.0)), volume)
    values = volume.volume().voxels
    assert rule.hu == pytest.approx(np.percentile(values, (1, 99)), abs=1)
    source = Volumes(config_of(made, input=replace(SPEC, intensity=Intensity("percentiles", to=(0.0, 1.0),
                                                                             percentiles=(1.0, 99.0)))))  # fmt: skip
    assert source.sample(0, DrawKey(0, 0))["image"].shape == (1, 16, 20, 24)


def test_shards_feed_the_same_samples_in_an_order_of_their_own(made):
    plain = Volumes(config_of(made, labels=True))
    shards = Volumes(config_of(made, manifest="", store=str(made / "shards"), labels=True))
    assert sorted(row.subject for row in shards.rows) == sorted(row.subject for row in plain.rows)
    items = [item_at(shards, DrawKey(0, position)) for position in range(8)]
    assert sorted(items[:4]) == sorted(items[4:]) == [0, 1, 2, 3]
    for item, row in enumerate(shards.rows):
        number = [other.subject for other in plain.rows].index(row.subject)
        assert same(shards.sample(item, DrawKey(1, 9)), plain.sample(number, DrawKey(1, 9)))


def test_workers_draw_what_one_process_draws(made):
    source = Volumes(config_of(made))
    keys = [(i % 4, DrawKey(2, i)) for i in range(8)]
    here = [source.sample(*key) for key in keys]
    dataset = _Dataset(source, keys)
    loader = torch.utils.data.DataLoader(dataset, 4, num_workers=2, multiprocessing_context="fork")
    batches = list(loader)
    assert torch.equal(torch.cat([batch["image"] for batch in batches]), torch.stack([s["image"] for s in here]))


class _Dataset(torch.utils.data.Dataset):
    def __init__(self, source, keys):
        self.source, self.keys = source, keys

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, number):
        return self.source.sample(*self.keys[number])


def test_the_digest_follows_what_is_drawn(made):
    one = Volumes(config_of(made)).digest
    assert one == Volumes(config_of(made)).digest
    assert one != Volumes(config_of(made, crop=(8, 8, 8))).digest
    assert one != Volumes(config_of(made, split="all")).digest


@pytest.mark.parametrize(
    ("more", "clause"),
    [
        ({"input": None}, "exactly one is needed"),
        ({"augment": "flop"}, "nearest: flip"),
        ({"targets": ("ages",)}, "nearest: age"),
        ({"crop": (0, 4, 4)}, "must be positive"),
        ({"foreground_share": 2.0}, "a share from 0 to 1"),
        ({"store": "nowhere"}, "holds nothing"),
        ({"input": replace(SPEC, spacing_mm=(5.0, 5.0, 5.0))}, "not prepared for this card"),
    ],
)
def test_bad_configurations_end_in_a_sentence(made, more, clause):
    with pytest.raises(InputError, match=clause):
        Volumes(config_of(made, **more))


def test_rows_that_failed_must_be_skipped_knowingly(tmp_path, caplog):
    hu, _ = body()
    write_nifti(tmp_path / "a.nii", hu)
    write_nifti(tmp_path / "b.nii", hu + 1024)
    rows = [{"subject": name, "study": "x", "path": f"{name}.nii", "modality": "CT"} for name in "ab"]
    write_manifest(tmp_path / "manifest.csv", rows)
    (tmp_path / "input.yaml").write_text(INPUT)
    assert run(tmp_path) == 1
    with pytest.raises(InputError, match=r"row 3 of .* could not be prepared"):
        Volumes(config_of(tmp_path, split="all"))
    assert len(Volumes(config_of(tmp_path, split="all", skip_failed=True))) == 1
    assert "1 of 2 rows" in caplog.text
    with pytest.raises(InputError, match="no label map"):
        Volumes(config_of(tmp_path, split="all", skip_failed=True, labels=True))


def test_sources_need_not_be_there_any_more(made, tmp_path):
    import shutil

    shutil.copytree(made / "store", tmp_path / "store")
    shutil.copy(made / "manifest.csv", tmp_path / "manifest.csv")
    moved = Volumes(config_of(tmp_path))
    assert same(moved.sample(0, DrawKey(0, 0)), Volumes(config_of(made)).sample(0, DrawKey(0, 0)))
