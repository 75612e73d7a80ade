"""A scene with a CT and its result. Test files skip by themselves where slicer-core has no wheel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scene_results

SHAPE, SPACING = (40, 36, 24), (4.0, 4.0, 6.0)


@pytest.fixture
def space():
    """An empty scene with its logics."""
    from scene_offscreen import OffscreenScene

    return OffscreenScene()


@pytest.fixture
def case(space, tmp_path):
    """A CT in LPS order, its result with a kidney on each side and saliency in the left one, and the bridge."""
    from MedFMLib.results import read_result
    from MedFMLib.scene import SlicerScene

    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = [(n - 1) * s / 2 for n, s in zip(SHAPE, SPACING, strict=True)]
    affine[2, 3] *= -1
    labels, heat = phantom(affine)
    folder = scene_results.write_result(tmp_path / "result", labels, affine, heat)
    grey = np.full(SHAPE[::-1], 100, np.int16)
    volume = space.volume(grey, affine)
    bridge = SlicerScene(space.scene)
    yield SimpleNamespace(
        space=space, scene=space.scene, bridge=bridge, volume=volume, folder=folder, result=read_result(folder),
        labels=labels, heat=heat, affine=affine, map=folder / "saliency_renal_mass_kidney_left.nii.gz",
    )  # fmt: skip
    bridge.close()


def phantom(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Balls in RAS: the liver on the right in front, a kidney on each side behind; heat in the left kidney."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    ras = index @ affine[:3, :3].T + affine[:3, 3]
    labels = np.zeros(SHAPE, np.uint8)
    for name, centre, radius in (
        ("liver", (35, 30, 0), 24),
        ("kidney_right", (40, -35, 0), 18),
        ("kidney_left", (-40, -35, 0), 18),
    ):
        labels[np.linalg.norm(ras - centre, axis=-1) < radius] = scene_results.IDS[name]
    away = np.linalg.norm(ras - (-40, -35, 0), axis=-1)
    heat = np.where(away < 16, np.exp(-((away / 12) ** 2)), 0).astype(np.float32)
    return labels, heat
