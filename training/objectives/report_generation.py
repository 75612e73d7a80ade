"""Teaching a language model to write the report of a study from its organ embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medfm_core.errors import InputError
from medfm_core.models.language_model import LanguageModel, load_language_model
from medfm_core.models.organ_inputs import arrange
from medfm_core.models.report_writer import ReportWriter, ReportWriterConfig
from training.engine.draw import DrawKey
from training.engine.objective import Objective, Sample

_BEHIND_END = -1


@dataclass(frozen=True)
class ReportGenerationConfig:
    """What is learnt.

    Attributes:
        most_tokens: length to which reports are cut, their end included.
        blind: hide the study: what is learnt then is how reports read in general, which a writer must beat.
        download: fetch the language model from the Hub if it is not on this machine.
        lora_rate: how many times faster than the querying transformer the additions to the language model learn.
    """

    most_tokens: int = 256
    blind: bool = False
    download: bool = False
    lora_rate: float = 1.0

    def __post_init__(self) -> None:
        if self.most_tokens < 2:
            raise ValueError(f"most_tokens {self.most_tokens} must be at least 2")
        if self.lora_rate <= 0:
            raise ValueError(f"lora_rate {self.lora_rate} must be positive")


class ReportGeneration(Objective):
    """Next-token loss on the report, given the embeddings of a frozen image encoder.

    Trained are the querying transformer, its projections and the low-rank additions; the language model stays.

    Args:
        model_config: the writer.
        config: the objective.
        language: the language model, where it is loaded already.

    Raises:
        ResourceError, WeightsError: the language model cannot be loaded.
    """

    needs = ("embeddings", "present", "tokens")

    def __init__(
        self, model_config: ReportWriterConfig, config: ReportGenerationConfig, language: LanguageModel | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.writer = ReportWriter(model_config, language or load_language_model(model_config.place(config.download)))
        for value in self.writer.additions.parameters():
            value.lr_scale = config.lora_rate

    def prepare_sample(self, sample: Sample, key: DrawKey) -> Sample:
        """Turn `organs` (embeddings by unit) and `text` into tensors of one size for all studies.

        Returns:
            The sample with `embeddings`, `(U, E)` or `(U, T, E)`; `present`, `(U,)` bool; and `tokens`,
            `(most_tokens,)` int64, -1 behind the end.

        Raises:
            InputError: an organ unit is not one of the writer's, or the sample has no report.
        """
        if "organs" not in sample or "text" not in sample:
            raise InputError("the data source gives no organs and text", "use the data source report_pairs")
        rest = {name: value for name, value in sample.items() if name not in ("organs", "text")}
        model = self.writer.config
        embeddings, present = arrange(sample["organs"], model.unit_names, model.image_width)
        return {**rest, "embeddings": embeddings, "present": present, "tokens": self.tokens(sample["text"])}

    def tokens(self, text: str) -> Tensor:
        """Number the tokens of a report, `(most_tokens,)` int64: cut, or ended and filled with -1."""
        # The language model reads the prompt without a space behind it, so the report begins with one.
        numbers = self.writer.language.tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        numbers = [*numbers, self.writer.language.end][: self.config.most_tokens]
        return torch.tensor(numbers + [_BEHIND_END] * (self.config.most_tokens - len(numbers)))

    def forward(self, batch: dict[str, Tensor], turn: str = "all") -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            batch: `embeddings`, `(B, U, E)` or `(B, U, T, E)`; `present`, `(B, U)` bool; `tokens`, `(B, L)`.
            turn: not used.

        Returns:
            `loss`, nats per token over all tokens of the batch; `cut`, the share of reports longer than `most_tokens`.
        """
        tokens = batch["tokens"]
        lengths = (tokens >= 0).sum(dim=1)
        last = tokens.gather(1, (lengths - 1)[:, None])[:, 0]
        costs = self.writer(batch["embeddings"], self._present(batch), tokens[:, : int(lengths.max())])
        cut = (last != self.writer.language.end).float().mean()
        return {"loss": costs.sum() / lengths.sum(), "cut": cut}

    @torch.no_grad()
    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Represent studies by the mean of the querying transformer's tokens, `(B, W)` float32."""
        was_training = self.training
        self.eval()
        try:
            return self.writer.study_tokens(batch["embeddings"], self._present(batch)).float().mean(dim=1)
        finally:
            self.train(was_training)

    def tokens_of(self, batch: dict[str, Tensor]) -> int:
        """Tokens of the reports."""
        return int((batch["tokens"] >= 0).sum())

    def exported(self) -> ReportWriter:
        """The writer, whose state is what was trained; `save_report_writer` writes it."""
        return self.writer

    def no_decay(self) -> set[str]:
        """Queries and embeddings of names."""
        return {name for name, _ in self.named_parameters() if name.endswith((".queries", ".names"))}

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the activations of the querying transformer again in the backward pass."""
        self.writer.set_activation_checkpointing(on)

    def _present(self, batch: dict[str, Tensor]) -> Tensor:
        present = batch["present"]
        return torch.zeros_like(present) if self.config.blind else present
