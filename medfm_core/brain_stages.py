"""The stages of an analysis of brain MRI, by their titles."""

from __future__ import annotations

LOAD, WRITE = "Load the model", "Write the results"
STAGES = {"read": "Read {}", "prepare": "Prepare {}", "encode": "Encode {}", "saliency": "Explain {}"}  # of each scan
