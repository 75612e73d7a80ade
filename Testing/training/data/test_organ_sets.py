"""Organ sets from a manifest: scales, what is missing, and what is wrong said with what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from medfm_core.errors import InputError
from medfm_core.models.pan_fm_organs import OrganSpec
from training.data.manifest_table import write_table
from training.data.organ_sets import OrganSets
from training.data.organ_sets_config import OrganSetsConfig
from training.engine.draw import DrawKey

ORGANS = (
    OrganSpec("heart", "table", fields=("mass", "strain")),
    OrganSpec("liver", "vectors", count=3, values=2),
    OrganSpec("brain", "volume", image_size=(2, 2, 2), patch_size=(2, 2, 2)),
)
COLUMNS = ("subject", "study", "path", "modality", "organs", "split", "feature.heart.mass", "feature.heart.strain",
           "target.ill")  # fmt: skip


def write(tmp_path, rows):
    cells = []
    for number, (stored, changes) in enumerate(rows):
        save_file({"empty": torch.zeros(1), **stored}, tmp_path / f"{number}.safetensors")
        row = {"subject": f"s{number}", "study": "1", "path": f"{number}.safetensors", "modality": "MR",
               "split": "train", "target.ill": number % 2}  # fmt: skip
        cells.append(row | changes)
    write_table(tmp_path / "manifest.csv", COLUMNS, cells)
    return OrganSetsConfig(str(tmp_path / "manifest.csv"), organs=ORGANS)


LIVER, BRAIN = torch.arange(4.0).reshape(2, 2), torch.ones(1, 2, 2, 2)
HEART = {"feature.heart.mass": 100, "feature.heart.strain": -20}
ROWS = [
    ({"liver": LIVER, "brain": BRAIN}, HEART),
    ({}, {"feature.heart.mass": 120}),
    ({"liver": LIVER}, {"organs": "liver", "feature.heart.mass": 140}),
    ({}, {}),
]


def test_tables_are_standardised_and_what_is_missing_is_not_known(tmp_path):
    source = OrganSets(write(tmp_path, ROWS))
    assert (len(source), source.skipped) == (3, 1)
    first, second, third = (source.sample(item, DrawKey(0, 0)) for item in range(3))
    masses = np.array([100.0, 120.0, 140.0])
    assert float(first["organ.heart"][0]) == pytest.approx((100 - 120) / masses.std(), rel=1e-5)
    assert first["known.heart"].tolist() == [True, True]
    assert first["known.liver"].tolist() == [True, True, False]
    assert torch.equal(first["organ.liver"][:2], LIVER)
    assert first["known.brain"].tolist() == [True]
    assert second["known.heart"].tolist() == [True, False]
    assert not second["known.liver"].any()
    assert not third["known.heart"].any()  # it is measured, but not listed among the organs
    assert third["known.liver"].any()
    batch = source.batch([0, 1])
    assert batch["organ.brain"].shape == (2, 1, 2, 2, 2)
    watched = source.monitor_samples(2, 0)
    assert [sample["subject"] for sample in watched] == ["s0", "s1"]
    assert watched[1]["target.ill"] == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([({"liver": torch.zeros(4, 2)}, HEART)], "the shape"),
        ([({"brain": torch.full((1, 2, 2, 2), float("nan"))}, HEART)], "not finite"),
        ([({}, {})], "none of the 1 studies"),
    ],
)
def test_wrong_organs_are_refused(tmp_path, rows, said):
    with pytest.raises(InputError, match=said):
        OrganSets(write(tmp_path, rows))


def test_wrong_configurations_are_refused(tmp_path):
    config = write(tmp_path, ROWS)
    with pytest.raises(InputError, match="exactly one"):
        OrganSetsConfig(config.manifest)
    with pytest.raises(InputError, match=r"feature\.heart\.mas'"):
        OrganSets(OrganSetsConfig(config.manifest, organs=(OrganSpec("heart", "table", fields=("mas",)),)))
    (tmp_path / "0.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="its file is damaged"):
        OrganSets(config)
