# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Makes the golden losses in `losses/`: what the tiny runs of `recipes/` log in 20 updates.

    python tests/golden/make_golden_losses.py [RUN ...]

Code that keeps its behaviour keeps them. A change that alters behaviour on purpose records the runs that it concerns
anew, in a commit that says why.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]

from helpers import make_tiny_processor  # noqa: E402
from public_schema import WRITERS  # noqa: E402
from training_runs import read_log  # noqa: E402

from mu2slam_hf import MSLAMConfig, MSLAMForPreTraining  # noqa: E402
from mu2slam_hf.cli import main  # noqa: E402
from mu2slam_hf.data.tones import write_tone_corpus

RECIPES = sorted((FOLDER / "recipes").glob("*.yaml"))
LOSSES = FOLDER / "losses"


def write_data(folder: Path) -> None:
    """What the recipes look for in `MU2SLAM_GOLDEN`: tones, small copies of public corpora, an untrained mSLAM."""
    write_tone_corpus(folder, num_sentences=6, languages=("en", "fr", "ru"), max_words=2)
    for name in ("babel", "common_voice", "covost2", "mc4", "ted59", "wmt"):
        WRITERS[name](folder / name)
    processor = make_tiny_processor(languages=("und", "en", "fr", "ru"))
    torch.manual_seed(0)
    sizes = json.loads((FOLDER / "recipes" / "mslam.json").read_text(encoding="utf-8"))
    tokenizer = processor.tokenizer
    shared = {name: getattr(tokenizer, name) for name in ("num_speech_tokens", "text_token_offset")}
    config = MSLAMConfig(**sizes, **shared, vocab_size=len(tokenizer), languages=processor.languages)
    MSLAMForPreTraining(config).save_pretrained(folder / "mslam")
    processor.save_pretrained(folder / "mslam")


def run_recipe(recipe: Path, output: Path) -> dict[str, list[float]]:
    """Name of a loss or count -> its values in the order of the logs, of all stages, to six digits."""
    torch.set_num_threads(1)  # on tensors this small a second thread only waits
    key = "output" if recipe.stem == "speech_tokenizer" else "output.dir"
    assert main(["train", "--recipe", str(recipe), "--set", f"{key}={output}"]) == 0
    figures: dict[str, list[float]] = defaultdict(list)
    for path in sorted(output.rglob("log.jsonl")):
        for logs in read_log(path.parent):
            for name, value in logs.items():
                if "loss" in name or name.startswith("count_"):
                    figures[name].append(float(f"{value:.6g}"))
    return dict(figures)


def make(names: list[str]) -> None:
    """Record the runs of these names; of none, all."""
    LOSSES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["MU2SLAM_GOLDEN"] = temporary
        write_data(Path(temporary))
        for recipe in RECIPES:
            if recipe.stem in (names or recipe.stem):
                figures = run_recipe(recipe, Path(temporary) / "runs" / recipe.stem)
                lines = ",\n".join(f'"{name}": {json.dumps(values)}' for name, values in figures.items())
                (LOSSES / f"{recipe.stem}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    make(sys.argv[1:])
