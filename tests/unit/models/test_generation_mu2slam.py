# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from tiny_models import NUM_SPEECH, TEXT_OFFSET, speech_batch, text_ids, tiny_model
from transformers.modeling_outputs import BaseModelOutput


@pytest.fixture(scope="module")
def model():
    return tiny_model(seed=3)


def test_text_only_or_speech_ids_only(model):
    batch = speech_batch([80, 41])
    text = model.generate(**batch, target_lang="fr", max_new_tokens=12, do_sample=True)[:, 1:]
    assert ((text >= TEXT_OFFSET) | (text == 2) | (text == 0)).all()
    speech = model.generate(
        input_ids=text_ids(2, 5), target_lang="fr", target_modality="speech", max_new_tokens=12, do_sample=True
    )[:, 1:]
    assert (((speech >= 64) & (speech < 64 + NUM_SPEECH)) | (speech == 2) | (speech == 0)).all()


def test_target_language_defaults_to_the_source_given_else_guessed(model):
    batch = speech_batch([80, 41])
    options = {"max_new_tokens": 8, "do_sample": False}
    given = model.generate(**batch, source_lang="es", **options)
    torch.testing.assert_close(given, model.generate(**batch, source_lang="es", target_lang="es", **options))
    states = model.get_encoder()(**batch)
    guessed = model.guess_language(states.last_hidden_state, states.attention_mask).tolist()
    assert all(row > 0 for row in guessed)
    codes = [model.config.languages[row] for row in guessed]
    torch.testing.assert_close(
        model.generate(**batch, **options), model.generate(**batch, target_lang=codes, **options)
    )


def test_one_language_per_item_equals_items_alone(model):
    batch = speech_batch([80, 41])
    together = model.generate(**batch, target_lang=["fr", "es"], max_new_tokens=8)
    for row, code in enumerate(("fr", "es")):
        alone = model.generate(
            input_features=batch["input_features"][row : row + 1],
            attention_mask=batch["attention_mask"][row : row + 1],
            target_lang=code,
            max_new_tokens=8,
        )
        torch.testing.assert_close(together[row : row + 1, : alone.shape[1]], alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_lang": "fx"}, "fr"),
        ({"target_lang": ["fr"]}, "batch of 2"),
        ({"source_lang": "en", "target_lang": "fr", "task": "asr"}, "asr"),
        ({"task": "mt", "target_lang": "fr"}, "mt"),
        ({"target_modality": "video"}, "target_modality"),
        ({"ctc_weight": 1.5}, "ctc_weight"),
        ({"input_ids": torch.tensor([[TEXT_OFFSET]])}, "exactly one source"),
    ],
)
def test_errors_say_what_to_change(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**speech_batch([40, 20]), max_new_tokens=4, **arguments)


def test_no_source_is_an_error(model):
    with pytest.raises(ValueError, match="exactly one source"):
        model.generate(target_lang="fr")


def test_text_source_is_no_decoder_prefix(model):
    source = text_ids(1, 6)
    written = model.generate(input_ids=source, target_lang="fr", max_new_tokens=5)
    assert written[0, 0] == 1
    assert written.shape[1] <= 6


def test_encoder_outputs_can_be_reused_and_stay_whole(model):
    batch = speech_batch([80, 41])
    outputs = model.get_encoder()(**batch)
    states = outputs.last_hidden_state.clone()
    options = {"target_lang": "fr", "max_new_tokens": 8, "num_beams": 3}
    reused = model.generate(encoder_outputs=outputs, **options)
    torch.testing.assert_close(reused, model.generate(**batch, **options))
    torch.testing.assert_close(outputs.last_hidden_state, states)
    foreign = BaseModelOutput(last_hidden_state=outputs.last_hidden_state)
    plain = model.generate(encoder_outputs=foreign, attention_mask=batch["attention_mask"], **options)
    torch.testing.assert_close(plain, reused)


def test_ctc_share_acts_on_transcription_only(model):
    batch = speech_batch([80, 41])
    options = {"source_lang": "en", "max_new_tokens": 10, "num_beams": 2}
    plain = model.generate(**batch, target_lang="en", **options)
    joint = model.generate(**batch, target_lang="en", ctc_weight=1.0, **options)
    assert plain.shape != joint.shape or not torch.equal(plain, joint)
    torch.testing.assert_close(
        model.generate(**batch, target_lang="fr", **options),
        model.generate(**batch, target_lang="fr", ctc_weight=1.0, **options),
    )


def test_joint_decoding_is_the_same_alone_and_in_a_batch(model):
    batch = speech_batch([80, 41], garbage=1e9)
    options = {"source_lang": "en", "max_new_tokens": 10, "num_beams": 3, "ctc_weight": 0.4}
    together = model.generate(**batch, **options)
    alone = model.generate(
        input_features=batch["input_features"][1:, :41], attention_mask=batch["attention_mask"][1:, :41], **options
    )
    width = min(alone.shape[1], together.shape[1])
    torch.testing.assert_close(together[1:, :width], alone[:, :width])


def test_length_is_bound_by_the_source(model):
    written = model.generate(**speech_batch([40]), target_lang="fr")
    assert written.shape[1] <= 1 + int(1.5 * 10) + 32
