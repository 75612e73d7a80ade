"""From a manifest to a filled store: each row read, checked, prepared and stored, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context

from medfm_core.errors import InputError, ResourceError
from medfm_core.progress import SILENT, Progress
from training.data.manifest import Manifest
from training.data.preparation import PreparationPlan
from training.data.preparing_row import Outcome, PreparingOptions, RowJob, prepare_row, row_preparation
from training.data.store import VolumeStore
from training.data.store_index import INDEX, StoreIndex, place_id


def prepare_manifest(
    manifest: Manifest,
    store: VolumeStore,
    plan: PreparationPlan,
    options: PreparingOptions | None = None,
    progress: Progress = SILENT,
) -> list[Outcome]:
    """Bring all rows of a manifest into a store; a row that fails does not stop the others.

    Args:
        manifest: checked.
        store: where to.
        plan: what the volumes are prepared for.
        options: how.
        progress: advances by one per row.

    Returns:
        One outcome per row, in the manifest's order.

    Raises:
        InputError: the store cannot be written, or holds another manifest's volumes under the same names.
        ResourceError: the disk is full, or a worker was killed; what is stored stays.
    """
    options = options or PreparingOptions()
    store.sweep()
    index = StoreIndex(store.folder / INDEX)
    manifest_id = place_id(manifest.path)
    jobs = []
    for row in manifest.rows:
        known = index.find(row_preparation(plan, row), row.identity)
        jobs.append(RowJob(row, store.folder, plan, options, manifest_id, known))
    outcomes, drawn = [], 0
    with progress.stage("Prepare the volumes", len(jobs)) as stage:
        for outcome in _run(jobs, options.workers):
            _refuse_other_manifest(outcome, index, store)
            if outcome.entry != index.find(outcome.entry.preparation, outcome.entry.identity):
                index.add(outcome.entry)
            if outcome.entry.status == "ok":
                drawn += 1
                outcome = replace(outcome, picture=outcome.picture if drawn <= options.thumbnails else b"")
            outcomes.append(outcome)
            stage.advance()
    return sorted(outcomes, key=lambda outcome: outcome.row.number)


def _run(jobs: Sequence[RowJob], workers: int) -> Iterator[Outcome]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(prepare_row, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures: list[Future[Outcome]] = [pool.submit(prepare_row, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                "a worker process was killed, most likely because the memory did not suffice",
                "run the same command with fewer --workers; finished volumes are kept",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _refuse_other_manifest(outcome: Outcome, index: StoreIndex, store: VolumeStore) -> None:
    """Two data sets with the same names in one store could not be told apart later."""
    entry, known = outcome.entry, index.find(outcome.entry.preparation, outcome.entry.identity)
    if known is None or known.manifest == entry.manifest or None in (known.content, entry.content):
        return
    if known.content != entry.content:
        raise InputError(
            f"row {outcome.row.number}: the store {store.folder} holds another image under the same subject, study and "
            "path, from another manifest",
            "give each data set a store of its own",
        )
