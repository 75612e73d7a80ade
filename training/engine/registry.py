"""The parts that recipes name: models, objectives and data sources, each with its typed configuration.

Nothing is imported before a recipe asks for it, so that a command starts fast and an optional library is needed only by
the parts that use it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from medfm_core.errors import InputError


@dataclass(frozen=True)
class Part:
    """One named part.

    Attributes:
        config: `module:Class`, a frozen dataclass.
        build: `module:callable`; objectives are called with `(model_config, config)`, data sources with
            `(config, seed)`; models are built by their objective.
        sizes: `module:callable` that returns values of the configuration by size name; None where there are no sizes.
    """

    config: str
    build: str | None = None
    sizes: str | None = None

    def config_type(self) -> type:
        """Import the configuration's class."""
        return _import(self.config)

    def size_table(self) -> Mapping[str, Mapping[str, Any]]:
        """Values of the configuration by size."""
        return _import(self.sizes)() if self.sizes else {}

    def make(self, *arguments: Any) -> Any:
        """Build the part."""
        return _import(self.build)(*arguments)


PARTS: dict[str, dict[str, Part]] = {
    "model": {
        "neuro_jepa": Part("medfm_core.models.neuro_jepa:NeuroJepaConfig", sizes="medfm_core.models.neuro_jepa:sizes"),
        "organ_segmenter": Part("medfm_core.models.segmenter:SegmenterConfig"),
        "pan_fm": Part("medfm_core.models.pan_fm:PanFMConfig", sizes="medfm_core.models.pan_fm:sizes"),
        "report_writer": Part("medfm_core.models.report_writer:ReportWriterConfig"),
        "spad_encoder": Part("training.heads.spad_encoder:SpadEncoderConfig", sizes="medfm_core.models.spad_vit:sizes"),
        "spad_tokenizer": Part(
            "medfm_core.models.spad_tokenizer:SpadTokenizerConfig", sizes="medfm_core.models.spad_tokenizer:sizes"
        ),
        "spad_vit": Part("medfm_core.models.spad_vit:SpadVitConfig", sizes="medfm_core.models.spad_vit:sizes"),
        "totalfm": Part("medfm_core.models.totalfm:TotalFMConfig", sizes="medfm_core.models.totalfm:sizes"),
    },
    "objective": {
        "neuro_jepa": Part(
            "training.objectives.neuro_jepa:NeuroJepaObjectiveConfig", "training.objectives.neuro_jepa:NeuroJepa"
        ),
        "organ_segmentation": Part(
            "training.objectives.organ_segmentation:OrganSegmentationConfig",
            "training.objectives.organ_segmentation:OrganSegmentation",
        ),
        "pan_fm": Part(
            "training.objectives.pan_fm_config:PanFMObjectiveConfig", "training.objectives.pan_fm:PanFMObjective"
        ),
        "report_generation": Part(
            "training.objectives.report_generation:ReportGenerationConfig",
            "training.objectives.report_generation:ReportGeneration",
        ),
        "spad_mim": Part("training.objectives.spad_mim:SpadMimConfig", "training.objectives.spad_mim:SpadMim"),
        "spad_segmentation": Part(
            "training.objectives.spad_segmentation:SpadSegmentationConfig",
            "training.objectives.spad_segmentation:SpadSegmentation",
        ),
        "spad_tokenizer": Part(
            "training.objectives.spad_tokenizer:SpadTokenizerObjectiveConfig",
            "training.objectives.spad_tokenizer:SpadTokenizerObjective",
        ),
        "videomae": Part("training.objectives.videomae:VideoMAEConfig", "training.objectives.videomae:VideoMAE"),
        "contrastive": Part(
            "training.objectives.contrastive:ContrastiveConfig", "training.objectives.contrastive:Contrastive"
        ),
        "supervised": Part(
            "training.objectives.supervised:SupervisedConfig", "training.objectives.supervised:Supervised"
        ),
    },
    "data": {
        "labelled_cases": Part(
            "training.data.labelled_cases:LabelledCasesConfig", "training.data.labelled_cases:LabelledCases"
        ),
        "report_pairs": Part("training.data.report_pairs:ReportPairsConfig", "training.data.report_pairs:ReportPairs"),
        "label_volumes": Part(
            "training.data.label_volumes:LabelVolumesConfig", "training.data.label_volumes:LabelVolumes"
        ),
        "medmnist": Part("training.data.medmnist:MedMnistConfig", "training.data.medmnist:MedMnist"),
        "organ_pairs": Part(
            "training.data.organ_pairs_config:OrganPairsConfig", "training.data.organ_pairs:OrganPairs"
        ),
        "organ_sets": Part("training.data.organ_sets_config:OrganSetsConfig", "training.data.organ_sets:OrganSets"),
        "spacing_buckets": Part(
            "training.data.spacing_buckets_config:SpacingBucketsConfig", "training.data.spacing_buckets:SpacingBuckets"
        ),
        "target_volumes": Part(
            "training.data.target_volumes:TargetVolumesConfig", "training.data.target_volumes:TargetVolumes"
        ),
        "volumes": Part("training.data.volumes:VolumesConfig", "training.data.volumes:Volumes"),
    },
}


def find_part(section: str, name: str) -> Part:
    """Find a part of a section, `model`, `objective` or `data`.

    Raises:
        InputError: no part has that name; the nearest is named.
    """
    parts = PARTS[section]
    if name in parts:
        return parts[name]
    near = get_close_matches(str(name), parts, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(sorted(parts))}"
    raise InputError(f"no {section} is called {name!r}", hint)


def _import(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
