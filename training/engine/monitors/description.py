"""What runs where, for titles and for the choice of the peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class RunDescription:
    """What runs where.

    Attributes:
        title: name of the run.
        device: where this process computes.
        precision: `bf16` or `fp32`, the type of most products.
        facts: what else a reader should see, such as recipe, parameters, processes.
    """

    title: str
    device: torch.device | str = "cpu"
    precision: str = "fp32"
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line."""
        return ", ".join([str(self.device), self.precision, *(f"{name} {value}" for name, value in self.facts.items())])
