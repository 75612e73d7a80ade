"""Report text from the organ embeddings of a study: a querying transformer in front of a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from medfm_core.anatomy import load_vocabulary
from medfm_core.errors import InputError
from medfm_core.models.language_model import LanguageModel, LanguageModelPlace, Precision, load_language_model
from medfm_core.models.lora import LoraConfig, LowRankAdditions
from medfm_core.models.organ_inputs import arrange
from medfm_core.models.qformer import QFormer, QFormerConfig

_IGNORED = -100  # target of torch's cross entropy that costs nothing


@dataclass(frozen=True)
class ReportWriterConfig:
    """What a report writer is made of.

    Attributes:
        language_model: the frozen language model: a folder on this machine, or `hf:owner/name` on the Hub.
        image_width: channels of an organ's embedding or tokens, `E`.
        units: names of the organ units; none for the single structures of the vocabulary.
        qformer: sizes of the querying transformer.
        lora: additions to the language model.
        prompt: what the language model reads between the study and the text it writes.
        revision: commit of the language model on the Hub; None for the newest.
        precision: of the language model's weights.
    """

    language_model: str
    image_width: int
    units: tuple[str, ...] = ()
    qformer: QFormerConfig = field(default_factory=QFormerConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    prompt: str = "Findings:"
    revision: str | None = None
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if not self.language_model:
            raise ValueError("language_model must not be empty: give a folder or hf:owner/name")
        if self.image_width < 1:
            raise ValueError(f"image_width {self.image_width} must be at least 1")
        if len(set(self.units)) < len(self.units):
            raise ValueError("units must not name one twice")

    @property
    def unit_names(self) -> tuple[str, ...]:
        """The organ units, in the order of the inputs."""
        return self.units or tuple(organ.name for organ in load_vocabulary().organs)

    def place(self, download: bool = False) -> LanguageModelPlace:
        """Where the language model is; `download` lets what is missing be fetched from the Hub."""
        return LanguageModelPlace(self.language_model, self.revision, self.precision, download)


@dataclass(frozen=True)
class Writing:
    """How a text is written; there is no chance in it, so the same study gives the same text.

    Attributes:
        most_tokens: length at which it stops, if it has not ended before.
        beams: texts that are kept in parallel; 1 takes the likeliest next token each time.
    """

    most_tokens: int = 256
    beams: int = 1

    def __post_init__(self) -> None:
        if self.most_tokens < 1 or self.beams < 1:
            raise InputError("most_tokens and beams must be at least 1", "correct these numbers")


class ReportWriter(nn.Module):
    """Organ embeddings to text.

    Each organ unit that a study shows gives one or more tokens: its embedding (or the tokens of its volume), normed and
    projected, plus a learned embedding of the unit's name. What it does not show gives none. The querying transformer
    turns them into a fixed number of tokens for the language model, which reads them before the prompt.

    Its parameters are those of the querying transformer, the projections and the low-rank additions. The language
    model is none of its modules: checkpoints, optimisers and `parameters()` do not see it, `to()` moves it along.

    Args:
        config: what it is made of.
        language: the language model, where it is loaded already; it gets the additions' hooks.

    Raises:
        InputError: `lora.targets` names a layer that the language model does not have.
        ResourceError, WeightsError: the language model cannot be loaded.

    Source: BLIP-2, arXiv:2301.12597, with the study's organs in place of an image; TotalFM spec, section 1.12.
    """

    def __init__(self, config: ReportWriterConfig, language: LanguageModel | None = None) -> None:
        super().__init__()
        self.config = config
        self.language = language or load_language_model(config.place())
        width = config.qformer.width
        self.image_norm = nn.LayerNorm(config.image_width)  # a normalised embedding has tiny channels
        self.image_in = nn.Linear(config.image_width, width)
        self.names = nn.Parameter(torch.empty(len(config.unit_names), width).normal_(std=0.02))
        self.qformer = QFormer(config.qformer)
        self.to_language = nn.Linear(width, self.language.width)
        self.additions = LowRankAdditions(self.language.model, config.lora)

    def study_tokens(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """Gather a study in the querying transformer's tokens.

        Args:
            embeddings: one per organ unit, `(B, U, E)`, or the tokens of each, `(B, U, T, E)`.
            present: which units the study shows, `(B, U)` bool; what the others hold does not matter.

        Returns:
            `(B, queries, W)`.

        Raises:
            InputError: the shapes are not those of this writer.
        """
        units, width = self.names.shape[0], self.config.image_width
        if embeddings.ndim == 3:
            embeddings = embeddings[:, :, None]
        fits = embeddings.ndim == 4 and (embeddings.shape[1], embeddings.shape[3]) == (units, width)
        if not fits or present.shape != embeddings.shape[:2]:
            raise InputError(
                f"embeddings {tuple(embeddings.shape)} are not those of {units} organ units with {width} channels",
                "use the embeddings of the image encoder that the writer was trained with",
            )
        known = embeddings.masked_fill(~present[:, :, None, None], 0)
        tokens = self.image_in(self.image_norm(known)) + self.names[:, None]
        seen = present[:, :, None].expand(tokens.shape[:3])
        return self.qformer(tokens.flatten(1, 2), seen.flatten(1))

    def forward(self, embeddings: Tensor, present: Tensor, tokens: Tensor) -> Tensor:
        """Score texts.

        Args:
            embeddings: `(B, U, E)` or `(B, U, T, E)`.
            present: `(B, U)` bool.
            tokens: the texts with their end, `(B, L)`, -1 behind it.

        Returns:
            What each token costs, `(B, L)` float32: its negative log-likelihood in nats; 0 behind the end.
        """
        known = tokens >= 0
        before = self._before(embeddings, present)
        text = self.language.embed(tokens.clamp_min(0)).to(before.dtype)
        mask = torch.cat([known.new_ones(before.shape[:2]), known], dim=1)
        logits = self.language.model(
            inputs_embeds=torch.cat([before, text], dim=1), attention_mask=mask.long(), use_cache=False,
            logits_to_keep=tokens.shape[1] + 1,
        ).logits[:, :-1]  # fmt: skip
        target = tokens.masked_fill(~known, _IGNORED)
        return nn.functional.cross_entropy(
            logits.float().transpose(1, 2), target, reduction="none", ignore_index=_IGNORED
        )

    @torch.no_grad()
    def generate(self, embeddings: Tensor, present: Tensor, how: Writing | None = None) -> list[str]:
        """Write the texts of studies.

        Args:
            embeddings: `(B, U, E)` or `(B, U, T, E)`.
            present: `(B, U)` bool.
            how: length and search; by default greedy with at most 256 tokens.

        Returns:
            One text per study.
        """
        from transformers import GenerationConfig

        how, tokenizer, end = how or Writing(), self.language.tokenizer, self.language.end
        padding = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        # A configuration of our own: the one that comes with a language model may draw at random.
        settings = GenerationConfig(
            max_new_tokens=how.most_tokens, num_beams=how.beams, do_sample=False,
            eos_token_id=end, pad_token_id=padding,
        )  # fmt: skip
        was_training = self.training
        self.eval()
        try:
            before = self._before(embeddings, present)
            mask = torch.ones(before.shape[:2], dtype=torch.long, device=before.device)
            written = self.language.model.generate(
                inputs_embeds=before, attention_mask=mask, generation_config=settings
            )
        finally:
            self.train(was_training)
        return [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]

    def write(self, organs: Mapping[str, Tensor], how: Writing | None = None) -> str:
        """Write the text of one study from its embeddings by organ unit; see `arrange`."""
        embeddings, present = arrange(organs, self.config.unit_names, self.config.image_width)
        return self.generate(embeddings[None].to(self.names.device), present[None].to(self.names.device), how)[0]

    def set_activation_checkpointing(self, on: bool) -> None:
        """Compute the activations of the querying transformer again in the backward pass instead of keeping them."""
        self.qformer.blocks.checkpointing = on

    def _before(self, embeddings: Tensor, present: Tensor) -> Tensor:
        """What the language model reads before the text: its begin token if it has one, the study, the prompt."""
        language = self.language
        study = self.to_language(self.study_tokens(embeddings, present))
        prompt = language.tokenizer(self.config.prompt, add_special_tokens=False)["input_ids"]
        begin = [] if language.tokenizer.bos_token_id is None else [language.tokenizer.bos_token_id]
        first, last = (language.embed(self._numbers(part)).expand(len(study), -1, -1) for part in (begin, prompt))
        return torch.cat([first, study.to(first.dtype), last], dim=1)

    def _numbers(self, tokens: list[int]) -> Tensor:
        return torch.tensor([tokens], dtype=torch.long, device=self.names.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ReportWriter:
        """Move the language model along (`to`, `cuda`, ...), although it is none of the modules."""
        self.language.model._apply(fn, recurse)
        return super()._apply(fn, recurse)
