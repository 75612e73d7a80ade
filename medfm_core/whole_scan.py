"""Models that look at a scan as a whole: one unit that holds every structure, and the volume they take.

Such a model answers for no organ by itself; what it says of a finding is said of the whole scan.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medfm_core.anatomy import FindingKind, load_vocabulary
from medfm_core.anatomy.findings import structures_of
from medfm_core.card_inputs import WHOLE_SCAN, InputSpec
from medfm_core.embedding import OrganEmbedding, StudyEmbedding
from medfm_core.errors import ResourceError, WeightsError
from medfm_core.geometry import Grid
from medfm_core.io import clamp_air
from medfm_core.measurements import OrganMeasurement, State
from medfm_core.organ_units import OrganUnit
from medfm_core.preprocessing import to_channels
from medfm_core.progress import SILENT, Progress
from medfm_core.volume import Volume, reorient, resample_to

if TYPE_CHECKING:
    from torch import Tensor

    from medfm_core.findings_model import FindingsModel
    from medfm_core.organ_encoding import EncodedOrgans, EncodingSettings

STAGE = "scan embedding"
CROPPED = "The model sees the middle of the scan, {} mm; of the scan it leaves out {:.0f} %."
_OUTSIDE_HU = -1000.0
_NEARLY_WHOLE = 1e-3  # spacings read from an affine are a little off


def whole_scan_unit(reason: str = "") -> OrganUnit:
    """The unit of a model that looks at the whole scan, of every structure of the vocabulary.

    Args:
        reason: what the model does not see, "" where it sees all.
    """
    return OrganUnit(WHOLE_SCAN, _every_structure(), State.CUT if reason else State.PRESENT, reason)


def unit_for(unit: OrganUnit, kind: FindingKind, measurements: Iterable[OrganMeasurement]) -> OrganUnit:
    """The whole scan as it bears on one finding: outside where all of the finding's organs are outside.

    Args:
        unit: `whole_scan_unit`.
        kind: the finding.
        measurements: of the scan; organs that nobody looked for count as there.
    """
    vocabulary = load_vocabulary()
    wanted = {part for organ in kind.organs for part in structures_of(organ, vocabulary)}
    states = {m.state for m in measurements if m.name in wanted and m.state is not State.NOT_COVERED}
    if states == {State.OUTSIDE}:
        return OrganUnit(unit.name, unit.structures, State.OUTSIDE)
    return unit


def scan_tensor(image: Volume, spec: InputSpec) -> tuple[Tensor, float]:
    """Bring a CT to the size that a model of whole scans takes: resampled, cropped around its middle, or padded.

    Args:
        image: in HU.
        spec: the card's `input` entry.

    Returns:
        `(1, D, H, W)` float32, where D runs along the last array axis of `spec.orientation`, H along the first and W
        along the second; and the share of the scan that was cropped away.

    Source: the package merlin-vlm 0.0.6, whose rounding of shape and middle this follows; for "face_to_face" the
    preprocessing of CT-CLIP's zero-shot scripts.
    """
    import torch

    oriented = reorient(image, spec.orientation) if spec.orientation else image
    if spec.resampling == "face_to_face":
        on_grid = _face_to_face(oriented, spec)
    else:
        on_grid = resample_to(oriented, _grid(oriented, spec.spacing_mm), fill=_OUTSIDE_HU, antialias=False)
    depth, height, width = spec.size
    picked, before, after = _middle(on_grid.shape, (height, width, depth))
    kept = np.ascontiguousarray(on_grid.voxels[picked].transpose(2, 0, 1), dtype=np.float32)
    share = 1 - kept.size / on_grid.voxels.size
    scaled = to_channels(torch.from_numpy(kept), spec.intensity)
    sides = [(before[axis], after[axis]) for axis in (1, 0, 2)]  # of W, H, D: torch pads from the last axis on
    padding = [length for pair in sides for length in pair]
    return torch.nn.functional.pad(scaled, padding, value=spec.intensity.to[0]), share


def encode_scan(
    image: Volume, model: FindingsModel, settings: EncodingSettings, progress: Progress = SILENT
) -> EncodedOrgans:
    """Encode a scan as a whole, in fp32.

    Args:
        image: a CT in HU.
        model: a loaded findings model whose card has `input.organs.whole`.
        settings: how to encode; `units` does not count, there is but one.
        progress: told of the scan; may cancel before it.

    Raises:
        ResourceError: the network does not fit into the memory.
        WeightsError: it gives values that are no numbers.
    """
    import torch

    from medfm_core.inference.encoder_memory import free_bytes
    from medfm_core.inference.modes import deterministic_kernels, torch_threads
    from medfm_core.organ_encoding import EncodedOrgans, finite_scan

    start, spec = time.perf_counter(), model.card.input
    need, free = model.image.config.peak_bytes(spec.size), free_bytes(model.device)
    if need > free:
        raise ResourceError(
            f"encoding a scan with {model.card.id} needs about {need / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB "
            "are free",
            "close other programs, choose a smaller findings model, or leave findings out with --no-findings",
        )
    with (
        torch_threads(settings.threads),
        deterministic_kernels(settings.deterministic),
        torch.inference_mode(),
        progress.stage(STAGE, 1) as stage,
    ):
        volume, share = scan_tensor(clamp_air(finite_scan(image)), spec)
        began = time.perf_counter()
        vector = model.image(volume[None].to(model.device))[0].float().cpu()
        inside = time.perf_counter() - began
        stage.advance()
    if not torch.isfinite(vector).all():
        what = f"the encoder of {model.card.id} gives values that are no numbers"
        raise WeightsError(what, "look for NaN in the scan")
    unit = whole_scan_unit(_reason(spec, share))
    state = "cut" if unit.state is State.CUT else "present"
    embedding = OrganEmbedding(WHOLE_SCAN, 0, state, vector.numpy())
    study = StudyEmbedding(model.sentences.encoder, (embedding,))
    return EncodedOrgans((unit,), study, str(model.device), "fp32", 1, time.perf_counter() - start, inside)


def _every_structure() -> tuple[str, ...]:
    return tuple(organ.name for organ in load_vocabulary().organs)


def _reason(spec: InputSpec, share: float) -> str:
    depth, height, width = spec.size
    sides = (height * spec.spacing_mm[0], width * spec.spacing_mm[1], depth * spec.spacing_mm[2])
    return CROPPED.format(" x ".join(f"{side:g}" for side in sides), 100 * share) if share > 0.005 else ""


def _grid(volume: Volume, spacing_mm: Sequence[float]) -> Grid:
    """The grid from the first voxel's middle to the last one's, as MONAI lays it."""
    scale = np.array(spacing_mm) / np.array(volume.spacing)
    shape = np.maximum(1, np.round((np.array(volume.shape) - 1) / scale + 1)).astype(int)
    return Grid(tuple(shape.tolist()), volume.affine @ np.diag([*scale, 1.0]))


def _face_to_face(volume: Volume, spec: InputSpec) -> Volume:
    """Clip, then resample to whole voxels that fill the scan from its first face to its last."""
    count = np.array(volume.shape)
    shape = np.maximum(1, np.floor(count * np.array(volume.spacing) / spec.spacing_mm + _NEARLY_WHOLE)).astype(int)
    step = np.diag([*(count / shape), 1.0])
    step[:3, 3] = (count / shape - 1) / 2
    grid = Grid(tuple(shape.tolist()), volume.affine @ step)
    return resample_to(volume.with_voxels(volume.voxels.clip(*spec.intensity.hu)), grid, antialias=False)


def _middle(shape: Sequence[int], size: Sequence[int]) -> tuple[tuple[slice, ...], list[int], list[int]]:
    """What of each axis is kept, and how much is added before and after it."""
    picked, before, after = [], [], []
    for length, wanted in zip(shape, size, strict=True):
        lacking = max(0, wanted - length)
        before.append(lacking // 2)
        after.append(lacking - lacking // 2)
        start = max(0, length // 2 - wanted // 2)
        picked.append(slice(start, start + min(length, wanted)))
    return tuple(picked), before, after
