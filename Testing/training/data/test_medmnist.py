import numpy as np
import pytest
import torch
from spad_cards import VIT

from medfm_core.errors import InputError
from training.data.medmnist import MedMnist, MedMnistConfig
from training.engine.draw import DrawKey
from training.evaluation.medmnist_study import MedMnistStudy, accuracy, auc, run_study


def make_file(path, shape=(6, 8, 8, 8), labels=None, count=(24, 8, 8)):
    """A file as the package medmnist has it: the class is how bright the middle is."""
    rng, found = np.random.default_rng(0), {}
    for split, n in zip(("train", "val", "test"), count, strict=True):
        one = np.arange(n) % 2
        images = rng.integers(0, 60, (n, *shape[1:]), dtype=np.uint8)
        images[:, 2:6, 2:6] += (one * 150).astype(np.uint8).reshape(-1, *[1] * (len(shape) - 1))
        found[f"{split}_images"] = images
        found[f"{split}_labels"] = (one[:, None] if labels is None else labels(n)).astype(np.uint8)
    np.savez_compressed(path, **found)
    return path


def test_volumes_and_pictures(tmp_path):
    volumes = MedMnist(MedMnistConfig(str(make_file(tmp_path / "3d.npz")), "train", 12))
    sample = volumes.sample(1, DrawKey(0, 0))
    assert sample["image"].shape == (1, 12, 12, 12)
    assert int(sample["degree"]) == 0
    assert int(sample["target"]) == 1
    grey = MedMnist(MedMnistConfig(str(make_file(tmp_path / "2d.npz", (6, 28, 28))), "val", 32))
    sample = grey.sample(0, DrawKey(0, 0))
    assert sample["image"].shape == (1, 1, 32, 32)
    assert int(sample["degree"]) == 5
    colour = MedMnist(MedMnistConfig(str(make_file(tmp_path / "rgb.npz", (6, 28, 28, 3))), "val", 32))
    assert colour.sample(0, DrawKey(0, 0))["image"].shape == (3, 1, 32, 32)
    assert not colour.is_volume
    several = make_file(tmp_path / "many.npz", (6, 28, 28), lambda n: np.arange(3 * n).reshape(n, 3) % 2)
    assert MedMnist(MedMnistConfig(str(several), "test", 8)).sample(0, DrawKey(0, 0))["target"].tolist() == [0, 1, 0]


def test_fading_is_drawn_in_training_and_one_half_elsewhere(tmp_path):
    path = str(make_file(tmp_path / "3d.npz"))
    plain, faded = (MedMnist(MedMnistConfig(path, "test", 8, fade)) for fade in (False, True))
    image = plain.sample(0, DrawKey(0, 0))["image"]
    assert torch.allclose(faded.sample(0, DrawKey(0, 5))["image"], image / 2)
    train = MedMnist(MedMnistConfig(path, "train", 8, True))
    assert torch.equal(train.sample(0, DrawKey(0, 3))["image"], train.sample(0, DrawKey(0, 3))["image"])
    assert not torch.equal(train.sample(0, DrawKey(0, 3))["image"], train.sample(0, DrawKey(0, 4))["image"])


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        MedMnist(MedMnistConfig(str(tmp_path / "none.npz")))
    np.savez(tmp_path / "x.npz", train_images=np.zeros((2, 4, 4)), train_labels=np.zeros((2, 1), int))
    with pytest.raises(InputError, match="float64"):
        MedMnist(MedMnistConfig(str(tmp_path / "x.npz")))


def test_figures_are_those_of_the_benchmark():
    labels = np.array([[0], [0], [1], [1]])
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]])
    assert auc(labels, scores) == pytest.approx(0.75)
    assert accuracy(labels, scores) == pytest.approx(0.5)
    several = np.array([[0, 1], [1, 1], [1, 0]])
    assert accuracy(several, np.array([[0.2, 0.9], [0.9, 0.2], [0.8, 0.1]])) == pytest.approx(5 / 6)
    three = np.array([[0], [1], [2]])
    assert auc(three, np.eye(3)) == 1
    with pytest.raises(InputError, match="one class"):
        auc(np.zeros((3, 1), int), np.full((3, 2), 0.5))


def test_the_protocol_keeps_the_best_on_val(tmp_path, monkeypatch):
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    run = {"workers": 0, "precision": "fp32", "device": "cpu"}
    study = MedMnistStudy(make_file(tmp_path / "3d.npz"), tmp_path / "out", {"name": "spad_encoder", **vars(VIT)},
                          learning_rates=(1e-5, 1e-2), epochs=4, batch_size=8, looks=2,
                          data={"side": 8}, run=run)  # fmt: skip
    found = run_study(study)
    assert len(found["tried"]) == 4
    assert found["val"]["auc"] == max(one["auc"] for one in found["tried"])
    assert found["test"]["auc"] > 0.7
    assert found["images"] == {"train": 24, "val": 8, "test": 8}
