# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every recipe in the repository parses, resolves, and takes two CPU updates at tiny size."""

from pathlib import Path

import pytest
import yaml

from mu2slam_hf.data.testing import write_tone_corpus
from mu2slam_hf.recipes.builders import build_model, build_processor, build_trainer
from mu2slam_hf.recipes.data_builders import load_records, resolve_curriculum
from mu2slam_hf.recipes.loader import load_recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "configuration" / "recipes").rglob("*.yaml"))
LOCATION = ("name", "root", "split", "options", "manifest", "columns", "lang", "audio_root")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def test_there_are_recipes():
    assert len(RECIPES) >= 4


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    return write_tone_corpus(folder, num_sentences=4, languages=("en", "es", "fr", "it", "ru"))


@pytest.fixture
def on_tones(tones, tmp_path):
    """Write a recipe again with all corpora replaced by tones, and the model by a tiny one."""

    def rewrite(path: Path) -> Path:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section in (tree["data"], tree.get("evaluation", {})):
            for corpus in section.get("corpora", {}).values():
                for key in LOCATION:
                    corpus.pop(key, None)
                corpus["manifest"] = str(tones)
                corpus["limit"] = 10
        tree.get("data", {}).pop("languages", None)
        tree.setdefault("processor", {}).pop("languages", None)
        tree["processor"].update(feature_statistics_utterances=4, num_speech_tokens=8)
        tree["model"] = {
            "config": str(ROOT / "configuration" / "models" / "mu2slam" / "tiny.json"),
            "overrides": {
                **{f"{part}_config.{key}": value for part in ("encoder", "decoder") for key, value in SIZES.items()},
                "encoder_config.subsampling_conv_channels": [2, 2],
            },
        }
        tree["output"] = {"dir": str(tmp_path / "run")}
        written = tmp_path / path.name
        written.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return written

    return rewrite


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_two_updates(path, on_tones):
    settings = ("training.use_cpu=true", "training.tensorboard=false", "training.progress_bar=false")
    recipe = load_recipe(on_tones(path), [*settings, "training.dataloader_num_workers=0"])
    assert sum(phase.steps for phase in resolve_curriculum(recipe)) > 0
    records = load_records(recipe.data.corpora, "data.corpora")
    processor = build_processor(recipe, records)
    trainer = build_trainer(recipe, processor, build_model(recipe, processor), records)
    trainer.args.max_steps = 2
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    result = trainer.train()
    assert result.global_step == 2 and result.training_loss > 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_paths_of_the_recipe_resolve(path, data_root, tones, monkeypatch):
    """With the development data in place, and stand-ins for what is made by hand (synthetic speech, a model)."""
    for name in ("MU2SLAM_SYNTHETIC", "MU2SLAM_TINY", "MU2SLAM_MODEL"):
        monkeypatch.setenv(name, str(tones.parent))
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    overrides = [
        f"data.corpora.{name}.manifest={tones}"
        for name, corpus in tree["data"]["corpora"].items()
        if "MU2SLAM_SYNTHETIC" in corpus.get("manifest", "")
    ]
    recipe = load_recipe(path, overrides)
    assert recipe.data.corpora and recipe.evaluation.corpora
