"""The anatomy that MedFM can name: organs, their numbers, groups, codes and colours."""

from medfm_core.anatomy.vocabulary import Code, Group, Organ, Vocabulary, load_vocabulary

__all__ = ["Code", "Group", "Organ", "Vocabulary", "load_vocabulary"]
