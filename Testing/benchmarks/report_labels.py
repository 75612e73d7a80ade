"""`python Testing/benchmarks/report_labels.py FOLDER`: the rules for reports against the labels of an alias labeller.

FOLDER holds `synthetic_labels.json` (report -> label -> definitely present, uncertain, definitely absent) and the
reports, `synthetic_reports/NAME.txt`, as the package radlabels 0.2.0 (MIT) carries them: 1,000 synthetic chest
radiograph reports.
Reports of even number were used to write the cue lists; `--half report` scores the odd ones.

Those labels are another program's output, not a reader's: it counts what stands in the history, finds words apart from
each other, and never says that something is absent by a normal organ. Read the figures as agreement.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from training.data.reports import parse_report
from training.data.reports.scoring import Score, format_table

SAME = {  # their label: our kinds of finding
    "atelectasis": ("atelectasis",),
    "bullous_disease": ("lung_bulla",),
    "calcification_of_the_aorta": ("aortic_calcification",),
    "cardiomegaly": ("cardiomegaly",),
    "central_venous_catheter": ("central_venous_catheter",),
    "consolidation": ("consolidation",),
    "emphysema": ("emphysema", "subcutaneous_emphysema"),
    "endotracheal_tube": ("endotracheal_tube",),
    "enlarged_cardiomediastinum": ("enlarged_mediastinum",),
    "enteric_tube": ("feeding_tube",),
    "fracture_generic": ("fracture", "rib_fracture", "vertebral_compression_fracture"),
    "ground_glass_opacity": ("ground_glass_opacity",),
    "hiatus_hernia": ("hiatal_hernia",),
    "hyperinflation": ("hyperinflation",),
    "intercostal_drain": ("chest_tube",),
    "interstitial_thickening": ("interstitial_thickening", "interlobular_septal_thickening"),
    "lung_nodule_or_mass": ("lung_nodule", "lung_mass"),
    "pacemaker_electronic_cardiac_device_or_wires": ("cardiac_device",),
    "pleural_effusion": ("pleural_effusion",),
    "pleural_thickening": ("pleural_thickening",),
    "pneumomediastinum": ("pneumomediastinum",),
    "pneumonia": ("pneumonia",),
    "pneumoperitoneum": ("free_air",),
    "pneumothorax": ("pneumothorax",),
    "pulmonary_edema": ("pulmonary_edema",),
    "pulmonary_fibrosis": ("pulmonary_fibrosis",),
    "subcutaneous_emphysema": ("subcutaneous_emphysema",),
    "tortuous_aorta": ("tortuous_aorta",),
    "tracheostomy_tube": ("tracheostomy_tube",),
}
STATES = {"definitely present": "present", "uncertain": "uncertain", "definitely absent": "absent"}


def report_states(text: str) -> dict[str, str]:
    """The state of each label in a report: present before uncertain before absent, over all sentences."""
    read = {(f.finding, f.state) for f in parse_report(text).findings}
    out = {}
    for label, kinds in SAME.items():
        states = [state for state in STATES.values() if any((kind, state) in read for kind in kinds)]
        if states:
            out[label] = states[0]
    return out


def main() -> None:
    """Score a half and print tables of labels, of labels with their states, and of states where both name the label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("develop", "report"), default="report")
    parser.add_argument("--show", type=int, default=0, help="print this many disagreements")
    options = parser.parse_args()
    labels = json.loads((options.folder / "synthetic_labels.json").read_text(encoding="utf-8"))
    score, wrong = Score(), []
    for name, theirs in labels.items():
        if (int(name[-4:]) % 2 == 0) != (options.half == "develop"):
            continue
        text = (options.folder / "synthetic_reports" / f"{name}.txt").read_text(encoding="utf-8")
        wanted = {label: STATES[state] for label, state in theirs.items() if label in SAME}
        read = report_states(text)
        count(score.counts, wanted, read)
        wrong += [(name, k, wanted.get(k), read.get(k)) for k in SAME if wanted.get(k) != read.get(k)]
        score.sentences += 1
    print(score.sentences, "reports")
    for table in ("label", "label with state", "state"):
        print(f"\n{table}", *format_table(score.table(table)), sep="\n")
    print(*wrong[: options.show], sep="\n")


def count(counts: Counter, wanted: dict[str, str], read: dict[str, str]) -> None:
    """Count a report."""
    for label in wanted.keys() | read.keys():
        what = "hits" if label in wanted and label in read else "missed" if label in wanted else "extra"
        counts["label", label, what] += 1
        if wanted.get(label) == read.get(label):
            counts["label with state", label, "hits"] += 1
            counts["state", read[label], "hits"] += 1
            continue
        for side, missing in ((wanted, "missed"), (read, "extra")):
            if label in side:
                counts["label with state", label, missing] += 1
                counts["state", side[label], missing] += 1


if __name__ == "__main__":
    main()
