"""`python -m training.list_dataset`: make the manifest of a published data set from its folder as downloaded."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.command import command, parser_of

EXAMPLES = """data sets, as they are downloaded (MedFM neither ships nor fetches them; mind their terms):
  btcv   RawData of the abdomen part of "Beyond the Cranial Vault" (Synapse syn3193805):
         Training/img/img0001.nii.gz, Training/label/label0001.nii.gz, Testing/img/img0061.nii.gz ...
         13 organs; the six cases of MONAI's case list, 35 to 40, are the test
  chaos  Train_Sets (doi 10.5281/zenodo.3362844): CT/1/DICOM_anon, CT/1/Ground, MR/1/T1DUAL/DICOM_anon/InPhase,
         .../OutPhase, MR/1/T1DUAL/Ground, MR/1/T2SPIR/DICOM_anon, MR/1/T2SPIR/Ground ...
         liver on CT; liver, kidneys and spleen on MR; two of ten patients are the test

what OUT holds then:
  manifest.csv   one row per scan, for `python -m training.prepare`
  labels/        label maps made of the masks of CHAOS

examples:
  organs on CT by a pre-trained SPAD-ViT:
    python -m training.list_dataset btcv RawData --out btcv
    python -m training.prepare --manifest btcv/manifest.csv --store store-btcv --input training/inputs/spad-btcv.yaml \\
        --preparation whole_image
    python -m training.pretrain --config training/recipes/spad/btcv.yaml --objective.encoder CARD --out runs/btcv
  organs on MR:
    python -m training.list_dataset chaos Train_Sets --modality MR --out chaos-mr
    python -m training.prepare --manifest chaos-mr/manifest.csv --store store-chaos-mr \\
        --input training/inputs/spad-chaos-mr.yaml --preparation whole_image
    python -m training.pretrain --config training/recipes/spad/chaos-mr.yaml --objective.encoder CARD --out runs/chaos
  Dice on the test cases after training on 1, 5 and 20 of them:
    python -m training.label_efficiency --config training/recipes/spad/btcv.yaml --objective.encoder CARD \\
        --cases 1 5 20 --out btcv-few"""
COLUMNS = ("subject", "study", "path", "modality", "sequence", "labels", "label_names", "split")


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    from training.data.btcv import btcv_rows
    from training.data.chaos import chaos_rows, chaos_scans
    from training.data.manifest_table import write_table

    parser = parser_of("list_dataset", __doc__, EXAMPLES)
    parser.add_argument("dataset", choices=("btcv", "chaos"), help="which one")
    parser.add_argument("folder", type=Path, help="where it lies")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives manifest.csv; made if missing")
    parser.add_argument("--modality", choices=("CT", "MR"), help="of CHAOS, list only these")
    parser.add_argument("--unlabelled", action="store_true", help="also list scans without labels, to pre-train on; "
                        "where they are test cases of a challenge, results on it are no longer clean")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.dataset == "btcv":
        rows = btcv_rows(options.folder, options.unlabelled)
    else:
        scans = [s for s in chaos_scans(options.folder) if options.modality in (None, s.modality)]
        rows = chaos_rows(scans, options.out, options.unlabelled)
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(options.out / "manifest.csv", COLUMNS, rows)
    counts = Counter(row["split"] for row in rows)
    told = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test") if counts[split])
    print(f"{len(rows)} scans ({told}) are listed in {options.out / 'manifest.csv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
