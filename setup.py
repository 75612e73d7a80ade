"""Packages found in the tree, and Resources carried inside the wheel as medfm_core/Resources."""

from pathlib import Path

from setuptools import find_packages, setup

resources = ["medfm_core.Resources", *(f"medfm_core.Resources.{p.name}" for p in Path("Resources").iterdir() if p.is_dir())]
recipes = ["training.recipes", *(f"training.recipes.{p.name}" for p in Path("training/recipes").iterdir() if p.is_dir())]

setup(
    packages=[*find_packages(include=["medfm_core*", "training*"]), *resources, *recipes],
    package_dir={"medfm_core.Resources": "Resources"},
    package_data={"medfm_core.report": ["*.j2", "*.css"], **{name: ["*.*"] for name in resources + recipes}},
)
