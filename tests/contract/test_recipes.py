# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every recipe in the repository parses, resolves, and takes two CPU updates at tiny size."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from public_schema import write_public_corpora

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.recipes.arguments import build_arguments
from mu2slam_hf.recipes.curriculum import resolve_curriculum
from mu2slam_hf.recipes.loader import recipe_kind
from mu2slam_hf.recipes.mixture_run import build_mixture
from mu2slam_hf.recipes.processors import build_processor
from mu2slam_hf.recipes.records import load_records
from mu2slam_hf.recipes.runs import build_run, load_recipe, load_recipes
from mu2slam_hf.synthetic.tones import write_tone_corpus
from mu2slam_hf.training.objectives.mu2slam import Mu2SLAMObjective

ROOT = Path(__file__).resolve().parents[2]
# Those of speech tokenizers and of mSLAM have tests of their own: tests/unit/recipes/test_speech_tokenizer_recipes.py
# and test_recipes_mslam.py.
RECIPES = sorted((ROOT / "configuration" / "recipes" / "mu2slam").glob("*.yaml"))
PRETRAINING = [path for path in RECIPES if recipe_kind(path) == "pretraining"]
STREAMED = [path for path in PRETRAINING if "streaming: true" in path.read_text(encoding="utf-8")]
SUPERVISED = [path for path in RECIPES if path not in PRETRAINING]
SETTINGS = (
    "training.use_cpu=true",
    "training.report_to=[]",
    "training.disable_tqdm=true",
    "training.dataloader_num_workers=0",
)
LOCATION = ("name", "root", "split", "options", "manifest", "columns", "lang", "audio_root")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
OVERRIDES = {
    **{f"{part}_config.{key}": value for part in ("encoder", "decoder") for key, value in SIZES.items()},
    "encoder_config.subsampling_conv_channels": [2, 2],
}


def test_there_are_recipes():
    assert len(SUPERVISED) >= 4 and len(PRETRAINING) >= 4 and len(STREAMED) == 2


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    return write_tone_corpus(folder, num_sentences=4, languages=("en", "es", "fr", "it", "ru"))


@pytest.fixture
def on_tones(tones, tmp_path):
    """Write a recipe again with all corpora replaced by tones, and the model by a tiny one."""

    def rewrite(path: Path) -> Path:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        tree.setdefault("processor", {}).pop("init_from", None)
        of_stages = [stage.get("set", {}).get("data.corpora", {}) for stage in tree.get("stages", [])]
        for corpora in (*(tree.get(name, {}).get("corpora", {}) for name in ("data", "evaluation")), *of_stages):
            for corpus in corpora.values():
                for key in LOCATION:
                    corpus.pop(key, None)
                corpus["manifest"] = str(tones)
                corpus["limit"] = 10
        tree.get("data", {}).pop("languages", None)
        tree["processor"].pop("languages", None)
        tree["processor"].update(feature_statistics_utterances=4, num_speech_tokens=8)
        tree["model"] = {
            "config": str(ROOT / "configuration" / "models" / "mu2slam" / "tiny.json"),
            "overrides": OVERRIDES,
        }
        tree["output"] = {"dir": str(tmp_path / "run")}
        written = tmp_path / path.name
        written.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return written

    return rewrite


def take_two_updates(trainer) -> None:
    trainer.args.max_steps = 2
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    result = trainer.train()
    assert result.global_step == 2 and result.training_loss > 0


@pytest.mark.parametrize("path", SUPERVISED, ids=lambda path: path.stem)
def test_two_updates(path, on_tones):
    for recipe in load_recipes(on_tones(path), SETTINGS):
        assert sum(phase.steps for phase in resolve_curriculum(recipe)) > 0
        records = load_records(recipe.data.corpora, "data.corpora")
        processor = build_processor(recipe, records)
        take_two_updates(build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records))


@pytest.mark.parametrize("path", [path for path in PRETRAINING if path not in STREAMED], ids=lambda path: path.stem)
def test_two_updates_of_pre_training(path, on_tones):
    recipe = load_recipe(on_tones(path), SETTINGS)
    records = build_run(recipe).load_data()
    processor = build_run(recipe).build_processor(records)
    take_two_updates(build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records))


@pytest.fixture(scope="module")
def public_corpora(tmp_path_factory) -> Path:
    """Small copies of all corpora of the paper."""
    folder = tmp_path_factory.mktemp("corpora")
    write_public_corpora(folder)
    return folder


@pytest.fixture
def on_small_copies(public_corpora, tmp_path, monkeypatch):
    """Read a recipe of the paper's scale with its corpora as small copies."""
    monkeypatch.setenv("MU2SLAM_CORPORA", str(public_corpora))

    def load(path, *overrides):
        # Of the 14 languages there are three, of the limited split of MLS none.
        missing = ("data.corpora.voxpopuli.options={}", "data.corpora.mls_10_hours.split=train")
        small = ("processor.vocab_size=300", "processor.feature_statistics_utterances=20", "data.max_failed_share=1")
        return load_recipe(path, [*missing, *small, *SETTINGS, f"output.dir={tmp_path}", *overrides])

    return load


@pytest.mark.parametrize("path", STREAMED, ids=lambda path: path.stem)
def test_recipes_of_the_paper_build_their_first_batch(path, on_small_copies):
    recipe = on_small_copies(path)
    processor = build_run(recipe).build_processor(build_run(recipe).load_data())
    assert len(processor.languages) == 122, "all that the corpora are declared to hold, whatever is there"
    dataset, sampler = build_mixture(recipe, processor, {}, build_arguments(recipe))
    keys = next(iter(sampler))
    counts = Counter(key.example.id.split(":")[0] for key in keys)
    assert counts == {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}
    model = SimpleNamespace(config=SimpleNamespace(encoder_config=None))
    batch = build_run(recipe).build_collator(processor, model)([dataset[key] for key in keys])
    targets = Mu2SLAMObjective.count(SimpleNamespace(names=PRETRAINING_LOSSES), batch)
    assert all(count > 0 for name, count in targets.items() if name not in ("ctc", "language")), targets
    assert {source.corpus for source in sampler.sources if source.task == "speech"} == {
        "voxpopuli_unlabelled",
        "common_voice",
        "mls",
        "babel",
    }
    ted = {source.lang: source.size for source in sampler.sources if source.corpus == "ted59"}
    assert set(ted) == {"ar", "fa", "id", "it", "mn", "nl", "pt", "sl", "sv"} and len(set(ted.values())) == 1


@pytest.mark.parametrize("path", STREAMED, ids=lambda path: path.stem)
def test_recipes_of_the_paper_take_two_updates_with_a_tiny_model(path, on_small_copies):
    sizes = [f"model.overrides.{name}={value}" for name, value in OVERRIDES.items()]
    # Of TED's nine languages the small copy has two.
    ted = "data.corpora.ted59.options={languages: [ar, fa]}"
    recipe = on_small_copies(path, *sizes, ted, "data.block_size=5", "training.bf16=false")
    processor = build_run(recipe).build_processor({})
    take_two_updates(build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), {}))


def test_models_of_the_paper_have_the_papers_size():
    """Section 2.1 and the tables: an encoder of 0.58B, in all 0.69B and 0.75B with a vocabulary of 4096 and 64k."""
    for path, total in zip(STREAMED, (0.69e9, 0.75e9), strict=True):
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        payload = json.loads((ROOT / tree["model"]["config"]).read_text(encoding="utf-8"))
        assert payload["vocab_size"] == 64 + tree["processor"]["num_speech_tokens"] + tree["processor"]["vocab_size"]
        payload.pop("model_type")
        with torch.device("meta"):
            model = Mu2SLAMForPreTraining(Mu2SLAMConfig(**payload))
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("path", [path for path in RECIPES if path not in STREAMED], ids=lambda path: path.stem)
def test_paths_of_the_recipe_resolve(path, data_root, tones, monkeypatch):
    """With the development data in place, and stand-ins for what is made by hand (synthetic speech, a model)."""
    for name in ("MU2SLAM_SYNTHETIC", "MU2SLAM_TINY", "MU2SLAM_MODEL", "MU2SLAM_ENCODER"):
        monkeypatch.setenv(name, str(tones.parent))
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    overrides = [
        f"data.corpora.{name}.manifest={tones}"
        for name, corpus in tree["data"]["corpora"].items()
        if "MU2SLAM_SYNTHETIC" in corpus.get("manifest", "")
    ]
    recipes = [load_recipe(path, overrides)] if path in PRETRAINING else load_recipes(path, overrides)
    assert all(recipe.data.corpora and recipe.evaluation.corpora for recipe in recipes)
