"""What a few labelled volumes teach a small convolutional network that starts from nothing: what a probe must beat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from medfm_core.errors import InputError, ResourceError
from medfm_core.progress import SILENT, Progress
from training.engine.draw import DrawKey
from training.engine.schedules import between, warm_up
from training.evaluation.cohort import Cohort, Targets
from training.evaluation.encoder_table import Entry, TableStudy, drawn_labels
from training.evaluation.feature_cache import FeatureCache
from training.evaluation.features import Extraction, Source, batches
from training.evaluation.predict import Selection
from training.objectives.supervised import Supervised, SupervisedConfig

NETWORK = "small CNN from scratch"


@dataclass(frozen=True)
class NetworkPlan:
    """The network and its training.

    Attributes:
        widths: channels of its four stages.
        steps: of AdamW.
        batch_size: volumes of a step.
        lr: peak learning rate, after a linear warm-up over a tenth of the steps, then a cosine to 0.
        weight_decay: of AdamW.
        device: where it runs.
    """

    widths: tuple[int, int, int, int] = (16, 32, 64, 128)
    steps: int = 120
    batch_size: int = 8
    lr: float = 1e-3
    weight_decay: float = 0.05
    device: str = "cpu"

    @property
    def identity(self) -> str:
        """What decides its answers, for a cache."""
        return str({name: value for name, value in asdict(self).items() if name != "device"})


@dataclass(frozen=True, eq=False)
class NetworkSources:
    """What the networks see: the same items in all sources.

    Attributes:
        plain: not augmented, for the test.
        varied: by target, augmented in a way that leaves the target true.
    """

    plain: Source
    varied: Mapping[str, Source]


class SmallResNet(nn.Module):
    """MONAI's residual network with one block per stage; halves its input at once.

    Args:
        channels: of the volume.
        widths: channels of its four stages.

    Raises:
        ResourceError: MONAI is not installed.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        try:
            from monai.networks.nets.resnet import ResNet
        except ImportError as problem:
            raise ResourceError(
                "the convolutional network is MONAI's", "pip install monai, or ask for none"
            ) from problem
        self.width = widths[-1]
        self.network = ResNet(
            "basic", [1, 1, 1, 1], list(widths), n_input_channels=channels, conv1_t_size=3, conv1_t_stride=2,
            feed_forward=False,
        )  # fmt: skip

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """One vector per volume, `(B, width)`."""
        return self.network(batch["image"])


def network_entry(
    cohorts: Mapping[str, Cohort],
    study: TableStudy,
    sources: NetworkSources,
    plan: NetworkPlan,
    cache: FeatureCache | None = None,
    progress: Progress = SILENT,
) -> Entry:
    """Train a network on every draw of few labels of every target, and let it answer for the held-out items.

    Args:
        cohorts: by target, of the same items.
        study: how many labels, and how many draws of them.
        sources: of the items.
        plan: the network and its training.
        cache: answers are kept there by target and draw, if the source has a digest; its index is of the test items.
        progress: advances by trainings; may cancel.

    Raises:
        InputError: there are fewer labels than shots.
        ResourceError: MONAI is not installed.
    """
    found: dict[str, tuple[np.ndarray, ...]] = {}
    with progress.stage("Networks from scratch", len(cohorts) * study.draws) as stage:
        for name, cohort in cohorts.items():
            test = cohort.rows("test", known=False)
            drawn = [drawn_labels(cohort, study, draw) for draw in range(study.draws)]
            keys = [_key(cache, sources, name, labels, plan, draw) for draw, labels in enumerate(drawn)]
            kept = [cache.read(key, len(test)) if cache and key else None for key in keys]
            missing = [draw for draw, answers in enumerate(kept) if answers is None]
            networks = []
            for draw in missing:
                networks.append(train_network(sources.varied[name], drawn[draw], plan, draw))
                stage.advance()
            stage.advance(study.draws - len(missing))
            known = cohort.targets.known[test]  # the others are never scored: scans of other sequences, most of them
            made = predict_together(networks, sources.plain, test[known], plan.device, progress) if missing else []
            for draw, answers in zip(missing, made, strict=True):
                kept[draw] = torch.zeros((len(test), *answers.shape[1:]), dtype=torch.float64)
                kept[draw][torch.from_numpy(known)] = torch.from_numpy(answers).double()
                if cache and keys[draw]:
                    cache.write(keys[draw], kept[draw])
            found[name] = tuple(answers.double().numpy() for answers in kept)
    parameters = sum(value.numel() for value in SmallResNet(1, plan.widths).parameters())
    return Entry(NETWORK, study.shots, found, {**asdict(plan), "parameters": parameters})


def train_network(source: Source, targets: Targets, plan: NetworkPlan, seed: int) -> Supervised:
    """Train a network on the items whose target is known.

    Args:
        source: gives `image` `(C, D, H, W)`; its augmentation is a function of the draw.
        targets: of all its items.
        plan: how.
        seed: of the weights, the order and the augmentation.

    Raises:
        InputError: no target is known.
        ResourceError: MONAI is not installed.
    """
    rows = np.flatnonzero(targets.known)
    if not len(rows):
        raise InputError("no training row has a known target", "check the target column and the splits")
    draws = _Draws(source, targets.values, rows, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Supervised(SmallResNet(len(draws.sample(0)["image"]), plan.widths), _config(targets.take(rows)))
    network.to(plan.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.lr, weight_decay=plan.weight_decay)
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = between("cosine", plan.lr, 0.0, step, plan.steps) * warm_up(step, plan.steps // 10)
        batch = default_collate([draws.sample(step * plan.batch_size + place) for place in range(plan.batch_size)])
        optimiser.zero_grad(set_to_none=True)
        network({name: value.to(plan.device) for name, value in batch.items()})["loss"].backward()
        optimiser.step()
    return network.eval()


def predict_together(
    networks: Sequence[Supervised], source: Source, rows: np.ndarray, device: str = "cpu", progress: Progress = SILENT
) -> list[np.ndarray]:
    """Let several networks predict the same items, each of which is read once.

    Args:
        networks: trained.
        source: not augmented.
        rows: numbers of the items.
        device: where the networks lie.
        progress: advances by items.

    Returns:
        Per network probabilities `(rows, C)` or quantities `(rows,)`.
    """
    found: list[list[np.ndarray]] = [[] for _ in networks]
    with progress.stage("Predict by the networks", len(rows)) as stage:
        for batch in batches(Selection(source, rows), Extraction(device=device)):
            for answers, network in zip(found, networks, strict=True):
                answers.append(network.predict(batch).float().cpu().numpy())
            stage.advance(len(batch["image"]))
    whole = [np.concatenate(answers) for answers in found]
    return [answers[:, 0] if answers.shape[1:] == (1,) else answers for answers in whole]


def _key(
    cache: FeatureCache | None, sources: NetworkSources, name: str, labels: Targets, plan: NetworkPlan, draw: int
) -> str:
    """What the answers of a network depend on; empty where they cannot be kept."""
    digests = [getattr(source, "digest", "") for source in (sources.plain, sources.varied[name])]
    if cache is None or not all(digests):
        return ""
    known = hashlib.sha256(np.ascontiguousarray(labels.values).tobytes()).hexdigest()
    return cache.key("few-shot network", *digests, name, labels.task, known, plan.identity, str(draw))


class _Draws:
    """Items in a random order, all of them before one comes again."""

    def __init__(self, source: Source, values: np.ndarray, rows: np.ndarray, seed: int) -> None:
        self._source, self._values, self._rows, self._seed = source, values, rows, seed

    def sample(self, position: int) -> dict[str, Any]:
        """The sample at a position of the training, with its target."""
        turn, place = divmod(position, len(self._rows))
        row = int(self._rows[np.random.default_rng((self._seed, turn)).permutation(len(self._rows))[place]])
        image = self._source.sample(row, DrawKey(self._seed, position))["image"]
        value = torch.as_tensor(self._values[row])
        return {"image": image, "target": value.float() if value.is_floating_point() else value.long()}


def _config(targets: Targets) -> SupervisedConfig:
    """The objective of targets that are all known."""
    if targets.task != "regression":
        return SupervisedConfig(targets.task, len(targets.names))
    spread = float(targets.values.std()) or 1.0
    return SupervisedConfig("regression", 1, target_mean=float(targets.values.mean()), target_deviation=spread)
