"""Packages found in the tree, and Resources carried inside the wheel as medfm_core/Resources."""

from pathlib import Path

from setuptools import find_packages, setup


def data_packages(folder: str, package: str) -> list[str]:
    """Name a folder of data and its sub-folders as packages."""
    return [package, *(f"{package}.{path.name}" for path in sorted(Path(folder).iterdir()) if path.is_dir())]


data = data_packages("Resources", "medfm_core.Resources") + data_packages("training/recipes", "training.recipes")

setup(
    packages=[*find_packages(include=["medfm_core*", "training*"]), *data],
    package_dir={"medfm_core.Resources": "Resources"},
    package_data={"medfm_core.report": ["*.j2", "*.css"], **{name: ["*.*"] for name in data}},
)
