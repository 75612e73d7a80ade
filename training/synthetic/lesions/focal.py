"""Round lesions inside organs: cysts, masses, metastases, nodules, stones. Most kinds are one row of `FOCAL`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.synthetic.lesions.places import describe, organ_ids
from training.synthetic.lesions.scene import Finding, Material, Region, Scene
from training.synthetic.tissue import Tissue


@dataclass(frozen=True)
class Focal:
    """How a kind of round lesion looks.

    Args:
        size_mm: smallest and largest diameter; small ones are drawn more often.
        hu: the lesion's value in this patient and phase.
        count: fewest and most lesions.
        lumps: HU of texture.
        rough: how uneven the surface is.
        outward: 0 lies inside; 1 sits half outside and takes room from the fat around.
        within: tissues that it may grow in, None for the whole organ.
        material: what its voxels become.
        relabel: organ id that its voxels become per organ, if not the organ's own.
        dependent: lies on the lowest (most posterior) wall.
        rim: HU and relative thickness of a rim, or None.
        centre: HU of a central scar or necrosis that some have, or None.
    """

    size_mm: tuple[float, float]
    hu: Callable[[Scene], float]
    count: tuple[int, int] = (1, 1)
    lumps: float = 4.0
    rough: float = 0.08
    outward: float = 0.0
    within: tuple[Tissue, ...] | None = None
    material: Material = Material.SOLID
    relabel: tuple[tuple[str, int], ...] = ()
    dependent: bool = False
    rim: Callable[[Scene], float] | None = None
    centre: Callable[[Scene], float] | None = None


def by_phase(**values: tuple[float, float]) -> Callable[[Scene], float]:
    """A range of HU per phase (`plain` for the others)."""

    def value(scene: Scene) -> float:
        return scene.uniform(*values.get(scene.contrast.phase, values["plain"]))

    return value


def relative(tissue: str, **differences: tuple[float, float]) -> Callable[[Scene], float]:
    """A range of HU above a tissue per phase (`plain` for the others)."""

    def value(scene: Scene) -> float:
        return scene.hu(tissue) + scene.uniform(*differences.get(scene.contrast.phase, differences["plain"]))

    return value


def _pooling(scene: Scene) -> float:
    """Blood that fills a haemangioma from its rim: as dense as the vessels."""
    if scene.contrast.phase == "arterial":
        return scene.hu("BLOOD_ARTERIAL") * scene.uniform(0.55, 0.8)
    return scene.hu("BLOOD_VENOUS")


_FLUID = by_phase(plain=(-2, 14))
_BONE = (Tissue.CANCELLOUS_BONE, Tissue.CORTICAL_BONE, Tissue.MARROW_FAT)
FOCAL = {
    "renal_cyst": Focal(
        (8, 60), _FLUID, (1, 3), 1, 0.03, 0.5, None, Material.FLUID, (("kidney_left", 23), ("kidney_right", 24))
    ),
    "renal_mass": Focal(
        (18, 80),
        by_phase(plain=(30, 45), arterial=(85, 160), portal_venous=(75, 115), delayed=(60, 85), ctpa=(60, 110)),
        lumps=16, rough=0.12, outward=0.6, centre=by_phase(plain=(20, 35)),
    ),
    "hepatic_cyst": Focal((6, 70), _FLUID, (1, 4), 1, 0.03, material=Material.FLUID),
    "liver_metastases": Focal(
        (9, 48), relative("LIVER", plain=(-24, -12), arterial=(-45, -22), portal_venous=(-68, -38), delayed=(-40, -20)),
        (2, 9), 7, 0.14,
        rim=relative("LIVER", plain=(-8, -3), arterial=(8, 25), portal_venous=(-22, -5)),
    ),
    "hypervascular_liver_mass": Focal(
        (14, 75), relative("LIVER", plain=(-14, -6), arterial=(38, 75), portal_venous=(-26, -12), delayed=(-24, -12)),
        (1, 2), 8, 0.1,
    ),
    "hepatic_hemangioma": Focal(
        (8, 55), relative("LIVER", plain=(-24, -12), arterial=(-35, -20), portal_venous=(-25, -5), delayed=(8, 24)),
        lumps=6, rough=0.1,
        rim=_pooling,
    ),
    "splenic_lesion": Focal(
        (8, 50), relative("SPLEEN", plain=(-34, -16), arterial=(-80, -40), portal_venous=(-75, -38)), (1, 3), 3, 0.08
    ),
    "pancreatic_mass": Focal(
        (18, 55),
        relative("PANCREAS", plain=(-8, -2), arterial=(-58, -35), portal_venous=(-48, -26), delayed=(-22, -8)),
        lumps=6, rough=0.14, outward=0.35,
    ),
    "pancreatic_cyst": Focal((8, 40), _FLUID, (1, 2), 1, 0.05, 0.3, material=Material.FLUID),
    "adrenal_nodule": Focal(
        (11, 45), by_phase(plain=(-8, 30), arterial=(45, 85), portal_venous=(45, 80), delayed=(20, 45)),
        lumps=3, rough=0.06, outward=0.7,
    ),
    "thyroid_nodule": Focal(
        (8, 32), relative("THYROID", plain=(-60, -30), arterial=(-110, -60), portal_venous=(-90, -50)), (1, 2), 8,
        outward=0.2,
    ),
    "kidney_stone": Focal(
        (2.5, 14), by_phase(plain=(450, 1300)), (1, 3), 30, 0.1,
        within=(Tissue.URINE, Tissue.KIDNEY_MEDULLA), material=Material.CALCIUM,
    ),
    "gallstones": Focal(
        (4, 18), by_phase(plain=(110, 600)), (1, 6), 40, 0.06,
        within=(Tissue.BILE,), material=Material.CALCIUM, dependent=True,
    ),
    "bladder_stone": Focal(
        (6, 32), by_phase(plain=(350, 1200)), (1, 3), 40, 0.08,
        within=(Tissue.URINE,), material=Material.CALCIUM, dependent=True,
    ),
    "sclerotic_bone_metastasis": Focal((8, 26), by_phase(plain=(520, 1100)), (1, 6), 90, 0.2, within=_BONE),
    "lytic_bone_metastasis": Focal((10, 32), by_phase(plain=(35, 75)), (1, 5), 8, 0.18, within=_BONE),
    "prostate_calcification": Focal((2.5, 6), by_phase(plain=(250, 700)), (2, 5), 40, 0.1, material=Material.CALCIUM),
    "splenic_granuloma": Focal((2.5, 6), by_phase(plain=(300, 900)), (1, 6), 40, 0.1, material=Material.CALCIUM),
}  # fmt: skip


def place_focal(scene: Scene, name: str, organ: str) -> list[Finding]:
    """Place the lesions of a kind in one organ.

    Args:
        scene: the patient; changed.
        name: key of `FOCAL`.
        organ: vocabulary name.

    Returns:
        One finding that counts them all; nothing where the organ is not there or too small.
    """
    look = FOCAL[name]
    region = scene.region(*organ_ids(organ), margin_mm=6 + look.outward * look.size_mm[1], tissues=look.within)
    if region is None:
        return []
    depth = scene.depth(region)
    room = 2 * float(depth.max())
    placed, sizes, spots = [], [], []
    for _ in range(int(scene.rng.integers(look.count[0], look.count[1] + 1))):
        low, high = look.size_mm
        size = low + (high - low) * scene.uniform(0, 1) ** 2
        limit = room * (1.0 if look.outward == 0 else 1.5 + 1.5 * look.outward)
        size = min(size, max(limit, 1.5 * low if look.outward else low))
        centre = _centre(scene, region, depth, size / 2, look)
        if centre is None:
            break
        lesion, measured = _grow(scene, region, centre, size, look, organ)
        if lesion:
            placed.append(lesion)
            sizes.append(measured)
            spots.append(centre)
    if not placed:
        return []
    largest = int(np.argmax(sizes))
    words = describe(scene, organ, spots[largest])
    return [Finding(name, organ, _side(organ), round(sizes[largest], 1), len(placed), _certainty(scene, sizes[largest]),
                    tuple(placed), words)]  # fmt: skip


def _centre(scene: Scene, region: Region, depth: np.ndarray, radius: float, look: Focal) -> np.ndarray | None:
    """Where the lesion goes: deep enough inside, near the surface if it bulges, on the lowest wall if it sinks."""
    if look.outward > 0:
        wanted = np.abs(depth - radius * (1 - look.outward)) <= max(scene.spacing.max(), 0.25 * radius)
        shell = Region(region.box, region.mask & wanted & (depth > 0))
        if shell.mask.any():
            return scene.spot(shell, 0.0, depth)
    if look.dependent:
        fits = region.mask & (depth >= min(0.8 * radius, 0.7 * depth.max())) & (scene.lesions[region.box] == 0)
        if not fits.any():
            return None
        rows = np.nonzero(fits)[1]
        low = Region(region.box, fits & (np.arange(fits.shape[1])[None, :, None] <= np.quantile(rows, 0.15)))
        return scene.spot(low, 0.0, depth)
    return scene.spot(region, radius, depth)


def _grow(scene: Scene, region: Region, centre, size: float, look: Focal, organ: str) -> tuple[int, float]:
    """Paint one lesion; returns its id and its longest diameter (0 where nothing could be painted)."""
    radii = size / 2 * np.exp(scene.rng.normal(0, 0.07, 3))
    box, weight = scene.blob(centre, radii, rough=look.rough)
    tissues, labels = scene.tissues[box], scene.labels[box]
    allowed = np.isin(labels, organ_ids(organ))
    if look.within is not None:
        allowed &= np.isin(tissues, look.within)
    if look.outward > 0:
        allowed |= (labels == 0) & np.isin(tissues, (Tissue.FAT_VISCERAL, Tissue.FAT_SUBCUTANEOUS))
    weight *= allowed
    lesion = scene.mark(box, weight, look.material)
    if not lesion:
        return 0, 0.0
    inside = weight >= 0.5
    scene.labels[box][inside] = (
        dict(look.relabel).get(organ, organ_ids(organ)[0] if look.outward > 0 else 0) or labels[inside]
    )
    scene.paint(box, weight, look.hu(scene), lumps=look.lumps)
    if look.rim is not None and size > 12:
        core = scene.blob(centre, radii * 0.72, rough=look.rough)
        ring = weight.copy()
        inner = tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(core[0], box, strict=True))
        ring[inner] *= 1 - core[1]
        scene.paint(box, ring * scene.uniform(0.5, 1.0), look.rim(scene), lumps=look.lumps)
    if look.centre is not None and size > 40 and scene.uniform(0, 1) < 0.6:
        core_box, core = scene.blob(centre, radii * scene.uniform(0.3, 0.6), rough=0.25)
        scene.paint(core_box, core, look.centre(scene), lumps=6)
    return lesion, scene.longest_mm(box, weight) if size > 1.5 * scene.spacing.max() else size


def _side(organ: str) -> str | None:
    return next((side for side in ("left", "right") if side in organ.split("_")), None)


def _certainty(scene: Scene, size: float) -> str:
    return "uncertain" if scene.uniform(0, 1) < (0.25 if size < 10 else 0.08) else "present"
