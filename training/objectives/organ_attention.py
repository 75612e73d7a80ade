"""Figures on who is looked at: shares of attention by organ, their entropy, and what leaving an organ out changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from medfm_core.models.pan_fm import PanFM
from medfm_core.models.pan_fm_organs import known_key
from training.masking.organ_masks import OrganRequest
from training.masking.saliency_guided import organ_shares, share_entropy


@torch.no_grad()
def attention_figures(request: OrganRequest, hidden: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Sum up the attention and the masks of a batch.

    Args:
        request: the tokens, with attention.
        hidden: the masks, `(B, N)` bool.
        names: of the organs.

    Returns:
        Scalars: `organ_share/NAME`, mean share among the samples that have the organ; `organ_share_per_token/NAME`, the
        same for attention per token; `share_entropy/sum` and `share_entropy/per_token`; `organ_hidden/NAME`, the share
        of its tokens that is hidden; `hidden`, of all known tokens. NaN where no sample of the batch has an organ.
    """
    present, counts = request.present, request.counts.sum(dim=0)
    masked = request.by_organ((request.known & hidden).float()).sum(dim=0)
    figures = {"hidden": masked.sum() / counts.sum().clamp_min(1)}
    figures |= _by_name("organ_hidden", masked / counts, names)
    for kind, entropy, per_token in (("organ_share", "sum", False), ("organ_share_per_token", "per_token", True)):
        shares = organ_shares(request, per_token)
        figures |= _by_name(kind, shares.sum(dim=0) / present.sum(dim=0), names)
        figures[f"share_entropy/{entropy}"] = share_entropy(shares, present).nanmean()
    return figures


def population_shares(request: OrganRequest, per_token: bool) -> tuple[Tensor, Tensor]:
    """Add up the shares of a batch by organ: their sums, and how many samples have the organ, `(O,)` each."""
    present = request.present
    return organ_shares(request, per_token).sum(dim=0), present.sum(dim=0).float()


@torch.no_grad()
def organ_sensitivity(model: PanFM, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out each organ in turn and see how far the vector of the whole body turns.

    Args:
        model: the backbone.
        batch: organs of studies.

    Returns:
        `sensitivity/NAME`: 1 - cosine between the body token with and without the organ, mean over the studies that
        have it and another one. NaN where none has.
    """
    tokens = model.embed(batch)
    whole = model.run(tokens).body.float()
    present = model.present(tokens.known)
    figures = {}
    for number, name in enumerate(model.config.names):
        without = tokens.known & (model.organ_of_token != number)
        usable = present[:, number] & without.any(dim=1)
        body = model.run(tokens._replace(known=without)).body.float()
        turned = 1 - functional.cosine_similarity(whole, body, dim=1)
        figures[f"sensitivity/{name}"] = turned[usable].mean()
    return figures


def without_organs(batch: Mapping[str, Tensor], names: Sequence[str], kept: Tensor) -> dict[str, Tensor]:
    """A batch from which organs are taken, as if they had not been imaged.

    Args:
        batch: organs of studies.
        names: of the model's organs, `O`.
        kept: `(B, O)` bool.
    """
    taken = dict(batch)
    for number, name in enumerate(names):
        taken[known_key(name)] = batch[known_key(name)] & kept[:, number, None]
    return taken


def _by_name(kind: str, values: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    return {f"{kind}/{name}": value for name, value in zip(names, values, strict=True)}
