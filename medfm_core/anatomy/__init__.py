"""The anatomy that MedFM can name: organs, their numbers, groups, codes and colours, and the findings in them."""

from medfm_core.anatomy.findings import FindingCatalogue, FindingKind, Question, load_findings
from medfm_core.anatomy.vocabulary import Code, Group, Organ, Vocabulary, load_vocabulary

__all__ = [
    "Code",
    "FindingCatalogue",
    "FindingKind",
    "Group",
    "Organ",
    "Question",
    "Vocabulary",
    "load_findings",
    "load_vocabulary",
]
