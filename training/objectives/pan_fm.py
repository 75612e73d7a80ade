"""Whole-body self-distillation: a student that sees a part of the organs agrees with a teacher that sees them all.

What is missing in the data and what training hides are two things: missing tokens are in nobody's sequence and in no
loss; hidden tokens are seen by the teacher, and the student must make up for them.

A reconstruction: that masking, self-distillation and attention-guided masks belong to the published design is said in
its abstract; how they are put together here is ours (docs/pan_fm.md).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medfm_core.errors import InputError
from medfm_core.models.pan_fm import BodyFeatures, OrganTokens, PanFM, PanFMConfig
from medfm_core.models.pan_fm_organs import known_key, value_key
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample
from training.engine.schedules import between
from training.heads.organ_decoder import OrganDecoder, organ_errors, standardised
from training.heads.prototypes import PrototypeHead
from training.masking.organ_masks import MaskDraws, OrganRequest
from training.objectives.organ_attention import attention_figures, organ_sensitivity, population_shares
from training.objectives.pan_fm_config import PanFMObjectiveConfig
from training.objectives.self_distillation_losses import (
    agreement_loss,
    mean_by_sample,
    nearest_neighbour_spread,
    teacher_shares,
)


class Distilled(nn.Module):
    """The backbone with its two heads of prototypes, as student and teacher each have them.

    Args:
        model_config: the backbone.
        config: the objective.
    """

    def __init__(self, model_config: PanFMConfig, config: PanFMObjectiveConfig) -> None:
        super().__init__()
        self.backbone = PanFM(model_config)
        self.body_head = PrototypeHead(model_config.width, config.head).requires_grad_(config.body_weight > 0)
        self.token_head = PrototypeHead(model_config.width, config.head).requires_grad_(config.token_weight > 0)


class PanFMObjective(Objective):
    """Masked self-distillation over the organs of a study.

    Args:
        model_config: the backbone.
        config: the objective.

    Source: reconstruction, Pan-FM spec, sections 2.4 and 2.5.
    """

    needs = ()

    def __init__(self, model_config: PanFMConfig, config: PanFMObjectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Distilled(model_config, config)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.decoder = OrganDecoder(model_config.width) if config.organ_weight else None
        self.register_buffer("body_centre", torch.zeros(config.head.prototypes))
        self.register_buffer("token_centre", torch.zeros(config.head.prototypes))
        organs = len(model_config.organs)
        self.register_buffer("shares", torch.full((organs,), 1 / organs))
        self.needs = tuple(known_key(name) for name in model_config.names)
        self._progress = 0.0
        self._sums: dict[str, Tensor] = {}

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Draw what masks and noise need.

        Args:
            sample: `organ.NAME` and `known.NAME` for every organ, see `PanFM`.
            key: where in the run it is drawn.

        Returns:
            The sample with `mask_draws` `(V, N + O + 1)`, uniform numbers of tokens, organs and sample for V views, and
            `noise.NAME` `(V, *shape)` where there is jitter.
        """
        model, views = self.student.backbone.config, self.config.views
        draws = key.rng("mask").random((views, model.tokens + len(model.organs) + 1), dtype="float32")
        added = {"mask_draws": torch.from_numpy(draws)}
        if self.config.jitter:
            rng = key.rng("jitter")
            for organ in model.organs:
                noise = rng.standard_normal((views, *organ.shape), dtype="float32")
                added[f"noise.{organ.name}"] = torch.from_numpy(noise)
        return {**sample, **added}

    def before_step(self, step: int, steps: int) -> None:
        """Set the place in the run, and forget what earlier passes counted."""
        self._progress = min(1.0, step / max(1, steps))
        self._sums = {}

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: organs, and what `prepare_sample` adds.
            turn: not used.

        Returns:
            `loss` and those of its parts that have a weight, `body_loss`, `token_loss`, `spread_loss`, `organ_loss`;
            `hidden`, the share of the known tokens that is hidden; and what `attention_figures` gives: the organs'
            shares of the teacher's attention, their entropy and how often each organ is hidden.

        Raises:
            InputError: the batch has no draws, or a study shows no organ.
        """
        if "mask_draws" not in batch:
            raise InputError("the batch has no draws", "let the objective's prepare_sample add them to each sample")
        views = self._views(batch)
        taught, request, wanted = self._teach(views)
        hidden = self._hide(request, batch["mask_draws"].transpose(0, 1).flatten(0, 1))
        tokens = self.student.backbone.embed(views)
        learnt = self.student.backbone.run(tokens, hidden)
        dropped = self._dropped(tokens, hidden)
        parts = self._parts(taught, learnt, dropped, hidden)
        if self.decoder is not None:
            bodies = [learnt.body] if dropped is None else [learnt.body, dropped]
            parts["organ"] = self._organ_loss(bodies, tokens, wanted)
        loss = sum(getattr(self.config, f"{name}_weight") * value for name, value in parts.items())
        figures = {f"{name}_loss": value for name, value in parts.items()}
        figures |= attention_figures(request, hidden, self.student.backbone.config.names)
        return {"loss": loss, **{name: value.detach() for name, value in figures.items()}}

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Move the teacher, its centres, and the population's shares of attention."""
        sums, self._sums = self._sums, {}
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for value in sums.values():
                torch.distributed.all_reduce(value)
        for name in ("body", "token"):
            count = sums.get(f"{name}_count")
            if count is not None and float(count) > 0:
                centre = getattr(self, f"{name}_centre")
                centre.lerp_(sums[f"{name}_logits"] / count, 1 - self.config.centre_momentum)
        if self.config.mask.average and "shares" in sums:
            found = torch.where(sums["organs"] > 0, sums["shares"] / sums["organs"].clamp_min(1), self.shares)
            self.shares.lerp_(found, 1 - self.config.mask.average)
        keep = between("cosine", self.config.ema, 1.0, step, steps)
        torch._foreach_lerp_(list(self.teacher.parameters()), list(self.student.parameters()), 1 - keep)

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent studies by the teacher's vector of the whole body, `(B, 2 W)` float32."""
        return self.teacher.backbone.encode(batch)

    @torch.no_grad()
    def watch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """How far the vector of the whole body turns when an organ is left out, `sensitivity/ORGAN`."""
        return organ_sensitivity(self.teacher.backbone, batch)

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """Known tokens."""
        return int(sum(batch[known_key(name)].sum() for name in self.student.backbone.config.names))

    def exported(self) -> PanFM:
        """The teacher's backbone, which is what is used afterwards."""
        return self.teacher.backbone

    def reset_teacher(self) -> None:
        """Let the student begin where the teacher is: after weights were loaded into the exported part."""
        self.student.load_state_dict(self.teacher.state_dict())

    def no_decay(self) -> set[str]:
        """Positions, directions of measurements, organ types and prototypes, which lie in matrices."""
        endings = (".positions", ".direction", ".organ_types", ".prototypes")
        return {name for name, _ in self.named_parameters() if name.endswith(endings)}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the student's activations again in the backward pass instead of keeping them."""
        self.student.backbone.set_activation_checkpointing(on)

    def _views(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """All views one after the other, `(V * B, ...)`, each with its own noise."""
        count, views = self.config.views, {}
        for name in self.student.backbone.config.names:
            values = batch[value_key(name)].expand(count, *batch[value_key(name)].shape)
            if self.config.jitter:
                values = values + self.config.jitter * batch[f"noise.{name}"].transpose(0, 1)
            views[value_key(name)] = values.flatten(0, 1)
            views[known_key(name)] = batch[known_key(name)].repeat(count, 1)
        return views

    @torch.no_grad()
    def _teach(self, views: dict[str, Tensor]) -> tuple[BodyFeatures, OrganRequest, Tensor]:
        """What the teacher makes of whole studies, what a mask may know of it, and what a body shall tell."""
        model, mask = self.teacher.backbone, self.config.mask
        tokens = model.embed(views)
        features = model.run(tokens, readout=True)
        shares = self.shares if mask.average else None
        request = OrganRequest(model.organ_of_token, len(model.config.organs), tokens.known, features.attention, shares)
        if mask.average and self.training:
            summed, counted = population_shares(request, mask.per_token)
            self._add("shares", summed)
            self._add("organs", counted)
        return features, request, standardised(tokens.content, tokens.known)

    def _hide(self, request: OrganRequest, draws: Tensor) -> Tensor:
        tokens = request.known.shape[1]
        token, organ, sample = draws.split([tokens, request.organs, 1], dim=1)
        hidden = self.config.mask.provider(self._progress)(request, MaskDraws(token, organ))
        return hidden & (sample < self.config.mask.share)

    def _dropped(self, tokens: OrganTokens, hidden: Tensor) -> Tensor | None:
        """Vectors of the body from what is left when hidden tokens are missing."""
        is_read = self.config.dropped_weight and (self.config.body_weight or self.decoder is not None)
        return self.student.backbone.run(tokens, hidden, drop=True).body if is_read else None

    def _parts(
        self, taught: BodyFeatures, learnt: BodyFeatures, dropped: Tensor | None, hidden: Tensor
    ) -> dict[str, Tensor]:
        """The losses of self-distillation that have a weight, by name."""
        parts = {}
        if self.config.body_weight:
            parts["body"] = self._body_loss(taught.body, learnt.body, dropped)
        if self.config.token_weight:
            parts["token"] = self._token_loss(taught.tokens[hidden], learnt.tokens[hidden], hidden)
        if self.config.spread_weight:
            spreads = [nearest_neighbour_spread(vectors) for vectors in learnt.body.chunk(self.config.views)]
            parts["spread"] = torch.stack(spreads).mean()
        return parts

    def _organ_loss(self, bodies: Sequence[Tensor], tokens: OrganTokens, wanted: Tensor) -> Tensor:
        """How far vectors of the body are from telling what the teacher sees of every organ, hidden or not."""
        model = self.student.backbone
        said = [self.decoder(body, tokens.places.detach()) for body in bodies]
        errors = [
            organ_errors(one, wanted, tokens.known, model.organ_of_token, len(model.config.organs)) for one in said
        ]
        return torch.stack(errors).mean()

    def _body_loss(self, taught: Tensor, learnt: Tensor, dropped: Tensor | None) -> Tensor:
        """Agreement of each student's view with the teacher's other views; dropped views agree with all of them."""
        views, weight = self.config.views, self.config.dropped_weight
        shares = self._shares("body", taught).chunk(views)
        others = [(own, other) for own in range(views) for other in range(views) if own != other or views == 1]
        total = self._agreement(learnt.chunk(views), shares, others)
        if dropped is None:
            return total
        pairs = [(own, other) for own in range(views) for other in range(views)]
        return (total + weight * self._agreement(dropped.chunk(views), shares, pairs)) / (1 + weight)

    def _agreement(self, vectors: Sequence[Tensor], shares: Sequence[Tensor], pairs: list[tuple[int, int]]) -> Tensor:
        """Mean agreement over pairs of a student's and a teacher's view."""
        logits = [self.student.body_head(part) for part in vectors]
        losses = [agreement_loss(logits[own], shares[other], self.config.student_temperature) for own, other in pairs]
        return torch.stack(losses).mean()

    def _token_loss(self, taught: Tensor, learnt: Tensor, hidden: Tensor) -> Tensor:
        """Agreement on hidden tokens, `(M, W)` each, within each view."""
        wanted = self._shares("token", taught)
        each = agreement_loss(self.student.token_head(learnt), wanted, self.config.student_temperature)
        return mean_by_sample(each, hidden.nonzero()[:, 0], len(hidden))

    @torch.no_grad()
    def _shares(self, part: str, features: Tensor) -> Tensor:
        logits = getattr(self.teacher, f"{part}_head")(features).float()
        if self.training:
            self._add(f"{part}_logits", logits.sum(dim=0))
            self._add(f"{part}_count", logits.new_tensor(float(len(logits))))
        warm = self.config.temperature_warm_up
        share = min(1.0, self._progress / warm) if warm else 1.0
        start, end = self.config.teacher_temperature_start, self.config.teacher_temperature
        return teacher_shares(logits, getattr(self, f"{part}_centre"), start + share * (end - start))

    def _add(self, name: str, value: Tensor) -> None:
        """Remember for `after_step`."""
        self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
