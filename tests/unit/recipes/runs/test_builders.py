# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipe to processor, model, arguments and saved run."""

from functools import partial

import pytest
import torch

from mu2slam_hf import MSLAMForCTC, Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.models import build_model_of
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.registry import build_run
from mu2slam_hf.recipes.runs.run import build_arguments, find_resume_checkpoint
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def load(load_tiny):
    return partial(load_tiny, "supervised")


@pytest.fixture
def parts(load):
    recipe = load()
    records = load_records(recipe.data.corpora, "data.corpora")
    return recipe, records, build_processor(recipe, records)


def test_processor_learns_from_the_training_data(parts):
    recipe, records, processor = parts
    assert list(processor.languages) == ["und", "en", "fr"]
    texts = [text for record in records["train"] for text in (record.text, *record.translations.values())]
    assert all(processor.tokenizer.unk_token_id not in ids for ids in processor.tokenizer(texts)["input_ids"])
    assert processor.feature_extractor.mean is not None and len(processor.feature_extractor.std) == 80
    again = build_processor(recipe, records)
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert again.feature_extractor.mean == processor.feature_extractor.mean


def test_languages_keep_the_order_of_the_recipe(load):
    recipe = load("processor.languages=[fr, en]", "processor.feature_statistics_utterances=0")
    processor = build_processor(recipe, load_records(recipe.data.corpora, "data.corpora"))
    assert list(processor.languages) == ["und", "fr", "en"]


def test_model_fits_the_processor_and_the_seed(parts):
    recipe, _, processor = parts
    model, again = build_run(recipe).build_model(processor), build_run(recipe).build_model(processor)
    processor.check_config(model.config)
    assert model.config.vocab_size == len(processor.tokenizer)
    assert model.config.encoder_config.hidden_size == 32
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_trained_model_brings_its_own_processor(parts, load, tmp_path):
    recipe, records, processor = parts
    folder = tmp_path / "trained"
    model = build_run(recipe).build_model(processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    second = load("model.config=null", f"model.init_from={folder}", "model.freeze=[model.encoder]")
    loaded = build_run(second).build_model(build_processor(second, records))
    assert torch.equal(loaded.ctc_head.bias, model.ctc_head.bias) and loaded.dtype == torch.float32
    frozen = {name for name, p in loaded.named_parameters() if not p.requires_grad}
    assert frozen and all(name.startswith("model.encoder") for name in frozen)


def test_how_a_model_writes_is_saved_with_it(parts, load, tmp_path):
    _, records, processor = parts
    recipe = load("model.generation_config={ctc_weight: 0.6, num_beams: 3}")
    trainer = build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records)
    trainer.save_model(str(tmp_path / "model"))
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path / "model")
    assert loaded.generation_config.ctc_weight == 0.6 and loaded.generation_config.num_beams == 3
    assert loaded.generation_config.bos_token_id == 1


def test_a_foreign_processor_is_refused(parts, load, tmp_path):
    recipe, records, processor = parts
    build_run(recipe).build_model(processor).save_pretrained(tmp_path / "other")
    processor.languages[1:] = ["fr", "en"]
    second = load("model.config=null", f"model.init_from={tmp_path / 'other'}")
    with pytest.raises(RecipeError, match=r"model\.init_from: .*does not match this model"):
        build_run(second).build_model(processor)


def test_a_folder_that_holds_something_else_is_named(parts, load, tmp_path):
    recipe, records, processor = parts
    other = Mu2SLAMForCTC.from_conditional_generation(build_run(recipe).build_model(processor))
    other.save_pretrained(tmp_path / "ctc")
    second = load("model.config=null", f"model.init_from={tmp_path / 'ctc'}")
    with pytest.raises(RecipeError, match=r"model\.init_from: .*ctc: no processor found"):
        build_processor(second, records)
    with pytest.raises(RecipeError, match=r"model\.init_from: .* of type mu2slam, got 'mu2slam_ctc' \(Mu2SLAM"):
        build_run(second).build_model(processor)
    # mSLAM with one head may start from mSLAM with another, but from nothing else.
    with pytest.raises(RecipeError, match=r"expected a model of type mslam, mslam_ctc or maestro, got 'mu2slam_ctc'"):
        build_model_of(second, processor, MSLAMForCTC)
    third = load("model.config=null", f"model.init_from={tmp_path}", f"processor.init_from={tmp_path}")
    with pytest.raises(RecipeError, match=r"processor\.init_from: "):
        build_processor(third, records)
    with pytest.raises(RecipeError, match=r"model\.init_from: .*no config.json"):
        build_run(third).build_model(processor)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["model.config=null"], "model: give either"),
        (["model.overrides={encoder_config.hidden_size: 33}"], r"model\.config: "),
        (["model.generation_config={num_baems: 4}"], r"generation_config\.num_baems: unknown argument of generate"),
        (
            ["model.generation_config={ctc_weight: 6}"],
            r"model\.generation_config\.ctc_weight: must be in \[0, 1\], got 6",
        ),
        (["model.generation_config={ctc_draft: 1}"], r"generation_config\.ctc_draft: must be true or false, got 1"),
        (["model.generation_config={max_new_tokens: -1}"], r"model\.generation_config: .*max_new_tokens"),
        (["lora.target_modules=[no_such_layer]"], r"lora\.target_modules: .*no_such_layer"),
    ],
)
def test_models_that_cannot_be_built(parts, load, overrides, message):
    with pytest.raises(RecipeError, match=message):
        build_run(load(*overrides)).build_model(parts[2])


def test_arguments_follow_the_recipe(load):
    arguments = build_arguments(
        load("optim.schedule=noam", "optim.noam_factor=3", "optim.warmup_steps=5", "training.average_last=7")
    )
    assert arguments.schedule == "noam" and arguments.noam_factor == 3.0
    assert arguments.get_warmup_steps(8) == 5
    assert arguments.save_total_limit == 7 and arguments.max_steps == 8
    assert build_arguments(load("training.eval_steps=0")).eval_strategy == "no"


def test_generation_on_a_few_examples_is_part_of_evaluation(parts, load):
    _, records, processor = parts
    recipe = load("evaluation.generate_examples=2", "evaluation.generate_kwargs={max_new_tokens: 2, num_beams: 1}")
    trainer = build_run(recipe).build_trainer(processor, build_run(recipe).build_model(processor), records)
    metrics = trainer.evaluate()
    assert {"eval_asr_wer", "eval_ast_chrf", "eval_mt_chrf"} <= metrics.keys()


def test_resume_only_from_complete_checkpoints_and_when_wanted(load, tmp_path):
    assert find_resume_checkpoint(load()) is None
    (tmp_path / "run" / ".incomplete-checkpoint-9").mkdir(parents=True)
    assert find_resume_checkpoint(load()) is None
    (tmp_path / "run" / "checkpoint-4").mkdir()
    assert find_resume_checkpoint(load()).endswith("checkpoint-4")
    assert find_resume_checkpoint(load("training.resume=false")) is None
