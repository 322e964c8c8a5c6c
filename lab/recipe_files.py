# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes and studies of the laboratory, found by name."""

import os
from pathlib import Path

from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.shipped import find_recipe as find_package_recipe

CONFIGURATION = Path(__file__).resolve().parent / "configuration"
"""The folder with `recipes/` and `studies/`."""


def find_recipe(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe: a path, or the name of one of the laboratory or of the package.

    Raises:
        RecipeError: no recipe, or several recipes have the name.
    """
    path = Path(name)
    shipped = next((CONFIGURATION / "recipes").glob(f"*/{path.name}.yaml"), None)
    is_name = path.parent in (Path(), Path(shipped.parent.name)) if shipped else False
    return shipped if shipped and is_name and not path.is_file() else find_package_recipe(name)


def find_study(name: str | os.PathLike[str]) -> Path:
    """The file of a study: a path, or the name of one in `lab/configuration/studies`.

    Raises:
        RecipeError: no study has the name.
    """
    path, folder = Path(name), CONFIGURATION / "studies"
    if path.is_file():
        return path
    shipped = folder / f"{path.stem}.yaml"
    if not shipped.is_file():
        known = ", ".join(file.stem for file in sorted(folder.glob("*.yaml")))
        raise RecipeError(f"{name}: no such study: neither a file nor one of the laboratory ({known})")
    return shipped
