"""Training: data, objectives and recipes. Imports medfm_core, never the reverse."""
