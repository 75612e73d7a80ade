"""What one vector of a body says of its organs."""

from __future__ import annotations

from torch import Tensor, nn

from medfm_core.layers.initialisation import initialise_linear


class OrganDecoder(nn.Module):
    """Answer for any token of any organ from the vector of the whole body alone.

    All that an answer may draw on passes through that one vector, so training this fills it with what tells bodies
    apart, in organs that were seen and in those that were not.

    Args:
        width: channels of vectors and tokens, `W`.

    Shapes:
        Bodies `(B, W)` and places `(N, W)`, which say which token is asked for, to `(B, N, W)`.

    Source: ours; a masked autoencoder whose decoder sees no token but the first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        initialise_linear(self)

    def forward(self, body: Tensor, places: Tensor) -> Tensor:
        """Return the expected content of every place."""
        return self.layers(body[:, None] + places)


def standardised(content: Tensor, known: Tensor) -> Tensor:
    """What differs from body to body: each token less its mean over the batch, at a mean square of 1 per channel.

    The teacher's tokens hold mostly which organ they are of, which is the same for all; without this an answer that
    knows nothing of the body would be nearly right.

    Args:
        content: `(B, N, W)`.
        known: which tokens there are, `(B, N)` bool; the others count for nothing.

    Returns:
        `(B, N, W)`; 0 where nothing is known, or a token is the same in all bodies.

    Source: ours.
    """
    there = known[..., None].to(content.dtype)
    count = there.sum(dim=0).clamp_min(1)
    centred = (content - (content * there).sum(dim=0) / count) * there
    variance = (centred.square().sum(dim=0) / count).mean(dim=-1, keepdim=True)
    return centred / variance.clamp_min(1e-6).sqrt()


def organ_errors(said: Tensor, wanted: Tensor, known: Tensor, organ_of_token: Tensor, organs: int) -> Tensor:
    """Smooth L1 distance, averaged within each organ of each body first: every organ counts alike.

    Args:
        said: `(B, N, W)`.
        wanted: the same of the teacher.
        known: `(B, N)` bool.
        organ_of_token: `(N,)` int64.
        organs: how many there are.

    Returns:
        A scalar float32; 0 where nothing is known.

    Source: ours.
    """
    each = nn.functional.smooth_l1_loss(said.float(), wanted.float(), reduction="none").mean(dim=-1)
    sums, counts = (
        each.new_zeros(len(each), organs).index_add(1, organ_of_token, part)
        for part in (each * known, known.to(each.dtype))
    )
    return (sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)
