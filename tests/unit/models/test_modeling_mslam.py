# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM's encoder and its heads."""

import pytest
import torch
from helpers import make_tiny_processor
from mslam_batches import FRONTENDS, TEXT_OFFSET, VOCABULARY, collate, make_batch, make_config, make_model
from transformers import pipeline

from mu2slam_hf import (
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForPreTraining,
    MSLAMForSequenceClassification,
    MSLAMModel,
    Mu2SLAMCTCTokenizer,
    Mu2SLAMProcessor,
)
from mu2slam_hf.models.configuration_mslam import MSLAMCTCConfig
from mu2slam_hf.models.modules_pooling import LayerAverage, masked_max

HEADS = (MSLAMForSequenceClassification, MSLAMForAudioClassification)


def speech(config, frames: int = 40, rows: int = 2) -> dict[str, torch.Tensor]:
    mask = torch.ones(rows, frames, dtype=torch.int64)
    mask[-1, frames // 2 :] = 0
    return {"input_features": torch.randn(rows, frames, config.num_mel_bins), "attention_mask": mask}


def tokens(length: int = 6, rows: int = 2) -> torch.Tensor:
    return torch.randint(TEXT_OFFSET, VOCABULARY, (rows, length))


def make_head(head_class, **options):
    torch.manual_seed(0)
    return head_class(make_config(num_labels=3, **options)).eval()


# ---- encoder --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frontend", FRONTENDS)
@torch.no_grad()
def test_layers_of_speech_text_and_pairs(frontend):
    model = make_model(encoder=FRONTENDS[frontend]).model
    batch = collate(model.config, make_batch(model.config, "pp", seed=0))
    inputs = {model.main_input_name: batch[model.main_input_name], "attention_mask": batch["attention_mask"]}
    outputs = model(**inputs, output_hidden_states=True)
    # 1 speech layer, 2 shared ones.
    assert len(outputs.hidden_states) == 4
    assert torch.equal(outputs.hidden_states[1], model.speech_projection(outputs.speech_hidden_state))
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)
    text = model(input_ids=batch["text_ids"], output_hidden_states=True)
    assert len(text.hidden_states) == 3 and text.speech_hidden_state is None
    assert torch.equal(text.hidden_states[0], model.embed_text(batch["text_ids"]))
    pair = model(**inputs, input_ids=batch["text_ids"], text_attention_mask=batch["text_attention_mask"])
    assert torch.equal(pair.speech_hidden_state, outputs.speech_hidden_state)
    assert torch.equal(pair.modality_ids.sum(-1), batch["text_attention_mask"].sum(-1))
    length = outputs.attention_mask.sum(-1) + batch["text_attention_mask"].sum(-1)
    assert torch.equal(pair.attention_mask.sum(-1), length)
    assert not torch.equal(pair.last_hidden_state[0, :3], outputs.last_hidden_state[0, :3])


def test_text_leaves_the_speech_layers_alone():
    model = make_model().model
    model(input_ids=tokens()).last_hidden_state.sum().backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without and all(name.startswith(("subsampling.", "speech_proj", "conformer.layers.0.")) for name in without)


@torch.no_grad()
def test_packed_texts():
    model = make_model(encoder={"position_embeddings_type": "rotary"}).model
    first, second = tokens(5, 1), tokens(3, 1)
    ids = torch.cat([first, second, torch.zeros(1, 2, dtype=torch.int64)], dim=1)
    sequence_ids = torch.tensor([[1] * 5 + [2] * 3 + [0] * 2])
    packed = model(input_ids=ids, sequence_ids=sequence_ids).last_hidden_state
    torch.testing.assert_close(packed[:, :5], model(input_ids=first).last_hidden_state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(packed[:, 5:8], model(input_ids=second).last_hidden_state, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_embeddings_in_place_of_tokens():
    model, ids = make_model().model, tokens()
    expected = model(input_ids=ids).last_hidden_state
    assert torch.equal(model(inputs_embeds=model.get_input_embeddings()(ids)).last_hidden_state, expected)


def test_inputs_that_cannot_be_read():
    model, ids = make_model().model, tokens()
    batch = speech(model.config)
    with pytest.raises(ValueError, match="expects input_features .speech. or input_ids .text.; got neither"):
        model()
    with pytest.raises(ValueError, match="both as input_ids and as inputs_embeds"):
        model(input_ids=ids, inputs_embeds=torch.zeros(2, 6, 16))
    with pytest.raises(ValueError, match="sequence_ids .packed rows. are for text only"):
        model(**batch, input_ids=ids, sequence_ids=torch.ones(2, 6, dtype=torch.int64))
    with pytest.raises(ValueError, match="one text per utterance, got 1 for 2"):
        model(**batch, input_ids=ids[:1])
    with pytest.raises(ValueError, match="requires noise_seed"):
        model(**batch, mask_time_indices=torch.ones(2, 10, dtype=torch.bool))
    with pytest.raises(ValueError, match="front end 'conv2d'"):
        model(input_values=torch.zeros(1, 100))


@torch.no_grad()
def test_noise_is_a_function_of_its_place():
    model = make_model(speech_mask_noise_std=2.0).model
    frames, mask = torch.randn(2, 500, 16), torch.rand(2, 500) < 0.5
    masked = model.mask_speech(frames, mask, torch.tensor([5, 2**61]))
    assert torch.equal(masked[~mask], frames[~mask])
    noise = masked[mask]
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 2.0) < 0.1
    assert abs(torch.corrcoef(noise.T).triu(1)).max() < 0.2
    # Alone, shorter, with another mask: the same where it is masked.
    alone = model.mask_speech(frames[1:, :90], torch.ones(1, 90, dtype=torch.bool), torch.tensor([2**61]))
    assert torch.equal(alone[0][mask[1, :90]], masked[1, :90][mask[1, :90]])
    other = model.mask_speech(frames, mask, torch.tensor([6, 2**61 + 2**33]))
    assert (other[mask] != masked[mask]).any(-1).all()


# ---- heads ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_ctc_copy_of_pre_training(tmp_path):
    pretrained = make_model()
    ctc = MSLAMForCTC.from_pretraining(pretrained)
    batch = speech(ctc.config)
    states = pretrained.model(**batch).last_hidden_state
    logits = ctc(**batch).logits
    columns = [0, 3, *range(TEXT_OFFSET, VOCABULARY)]
    assert torch.equal(logits[..., columns], pretrained.ctc_head(states)[..., columns])
    assert (logits[..., 4:TEXT_OFFSET] == -1e4).all()
    assert ctc.config.model_type == "mslam_ctc" and isinstance(ctc.config, MSLAMCTCConfig)
    ctc.save_pretrained(tmp_path)
    loaded, info = MSLAMForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(loaded.eval()(**batch).logits, logits)


def test_ctc_loss():
    ctc = MSLAMForCTC.from_pretraining(make_model())
    labels = torch.tensor([[90, 91, -100], [92, -100, -100]])
    outputs = ctc(**speech(ctc.config), labels=labels)
    ctc.config.ctc_loss_reduction = "sum"
    torch.manual_seed(0)
    batch = speech(ctc.config)
    total = ctc(**batch, labels=labels).loss
    ctc.config.ctc_loss_reduction = "mean"
    torch.testing.assert_close(ctc(**batch, labels=labels).loss, total / 3)
    outputs.loss.backward()
    assert all(parameter.grad is not None for parameter in ctc.parameters())


def test_a_head_of_speech_reaches_every_parameter():
    model = make_head(MSLAMForAudioClassification)
    model(**speech(model.config), labels=torch.tensor([0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not model.model.embed_tokens.weight.grad.any() and not model.model.text_norm.weight.grad.any()


@torch.no_grad()
def test_single_hidden_states():
    for model in (make_head(MSLAMForSequenceClassification), make_head(MSLAMForAudioClassification)):
        batch = speech(model.config)
        everything = model(**batch, output_hidden_states=True).hidden_states
        chosen = model(**batch, output_hidden_states=[0, -1, 99]).hidden_states
        assert [one is None for one in chosen] == [False, True, True, False]
        assert torch.equal(chosen[-1], everything[-1])
        assert model(**batch, output_hidden_states=0).hidden_states[0] is not None
        assert torch.equal(model(**batch, output_hidden_states=[1]).logits, model(**batch).logits)


@torch.no_grad()
def test_between_encoder_pre_training_and_heads(tmp_path):
    pretrained = make_model()
    pretrained.save_pretrained(tmp_path / "pretraining")
    again, info = MSLAMForPreTraining.from_pretrained(tmp_path / "pretraining", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    for key, tensor in pretrained.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    batch = pretrained.dummy_inputs
    assert torch.equal(again.eval()(**batch).loss_sums, pretrained(**batch).loss_sums)
    base, info = MSLAMModel.from_pretrained(tmp_path / "pretraining", output_loading_info=True)
    assert not info["missing_keys"]
    inputs = speech(base.config)
    expected = pretrained.model(**inputs).last_hidden_state
    assert torch.equal(base.eval()(**inputs).last_hidden_state, expected)
    for head_class in HEADS:
        head, info = head_class.from_pretrained(tmp_path / "pretraining", num_labels=4, output_loading_info=True)
        new = {"layer_weights.weight", "projector.weight", "projector.bias", "classifier.weight", "classifier.bias"}
        assert set(info["missing_keys"]) == new and not info["unexpected_keys"]
        assert not head.layer_weights.weight.any()
        assert torch.equal(head.eval().model(**inputs).last_hidden_state, expected)
        head.save_pretrained(tmp_path / "head")
        loaded = head_class.from_pretrained(tmp_path / "head").eval()
        assert torch.equal(loaded(**inputs).logits, head(**inputs).logits)
        assert loaded.config.num_labels == 4


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("weighted", [True, False])
@torch.no_grad()
def test_classification_does_not_see_padding(pooling, weighted):
    for head_class in HEADS:
        model = make_head(head_class, classifier_pooling=pooling, use_weighted_layer_sum=weighted)
        batch = speech(model.config)
        batch["input_features"][1, 20:] = float("nan")
        alone = model(input_features=batch["input_features"][1:, :20]).logits
        torch.testing.assert_close(model(**batch).logits[1:], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_classification_of_text_speech_and_pairs_by_one_head():
    model = make_head(MSLAMForSequenceClassification)
    batch, ids = speech(model.config), tokens()
    outputs = [model(**batch), model(input_ids=ids), model(**batch, input_ids=ids)]
    assert all(output.logits.shape == (2, 3) and output.hidden_states is None for output in outputs)
    assert model.layer_weights.num_layers == 3  # the shared ones and what enters them
    assert make_head(MSLAMForAudioClassification).layer_weights.num_layers == 4
    assert len(model(**batch, output_hidden_states=True).hidden_states) == 4


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("head_class", HEADS)
def test_losses_of_classification(head_class, kind):
    model = make_head(head_class, problem_type=kind)
    labels = torch.tensor([0, 2]) if kind.startswith("single") else torch.rand(2, 3)
    outputs = model(**speech(model.config), labels=labels)
    expected = {
        "single_label_classification": torch.nn.functional.cross_entropy,
        "multi_label_classification": torch.nn.functional.binary_cross_entropy_with_logits,
        "regression": torch.nn.functional.mse_loss,
    }[kind]
    torch.testing.assert_close(outputs.loss, expected(outputs.logits, labels))
    outputs.loss.backward()
    assert model.layer_weights.weight.grad.any()


def test_a_head_trained_on_text_serves_speech():
    """One head: what it learned of text decides on speech, with a frozen encoder and without one example of speech."""
    model = make_head(MSLAMForSequenceClassification)
    model.freeze_encoder()
    batch = speech(model.config)
    before = model(**batch).logits.detach()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05)
    ids, labels = tokens(rows=3), torch.tensor([0, 1, 2])
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert not torch.equal(model(**batch).logits, before)


def test_freezing():
    model = make_head(MSLAMForAudioClassification, encoder={"final_layer_norm": True})
    head = {name for name, _ in model.named_parameters() if not name.startswith("model.")}

    def trained() -> set[str]:
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    everything = trained()
    model.freeze_feature_encoder()
    assert everything - trained() == {name for name in everything if name.startswith("model.subsampling.")}
    model.freeze_base_model()
    assert trained() == head
    model.freeze_encoder(num_trainable_layers=1)
    assert trained() - head == {
        name for name in everything if name.startswith(("model.conformer.layers.2.", "model.conformer.norm."))
    }
    model.freeze_encoder()
    assert trained() == head
    with pytest.raises(ValueError, match="must be between 0 and 3, the number of layers of this encoder; got 4"):
        model.freeze_encoder(num_trainable_layers=4)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(**speech(model.config), labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed <= head and "classifier.weight" in changed


def test_a_frozen_encoder_with_batch_norm_stands_still_while_its_head_learns():
    model = make_head(MSLAMForAudioClassification, encoder={"conv_norm": "batch"})
    model.freeze_encoder(num_trainable_layers=1)
    batch = speech(model.config)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    expected = model(**batch, output_hidden_states=True).hidden_states
    actual = model.train()(**batch, output_hidden_states=True).hidden_states
    # The last layer trains: its statistics are those of the batch.
    assert all(torch.equal(one, other) for one, other in zip(actual[:-1], expected[:-1], strict=True))
    assert not torch.equal(actual[-1], expected[-1])
    moved = {name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])}
    assert moved and all(name.startswith("model.conformer.layers.2.") for name in moved)


def test_layer_average_and_maximum():
    average = LayerAverage(3)
    states = [torch.full((1, 2, 2), float(value)) for value in (1, 2, 6)]
    torch.testing.assert_close(average(states), torch.full((1, 2, 2), 3.0))
    with torch.no_grad():
        average.weight[2] = 50.0
    torch.testing.assert_close(average(states), states[2])
    with pytest.raises(ValueError, match="shorter|longer"):
        average(states[:2])
    values = torch.tensor([[[1.0, -5.0], [3.0, -9.0], [99.0, 99.0]]])
    assert masked_max(values, torch.tensor([[1, 1, 0]])).tolist() == [[3.0, -5.0]]
    assert masked_max(values, None).tolist() == [[99.0, 99.0]]


@pytest.mark.parametrize("model_class", [MSLAMModel, MSLAMForPreTraining, MSLAMForCTC])
@torch.no_grad()
def test_a_resized_vocabulary_is_kept(model_class, tmp_path):
    config = make_config()
    if model_class is MSLAMForCTC:
        config = MSLAMForCTC.from_pretraining(make_model()).config
    model = model_class(config)
    model.resize_token_embeddings(VOCABULARY + 9)
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == loaded.get_input_embeddings().num_embeddings == VOCABULARY + 9
    for name in ("mlm_head", "ctc_head"):
        if hasattr(loaded, name):
            assert getattr(loaded, name).out_features == VOCABULARY + 9
            assert getattr(loaded, name).weight is loaded.get_input_embeddings().weight


# ---- pipelines ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Saved heads with processors."""
    root, processor = tmp_path_factory.mktemp("mslam"), make_tiny_processor()
    options = {
        "encoder": {"num_mel_bins": 80},
        "vocab_size": len(processor.tokenizer),
        "languages": processor.languages,
        "id2label": {0: "en", 1: "fr", 2: "ru"},
    }
    for head_class in HEADS:
        head = head_class(make_config(**options))
        head.save_pretrained(root / head_class.__name__)
        processor.save_pretrained(root / head_class.__name__)
    ctc = MSLAMForCTC.from_pretraining(MSLAMForPreTraining(make_config(**options)))
    ctc.save_pretrained(root / "ctc")
    tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
    Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages).save_pretrained(
        root / "ctc"
    )
    return root


def test_audio_classification_pipeline(folders):
    classify = pipeline("audio-classification", model=str(folders / "MSLAMForAudioClassification"), device="cpu")
    assert type(classify.model) is MSLAMForAudioClassification
    wave = torch.randn(9000).numpy()
    answers = classify(wave)
    assert {answer["label"] for answer in answers} == {"en", "fr", "ru"}
    assert abs(sum(answer["score"] for answer in answers) - 1.0) < 1e-5
    assert len(classify([wave, wave[:5000]], top_k=1)) == 2


def test_text_classification_pipeline(folders):
    classify = pipeline("text-classification", model=str(folders / "MSLAMForSequenceClassification"), device="cpu")
    assert type(classify.model) is MSLAMForSequenceClassification
    assert classify("press one")[0]["label"] in ("en", "fr", "ru")


def test_speech_recognition_pipeline(folders):
    hear = pipeline("automatic-speech-recognition", model=str(folders / "ctc"), device="cpu")
    assert hear.type == "ctc" and type(hear).__name__ == "Mu2SLAMSpeechRecognitionPipeline"
    wave = torch.randn(16000).numpy()
    alone = hear(wave)["text"]
    assert isinstance(alone, str)
    assert [answer["text"] for answer in hear([wave, torch.randn(9000).numpy()], batch_size=2)][0] == alone
    with pytest.raises(ValueError, match="A CTC model only transcribes"):
        hear(wave, generate_kwargs={"target_lang": "fr"})
