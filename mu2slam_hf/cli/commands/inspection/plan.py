# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam plan`: what a pre-training recipe will draw and cost."""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.cli.options import add_json_option, add_overrides_option, add_recipe_option, positive_int

if TYPE_CHECKING:
    from mu2slam_hf.recipes.runs.plan import PlannedDraws, SamplingPlan

LENGTHS = {
    "speech_seconds": "mean seconds of a recording without text (15)",
    "labeled_seconds": "mean seconds of a recording with a text (8)",
    "text_tokens": "mean number of tokens of a text without speech or translation (350)",
    "labeled_tokens": "mean number of tokens of a transcript or translation (110)",
}


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "plan",
        help="what a pre-training recipe will draw and cost",
        description="Prints the draws, hours, epochs and repetitions of each task and corpus, the contents of an "
        "update, device hours, disk and bandwidth. Corpora known by name need not be on disk: their declared sizes "
        "are used, and languages without declared sizes count as equal.",
    )
    add_recipe_option(parser, required=True)
    add_overrides_option(parser)
    parser.add_argument(
        "--num-devices", type=positive_int, required=True, metavar="N", help="number of devices of the run"
    )
    text = "peak of a device in floating-point operations per second (989e12, an H100 in bf16)"
    parser.add_argument("--device-flops", type=float, default=989e12, metavar="N", help=text)
    text = "share of the peak that training reaches (0.4)"
    parser.add_argument("--utilization", type=float, default=0.4, metavar="SHARE", help=text)
    for name, text in LENGTHS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=None, metavar="N", help=text)
    parser.add_argument("--by-direction", action="store_true", help="print one line for each language or direction")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the plan."""
    from mu2slam_hf.recipes.runs.plan import build_plan
    from mu2slam_hf.recipes.runs.training_cost import Hardware, MeanLengths

    recipe = load_planned_recipe(args.recipe, args.overrides)
    hardware = Hardware(num_devices=args.num_devices, device_flops=args.device_flops, utilization=args.utilization)
    given = {name: getattr(args, name) for name in LENGTHS if getattr(args, name) is not None}
    plan = build_plan(recipe, hardware, MeanLengths(**given))
    if args.json:
        totals = asdict(plan)
        for line in (totals, *totals.pop("draws")):
            print(json.dumps(line))
    else:
        print(format_plan(plan, by_direction=args.by_direction))
    return 0


def load_planned_recipe(name: str, overrides: Sequence[str]) -> Any:
    """A recipe whose corpora, if they are known by name, and speech tokenizer need not exist.

    Raises:
        RecipeError: the recipe is not one of pre-training.
    """
    from mu2slam_hf.recipes.runs.registry import RUNS, load_recipe
    from mu2slam_hf.recipes.schema.loader import DEFAULT_KIND, RecipeError, read_tree
    from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
    from mu2slam_hf.recipes.schema.shipped import find_recipe

    path = find_recipe(name)
    tree = read_tree(path)
    kind = str(tree.get("kind", DEFAULT_KIND))
    run: Any = RUNS.get(kind)
    # What is planned is audio that is read and encoded; a dual encoder reads stored ids.
    if run is None or not issubclass(run.recipe_class, MixtureRecipe) or not run.reads_audio:
        raise RecipeError(f"{name}: a plan is made of a recipe of pre-training, not of one of kind {kind}")
    # Any folder that exists will do for what is not read.
    unread = [
        f"{section}.corpora.{corpus}.root"
        for section in ("data", "evaluation")
        for corpus, fields in ((tree.get(section) or {}).get("corpora") or {}).items()
        if fields.get("name")
    ]
    if (tree.get("speech_tokenizer") or {}).get("init_from"):
        unread.append("speech_tokenizer.init_from")
    return load_recipe(path, [*(f"{key}={Path.cwd()}" for key in unread), *overrides])


def format_plan(plan: "SamplingPlan", *, by_direction: bool = False) -> str:
    """The plan as text: one line for each task and corpus, or for each direction, then the totals."""
    from mu2slam_hf.evaluation.scores.tables import align_columns

    groups: dict[tuple[str, ...], list[PlannedDraws]] = defaultdict(list)
    for item in plan.draws:
        groups[(item.task, item.corpus, *([item.direction] if by_direction else []))].append(item)
    names = ["task", "corpus", *(["direction"] if by_direction else [])]
    rows = [[*names, "share", "draws", "hours", "epochs", "repetitions"]]
    rows += [[*key, *_figures(items)] for key, items in groups.items()]
    return "\n".join(
        [
            *align_columns(rows, num_left=len(names)),
            f"updates: {plan.updates:,} of {plan.examples_per_update:,} examples, "
            f"{plan.audio_hours_per_update:,.2f} h of audio, {plan.tokens_per_update:,.0f} tokens, "
            f"{plan.teraflops_per_update:,.0f} TFLOP",
            f"device hours: {plan.device_hours:,.0f} ({plan.days:,.1f} days)",
            f"audio as Opus at 32 kbit/s: {plan.audio_terabytes:,.2f} TB on disk, "
            f"{plan.audio_megabytes_per_second:,.1f} MB/s",
        ]
    )


def _figures(items: "Sequence[PlannedDraws]") -> list[str]:
    """Share, draws, hours, epochs and repetitions of directions of one corpus."""
    hours = sum(item.hours or 0.0 for item in items)
    draws = sum(item.draws for item in items)
    drawn = hours or draws
    # Hours of one pass in all directions are the hours drawn by its epochs, and the same for recordings.
    known = all(item.epochs and item.repetitions for item in items)
    size = sum((item.hours or item.draws) / item.epochs for item in items if item.epochs)
    recorded = sum((item.hours or item.draws) / item.repetitions for item in items if item.repetitions)
    return [
        f"{100 * sum(item.share for item in items):.2f}%",
        f"{draws:,.0f}",
        f"{hours:,.0f}" if hours else "-",
        f"{drawn / size:,.2f}" if known else "-",
        f"{drawn / recorded:,.2f}" if known else "-",
    ]
