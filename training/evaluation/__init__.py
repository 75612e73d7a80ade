"""How good a representation or a model is: metrics, intervals by subject, few-shot subsets, probes, reports."""
