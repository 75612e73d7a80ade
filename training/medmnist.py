"""`python -m training.medmnist`: fine-tune a SPAD transformer on a set of MedMNIST v2, by its protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medfm_core.errors import InputError
from medfm_core.progress import RichProgress
from training.command import GOES_ON, command, parser_of

EXAMPLES = """examples:
  nodules in 3D, from a run of masked image modelling:
    python -m training.medmnist --file nodulemnist3d.npz --run runs/tiny-mim --out nodules
  the same from scratch, with two learning rates, small:
    python -m training.medmnist --file nodulemnist3d.npz --run runs/tiny-mim --from-scratch --out scratch \\
        --lr 1e-4 5e-4 --epochs 20 --side 80
  shapes whose grey values mean nothing (Adrenal, Vessel):
    python -m training.medmnist --file vesselmnist3d.npz --run runs/tiny-mim --fade --out vessels

The files are those of the package medmnist (`<set>.npz`); MedMNIST's sets have licences of their own. The published
protocol lowers the learning rate in two steps; here it falls as a cosine. The head reads the mean of the tokens.
--out holds a run per learning rate and medmnist.json: the checkpoint with the best AUC on val, and its AUC and accuracy
on test."""


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from training.evaluation.medmnist_study import LEARNING_RATES

    parser = parser_of("medmnist", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--file", type=Path, required=True, help="npz file of a set of MedMNIST v2")
    add("--run", type=Path, required=True, help="run of the objective spad_mim")
    add("--from-scratch", action="store_true", help="take the run's architecture alone, with random weights")
    add("--out", type=Path, required=True, help="folder of the results")
    add("--lr", type=float, nargs="+", default=list(LEARNING_RATES), help="learning rates to try (default: seven)")
    add("--epochs", type=int, default=100, help="of each training (default: 100)")
    add("--batch-size", type=int, help="images of a step (default: 32 for 3D, 128 for 2D)")
    add("--side", type=int, default=160, help="pixels that images are enlarged to (default: 160)")
    add("--looks", type=int, default=10, help="checkpoints of each training judged on val (default: 10)")
    add("--fade", action="store_true", help="multiply training images by numbers from 0 to 1, the others by a half")
    options = parser.parse_args(arguments)
    if min(options.epochs, options.looks, options.batch_size or 1) < 1 or min(options.lr) <= 0:
        raise InputError("epochs, looks, batch size and learning rates must be positive", "correct them")
    found = _study(options)
    print(f"best on val: lr {found['lr']:g}, step {found['step']}, AUC {found['val']['auc']:.3f}")
    print(f"test: AUC {found['test']['auc']:.3f}, accuracy {found['test']['accuracy']:.3f}; see {options.out}")
    return 0


def _study(options: Any) -> dict[str, Any]:
    from medfm_core.io.atomic import atomic_text
    from training.data.medmnist import MedMnist, MedMnistConfig
    from training.engine.runs import load_run
    from training.evaluation.medmnist_study import MedMnistStudy, run_study

    _, recipe, _ = load_run(options.run)
    if recipe.names["objective"] != "spad_mim":
        raise InputError(f"the run {options.run} is not of the objective spad_mim", "give one that is")
    is_volume = MedMnist(MedMnistConfig(str(options.file), "train")).is_volume
    model = {**recipe.plain["model"], "name": "spad_encoder"}
    study = MedMnistStudy(
        file=options.file, out=options.out, model=model,
        start=None if options.from_scratch else str(options.run), learning_rates=tuple(options.lr),
        epochs=options.epochs, batch_size=options.batch_size or (32 if is_volume else 128), looks=options.looks,
        data={"side": options.side, "fade": options.fade},
    )  # fmt: skip
    found = run_study(study, RichProgress())
    atomic_text(options.out / "medmnist.json", json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    sys.exit(main())
