# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`model.grow_from`: more layers, wider modules, other tokens."""

from functools import partial

import pytest
import torch

from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.runs.registry import build_run
from mu2slam_hf.recipes.schema.loader import RecipeError


@pytest.fixture
def load(load_tiny):
    return partial(load_tiny, "supervised")


@pytest.fixture
def trained(load, tmp_path):
    """A trained model in a folder: random weights, also where new ones would be zeros or ones."""
    recipe = load()
    records = load_records(recipe.data.corpora, "data.corpora")
    run = build_run(recipe)
    processor = run.build_processor(records)
    model = run.build_model(processor).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    model.tie_weights()
    folder = tmp_path / "trained"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, model, processor, records


def grow(load, folder, records, *changes):
    run = build_run(load(f"model.grow_from={folder}", *changes))
    processor = run.build_processor(records)
    return run.build_model(processor).eval(), processor


def outputs(model, processor, text="one two"):
    inputs = processor(text=[text], return_tensors="pt")
    labels = processor.tokenizer(["one"], return_tensors="pt").input_ids
    with torch.no_grad():
        result = model(**inputs, language_ids=torch.tensor([1]), labels=labels)
    return result.logits


def test_a_deeper_decoder_and_wider_modules_change_nothing_at_first(load, trained):
    folder, source, processor, records = trained
    layers, width = source.config.decoder_config.num_hidden_layers, source.config.decoder_config.intermediate_size
    model, own = grow(
        load,
        folder,
        records,
        f"model.overrides.decoder_config.num_hidden_layers={layers + 2}",
        f"model.overrides.decoder_config.intermediate_size={2 * width}",
        f"model.overrides.encoder_config.intermediate_size={2 * source.config.encoder_config.intermediate_size}",
    )
    assert sum(p.numel() for p in model.parameters()) > sum(p.numel() for p in source.parameters())
    assert own.feature_extractor.mean == processor.feature_extractor.mean
    torch.testing.assert_close(outputs(model, own), outputs(source, processor), atol=1e-5, rtol=1e-4)


def test_a_new_conformer_layer_only_normalises(load, trained):
    folder, source, processor, records = trained
    layers = source.config.encoder_config.num_hidden_layers
    model, own = grow(load, folder, records, f"model.overrides.encoder_config.num_hidden_layers={layers + 1}")
    inputs = processor(text=["one two"], return_tensors="pt")
    with torch.no_grad():
        before = source.get_encoder()(**inputs).last_hidden_state
        after = model.get_encoder()(**inputs).last_hidden_state
    torch.testing.assert_close(after, torch.nn.functional.layer_norm(before, before.shape[-1:]), atol=1e-5, rtol=1e-4)


def test_rows_follow_tokens_and_languages(load, trained):
    folder, source, processor, records = trained
    model, own = grow(
        load,
        folder,
        records,
        "processor.tokenizer=unigram",
        "processor.vocab_size=60",
        "processor.languages=[it, fr, en]",
    )
    before, after = processor.tokenizer.get_vocab(), own.tokenizer.get_vocab()
    old, new = source.get_encoder().embed_tokens.weight, model.get_encoder().embed_tokens.weight
    speech = "<speech_3>"
    torch.testing.assert_close(new[after[speech]], old[before[speech]])
    torch.testing.assert_close(new[after["\u2581"]], old[before[" "]])
    piece = next(token for token in after if len(token) > 1 and set(token) <= set(before))
    torch.testing.assert_close(new[after[piece]], old[[before[character] for character in piece]].mean(0))
    languages = model.get_encoder().embed_languages.weight
    torch.testing.assert_close(languages[own.language_row("fr")], source.get_encoder().embed_languages.weight[2])
    assert model.lm_head.weight is model.get_encoder().embed_tokens.weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.overrides.encoder_config.num_hidden_layers=1", "lacks .*must not have fewer layers"),
        ("model.overrides.decoder_config.intermediate_size=8", "cannot change from"),
        ("model.overrides.encoder_config.conv_depthwise_kernel_size=9", "can grow"),
        ("model.config=null", "give either config"),
    ],
)
def test_what_cannot_grow_is_refused(load, trained, change, message):
    folder, _, _, records = trained
    with pytest.raises(RecipeError, match=message):
        grow(load, folder, records, change)


def test_growth_and_trained_weights_exclude_each_other(load, trained):
    folder, _, _, records = trained
    with pytest.raises(RecipeError, match=r"grow_from: requires model\.config, and neither init_from"):
        grow(load, folder, records, "model.config=null", f"model.init_from={folder}")
