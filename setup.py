"""Packages found in the tree, the Slicer module's library beside them, and Resources as medfm_core/Resources."""

from pathlib import Path

from setuptools import find_packages, setup


def data_packages(folder: str, package: str) -> list[str]:
    """Name a folder of data and all folders below it as packages."""
    below = sorted(path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_dir())
    return [package, *(".".join((package, *path.parts)) for path in below)]


data = [
    *data_packages("Resources", "medfm_core.Resources"),
    *data_packages("training/inputs", "training.inputs"),
    *data_packages("training/recipes", "training.recipes"),
    *data_packages("training/data/reports/cue_lists", "training.data.reports.cue_lists"),
]

setup(
    packages=[*find_packages(include=["medfm_core*", "training*"]), "MedFMLib", "MedFMLib.Resources.UI", *data],
    package_dir={
        "medfm_core.Resources": "Resources",
        "MedFMLib": "MedFMExtension/MedFM/MedFMLib",
        "MedFMLib.Resources.UI": "MedFMExtension/MedFM/Resources/UI",
    },
    package_data={
        "medfm_core.report": ["*.j2", "*.css"],
        "MedFMLib.Resources.UI": ["*.ui"],
        **{name: ["*.*"] for name in data},
    },
)
