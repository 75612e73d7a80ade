"""Registration of a brain to a template: rigid, scaled, affine, by mutual information. Deterministic.

What is found is a `(4, 4)` map between the two spaces, so that everything that is computed in the template's space
comes back to the scan's own grid by the map itself, without a second estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from medfm_core.errors import GeometryError, InputError
from medfm_core.geometry import Affine
from medfm_core.volume import Volume, crop, foreground_box, pad, resample, resample_to

_COARSE_MM = 3.0
_BINS = 32
_ROUNDS = 80
_COARSE = ((2, 1.0),)  # shrinking of the 3 mm images, smoothing in voxels
_FINE = ((2, 1.0), (1, 0.0))
_MARGIN_MM = 12.0
_WORSE = 0.05  # of the overlap
LEAST_OVERLAP = 0.8
_SCALES = (0.7, 1.45)


@dataclass(frozen=True, eq=False)
class Registration:
    """How a scan lies in the template's space.

    Attributes:
        to_scan: `(4, 4)`, from the template's space to the scan's own, RAS+ mm.
        overlap: Dice of scan and template above their backgrounds, once registered.
        mutual_information: of both, higher is better.
    """

    to_scan: np.ndarray
    overlap: float
    mutual_information: float

    @property
    def scales(self) -> tuple[float, float, float]:
        """By how much the scan is shrunk along its main directions to fit, rising."""
        return tuple(sorted(np.linalg.svd(self.to_scan[:3, :3], compute_uv=False).tolist()))

    def doubts(self) -> tuple[str, ...]:
        """Sentences for people; none for a registration that looks sound."""
        found = []
        if self.overlap < LEAST_OVERLAP:
            found.append(
                f"After registration only {self.overlap:.0%} of scan and template overlap; look at the picture of it."
            )
        if self.scales[0] < _SCALES[0] or self.scales[-1] > _SCALES[1]:
            found.append(f"Registration scales the brain by {self.scales[0]:.2f} to {self.scales[-1]:.2f}.")
        return tuple(found)

    def moved(self, scan: Volume) -> Volume:
        """The scan with its voxels placed in the template's space; nothing is resampled."""
        return replace(scan, affine=Affine(np.linalg.inv(self.to_scan) @ scan.affine.matrix))

    def placed_back(self, volume: Volume) -> Volume:
        """A volume of the template's space with its voxels placed in the scan's own."""
        return replace(volume, affine=Affine(self.to_scan @ volume.affine.matrix))


def register(scan: Volume, template: Volume) -> Registration:
    """Find where a brain lies in a template's space.

    Args:
        scan: a stripped brain MRI of any sequence.
        template: a stripped brain.

    Raises:
        InputError: one shows nothing, or they cannot be registered.
        GeometryError: what was found is no map between spaces.
    """
    fixed, moving = _prepared(template), _prepared(scan)
    images = _to_itk(fixed), _to_itk(moving)
    try:
        with _one_thread():
            found, value = _best(images, fixed, moving)
    except RuntimeError as error:
        raise InputError(
            "the scan could not be registered to the template", "give a stripped brain MRI, or leave --register out"
        ) from error
    to_scan = _matrix(found)
    if not np.isfinite(to_scan).all() or np.linalg.det(to_scan[:3, :3]) <= 0.05:
        raise GeometryError("registration found no map between scan and template", "leave --register out")
    return Registration(to_scan, _overlap(fixed, moving, to_scan), -value)


def to_template(scan: Volume, registration: Registration, template: Volume) -> Volume:
    """Bring a scan onto its template's grid by cubic splines.

    Args:
        scan: as it was registered.
        registration: its own.
        template: the grid.

    Returns:
        float32; values stay within the scan's, 0 outside of it.
    """
    import SimpleITK

    matrix = scan.affine.inverse() @ registration.to_scan @ template.affine.matrix  # template index to scan index
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(scan.voxels.transpose(2, 1, 0), np.float32))
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in template.shape])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(SimpleITK.sitkBSpline3)
    made = SimpleITK.GetArrayFromImage(resampler.Execute(image)).transpose(2, 1, 0)
    background = float(scan.voxels.min())
    within = resample_to(
        registration.moved(scan).with_voxels((scan.voxels > background).astype(np.float32)), template.grid, fill=0.0
    )
    kept = np.clip(made, background, float(scan.voxels.max())) * (within.voxels > 0.5)  # no ringing around the brain
    return replace(scan, voxels=kept.astype(np.float32), affine=template.affine)


def _best(images: tuple, fixed: Volume, moving: Volume) -> tuple[object, float]:
    """Rigid, then with one scale, then affine; an affine map that ran away is not taken."""
    import SimpleITK

    start = SimpleITK.CenteredTransformInitializer(
        *images, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.MOMENTS
    )
    rigid, _ = _optimised(images, SimpleITK.Euler3DTransform(start), _COARSE, 3.0)
    scaled = SimpleITK.Similarity3DTransform()
    alike, value = _optimised(images, _taken_over(scaled, rigid), _COARSE, 1.0)
    affine = _optimised(images, _taken_over(SimpleITK.AffineTransform(3), alike), _FINE, 1.0)
    if _overlap(fixed, moving, _matrix(affine[0])) < _overlap(fixed, moving, _matrix(alike)) - _WORSE:
        return alike, value
    return affine


def _taken_over(transform: object, start: object) -> object:
    transform.SetCenter(start.GetCenter())
    transform.SetMatrix(start.GetMatrix())
    transform.SetTranslation(start.GetTranslation())
    return transform


def _optimised(images: tuple, transform: object, levels: tuple, step_mm: float) -> tuple[object, float]:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, _ROUNDS, 1e-6, 10, method.EachIteration, step_mm)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([level[0] for level in levels])
    method.SetSmoothingSigmasPerLevel([level[1] for level in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(False)
    method.SetInitialTransform(transform, inPlace=False)
    way = _Way(method)
    method.AddCommand(SimpleITK.sitkMultiResolutionIterationEvent, way.restart)
    method.AddCommand(SimpleITK.sitkIterationEvent, way.note)
    found = method.Execute(*images)
    while found.GetName() == "CompositeTransform":
        found = SimpleITK.CompositeTransform(found).GetBackTransform()
    found = found.Downcast()
    if way.position is not None:
        found.SetParameters(way.position)
    return found, way.value


class _Way:
    """The best place of an optimiser's way through its last level: it may go on to worse ones."""

    def __init__(self, method: object) -> None:
        self._method = method
        self.restart()

    def restart(self) -> None:
        """Begin a level, whose values cannot be compared with those of others."""
        self.value, self.position, self._here = float("inf"), None, None

    def note(self) -> None:
        """Keep where the value was found: the optimiser has stepped on since."""
        value = float(self._method.GetMetricValue())
        if self._here is not None and value < self.value:
            self.value, self.position = value, self._here
        self._here = self._method.GetOptimizerPosition()


def _prepared(volume: Volume) -> Volume:
    """At 3 mm, cropped around what is there, 0 to 1."""
    voxels = np.nan_to_num(volume.voxels.astype(np.float32))
    low, high = float(voxels.min()), float(np.percentile(voxels, 99.8))
    if not high > low:
        raise InputError("nothing in the image is brighter than its background", "give a stripped brain MRI")
    scaled = np.clip((voxels - low) / (high - low), 0, 1)
    coarse = resample(replace(volume, voxels=scaled, modality=None), np.maximum(volume.spacing, _COARSE_MM))
    box = foreground_box(coarse.voxels > 0.05)
    margin = [round(_MARGIN_MM / mm) for mm in coarse.spacing]

    padded = pad(coarse, margin, margin, 0.0)
    start = box[0]
    stop = [b + 2 * m for b, m in zip(box[1], margin, strict=True)]

    return crop(padded, start, stop)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK use one thread: sums in another order would differ in their last digits."""
    import SimpleITK

    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _to_itk(volume: Volume) -> object:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.voxels.transpose(2, 1, 0)))
    origin, spacing, direction = volume.affine.to_itk()
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    return image


def _matrix(transform: object) -> np.ndarray:
    """ITK's map in LPS mm as one in RAS mm."""
    linear = np.reshape(transform.GetMatrix(), (3, 3))
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift + centre - linear @ centre
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    return turn @ matrix @ turn


def _overlap(template: Volume, scan: Volume, to_scan: np.ndarray) -> float:
    moved = replace(scan, affine=Affine(np.linalg.inv(to_scan) @ scan.affine.matrix))
    ours, theirs = resample_to(moved, template.grid, fill=0.0).voxels > 0.1, template.voxels > 0.1
    return float(2 * (ours & theirs).sum() / max(int(ours.sum() + theirs.sum()), 1))
