"""`python Testing/benchmarks/store.py FOLDER`: the volume store beside reading NIfTI and MONAI's PersistentDataset.

FOLDER holds CTs as `*_ct.nii.gz` (or any `*.nii.gz`). Each side draws the same number of random crops, item by item in
the same order, in one process with one thread; both caches are on the same disk, and the page cache is warm for all.

- nifti: read the file with nibabel, cut the crop, float32.
- monai: PersistentDataset of LoadImaged, EnsureChannelFirstd and Orientationd, then RandSpatialCropd.
- store: `VolumeStore`, as `training.prepare` fills it; crops as float32.

Building is timed too: reading, compressing and writing all volumes, without resampling, for the store and for MONAI's
cache; `prepare` is the whole of `training.prepare` for the shipped segmenter's card in one process. `--codecs` compares
ways to compress. Figures are of one run on one machine that may do other things: quote ratios; `cpu_ms` is the time of
this process alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import torch

from medfm_core.io import read_volume
from medfm_core.volume import Volume
from training.data.crops import draw_start
from training.data.preparation import network_order
from training.data.source_files import content_hash
from training.data.store import VolumeStore, volume_key
from training.data.store_writing import Layout, write_array
from training.data.stored_volume import FilePart, open_array


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--crop", type=int, default=96, help="sides of a crop in voxels (default: 96)")
    parser.add_argument("--crops", type=int, default=128, help="crops per side (default: 128)")
    parser.add_argument("--volumes", type=int, help="use the first so many files")
    parser.add_argument("--codecs", action="store_true", help="compare ways to compress instead")
    parser.add_argument("--no-prepare", action="store_true", help="leave the whole command out")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(options.folder.glob("*_ct.nii.gz")) or sorted(options.folder.glob("*.nii.gz"))
    files = files[: options.volumes]
    if not files:
        parser.error(f"no *.nii.gz in {options.folder}")
    with tempfile.TemporaryDirectory() as folder:
        figures = compare_codecs(files, options) if options.codecs else compare(files, Path(folder), options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def compare(files: list[Path], folder: Path, options: argparse.Namespace) -> dict:
    """Time building and cropping; print and return the figures."""
    size = (options.crop,) * 3
    keys = [volume_key(content_hash([file]), {"name": "benchmark"}) for file in files]
    build = {"store": _timed(lambda: _build_store(files, keys, folder / "store"))}
    cached = _monai(files, folder / "monai", size)
    build["monai"] = _timed(lambda: [cached.data[i] for i in range(len(files))])
    if not options.no_prepare:
        build["prepare"] = _timed(lambda: _prepare(files, folder))
    store = VolumeStore(folder / "store")
    opened: dict[str, object] = {}

    def from_store(item: int, rng: np.random.Generator) -> np.ndarray:
        volume = opened.get(keys[item]) or opened.setdefault(keys[item], store.open(keys[item]))
        return volume.crop(draw_start(volume.shape, size, rng), size)

    def from_nifti(item: int, rng: np.random.Generator) -> np.ndarray:
        image = nibabel.load(files[item])
        start = draw_start(image.shape, size, rng)
        voxels = np.asanyarray(image.dataobj)
        return voxels[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))].astype(np.float32)

    ways: dict[str, Callable] = {"store": from_store, "monai": lambda i, _: cached[i]["image"], "nifti": from_nifti}
    crops = {name: _crops(way, len(files), options.crops) for name, way in ways.items()}
    disk = {name: _bytes(folder / name) for name in ("store", "monai")} | {"nifti": sum(map(_size, files))}
    figures = {
        "volumes": len(files),
        "shapes": sorted({str(nibabel.load(file).shape) for file in files})[:4],
        "crop": options.crop,
        "build": build,
        "crops": crops,
        "megabytes": {name: round(value / 1e6, 1) for name, value in disk.items()},
        "store_times_faster_than": {
            name: round(crops[name]["ms"] / crops["store"]["ms"], 1) for name in ("nifti", "monai")
        },
        "cpu_times_less_than": {
            name: round(crops[name]["cpu_ms"] / crops["store"]["cpu_ms"], 1) for name in ("nifti", "monai")
        },
    }
    _print(figures)
    return figures


def _build_store(files: list[Path], keys: list[str], folder: Path) -> None:
    store = VolumeStore(folder)
    for file, key in zip(files, keys, strict=True):
        image = read_volume(file)
        store.put(key, network_order(Volume(image.voxels, image.affine, modality="CT")))


def _monai(files: list[Path], folder: Path, size: tuple[int, int, int]):
    from monai.data import PersistentDataset
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, RandSpatialCropd

    steps = [LoadImaged("image"), EnsureChannelFirstd("image"), Orientationd("image", "LPS", labels=None)]
    steps.append(RandSpatialCropd("image", size, random_size=False))
    dataset = PersistentDataset([{"image": str(file)} for file in files], Compose(steps), folder)

    class Cache:
        """Building the cache alone, without cropping."""

        data = dataset

        def __getitem__(self, item: int) -> dict:
            return dataset[item]

    return Cache()


def _prepare(files: list[Path], folder: Path) -> None:
    manifest = folder / "manifest.csv"
    rows = [f"{number},a,{file.resolve()},CT" for number, file in enumerate(files)]
    manifest.write_text("\n".join(["subject,study,path,modality", *rows]) + "\n")
    command = [sys.executable, "-m", "training.prepare", "--manifest", manifest, "--store", folder / "prepared"]
    subprocess.run([*map(str, command), "--card", "organ-segmenter-tiny.v2"], check=False, capture_output=True)


def _crops(way: Callable, items: int, count: int) -> dict[str, float]:
    for item in range(items):  # the page cache is warm, and arrays are open, for all ways alike
        way(item, np.random.default_rng(item))
    order = np.random.default_rng(0).integers(items, size=count)
    wall, cpu = time.perf_counter(), time.process_time()
    for number, item in enumerate(order):
        way(int(item), np.random.default_rng(number))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"ms": 1000 * wall / count, "cpu_ms": 1000 * cpu / count, "per_s": count / wall}


def _timed(work: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def compare_codecs(files: list[Path], options: argparse.Namespace) -> dict:
    """Time writing and reading in several layouts; print and return the figures."""
    arrays = [np.ascontiguousarray(read_volume(file).voxels.transpose(2, 1, 0), dtype=np.int16) for file in files]
    layouts = [Layout(block=block, codec=codec, level=level) for codec, level in
               (("LZ4", 9), ("LZ4HC", 3), ("LZ4HC", 5), ("LZ4HC", 9), ("ZSTD", 1)) for block in (16, 32)]  # fmt: skip
    size, figures = (options.crop,) * 3, {}
    print(f"{'codec':12} {'block':>5} {'write MB/s':>10} {'share':>7} {'crop ms':>8} {'cpu ms':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for layout in layouts:
            paths = [Path(folder) / f"{number}.b2nd" for number in range(len(arrays))]
            write = _timed(lambda paths=paths, layout=layout: [
                write_array(path, array, layout) for path, array in zip(paths, arrays, strict=True)])  # fmt: skip
            opened = [open_array(FilePart(path, 0, _size(path))) for path in paths]

            def crop(item: int, rng: np.random.Generator, opened=opened) -> np.ndarray:
                start = [max(0, s) for s in draw_start(opened[item].shape, size, rng)]
                return opened[item][tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))]

            read = _crops(crop, len(arrays), options.crops)
            total = sum(array.nbytes for array in arrays)
            name = f"{layout.codec} {layout.level}"
            share, speed = sum(map(_size, paths)) / total, total / 1e6 / write["cpu_s"]
            figures[f"{name} block {layout.block}"] = {"share": share, "write_mb_per_cpu_s": speed, **read}
            print(f"{name:12} {layout.block:5} {speed:10.0f} {share:7.1%} {read['ms']:8.2f} {read['cpu_ms']:8.2f}")
    return figures


def _print(figures: dict) -> None:
    print(f"{figures['volumes']} volumes, e.g. {', '.join(figures['shapes'])}; crops of {figures['crop']}^3")
    print(f"{'':8} {'build s':>8} {'cpu s':>7} {'crop ms':>8} {'cpu ms':>7} {'crops/s':>8} {'MB':>7}")
    for name in ("store", "monai", "nifti"):
        built, crop = figures["build"].get(name), figures["crops"][name]
        build = f"{built['s']:8.1f} {built['cpu_s']:7.1f}" if built else f"{'-':>8} {'-':>7}"
        print(f"{name:8} {build} {crop['ms']:8.2f} {crop['cpu_ms']:7.2f} {crop['per_s']:8.0f} "
              f"{figures['megabytes'][name]:7.1f}")  # fmt: skip
    if "prepare" in figures["build"]:
        seconds = figures["build"]["prepare"]["s"]
        print(f"training.prepare, one process: {seconds:.1f} s, {figures['volumes'] / seconds:.1f} volumes/s")
    print("the store is " + ", ".join(f"{v}x faster than {n}" for n, v in figures["store_times_faster_than"].items())
          + "; by CPU time " + ", ".join(f"{v}x" for v in figures["cpu_times_less_than"].values()))  # fmt: skip


def _bytes(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*") if path.is_file())


def _size(path: Path) -> int:
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
