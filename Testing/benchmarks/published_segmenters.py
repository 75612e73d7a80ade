"""Published segmenters with random weights on a real CT: seconds and memory, beside the publisher's own pipeline.

    python Testing/benchmarks/published_segmenters.py CT.nii.gz --model monai-wholebody-3mm.v1 [--theirs] [--threads N]

Random weights of the published size and layout are served by a hub on this machine, pulled, converted, and run by
`medfm segment` in a process of its own. `--theirs` then runs MONAI's transforms and sliding window, as the bundle's
inference.json names them, on the same weights, in a process of its own too, and compares the labels. Random weights
take as long as trained ones; their labels mean nothing. On a machine that does other work too, compare the CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

SPACING_MM = {"monai-wholebody-1.5mm.v1": 1.5, "monai-wholebody-3mm.v1": 3.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct")
    parser.add_argument("--model", default="monai-wholebody-3mm.v1")
    parser.add_argument("--theirs", action="store_true", help="run MONAI's pipeline too (whole-body bundles)")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--precision", default=None, help="fp32, bf16: instead of the card's")
    parser.add_argument("--only-theirs", nargs=2, metavar=("CHECKPOINT", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only_theirs:
        bundle(args.ct, args.model, *args.only_theirs, args.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(args, Path(folder))


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Serve, pull, run and tell."""
    import numpy as np
    import published_layouts as layouts
    from hub_server import Hub

    from medfm_core.card_library import load_card
    from medfm_core.hub.licences import accept
    from medfm_core.hub.pull import pull_card
    from medfm_core.io import read_volume

    resources = folder / "resources"
    resources.mkdir()
    for name in ("vocabulary", "weights"):
        (resources / name).symlink_to(layouts.ROOT / "Resources" / name)
    os.environ |= {"MEDFM_RESOURCES": str(resources), "MEDFM_CACHE": str(folder / "cache")}
    card = load_card(args.model, layouts.CARDS)
    content = layouts.checkpoint(layouts.published_network(card), card)
    changes = {}
    if args.precision:
        from dataclasses import replace

        changes["inference"] = replace(card.inference, precision=args.precision)
    hub = Hub()
    with hub.running():
        os.environ["HF_ENDPOINT"] = hub.url
        card = layouts.serving(hub, args.model, resources, content, **changes)
        accept(card, folder / "cache")
        start = time.perf_counter()
        pull_card(card)
        print(f"{card.id}: {len(content) / 1e6:.1f} MB pulled and converted in {time.perf_counter() - start:.1f} s")
    threads = ["--threads", str(args.threads)] if args.threads else []
    ours = folder / "ours.nii.gz"
    order = ["segment", args.ct, "--out", str(ours), "--model", card.id, "--json", "--device", "cpu", *threads]
    seconds, cpu, lines = timed([sys.executable, "-m", "medfm_core.cli", *order])
    tell("medfm segment", seconds, cpu, children_gb())
    print("  warnings:", json.loads(lines.splitlines()[-1]).get("warnings"), flush=True)
    if not args.theirs:
        return
    (folder / "published.pt").write_bytes(content)
    theirs = folder / "theirs.npy"
    order = [args.ct, "--model", args.model, *threads, "--only-theirs", str(folder / "published.pt"), str(theirs)]
    slow, slow_cpu, lines = timed([sys.executable, __file__, *order])
    tell("MONAI's own pipeline", slow, slow_cpu, float(lines.splitlines()[-1]))
    print(f"  MONAI / MedFM: {slow / seconds:.2f} in seconds, {slow_cpu / cpu:.2f} in CPU seconds")
    found, wanted = read_volume(ours).voxels.astype(int), mapped(np.load(theirs), card)
    print(f"  voxels with the same label: {(found == wanted).mean():.6f}; {dices(found, wanted)}")


def timed(order: list[str]) -> tuple[float, float, str]:
    """Run a command and give its seconds, CPU seconds and output."""
    start, before = time.perf_counter(), cpu_seconds()
    done = subprocess.run(order, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(order)} ended with {done.returncode}")
    return time.perf_counter() - start, cpu_seconds() - before, done.stdout


def tell(what: str, seconds: float, cpu: float, peak_gb: float) -> None:
    print(f"  {what}: {seconds:.1f} s ({cpu:.1f} CPU seconds), peak memory {peak_gb:.2f} GB", flush=True)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children_gb() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9


def mapped(channels, card):
    """The bundle's class numbers as numbers of the vocabulary."""
    import numpy as np

    from medfm_core.anatomy import load_vocabulary

    table = np.zeros(256, int)
    for channel, name in card.channels.items():
        table[channel] = load_vocabulary().by_name(name).id
    return table[channels]


def dices(found, wanted) -> str:
    import numpy as np

    scores = [
        2 * np.sum((found == n) & (wanted == n)) / (np.sum(found == n) + np.sum(wanted == n)) for n in np.unique(wanted)
    ]
    return f"Dice over {len(scores)} labels: mean {np.mean(scores):.6f}, least {min(scores):.6f}"


def bundle(ct: str, model: str, weights: str, out: str, threads: int | None) -> None:
    """The bundle's inference.json, version 0.2.7, written out with MONAI's parts."""
    import monai_bundle
    import numpy as np
    import torch
    from monai.transforms import LoadImage

    if threads:
        torch.set_num_threads(threads)
    import published_layouts as layouts

    from medfm_core.card_library import load_card

    net = layouts.published_network(load_card(model, layouts.CARDS))
    net.load_state_dict(torch.load(weights, weights_only=True))
    labels = monai_bundle.whole_body(LoadImage(image_only=True)(ct), net, SPACING_MM[model], (96, 96, 96))
    np.save(out, labels.astype(np.uint8))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    main()
