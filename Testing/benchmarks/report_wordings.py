"""`python Testing/benchmarks/report_wordings.py`: the rules for reports against the wordings of the findings catalogue.

Each positive wording must be read as its finding, present or uncertain; each negative one as its finding, absent.
Wordings of even number within their list were used to write the cue lists; `--half report` scores the odd ones, which
were not. "opposite" is the share whose finding was read with the opposite state.
"""

from __future__ import annotations

import argparse
from collections import Counter

import yaml

from medfm_core.anatomy.findings import load_findings
from training.data.reports import parse_report
from training.data.reports.lexicon import FOLDER
from training.synthetic.lesions import KINDS


def main() -> None:
    """Print, per group of findings and polarity, the shares read rightly and contradicted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("develop", "report"), default="report")
    first = 0 if parser.parse_args().half == "develop" else 1
    listed = {entry["name"] for entry in yaml.safe_load((FOLDER / "findings.yaml").read_text(encoding="utf-8"))}
    counts: Counter = Counter()
    for kind in load_findings():
        group = "virtual patients" if kind.name in KINDS else "other listed" if kind.name in listed else "label only"
        for wanted, lines in (("present", kind.positive), ("absent", kind.negative)):
            for line in lines[first::2]:
                states = {f.state for f in parse_report(f"FINDINGS: {line}").findings if f.finding == kind.name}
                states = {"present" if state == "uncertain" else state for state in states}
                counts[group, wanted, "all"] += 1
                counts[group, wanted, "read"] += wanted in states
                counts[group, wanted, "contradicted"] += bool(states - {wanted})
    for group, wanted, _ in sorted(key for key in counts if key[2] == "all"):
        number, read, opposite = (counts[group, wanted, what] for what in ("all", "read", "contradicted"))
        print(f"{group:16} {wanted:8} {number:4d} wordings: read {read / number:.3f}, opposite {opposite / number:.3f}")


if __name__ == "__main__":
    main()
