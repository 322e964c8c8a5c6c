# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import logging

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from maestro_batches import make_maestro, make_maestro_batch, make_maestro_config
from mslam_batches import collate as collate_mslam
from mslam_batches import make_batch, make_config, make_model
from tiny_models import speech_batch, tiny_config

from mu2slam_hf import ConformerEncoder, ConformerEncoderConfig, MSLAMForCTC, MSLAMForRNNT, Mu2SLAMForCTC
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMCTCConfig
from mu2slam_hf.models.modules_residual_adapters import ResidualAdapters
from mu2slam_hf.training.optim import build_optimizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_norm": "layer",
    "position_embeddings_type": "rotary",
    "initializer_range": 0.2,
}
POSITIONS = ["after", "feed_forward"]
LANGUAGES = ["und", "en", "lv", "sw"]


def adapters_of(position: str = "after", **options) -> dict:
    return {"adapter_size": 4, "num_adapters": 4, "adapter_position": position, **options}


def randomize(model: torch.nn.Module) -> torch.nn.Module:
    """Adapters that change something."""
    torch.manual_seed(7)
    with torch.no_grad():
        for module in model.modules():
            for parameter in module.parameters(recurse=False) if isinstance(module, ResidualAdapters) else ():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def make_encoder(position: str, **options) -> ConformerEncoder:
    torch.manual_seed(0)
    return randomize(ConformerEncoder(ConformerEncoderConfig(**SIZES, **adapters_of(position, **options))))


def make_ctc(**encoder) -> MSLAMForCTC:
    torch.manual_seed(0)
    values = make_config(encoder, languages=LANGUAGES).to_dict()
    values.pop("model_type")
    return MSLAMForCTC(MSLAMForCTC.config_class(**values))


def test_adapters_equal_a_loop_over_rows_forward_and_backward():
    module = randomize(ResidualAdapters(ConformerEncoderConfig(**SIZES, **adapters_of()))).double()
    states = torch.randn(3, 5, 16, dtype=torch.float64, requires_grad=True)
    languages, weights = torch.tensor([2, 0, 2]), torch.randn(3, 5, 16, dtype=torch.float64)
    rows = []
    for row, language in zip(states, languages.tolist(), strict=True):
        centred = row - row.mean(-1, keepdim=True)
        normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        inner = normed @ module.down_weight[language].T + module.down_bias[language]
        rows.append(inner * inner.sigmoid() @ module.up_weight[language].T + module.up_bias[language])
    parameters = [states, *module.parameters()]
    expected = torch.autograd.grad((torch.stack(rows) * weights).sum(), parameters)
    for ids in (languages, languages[:, None].expand(3, 5)):
        output = module(states, ids)
        torch.testing.assert_close(output, torch.stack(rows))
        for own, other in zip(torch.autograd.grad((output * weights).sum(), parameters), expected, strict=True):
            torch.testing.assert_close(own, other)


@pytest.mark.parametrize("position", POSITIONS)
def test_new_adapters_change_no_bit(position):
    plain = Mu2SLAMForCTC(Mu2SLAMCTCConfig.from_mu2slam_config(tiny_config())).eval()
    adapted = Mu2SLAMForCTC(Mu2SLAMCTCConfig.from_mu2slam_config(tiny_config(**adapters_of(position)))).eval()
    missing, unexpected = adapted.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".adapters.")[0] for name in missing} == {f"encoder.conformer.layers.{i}" for i in (0, 1)}
    batch = {**speech_batch([40, 23]), "language_ids": torch.tensor([1, 3])}
    with torch.no_grad():
        assert torch.equal(adapted(**batch).logits, plain(**batch).logits)
        assert not torch.allclose(randomize(adapted)(**batch).logits, plain(**batch).logits, atol=1e-3)


def test_layers_below_the_first_one_with_adapters_have_none():
    encoder = make_encoder("feed_forward", adapter_start_layer=2)
    assert {name.split(".")[1] for name in encoder.state_dict() if ".adapters." in name} == {"2"}
    states = torch.randn(1, 6, 16)
    with torch.no_grad():
        first, second = (encoder(states, language_ids=torch.tensor([i]), end_layer=2) for i in (0, 1))
    assert torch.equal(first.last_hidden_state, second.last_hidden_state)


@pytest.mark.parametrize("position", POSITIONS)
def test_a_batch_of_two_languages_equals_two_batches(position):
    encoder, states = make_encoder(position), torch.randn(2, 7, 16)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    states[1, 4:] = 50.0
    with torch.no_grad():
        both = encoder(states, attention_mask=mask, language_ids=torch.tensor([1, 3])).last_hidden_state
        first = encoder(states[:1], language_ids=torch.tensor([1])).last_hidden_state
        second = encoder(states[1:, :4], language_ids=torch.tensor([3])).last_hidden_state
        other = encoder(states[1:, :4], language_ids=torch.tensor([2])).last_hidden_state
        packed = encoder(
            torch.cat([states[:1], states[1:, :4]], dim=1),
            sequence_ids=torch.tensor([[1] * 7 + [2] * 4]),
            language_ids=torch.tensor([[1] * 7 + [3] * 4]),
        ).last_hidden_state
    torch.testing.assert_close(both[:1], first)
    torch.testing.assert_close(both[1:, :4], second)
    torch.testing.assert_close(packed, torch.cat([first, second], dim=1))
    assert (second - other).abs().max() > 1e-2


@pytest.mark.parametrize("position", POSITIONS)
def test_adapters_and_attention_chunks_agree(position):
    """Rows are folded around the attention only, so that adapters see them as they are."""
    encoder, states = make_encoder(position, attention_chunk_frames=3), torch.randn(2, 8, 16)
    languages = torch.tensor([1, 2])
    with torch.no_grad():
        rows = encoder(states, language_ids=languages).last_hidden_state
        positions = encoder(states, language_ids=languages[:, None].expand(2, 8)).last_hidden_state
    torch.testing.assert_close(rows, positions)


def test_training_one_language_changes_no_weight_of_another():
    model = make_ctc(**adapters_of())
    before = {name: values.clone() for name, values in model.state_dict().items()}
    optimizer = build_optimizer(model, learning_rate=1e-2, weight_decay=0.1)
    batch = {**speech_batch([60]), "language_ids": torch.tensor([2]), "labels": torch.tensor([[90, 91]])}
    for _ in range(3):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    tables = {name: values for name, values in model.state_dict().items() if ".adapters." in name}
    assert len(tables) == 12
    for name, values in tables.items():
        changed = (values != before[name]).flatten(1).any(-1)
        assert changed.tolist() == [False, False, True, False], name


def test_languages_without_adapters_use_those_of_und_and_are_reported(caplog):
    encoder = make_encoder("after", num_adapters=2)
    states = torch.randn(1, 4, 16)
    with torch.no_grad():
        outputs = [encoder(states, language_ids=ids).last_hidden_state for ids in (torch.tensor([3]), None)]
        other = encoder(states, language_ids=torch.tensor([1])).last_hidden_state
    torch.testing.assert_close(*outputs)
    assert not torch.allclose(other, outputs[0], atol=1e-3)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        for _ in range(2):
            make_config(adapters_of(num_adapters=2), languages=[*LANGUAGES, "gu"])
    finally:
        logger.removeHandler(caplog.handler)
    told = [record.message for record in caplog.records if "num_adapters" in record.message]
    assert told == [
        "encoder_config.num_adapters is 2: lv, sw, gu have no residual adapters and use those of 'und'; all languages "
        "have their own with 5."
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adapter_start_layer": 3}, "one of the 3 layers of the encoder, counted from 0; got 3"),
        ({"adapter_position": "before"}, "after, feed_forward"),
        ({"adapter_size": -1}, "cannot be negative"),
        ({"num_adapters": 0}, "at least 1"),
    ],
)
def test_values_without_a_meaning_are_refused(values, message):
    with pytest.raises(StrictDataclassError, match=message):
        ConformerEncoderConfig(**{**SIZES, **adapters_of(), **values})


def test_adapters_are_saved_and_loaded(tmp_path):
    model = randomize(make_ctc(**adapters_of("feed_forward")))
    model.save_pretrained(tmp_path)
    loaded = MSLAMForCTC.from_pretrained(tmp_path).eval()
    batch = {**speech_batch([60, 31]), "language_ids": torch.tensor([1, 2])}
    with torch.no_grad():
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)


OPTIONS = {"languages": LANGUAGES, "use_language_embedding": True}


def with_languages(batch: dict, number: int = 1) -> dict:
    """The batch with languages that change from row to row, the same for a pair."""
    speech, text = len(batch["attention_mask"]), len(batch["text_ids"])
    speech_ids, text_ids = torch.arange(speech) % 3 + number, (torch.arange(text) + 1) % 3 + number
    text_ids[batch["pair_text_rows"]] = speech_ids[batch["pair_speech_rows"]]
    return {**batch, "speech_language_ids": speech_ids, "text_language_ids": text_ids}


@pytest.mark.parametrize("family", ["mslam", "maestro"])
def test_pretraining_in_packed_rows_equals_rows_of_one_sequence(family):
    if family == "mslam":
        model = randomize(make_model(encoder=adapters_of(), **OPTIONS))
        batch = collate_mslam(model.config, make_batch(model.config, "sptpt"))
    else:
        model = randomize(make_maestro(encoder=adapters_of(), **OPTIONS))
        batch = make_maestro_batch(model.config, "sctct")
    batch = with_languages(batch)
    with torch.no_grad():
        packed, padded = (model(**batch, pack_sequences=packs).loss_sums for packs in (True, False))
        other = model(**with_languages(batch, number=0), pack_sequences=True).loss_sums
    torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(packed, other, rtol=1e-2)


@pytest.mark.parametrize("family", ["mslam", "maestro"])
@pytest.mark.parametrize("kinds", ["s", "t", "c", "sct"])
def test_every_parameter_has_a_gradient_in_pretraining(family, kinds):
    if family == "mslam":
        model = make_model(encoder=adapters_of(), **OPTIONS)
        batch = collate_mslam(model.config, make_batch(model.config, kinds))
    else:
        model = make_maestro(encoder=adapters_of(), alignment_ema_decay=0.9, **OPTIONS)
        batch = make_maestro_batch(model.config, kinds)
    model.train()(**with_languages(batch)).loss.backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    if "c" in kinds:
        assert model.model.embed_languages.weight.grad[1:].any()


def test_text_and_alignment_of_maestro_read_the_language():
    """A copy that aligns has the same weights, so the same languages give the same losses."""
    model = randomize(make_maestro(encoder=adapters_of(), alignment_ema_decay=0.5, **OPTIONS))
    model.start_average()
    batch = with_languages(make_maestro_batch(model.config, "sctct"))
    with torch.no_grad():
        averaged = model(**batch)
        model.average = None
        torch.testing.assert_close(model(**batch).loss_sums, averaged.loss_sums, rtol=1e-4, atol=1e-4)
        texts = [
            model.model(input_ids=torch.tensor([[90, 91, 92]]), language_ids=torch.tensor([i]), durations=durations)
            for durations in (torch.tensor([[2, 3, 1]]),)
            for i in (1, 2)
        ]
    assert not torch.allclose(texts[0].last_hidden_state, texts[1].last_hidden_state, atol=1e-3)


def test_text_encoder_and_refiner_of_maestro_have_no_adapters():
    config = make_maestro_config(adapters_of())
    assert config.encoder_config.adapter_size == 4
    assert config.text_encoder_config.adapter_size == config.refiner_config.adapter_size == 0


@pytest.mark.parametrize("model_class", [MSLAMForCTC, MSLAMForRNNT])
def test_a_recogniser_of_maestro_keeps_adapters_and_the_embedding_of_languages(model_class):
    maestro = randomize(make_maestro(encoder=adapters_of(), **OPTIONS))
    model = model_class.from_pretraining(maestro).eval()
    batch = {**speech_batch([60, 60]), "language_ids": torch.tensor([1, 2])}
    batch["input_features"][1] = batch["input_features"][0]
    with torch.no_grad():
        states = model.model(**batch).last_hidden_state
        torch.testing.assert_close(states, maestro.model(**batch).last_hidden_state)
    assert not torch.allclose(states[0], states[1], atol=1e-3)
