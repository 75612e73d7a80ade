"""Where in an organ volume a score comes from: maps, their place in the patient, and whether they can be believed."""

from medfm_core.saliency.curves import CurveSettings, DeletionInsertion, deletion_insertion
from medfm_core.saliency.energy import EnergyShare, energy_inside
from medfm_core.saliency.fixed_inputs import FixedInputs
from medfm_core.saliency.integrated_gradients import IntegratedGradients
from medfm_core.saliency.methods import METHODS, SaliencyMethod, explain
from medfm_core.saliency.occlusion import Occlusion
from medfm_core.saliency.patient import in_patient, write_saliency
from medfm_core.saliency.randomisation import RandomisedStage, randomisation_check
from medfm_core.saliency.rollout import attention_rollout
from medfm_core.saliency.targets import Target, prompt_contrast

__all__ = [
    "METHODS",
    "CurveSettings",
    "DeletionInsertion",
    "EnergyShare",
    "FixedInputs",
    "IntegratedGradients",
    "Occlusion",
    "RandomisedStage",
    "SaliencyMethod",
    "Target",
    "attention_rollout",
    "deletion_insertion",
    "energy_inside",
    "explain",
    "in_patient",
    "prompt_contrast",
    "randomisation_check",
    "write_saliency",
]
