"""Published segmenters from the hub to the label map: pulled, converted, loaded strictly, run, and equal to MONAI's."""

from __future__ import annotations

from dataclasses import replace

import monai_bundle
import numpy as np
import published_layouts as layouts
import pytest
import torch
from hub_server import Hub
from safetensors.torch import save_file
from scipy import ndimage

from medfm_core import cli
from medfm_core.anatomy import load_vocabulary
from medfm_core.card_library import default_card, load_card
from medfm_core.card_parts import Source, WeightFile
from medfm_core.errors import WeightsError
from medfm_core.geometry import Affine
from medfm_core.hub.licences import accept
from medfm_core.hub.pull import pull_card
from medfm_core.io import read_volume, write_scalar
from medfm_core.measurements import State, measure
from medfm_core.segmentation import OrganPredictor
from medfm_core.segmenter_choice import check_ready
from medfm_core.volume import Volume

pytest.importorskip("monai")
LOW, HIGH, VISTA, NV = "monai-wholebody-3mm.v1", "monai-wholebody-1.5mm.v1", "monai-vista3d.v1", "nv-segment-ct.v1"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that serves published files, a cache and Resources of their own."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "MEDFM_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    resources = tmp_path / "resources"
    resources.mkdir()
    for name in ("vocabulary", "weights", "sample"):
        (resources / name).symlink_to(layouts.ROOT / "Resources" / name)
    monkeypatch.setenv("MEDFM_RESOURCES", str(resources))
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "cache"))
    served = Hub()
    _http.close_session()
    with served.running():
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served
    _http.close_session()


def fetched(hub, name, folder, **changes):
    """A shipped card whose published file, of random weights, was pulled from the hub."""
    card = load_card(name, layouts.CARDS)
    card = replace(card, **changes)
    content = layouts.checkpoint(layouts.published_network(card), card)
    card = layouts.serving(hub, name, folder / "resources", content, **changes)
    accept(card, folder / "cache")
    pull_card(card)
    return card


def in_folder(name, folder, **changes):
    """The same without a hub: the tensors that the network keeps, in a folder."""
    card = replace(load_card(name, layouts.CARDS), **changes)
    net = layouts.published_network(card)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, folder / "w.safetensors")
    file = WeightFile("w.safetensors", "0" * 64, 1)
    return replace(card, weights=(file,), source=Source("file", path=str(folder))), net


def small(name, tile=(32, 32, 32), **options):
    """Changes of a card that make it quick: a smaller tile, and options of the network."""
    card = load_card(name, layouts.CARDS)
    return {
        "inference": replace(card.inference, tile=tile, precision="fp32"),
        "architecture": replace(card.architecture, options={**card.architecture.options, **options}),
    }


def lumps(shape=(58, 47, 31), spacing=(1.93, 2.11, 3.67), seed=0):
    """A CT of smooth lumps, stored with flipped and exchanged axes.

    No voxel lies half way between two of a model's: such a one may take either's label.
    """
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.5)
    matrix = np.zeros((4, 4))
    matrix[0, 1], matrix[1, 0], matrix[2, 2], matrix[3, 3] = -spacing[1], spacing[0], -spacing[2], 1.0
    matrix[:3, 3] = 35, -40, 60
    return Volume((values / values.std() * 400 - 200).astype(np.int16), Affine(matrix), modality="CT")


def dices(found, wanted):
    both = [(found == n, wanted == n) for n in np.unique(wanted)]
    return [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in both]


@pytest.mark.parametrize(
    ("name", "spacing_mm", "shape"), [(LOW, 3.0, (58, 47, 31)), (LOW, 3.0, (20, 61, 9)), (HIGH, 1.5, (20, 61, 9))]
)
def test_the_labels_are_those_of_monai_s_own_pipeline(tmp_path, name, spacing_mm, shape):
    from monai.data import MetaTensor

    card, net = in_folder(name, tmp_path, **small(name, init_filters=8))
    ct = lumps(shape)
    ours = OrganPredictor(card, "cpu")(ct).labels
    assert ours.voxels.shape == ct.shape
    assert np.array_equal(ours.affine.matrix, ct.affine.matrix)
    image = MetaTensor(torch.from_numpy(ct.voxels.astype(np.float32)), affine=torch.from_numpy(ct.affine.matrix.copy()))
    channels = monai_bundle.whole_body(image, net, spacing_mm, (32, 32, 32))
    table = np.zeros(256, int)
    for channel, organ in card.channels.items():
        table[channel] = load_vocabulary().by_name(organ).id
    wanted = table[channels]
    scores = dices(ours.voxels, wanted)
    assert len(scores) > 5
    assert np.mean(scores) >= 0.999
    assert np.mean(ours.voxels == wanted) >= 0.999


def test_a_published_bundle_at_its_size_from_the_hub_to_a_label_map(hub, tmp_path, capsys):
    """As the user does it: without weights a sentence, then pull, then segment; the default stays the shipped one."""
    card = load_card(LOW, layouts.CARDS)
    content = layouts.checkpoint(layouts.published_network(card), card)
    assert b"_rebuild_from_type_v2" in content
    card = layouts.serving(hub, LOW, tmp_path / "resources", content, inference=small(LOW)["inference"])
    ct = Volume(lumps((30, 30, 20), (4.0, 4.0, 5.0)).voxels, Affine(np.diag([4.0, 4.0, 5.0, 1.0])))
    write_scalar(ct, tmp_path / "ct.nii.gz")
    order = ["segment", str(tmp_path / "ct.nii.gz"), "--out", str(tmp_path / "o.nii.gz"), "--model", LOW, "--device"]
    order += ["cpu", "--quiet", "--force"]
    assert cli.main(order) == 3
    said = capsys.readouterr().err
    assert "75 MB" in said
    assert f"licence Apache-2.0) and not on this machine; run medfm models pull {LOW}" in said
    assert cli.main(["models", "pull", LOW, "--quiet"]) == 0
    assert cli.main(["models", "verify", LOW]) == 0
    assert cli.main(order) == 0
    labels = read_volume(tmp_path / "o.nii.gz")
    assert labels.shape == ct.shape
    assert np.allclose(labels.affine.matrix, ct.affine.matrix)
    known = {0, *(load_vocabulary().by_name(name).id for name in card.classes)}
    assert set(np.unique(labels.voxels).astype(int)) <= known
    assert len(np.unique(labels.voxels)) > 3
    other = layouts.serving(hub, HIGH, tmp_path / "resources", b"never asked for")
    assert card.root() == other.root()  # one repository: the one file does not stand for the other
    check_ready(card)
    with pytest.raises(WeightsError, match=rf"75 MB, licence Apache-2.0\).*medfm models pull {HIGH}"):
        check_ready(other)


@pytest.mark.parametrize("name", [VISTA, NV])
def test_vista3d_from_the_hub_to_a_label_map(hub, tmp_path, name):
    card = fetched(hub, name, tmp_path, **small(name, encoder_embed_dim=8))
    ct = lumps((20, 15, 11), (2.3, 2.3, 3.1))
    found = OrganPredictor(card, "cpu")(ct)
    assert found.labels.shape == ct.shape
    assert set(found.covered) == {organ.name for organ in load_vocabulary().organs}
    assert len(np.unique(found.labels.voxels)) > 3
    tight = OrganPredictor(card, "cpu", tile=(16, 32, 32))(ct)
    assert "saw tiles of 16 x 32 x 32 voxels and not the published 32 x 32 x 32" in tight.warnings[0]


@pytest.mark.slow
def test_vista3d_at_its_published_size(hub, tmp_path):
    card = fetched(hub, VISTA, tmp_path, inference=small(VISTA)["inference"])
    assert card.weights_path.stat().st_size < 800_000_000  # the point branch was left out
    found = OrganPredictor(card, "cpu")(lumps((20, 20, 12), (2.0, 2.0, 3.0)))
    assert found.labels.shape == (20, 20, 12)


def test_what_is_absent_cut_or_not_covered_stays_said(tmp_path):
    card, _ = in_folder(LOW, tmp_path, **small(LOW, init_filters=8))
    ct = lumps((40, 33, 20))
    found = OrganPredictor(card, "cpu")(ct)
    states = {m.name: m for m in measure(ct, found)}
    assert states["thyroid_gland"].state is State.NOT_COVERED
    assert states["spinal_cord"].state is State.NOT_COVERED
    marked = {load_vocabulary().by_id(int(n)).name for n in np.unique(found.labels.voxels) if n}
    missing = [name for name in card.classes if name not in marked]
    assert missing
    assert all(states[name].state in (State.ABSENT, State.OUTSIDE) and states[name].reason for name in missing)
    assert all(states[name].volume_ml is None for name in missing)
    cut = [states[name] for name in marked if states[name].state is State.CUT]
    assert cut
    assert all(organ.faces for organ in cut)


def test_wrong_weights_are_refused(hub, tmp_path):
    """A checkpoint of another size does not fill the network, and nothing is kept."""
    card = load_card(LOW, layouts.CARDS)
    options = {**card.architecture.options, "init_filters": 8}
    other = replace(card, architecture=replace(card.architecture, options=options))
    card = layouts.serving(
        hub, LOW, tmp_path / "resources", layouts.checkpoint(layouts.published_network(other), other)
    )
    with pytest.raises(WeightsError, match="another shape"):
        pull_card(card)
    with pytest.raises(WeightsError):
        OrganPredictor(card, "cpu")


def test_the_default_stays_the_shipped_model():
    assert default_card("organ_segmentation").source.kind == "shipped"
