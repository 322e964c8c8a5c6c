# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Maestro-U from recordings, some of them without transcripts, to a recogniser of all languages."""

import shutil
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from helpers import REPOSITORY_ROOT
from training_runs import QUIET_CPU, assert_equal_weights, make_launcher

from mu2slam_hf import MaestroForPreTraining, MSLAMForRNNT, Mu2SLAMProcessor
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.recipes.data.mixture import build_mixture
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.runs.run import build_arguments
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPES = REPOSITORY_ROOT / "configuration" / "recipes"
RECIPE = RECIPES / "maestro" / "maestro_u_tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=8, languages=("en", "fr", "ru"))


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("pretrain_mslam.py", RECIPE, tones)


@pytest.fixture
def load(tones, tmp_path):
    def load_one(*overrides):
        places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
        return load_recipe(RECIPE, [*places, *QUIET_CPU, f"output.dir={tmp_path / 'run'}", *overrides])

    return load_one


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("finished") / "run"
    launch(output, "training.max_steps=8", "training.save_steps=4")
    return output


@pytest.mark.parametrize("streaming", [False, True])
def test_no_pair_of_a_language_without_transcripts_reaches_a_batch(load, streaming):
    recipe = load(f"data.streaming={streaming}", "data.block_size=5", "data.undetermined_source_ratio=0")
    run = build_run(recipe)
    data = run.load_data()
    processor = run.build_processor(data)
    collator = run.build_collator(processor, run.build_model(processor))
    dataset, sampler = build_mixture(recipe, processor, data, build_arguments(recipe))
    batches, languages = iter(sampler), defaultdict(set)
    for _ in range(20):
        keys = next(batches)
        batch = collator([dataset[key] for key in keys])
        for key in keys:
            example = dataset.draw(key).example
            languages[example.task].add(example.source_lang)
        pairs = batch["speech_language_ids"][batch["pair_speech_rows"]]
        assert len(pairs) and set(pairs.tolist()) == {processor.language_row("en")}
        assert torch.equal(pairs, batch["text_language_ids"][batch["pair_text_rows"]])
        assert set(batch["text_ids"].flatten().tolist()) - {0} <= set(range(80, 336)), "bytes and padding"
    assert languages == {"speech": {"en", "fr", "ru"}, "text": {"en", "fr", "ru"}, "asr": {"en"}}


def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(launch, finished, tmp_path):
    assert [path.name for path in list_checkpoints(finished)] == ["checkpoint-4", "checkpoint-8"]
    resumed = tmp_path / "resumed"
    shutil.copytree(finished, resumed, ignore=shutil.ignore_patterns("final", "checkpoint-8"))
    launch(resumed, "training.max_steps=8", "training.save_steps=4")
    assert_equal_weights(finished / "final", resumed / "final")


def test_the_result_recognises_by_its_transducer_and_not_by_ctc(finished, tones, tmp_path):
    final = finished / "final"
    model = MaestroForPreTraining.from_pretrained(final)
    processor = Mu2SLAMProcessor.from_pretrained(final)
    assert processor.tokenizer.has_bytes and model.config.use_language_embedding
    assert model.config.encoder_config.num_adapters == 3
    settings = [
        *(f"model.init_from={final}", "data.corpora={}", "evaluation.corpora={}", "model.overrides={}"),
        *(f"data.corpora.tones={{manifest: {tones}}}", f"evaluation.corpora.dev={{manifest: {tones}, limit: 4}}"),
        *("head.trainable_layers=1", "training.max_steps=2", "training.eval_steps=0", "training.save_steps=2"),
        *(f"output.dir={tmp_path / 'head'}", *QUIET_CPU, "data.per_device_train_batch_size=4"),
    ]
    run = build_run(load_recipe("mslam/finetune_rnnt_prompts5", settings))
    assert run.run()["dev_cer"] >= 0
    recogniser = MSLAMForRNNT.from_pretrained(tmp_path / "head" / "final")
    adapters = {name for name in recogniser.state_dict() if ".adapters." in name}
    assert len(adapters) == 4
    recipe = load_recipe(
        "mslam/finetune_rnnt_prompts5", [*settings, "head.kind=ctc", "head.ctc_weight=null", f"output.dir={tmp_path}"]
    )
    refused = build_run(recipe)
    data = refused.load_data()
    records = [record for part in data.records.values() for record in part]
    rate = sum(len(record.text.encode()) for record in records) / sum(record.duration_seconds for record in records)
    with pytest.raises(RecipeError, match=rf"have {rate:.1f} bytes per second, the encoder 25\.0 frames\. Use head"):
        refused.build_model(refused.build_processor(data), data)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["processor.vocab_size=300"], "a tokenizer of bytes has 256 tokens; leave 300 out"),
        (
            ["data.tasks.asr.languages=[en, gu]"],
            "no corpus of the task has gu; they have en, fr",
        ),
        (["data.languages=[fr]"], r"tasks\.asr\.languages: en is not in data\.languages"),
        (["model.overrides.encoder_config.adapter_start_layer=2"], "one of the 2 layers of the encoder"),
        (["processor.tokenizer=bits"], "byte"),
    ],
)
def test_values_without_a_meaning_are_refused(load, overrides, message):
    with pytest.raises((RecipeError, ValueError), match=message):
        run = build_run(load(*overrides))
        data = run.load_data()
        processor = run.build_processor(data)
        run.build_trainer(processor, run.build_model(processor), data)


def test_adapters_are_added_to_the_encoder_of_the_checkpoint(tones, tmp_path):
    """The recipe of synthetic speech, whose encoder is that of the package; its own weights are as they were."""
    places = [f"data.corpora.{name}.manifest={tones}" for name in ("spoken", "texts")]
    places += ["data.tasks.asr.languages=[en]", "processor.languages=[en, fr, ru]", f"output.dir={tmp_path}"]
    places += [f"evaluation.corpora.dev.manifest={tones}", "model.overrides.encoder_config.num_adapters=4", *QUIET_CPU]
    run = build_run(load_recipe(RECIPES / "maestro" / "maestro_u_synthetic.yaml", places))
    processor = run.build_processor(run.load_data())
    model = run.build_model(processor)
    with_adapters = {name.split(".")[1] for name in model.model.conformer.state_dict() if ".adapters." in name}
    assert with_adapters == {str(number) for number in range(6, 12)}
    speech = torch.randn(1, 80, 80)
    with torch.no_grad():
        adapted = model.model.eval()(speech, language_ids=torch.tensor([2])).last_hidden_state
        model.model.conformer.config.adapter_size = 0
        for layer in model.model.conformer.layers:
            layer.adapters = None
        torch.testing.assert_close(model.model(speech, language_ids=torch.tensor([0])).last_hidden_state, adapted)
