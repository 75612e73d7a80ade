"""Packages found in the tree, and Resources carried inside the wheel as medfm_core/Resources."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["medfm_core*", "training*"]), "medfm_core.Resources"],
    package_dir={"medfm_core.Resources": "Resources"},
    package_data={
        "medfm_core": ["report/*.j2", "report/*.css"],
        "medfm_core.Resources": ["**/*"],
        "training": ["recipes/**/*"],
    },
)
