# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes of pre-training: processors with a codec, examples and mixtures."""

from functools import partial

import pytest

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.recipes.data.mixture import build_mixture, build_mixture_config, build_task_examples, plan_batches
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.registry import build_run
from mu2slam_hf.recipes.runs.run import build_arguments
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def load(load_tiny):
    return partial(load_tiny, "mu2slam")


def test_processors_have_a_codec_that_fits(load, tmp_path):
    recipe = load()
    records = load_records(recipe.data.corpora, "data.corpora")
    processor = build_run(recipe).build_processor(records)
    config = processor.speech_tokenizer.config
    assert (config.num_codevectors_per_group, config.codevector_dim) == (16, 4)
    assert type(build_run(recipe).build_model(processor)).__name__ == "Mu2SLAMForPreTraining"
    processor.save_pretrained(tmp_path / "processor")
    again = build_run(load(f"processor.init_from={tmp_path / 'processor'}")).build_processor(records)
    assert again.speech_tokenizer.config.codevector_dim == 4

    own = tmp_path / "codec"
    SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16, codevector_dim=6)).save_pretrained(own)
    chosen = (f"speech_tokenizer.init_from={own}", f"processor.init_from={tmp_path / 'processor'}")
    with pytest.raises(RecipeError, match="either init_from or config"):
        build_run(load(*chosen)).build_processor(records)
    taken = build_run(load(*chosen, "speech_tokenizer.config={}")).build_processor(records)
    assert taken.speech_tokenizer.config.codevector_dim == 6
    SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=9)).save_pretrained(own)
    with pytest.raises(RecipeError, match="1 codebooks of 9 entries, .* room for one of 16"):
        build_run(load(*chosen, "speech_tokenizer.config={}")).build_processor(records)


def test_the_kind_of_codebook_is_never_silent(load, tmp_path):
    records = load_records(load().data.corpora, "data.corpora")
    few = "processor.feature_statistics_utterances=0"
    with pytest.raises(RecipeError, match=r"speech_tokenizer\.kind: is required"):
        build_run(load("speech_tokenizer={}", few)).build_processor(records)
    config = SpeechTokenizerConfig(kind="random_projection", num_codevectors_per_group=16)
    SpeechTokenizerModel(config).save_pretrained(tmp_path / "codec")
    section = f"speech_tokenizer={{kind: contrastive, init_from: '{tmp_path / 'codec'}'}}"
    with pytest.raises(RecipeError, match=r"speech_tokenizer\.kind: is 'contrastive', but .* of kind 'random_projec"):
        build_run(load(section, few)).build_processor(records)


def test_trained_codebooks_come_from_a_folder(load):
    recipe = load("speech_tokenizer.kind=kmeans", "processor.feature_statistics_utterances=0")
    with pytest.raises(RecipeError, match=r"speech_tokenizer\.init_from: is required for a codebook of kind 'kmeans'"):
        build_run(recipe).build_processor(load_records(recipe.data.corpora, "data.corpora"))


@pytest.mark.parametrize("config", ["{codebook: 3}", "{num_codevectors_per_group: 3}", "{num_stacked_frames: 3}"])
def test_codecs_that_cannot_be_built(load, config):
    recipe = load(f"speech_tokenizer.config={config}", "processor.feature_statistics_utterances=0")
    with pytest.raises(RecipeError, match=r"speech_tokenizer\.config"):
        build_run(recipe).build_processor(load_records(recipe.data.corpora, "data.corpora"))


def test_shares_and_temperatures_default_to_the_papers(load):
    config = build_mixture_config(load("data.tasks.speech.share=null", "data.tasks.ast.share=0"))
    assert config.shares == {"speech": 4, "text": 2, "asr": 1, "ast": 0, "mt": 1}
    assert (config.temperature("text"), config.temperature("mt"), config.temperature("asr")) == (3.0, 2.0, 1.0)
    assert config.max_seconds == 12 and "ast" not in config.corpus_weights
    with pytest.raises(RecipeError, match=r"data: .*temperatures"):
        build_mixture_config(load("data.tasks.text.temperature=0"))


def test_examples_of_a_task_come_from_its_corpora_within_the_limits(load, tones, caplog):
    recipe = load(
        f"data.corpora.other={{manifest: {tones}, limit: 2}}",
        "data.tasks.text.corpus_weights={other: 1}",
        "data.tasks.speech.corpus_weights={train: 1, other: 0}",
        "data.translations_as_texts=false",
        "data.limits.max_tokens=9",
    )
    records = load_records(recipe.data.corpora, "data.corpora")
    tokenizer = build_run(recipe).build_processor(records).tokenizer
    examples = build_task_examples(recipe, records, ["speech", "text", "asr"], tokenizer)
    assert {(e.id.split(":")[0], e.corpus) for e in examples} == {
        ("speech", "train"),
        ("text", "other"),
        ("asr", "train"),
    }
    assert all(e.num_source_tokens + e.num_target_tokens <= 9 for e in examples)
    with pytest.raises(RecipeError, match=r"data\.tasks\.mt: .* give no example for task 'mt'"):
        build_task_examples(load("data.languages=[fr]"), records, ["mt"], tokenizer)


def test_a_corpus_of_weight_0_is_left_out_of_the_mixture(load, tones):
    other = f"data.corpora.other={{manifest: {tones}, limit: 2}}"
    off = load(other, "data.tasks.text.corpus_weights={train: 1, other: 0}")
    records = load_records(off.data.corpora, "data.corpora")
    processor = build_run(off).build_processor(records)
    _, sampler = build_mixture(off, processor, records, build_arguments(off))
    assert {example.corpus for example in sampler.examples} == {"train"}
    assert build_mixture_config(off).corpus_weights["text"] == {"train": 1}
    with pytest.raises(RecipeError, match="must not be negative"):
        build_mixture_config(load("data.tasks.text.corpus_weights={train: -1}"))


def test_development_batches_hold_everything_once_within_the_bounds():
    record = SpeechTextRecord(id="a", audio="x.wav", text="x", lang="en", duration_seconds=1.0)
    examples = [
        Example(
            id=str(i), source_modality="speech", source_lang="en", targets=(), record=record, duration_seconds=seconds
        )
        for i, seconds in enumerate([3.0, 1.0, 9.0, 1.0, 2.0])
    ]
    batches = plan_batches(examples, max_seconds=4.0, max_tokens=10)
    assert batches == [[1, 3, 4], [0], [2]]
    assert plan_batches([], 1.0, 1) == []


def test_transcripts_of_development_recordings_during_pretraining(load):
    figures = ("evaluation.generate_examples=2", "evaluation.generate_kwargs={max_new_tokens: 2, num_beams: 1}")
    run = build_run(load("evaluation.tasks=[speech, asr, mt]", *figures))
    records = run.load_data()
    processor = run.build_processor(records)
    model = run.build_model(processor)
    metrics = run.build_trainer(processor, model, records).evaluate()
    assert {"eval_asr_wer", "eval_asr_ctc_wer", "eval_asr_ctc_cer", "eval_mt_chrf"} <= metrics.keys()

    generator = model.build_generator()
    assert all(
        own is shared for own, shared in zip(model.model.parameters(), generator.model.parameters(), strict=True)
    )
    assert not any(parameter.is_meta for parameter in generator.parameters())


def test_runs_that_do_not_generate_refuse_figures_of_text(load_tiny):
    run = build_run(load_tiny("mslam", "evaluation.generate_examples=2"))
    records = run.load_data()
    processor = run.build_processor(records)
    with pytest.raises(RecipeError, match="evaluation.generate_examples: .* does not generate text"):
        run.build_trainer(processor, run.build_model(processor), records)
