"""`python -m training.evaluate_brains`: what frozen encoders know of brains, side by side in one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medfm_core.errors import InputError
from medfm_core.progress import Progress, RichProgress
from training.command import GOES_ON, command, parser_of
from training.evaluation.brain_questions import TARGETS
from training.probe_parts import device_of

if TYPE_CHECKING:
    from torch import nn

    from training.evaluation.brain_questions import Questions
    from training.evaluation.encoder_table import Entry, TableStudy
    from training.evaluation.feature_cache import FeatureCache
    from training.evaluation.held_out import HeldOut, WhereHeldOut

RANDOM = "random weights"

EXAMPLES = """examples:
  a run and its ablations, probed on virtual heads:
    python -m training.evaluate_brains --run latent=runs/brains --run one-scale=runs/one-scale --run pixels=runs/mae \\
        --train-manifest brains/manifest.csv --train-store brain-store \\
        --test-manifest test/manifest.csv --test-store test-store --out table
  a model card beside them, other targets, nothing from few labels:
    ... --card mini=neuro-jepa-mini.v2 --target lesion kind --shots 0

Probes read the means of the tokens over eight parts of the box (--parts). They are trained on the first cohort, whose
split val, or inner folds where that is small, choose their regularisation, and judged on the whole second one. Every
sequence has its own, and a target's figure is their mean; which sequence a scan is, is asked of all together. The first
encoder named is compared with all others. Beside them stand random weights of every architecture, and from few labels a
small convolutional network that is trained on the same scans from scratch.
The target side counts heads with lesions on one side alone.

what --out holds:
  brains.md     the table, with 95 % intervals over subjects
  brains.json   the same and all other figures
  features/     vectors and answers that were computed: the same command, or one with more encoders, goes on from them
"""


@dataclass(frozen=True, eq=False)
class _Encoder:
    """An encoder with its name, what it is, and the cohorts as it sees them."""

    name: str
    net: nn.Module
    described: dict[str, Any]
    data: dict[str, Any]
    held_out: HeldOut


@command(GOES_ON)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if not (options.run or options.card):
        raise InputError("no encoder is named", "add --run NAME=FOLDER or --card NAME=CARD")
    from training.evaluation.bootstrap import BootstrapPlan
    from training.evaluation.encoder_table import TableStudy, table_rows
    from training.evaluation.encoder_table_page import page, write_table

    study = TableStudy(options.shots, options.draws, BootstrapPlan(resamples=options.resamples))
    progress = RichProgress()
    _make_folder(options.out)
    entries, asked, about = _entries(options, study, progress)
    entries.sort(key=lambda entry: entry.shots is not None)
    study = replace(study, columns=asked.columns)
    rows = table_rows(entries, asked.cohorts, study, progress)
    files = write_table(rows, asked.cohorts, study, about, options.out / "brains")
    print(page(rows, asked.cohorts, study))
    print(f"the table is in {files[0]}, all figures in {files[1]}")
    return 0


def _make_folder(folder: Path) -> None:
    from medfm_core.io.atomic import write_error

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error


def _entries(
    options: argparse.Namespace, study: TableStudy, progress: Progress
) -> tuple[list[Entry], Questions, dict[str, Any]]:
    """Answers of every encoder, of random weights and of the network; what they answer; what they were."""
    from training.evaluation.describe import versions
    from training.evaluation.encoder_table import probe_entries
    from training.evaluation.features import Extraction, extract_features
    from training.evaluation.region_means import RegionMeans

    extraction = Extraction("pooled", options.batch_size, device_of(options.device), workers=options.workers)
    entries: list[Entry] = []
    rows: tuple[Any, ...] = ()
    about: dict[str, Any] = {"made_by": versions(), "parts": options.parts, "encoders": {}}
    first = asked = None
    for encoder in _with_random(_encoders(options)):
        if first is None:
            first, rows = encoder, encoder.held_out.rows
            asked = _asked(options, encoder.held_out, study)
        if [row.identity for row in encoder.held_out.rows] != [row.identity for row in rows]:
            raise InputError(f"{encoder.name} sees other scans than the first encoder", "prepare all of them for both")
        progress.message(f"Vectors of {encoder.name}")
        net = RegionMeans(encoder.net, options.parts)
        features = extract_features(net, encoder.held_out.source, extraction, _cache(options, rows), progress)
        entries += probe_entries(encoder.name, features, asked.cohorts, study, progress)
        about["encoders"][encoder.name] = encoder.described
    if study.shots and not options.no_network:
        entries.append(_network(options, first, asked, study, progress))
    return entries, asked, about


def _asked(options: argparse.Namespace, held_out: HeldOut, study: TableStudy) -> Questions:
    """What is asked of the cohorts; too few labels are told here, before anything is computed."""
    from training.evaluation.brain_questions import ask
    from training.evaluation.encoder_table import drawn_labels

    asked = ask(held_out, options.target, across=options.across_sequences)
    for cohort in asked.cohorts.values() if study.shots else ():
        drawn_labels(cohort, study, 0)
    return asked


def _encoders(options: argparse.Namespace) -> Iterator[_Encoder]:
    """Load the encoders one after the other."""
    from training.engine.runs import load_encoder
    from training.evaluation.card_encoder import load_card_encoder
    from training.evaluation.held_out import open_held_out
    from training.evaluation.probe_inputs import ProbeRequest, volumes_data

    where = _where(options)
    wanted = [(True, *_named(text, True)) for text in options.run]
    wanted += [(False, *_named(text, False)) for text in options.card]
    names = [RANDOM, *(name for _, name, _ in wanted)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two models are called {name!r}", "give every encoder a name of its own: NAME=...")
    for is_run, name, place in wanted:
        net, described = load_encoder(Path(place), options.which) if is_run else load_card_encoder(place)
        request = ProbeRequest(
            Path(place) if is_run else None, None if is_run else place, options.train_manifest, options.train_store,
            (), which=options.which, prepared_for=options.prepared_for,
        )  # fmt: skip
        data = volumes_data(request, described)
        yield _Encoder(name, net, described, data, open_held_out(where, data))


def _with_random(encoders: Iterator[_Encoder]) -> Iterator[_Encoder]:
    """The encoders, and then random weights of each of their architectures."""
    from training.evaluation.encoders import untrained

    fresh: dict[str, _Encoder] = {}
    for encoder in encoders:
        yield encoder
        net = untrained(encoder.net, seed=0)
        architecture = f"{type(net).__name__} {getattr(net, 'config', encoder.name)}"
        if architecture not in fresh:
            described = {"architecture": architecture, "seed": 0}
            fresh[architecture] = _Encoder(encoder.name, net, described, encoder.data, encoder.held_out)
    for like in fresh.values():
        name = RANDOM if len(fresh) == 1 else f"{RANDOM} ({like.name})"
        yield _Encoder(name, like.net, like.described, like.data, like.held_out)


def _network(
    options: argparse.Namespace, like: _Encoder, asked: Questions, study: TableStudy, progress: Progress
) -> Entry:
    """The convolutional network on the same few scans; it sees them as the first encoder does."""
    from training.evaluation.few_shot_network import NetworkPlan, NetworkSources, network_entry
    from training.evaluation.held_out import open_held_out

    by_augmentation = {
        name: open_held_out(_where(options), {**like.data, "augment": name}).source
        for name in ("intensity", "mirror_intensity")
    }
    varied = {
        name: by_augmentation["mirror_intensity" if name in asked.mirrored else "intensity"] for name in asked.cohorts
    }
    plan = NetworkPlan(steps=options.network_steps, device=device_of(options.device))
    any_cohort = next(iter(asked.cohorts.values()))
    tested = [like.held_out.rows[row] for row in any_cohort.rows("test", known=False)]
    sources = NetworkSources(like.held_out.source, varied)
    return network_entry(asked.cohorts, study, sources, plan, _cache(options, tested), progress)


def _where(options: argparse.Namespace) -> WhereHeldOut:
    from training.evaluation.held_out import WhereHeldOut

    return WhereHeldOut(str(options.train_manifest), options.train_store, str(options.test_manifest),
                        options.test_store)  # fmt: skip


def _cache(options: argparse.Namespace, rows: Sequence[Any]) -> FeatureCache:
    from training.evaluation.feature_cache import FeatureCache

    index = {name: [getattr(row, name) for row in rows] for name in ("subject", "study", "sequence", "split")}
    return FeatureCache(options.cache or options.out / "features", index)


def _named(text: str, is_run: bool) -> tuple[str, str]:
    """Name and place of an encoder: `NAME=PLACE`, or the place alone, which then gives the name."""
    name, mark, place = text.partition("=")
    if mark and (not name or not place):
        raise InputError(f"{text!r} names no encoder", "write NAME=FOLDER")
    return (name, place) if mark else (Path(text).name if is_run else text, text)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("evaluate_brains", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--run", action="append", default=[], metavar="NAME=FOLDER", help="run of training.pretrain; may be repeated")
    add("--card", action="append", default=[], metavar="NAME=CARD", help="card of an encoder; may be repeated")
    add("--which", choices=("last", "best"), default="last", help="checkpoint of the runs (default: last)")
    add("--train-manifest", type=Path, required=True, help="scans to learn from, with columns target.NAME")
    add("--train-store", required=True, help="where training.prepare put them")
    add("--test-manifest", type=Path, required=True, help="scans of other subjects, to judge on")
    add("--test-store", required=True, help="where training.prepare put those")
    add("--target", nargs="+", default=list(TARGETS), metavar="NAME",
        help=f"target columns without 'target.' (default: {' '.join(TARGETS)})")  # fmt: skip
    add("--parts", type=int, default=2, help="a scan's vector is the tokens' means over the parts of the box, so many "
        "along each axis, as one mean would not know sides; 1 for the encoder's own vector (default: 2)")  # fmt: skip
    add("--across-sequences", action="store_true", help="one probe of each target for all sequences together")
    add("--shots", type=int, default=16, help="labelled scans per class to a probe in the rows of few labels; of a "
        "quantity in all; 0 for no such rows (default: 16)")  # fmt: skip
    add("--draws", type=int, default=3, help="of few labels (default: 3)")
    add("--no-network", action="store_true", help="leave out the convolutional network")
    add("--network-steps", type=int, default=120, help="of its training, 8 scans each (default: 120)")
    add("--prepared-for", metavar="CARD", help="card whose preparation the stores hold, where a run does not say")
    add("--resamples", type=int, default=1000, help="of subjects, for the intervals (default: 1000)")
    add("--batch-size", type=int, default=8, help="scans at once (default: 8)")
    add("--workers", type=int, default=0, help="processes that read scans (default: 0)")
    add("--device", default="auto", help="auto, cpu, cuda ... (default: auto)")
    add("--cache", type=Path, help="folder for vectors (default: features in --out)")
    add("--out", type=Path, required=True, help="folder of the results; made if missing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
