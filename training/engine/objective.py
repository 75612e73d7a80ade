"""What a recipe trains: a module that turns a batch into a loss, and tells the engine what it must know of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from training.engine.draw import DrawKey

Sample = dict[str, Any]


class Objective(nn.Module):
    """Base of all objectives: the model, its heads and its loss; nothing of the loop.

    Attributes:
        turns: names of the optimisers that take a step on each batch, one after the other; nearly always one, two where
            two sides play against each other.
        needs: keys that every batch must have.
    """

    turns: tuple[str, ...] = ("all",)
    needs: tuple[str, ...] = ()

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss of a batch, and leave nothing behind: what must be remembered is for `after_step`.

        Args:
            batch: tensors by name, `(B, ...)` each.
            turn: whose loss.

        Returns:
            `loss`, a scalar with gradient, and whatever is to be logged as detached scalars.
        """
        raise NotImplementedError

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Add to a sample, before it is batched, what the objective draws for it: a pure function of the two.

        It runs in the data workers and must not touch parameters.
        """
        return sample

    def before_step(self, step: int, steps: int) -> None:
        """Set what follows a schedule; a pure function of the step."""

    def after_step(self, step: int, steps: int) -> None:
        """Do what follows the optimiser: move a teacher, balance experts."""

    def turn_parameters(self, turn: str) -> list[tuple[str, nn.Parameter]]:
        """Name the parameters that the optimiser of a turn moves; by default all that have a gradient."""
        return [(name, value) for name, value in self.named_parameters() if value.requires_grad]

    def no_decay(self) -> set[str]:
        """Names of parameters without weight decay; those with one axis have none anyway."""
        return set()

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """How many tokens a batch has, for the throughput; 0 where the model has none."""
        return 0

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent each sample by one vector, `(B, F)`, for monitors and probes.

        Raises:
            NotImplementedError: the objective has no such representation.
        """
        raise NotImplementedError

    def watch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Figures of the fixed samples for the log, as scalars by name `group/name`; none by default."""
        return {}

    def exported(self) -> nn.Module:
        """The part that becomes shipped weights."""
        raise NotImplementedError

    def set_activation_checkpointing(self, on: bool) -> None:
        """Trade computing for memory.

        Raises:
            NotImplementedError: the model cannot.
        """
        raise NotImplementedError
