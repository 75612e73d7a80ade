"""`medfm analyze`: organs, measurements and a report of one CT, or vectors and maps of one study of brain MRI."""

from __future__ import annotations

import argparse
from dataclasses import replace

from medfm_core.commands import brains, common

NAME = "analyze"
HELP = "organs, measurements and a report of one CT; vectors and maps of brain MRI"
ABOUT = """Outline the organs of a CT, measure them and write a folder with
  report.html           views with outlines, measurements, warnings: one file, opens in any browser
  measurements.csv      volume, HU and size of every structure, and whether it is there, cut or missing
  segmentation.nii.gz   the outlines on the CT's own grid; segmentation.json says what each number means
  analysis.json         what was run on what: versions, hashes, seconds, warnings
and, where a findings model is there (`medfm models list`),
  findings.csv          every finding of the catalogue in every organ: present, absent, uncertain, not assessable
  embeddings.safetensors  a vector per organ and one of the study, for `medfm similar`; embeddings.json is the index;
                        where a whole-body model is there, also one vector of all organs taken together
  saliency_*.nii.gz     for findings that are present, where in the organ the score comes from
A brain MRI (T1w, T2w, FLAIR; several SOURCE are the scans of one study) goes to the brain model instead, and gives
  report.html           three planes of every scan, saliency, routing of the model's experts, warnings
  embeddings.safetensors  a vector per scan and one of the study, for `medfm similar`
  saliency_SCAN.nii.gz, routing_SCAN_blockN.nii.gz  on each scan's own grid; experts.csv counts the
                        routing; models without experts have neither
Everything is computed on this machine. Research use only."""
EPILOG = """examples:
  medfm analyze --sample                                  results in ./medfm-sample
  medfm analyze ct.nii.gz --out case1
  medfm analyze dicom_folder --series 2 --out case2
  medfm analyze ct.nrrd --out case3 --organs liver,spleen,kidney
  medfm analyze ct.nii.gz --out case1 --json | my_program
  medfm analyze p1_T1w.nii.gz p1_FLAIR.nii.gz --out p1    brain MRI, stripped and in MNI space
  medfm analyze a.nii.gz b.nii.gz --sequence T1w,T2w --strip --register --out p2
An existing result in --out is replaced; other files there are never touched."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", metavar="DIR", help="folder for the results")
    common.add_findings(parser)
    common.add_run(parser)
    brains.add_arguments(parser)
    common.add_output(parser)
    parser.set_defaults(check=lambda args: common.check_source(args, "medfm-sample"))


def run(args: argparse.Namespace) -> int:
    """Run the pipeline and say where the results are."""
    progress = common.begin(args)
    if brains.is_meant(args):
        return brains.run(args, progress)
    from medfm_core import findings_stage
    from medfm_core.errors import ModalityError
    from medfm_core.measurements import State
    from medfm_core.pipeline import FILES, analyze

    options = replace(
        common.options_of(args),
        findings=args.findings,
        findings_card=args.findings_model,
        saliency=tuple(args.saliency),
        body_card=args.body_model,
    )
    try:
        analysis = analyze(common.source_of(args), args.out, options, progress=progress)
    except ModalityError as error:
        raise ModalityError(error.what, f"{error.fix}; for a brain MRI give --modality MR") from error
    written = (*FILES, *(findings_stage.FILES if analysis.encoded else ()))
    singles = [m for m in analysis.measurements if not m.parts]
    states = {state.value: sum(m.state is state for m in singles) for state in State}
    seconds = sum(analysis.seconds.values())
    if args.json:
        progress.event(
            "result",
            out=str(args.out),
            files={name: str(args.out / name) for name in written},
            states=states,
            findings=findings_stage.count_states(analysis) if analysis.encoded else None,
            warnings=[{"code": c.code, "sentence": c.sentence} for c in analysis.cautions],
            seconds=round(seconds, 2),
        )
    common.tell_cautions(args, analysis.cautions)
    if not args.json and not args.quiet:
        seen, cut = states["present"] + states["cut"], sum(m.state is State.CUT and not m.runs_on for m in singles)
        if analysis.encoded:
            counts = findings_stage.count_states(analysis)
            told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
            print(f"{len(analysis.encoded.embedding.units)} organs encoded; findings: {told}")
        print(f"{seen} structures ({cut} cut by the field of view) in {seconds:.0f} s: {args.out / FILES[0]}")
    return 0
