# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import copy

import pytest
import torch
from tiny_models import LANGUAGES, TEXT_OFFSET, VOCABULARY, speech_batch, text_ids, tiny_config, tiny_model

from mu2slam_hf import (
    MSLAMConfig,
    MSLAMForCTC,
    MSLAMForPreTraining,
    MSLAMForRNNT,
    Mu2SLAMForCTC,
    Mu2SLAMForRNNT,
    Mu2SLAMRNNTConfig,
    TransducerGenerateOutput,
)
from mu2slam_hf.models.modules_losses import ctc_loss
from mu2slam_hf.models.modules_transducer import transducer_sum

SIZES = {"hidden_size": 16, "num_layers": 1, "joint_size": 16, "max_symbols_per_frame": 2}
FAMILIES = ["mu2slam", "mslam"]


def make_source(family: str) -> torch.nn.Module:
    """A model with an encoder and a CTC head."""
    if family == "mu2slam":
        return tiny_model()
    whole = tiny_config()
    values = {name: getattr(whole, name) for name in ("vocab_size", "num_speech_tokens", "text_token_offset")}
    return MSLAMForPreTraining(
        MSLAMConfig(encoder_config=whole.encoder_config, num_speech_layers=1, languages=LANGUAGES, **values)
    ).eval()


def make_model(family: str, seed: int = 0, scale: float = 1.0, **sizes) -> torch.nn.Module:
    """A transducer on a tiny encoder; larger weights make it write more different texts."""
    torch.manual_seed(seed)
    source = make_source(family)
    build = Mu2SLAMForRNNT.from_conditional_generation if family == "mu2slam" else MSLAMForRNNT.from_pretraining
    model = build(source, transducer_config=SIZES | sizes).eval()
    with torch.no_grad():
        for parameter in model.transducer.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale / parameter.shape[-1] ** 0.5)
        model.transducer.joint.token_head.bias[model.config.pad_token_id] += scale
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_and_ctc_head_are_those_of_the_source(family):
    source, batch = make_source(family), speech_batch([60, 41])
    torch.manual_seed(0)
    model = make_model(family)
    torch.manual_seed(0)
    ctc = (
        Mu2SLAMForCTC.from_conditional_generation(tiny_model())
        if family == "mu2slam"
        else MSLAMForCTC.from_pretraining(make_source(family))
    )
    assert model.config.model_type == f"{family}_rnnt"
    assert model.config.transducer_config.hidden_size == 16
    if family == "mu2slam":
        torch.testing.assert_close(model(**batch).logits, ctc.eval()(**batch).logits)
    assert source.config.encoder_config.hidden_size == model.config.encoder_config.hidden_size


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_that_of_transducer_and_ctc(family, reduction):
    model, batch, labels = make_model(family, ctc_loss_weight=0.5), speech_batch([60, 41]), text_ids(2, 6)
    model.config.ctc_loss_reduction = reduction
    labels[1, 4:] = -100
    outputs = model(**batch, labels=labels)
    frames = torch.arange(15) < torch.tensor([15, 11])[:, None]
    total, count = transducer_sum(model.transducer, outputs.last_hidden_state, frames, labels)
    assert count.item() == 10
    ctc = ctc_loss(outputs.logits, frames, labels, 0, reduction)
    expected = (total / 10 if reduction == "mean" else total) + 0.5 * ctc
    torch.testing.assert_close(outputs.loss, expected)
    torch.testing.assert_close(outputs.loss_sums[0], total)
    assert "loss" not in model(**batch)
    if reduction == "mean":
        torch.testing.assert_close(
            model(**batch, labels=labels, num_items_in_batch=20).loss, (total + 0.5 * 10 * ctc) / 20
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_has_a_gradient_with_and_without_targets(family):
    for labels in (text_ids(2, 6), torch.full((2, 3), -100)):
        model = make_model(family).train()
        model(**speech_batch([60, 41]), labels=labels).loss.backward()
        assert not [name for name, values in model.named_parameters() if values.grad is None]
        assert all(values.grad.isfinite().all() for values in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_alone_equals_that_in_a_batch_with_garbage(family, num_beams):
    model = make_model(family, scale=3.0)
    lengths = [60, 41, 9]
    batch = model.generate(**speech_batch(lengths, garbage=1e3), num_beams=num_beams, return_dict_in_generate=True)
    assert isinstance(batch, TransducerGenerateOutput)
    written = batch.sequences != model.config.pad_token_id
    assert written.sum(1).tolist() == (batch.frames >= 0).sum(1).tolist() and written[0].any()
    assert (batch.sequences[written] >= TEXT_OFFSET).logical_or(batch.sequences[written] == 3).all()
    features = speech_batch(lengths)["input_features"]
    for row, length in enumerate(lengths):
        alone = model.generate(features[row : row + 1, :length], num_beams=num_beams)
        assert alone[0].tolist() == batch.sequences[row][written[row]].tolist()
    shorter = model.generate(**speech_batch(lengths), num_beams=num_beams, max_new_tokens=1)
    assert shorter.tolist() == batch.sequences[:, :1].tolist()


def test_tokens_of_other_languages_are_not_written():
    model = make_model("mu2slam", scale=3.0)
    batch = speech_batch([60])
    favourite = int(model.generate(**batch)[0, 0])
    model.config.restricted_tokens = {"fr": [favourite]}
    rows = {code: torch.tensor([LANGUAGES.index(code)]) for code in ("en", "fr")}
    assert favourite not in model.generate(**batch, language_ids=rows["en"])
    model.config.restricted_tokens = {"fr": list(range(TEXT_OFFSET, VOCABULARY))}
    assert set(model.generate(**batch, language_ids=rows["en"]).flatten().tolist()) <= {0, 3}
    encoded = model.encode_speech(batch["input_features"], batch["attention_mask"], rows["en"])
    (written,) = model.write_tokens(list(encoded.states), [None], source_langs=["en"], target_langs=["en"])
    assert set(written) <= {3}


@pytest.mark.parametrize("family", FAMILIES)
def test_saving_and_loading(family, tmp_path):
    model, batch = make_model(family, scale=3.0), speech_batch([60])
    model.save_pretrained(tmp_path)
    loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(loaded.eval().generate(**batch), model.generate(**batch))
    # The CTC model of the same folder leaves the transducer out.
    ctc = (Mu2SLAMForCTC if family == "mu2slam" else MSLAMForCTC).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(ctc(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["whole", "ctc"])
def test_a_folder_without_a_transducer_needs_a_configuration(family, kind, tmp_path):
    source, model_class = make_source(family), Mu2SLAMForRNNT if family == "mu2slam" else MSLAMForRNNT
    if kind == "ctc":
        build = Mu2SLAMForCTC.from_conditional_generation if family == "mu2slam" else MSLAMForCTC.from_pretraining
        source = build(source).eval()
    source.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has no transducer .* mu2slam train configuration/recipes/mslam/finetune_r"):
        model_class.from_pretrained(tmp_path)
    values = model_class.config_class.from_pretrained(tmp_path).to_dict() | {"transducer_config": SIZES}
    values.pop("model_type")
    model = model_class.from_pretrained(tmp_path, config=model_class.config_class(**values)).eval()
    batch = speech_batch([60])
    expected = source(**batch, labels=text_ids(1, 3)).ctc_logits if (family, kind) == ("mu2slam", "whole") else None
    if kind == "ctc":
        expected = source(**batch).logits
    if expected is not None:
        torch.testing.assert_close(model(**batch).logits, expected)
    assert all(values.isfinite().all() for values in model.transducer.parameters())
    assert 0 < model.transducer.prediction.lstm.weight_hh_l0.abs().max() < 2


@pytest.mark.parametrize("family", FAMILIES)
def test_resizing_keeps_what_is_written(family):
    model, batch = make_model(family, scale=3.0), speech_batch([60])
    before = model.generate(**batch, return_dict_in_generate=True)
    larger = copy.deepcopy(model)
    larger.resize_token_embeddings(VOCABULARY + 5)
    transducer = larger.transducer
    assert transducer.joint.token_head.out_features == VOCABULARY + 5 == larger.config.vocab_size
    assert transducer.prediction.embed_tokens.num_embeddings == len(transducer.tokens) + TEXT_OFFSET - 2
    with torch.no_grad():
        transducer.joint.token_head.bias[VOCABULARY:] = -1e4
    after = larger.generate(**batch, return_dict_in_generate=True)
    assert torch.equal(after.sequences, before.sequences)
    torch.testing.assert_close(after.scores, before.scores)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"max_symbols_per_frame": 0}, "max_symbols_per_frame must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_model("mu2slam").generate(**speech_batch([20]), **options)


def test_generation_without_speech_is_refused():
    with pytest.raises(ValueError, match="generate expects input_features, the speech; got none"):
        make_model("mu2slam").generate()


def test_default_sizes_are_those_of_the_configuration():
    config = Mu2SLAMRNNTConfig()
    assert (config.transducer_config.hidden_size, config.transducer_config.joint_size) == (640, 640)
