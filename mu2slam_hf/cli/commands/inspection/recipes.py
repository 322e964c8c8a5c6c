# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam recipes`: the recipes included in the package."""

import argparse
import textwrap
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "recipes",
        help="list the recipes of the package, or print one",
        description="Lists the recipes of the package with their kinds. Run one with `mu2slam train NAME`.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this recipe")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints one line for each recipe, or one recipe."""
    from mu2slam_hf.recipes.schema.shipped import configuration_folder, find_recipe, list_recipes

    if args.name is not None:
        print(find_recipe(args.name).read_text(encoding="utf-8"), end="")
        return 0
    recipes = list_recipes()
    width, kind_width = (max(len(getattr(recipe, name)) for recipe in recipes) for name in ("name", "kind"))
    for recipe in recipes:
        summary = textwrap.shorten(recipe.summary, 100, placeholder=" ...")
        print(f"{recipe.name:{width}}  {recipe.kind:{kind_width}}  {summary}")
    print(f"recipes, sizes of models and settings of accelerate are in {configuration_folder()}")
    return 0
