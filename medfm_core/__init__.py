"""MedFM: medical foundation models made usable. Research use only, not a medical device.

Importing the package loads neither torch nor any image library: what is needed is imported where it is used.
"""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment."

__all__ = ["RESEARCH_USE", "__version__"]
