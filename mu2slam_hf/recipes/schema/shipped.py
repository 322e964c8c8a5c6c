# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes and settings of the package, found by name in a wheel, a clone or an editable installation."""

import difflib
import os
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from mu2slam_hf.recipes.schema.loader import RecipeError, recipe_kind

_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class ShippedRecipe:
    """One recipe of the package.

    Attributes:
        name: folder and file name, such as `mu2slam/finetune_lora`.
        kind: kind of the recipe.
        summary: first sentence of the comment at its top.
        path: path of the file.
    """

    name: str
    kind: str
    summary: str
    path: Path


def shipped_path(name: str) -> Path:
    """A file or folder of the distribution: inside the package in a wheel, else at the top of the repository."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name


def configuration_folder() -> Path:
    """The folder with `recipes/`, `models/` and `accelerate/`."""
    return shipped_path("configuration")


def list_recipes() -> list[ShippedRecipe]:
    """The recipes of the package, sorted by name."""
    return [
        ShippedRecipe(name=name, kind=recipe_kind(path), summary=_summary(path), path=path)
        for name, path in _recipe_files().items()
    ]


def find_recipe(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe.

    Args:
        name: path of a file; or the name of a recipe of the package: `finetune_lora`, `mu2slam/finetune_lora` or
            `configuration/recipes/mu2slam/finetune_lora.yaml`.

    Raises:
        RecipeError: no recipe, or several recipes have the name.
    """
    path = Path(name)
    if path.is_file():
        return path
    text = path.as_posix().removeprefix("configuration/recipes/").removesuffix(".yaml")
    files = _recipe_files()
    matches = [full for full in files if text in (full, full.rpartition("/")[2])]
    if len(matches) == 1:
        return files[matches[0]]
    if matches:
        raise RecipeError(f"{name}: several recipes have this name; give {' or '.join(matches)}")
    short = {full.rpartition("/")[2]: full for full in files}
    close = difflib.get_close_matches(text, [*files, *short], n=3, cutoff=0.5)
    nearest = dict.fromkeys(short.get(match, match) for match in close)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else "`mu2slam recipes` lists the names"
    raise RecipeError(f"{name}: no such recipe: neither a file nor the name of a recipe of the package; {hint}")


def search_folders(recipe_path: Path) -> list[Path]:
    """Folders to search for relative paths of a recipe.

    The working directory, then the recipe's folder and those above it, then the folder that holds `configuration/`.
    """
    return [Path.cwd(), *recipe_path.resolve().parents, configuration_folder().parent]


def _recipe_files() -> dict[str, Path]:
    """Name -> file."""
    files = sorted((configuration_folder() / "recipes").glob("*/*.yaml"))
    return {f"{path.parent.name}/{path.stem}": path for path in files}


def _summary(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: re.match(r"# \S", line), lines)
    return re.split(r"\.\s+(?=[\"`A-Z])", " ".join(line[2:] for line in comment))[0].rstrip(".:")
