# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every recipe of mSLAM parses, resolves, and takes two CPU updates at tiny size."""

from collections import Counter
from pathlib import Path

import pytest
import yaml
from public_schema import write_public_corpora

from mu2slam_hf import MSLAMForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.recipes.arguments import build_arguments
from mu2slam_hf.recipes.loader import RecipeError, dump_recipe, recipe_kind
from mu2slam_hf.recipes.mixture_run import build_mixture
from mu2slam_hf.recipes.runs import build_run, load_recipe
from mu2slam_hf.synthetic.tones import write_tone_corpus

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "configuration" / "recipes" / "mslam").glob("*.yaml"))
PRETRAINING = [path for path in RECIPES if recipe_kind(path) == "mslam_pretraining"]
STREAMED = [path for path in PRETRAINING if "streaming: true" in path.read_text(encoding="utf-8")]
HEADS = [path for path in RECIPES if recipe_kind(path) == "head_finetuning"]
TINY = next(path for path in PRETRAINING if path.stem == "pretrain_tiny_test")
SETTINGS = (
    "training.use_cpu=true",
    "training.report_to=[]",
    "training.disable_tqdm=true",
    "training.dataloader_num_workers=0",
    "training.bf16=false",
)
SIZES = {
    "encoder_config.hidden_size": 16,
    "encoder_config.num_hidden_layers": 2,
    "encoder_config.num_attention_heads": 2,
    "encoder_config.intermediate_size": 16,
    "encoder_config.subsampling_conv_channels": [2, 2],
    "num_speech_layers": 1,
    "num_codevectors_per_group": 8,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_negatives": 4,
}
LOCATION = ("name", "root", "split", "options", "manifest", "languages")


def test_there_are_recipes():
    assert len(STREAMED) == 2 and len(PRETRAINING) >= 4 and len(HEADS) >= 3


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    return write_tone_corpus(folder, num_sentences=4, languages=("en", "es", "fr", "it", "ru"))


@pytest.fixture
def on_tones(tones, tmp_path):
    """Write a recipe again with all corpora replaced by tones."""

    def rewrite(path: Path, **sections) -> Path:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        for corpora in (tree[name]["corpora"] for name in ("data", "evaluation") if "corpora" in tree.get(name, {})):
            for corpus in corpora.values():
                for key in LOCATION:
                    corpus.pop(key, None)
                corpus.update(manifest=str(tones), limit=10)
        for name, values in sections.items():
            tree[name] = values
        tree["output"] = {"dir": str(tmp_path / path.stem)}
        written = tmp_path / path.name
        written.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return written

    return rewrite


def take_two_updates(trainer) -> None:
    trainer.args.max_steps = 2
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    result = trainer.train()
    assert result.global_step == 2 and result.training_loss > 0


@pytest.mark.parametrize("path", [path for path in PRETRAINING if path not in STREAMED], ids=lambda path: path.stem)
def test_two_updates_of_pre_training(path, on_tones):
    model = {"config": str(ROOT / "configuration" / "models" / "mslam" / "tiny.json"), "overrides": SIZES}
    processor = {"feature_statistics_utterances": 4, "num_speech_tokens": 8}
    recipe = load_recipe(on_tones(path, model=model, processor=processor), SETTINGS)
    records = build_run(recipe).load_data()
    processor = build_run(recipe).build_processor(records)
    model = build_run(recipe).build_model(processor)
    assert isinstance(model, MSLAMForPreTraining) and processor.speech_tokenizer is None
    take_two_updates(build_run(recipe).build_trainer(processor, model, records))


@pytest.fixture(scope="module")
def public_corpora(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    write_public_corpora(folder)
    return folder


@pytest.fixture
def on_small_copies(public_corpora, tmp_path, monkeypatch):
    monkeypatch.setenv("MU2SLAM_CORPORA", str(public_corpora))

    def load(path):
        small = ("processor.vocab_size=300", "processor.feature_statistics_utterances=20", "data.max_failed_share=1")
        missing = ("data.corpora.voxpopuli.options={}", "data.corpora.mls_10_hours.split=train", "data.block_size=5")
        sizes = [f"model.overrides.{name}={value}" for name, value in SIZES.items()]
        return load_recipe(path, [*small, *missing, *sizes, *SETTINGS, f"output.dir={tmp_path}"])

    return load


@pytest.mark.parametrize("path", STREAMED, ids=lambda path: path.stem)
def test_recipes_of_the_paper(path, on_small_copies):
    recipe = on_small_copies(path)
    is_small = path.stem == "pretrain_0_6b"
    assert recipe.optim.learning_rate == (6e-4 if is_small else 3.6e-4) and recipe.optim.warmup_steps == 40_000
    assert recipe.training.max_steps == (1_300_000 if is_small else 350_000)
    assert [section.share for section in recipe.data.tasks.values()] == [8, 32, 1]  # 2048, 8192 and 256 on 256 devices
    objective = recipe.objective
    assert [getattr(objective, name) for name in MSLAM_LOSSES] == [1.0, 0.1, 1.0, 0.3, 0.03, 0.03, 0.03]
    processor = build_run(recipe).build_processor({})
    model = build_run(recipe).build_model(processor)
    dataset, sampler = build_mixture(recipe, processor, {}, build_arguments(recipe))
    keys = next(iter(sampler))
    assert Counter(key.example.id.split(":")[0] for key in keys) == {"speech": 8, "text": 32, "asr": 1}
    batch = build_run(recipe).build_collator(processor, model)([dataset[key] for key in keys])
    counts = dict(zip(MSLAM_LOSSES, model(**batch).loss_counts.tolist(), strict=True))
    assert all(count > 0 for name, count in counts.items() if name != "ctc"), counts


@pytest.fixture(scope="module")
def pretrained(tones, tmp_path_factory) -> Path:
    """A model as pre-training leaves it, without training."""
    folder = tmp_path_factory.mktemp("pretrained")
    places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
    recipe = load_recipe(TINY, [*places, f"output.dir={folder}"])
    processor = build_run(recipe).build_processor(build_run(recipe).load_data())
    build_run(recipe).build_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.stem)
def test_two_updates_of_a_head(path, on_tones, pretrained, monkeypatch):
    monkeypatch.setenv("MU2SLAM_MODEL", str(pretrained))
    steps = (
        "training.max_steps=2",
        "training.eval_steps=1",
        "training.save_steps=2",
        "data.per_device_train_batch_size=4",
    )
    recipe = load_recipe(on_tones(path), [*SETTINGS, *steps])
    results = build_run(recipe).run()
    assert results and all(value >= 0 for value in results.values())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_paths_of_the_recipe_resolve_and_it_reads_back(path, data_root, tones, public_corpora, tmp_path, monkeypatch):
    monkeypatch.setenv("MU2SLAM_CORPORA", str(public_corpora))
    for name in ("MU2SLAM_TINY", "MU2SLAM_MODEL"):
        monkeypatch.setenv(name, str(tones.parent))
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    overrides = [
        f"data.corpora.{name}.manifest={tones}"
        for name, corpus in tree["data"]["corpora"].items()
        if "MU2SLAM_SYNTHETIC" in corpus.get("manifest", "")
    ]
    recipe = load_recipe(path, overrides)
    written = tmp_path / "recipe.yaml"
    written.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(written) == recipe


def test_a_recipe_of_another_kind_names_its_script(tmp_path):
    with pytest.raises(RecipeError, match="recipe of kind mslam_pretraining, not pretraining"):
        load_recipe(TINY, kind="pretraining")
    with pytest.raises(RecipeError, match="recipe of kind head_finetuning, not mslam_pretraining"):
        load_recipe(HEADS[0], kind="mslam_pretraining")
    odd = tmp_path / "odd.yaml"
    odd.write_text("kind: mslam", encoding="utf-8")
    with pytest.raises(RecipeError, match="kind: expected one of .*; got 'mslam'"):
        load_recipe(odd)


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.tasks.mt={}", "data.tasks.mt: mSLAM is trained on speech, text, asr only"),
        ("data.max_row_length=100", "data.max_row_length: batches of mSLAM have no packed rows"),
        ("masking.tlm_text_ratio=0", "masking: .*tlm_text_ratio"),
    ],
)
def test_what_mslam_cannot_do_is_said(override, message, tones, monkeypatch):
    monkeypatch.setenv("MU2SLAM_TINY", str(tones.parent))
    with pytest.raises(RecipeError, match=message):
        load_recipe(TINY, [override])


def test_a_wrong_course_of_the_temperature_is_said(tones, monkeypatch):
    monkeypatch.setenv("MU2SLAM_TINY", str(tones.parent))
    with pytest.raises(RecipeError, match="quantizer: min_gumbel_temperature must be between 0 and max_"):
        load_recipe(TINY, ["quantizer.min_gumbel_temperature=5"])
