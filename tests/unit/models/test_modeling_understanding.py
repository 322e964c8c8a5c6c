# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Classifiers of pairs of texts and span heads on both encoders."""

import pytest
import torch
import transformers
from helpers import make_tiny_pair, make_tiny_processor
from mslam_batches import make_config
from transformers import pipeline

from mu2slam_hf import (
    MSLAMForPreTraining,
    MSLAMForQuestionAnswering,
    MSLAMForSequenceClassification,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForQuestionAnswering,
    Mu2SLAMForSequenceClassification,
)
from mu2slam_hf.models.modules_text_pairs import find_segments

FIRST = ["le mar", "press one to leave a message", "la"]
SECOND = ["press one", "la", "marque cinco para dejar"]
CLASSIFIERS = (Mu2SLAMForSequenceClassification, MSLAMForSequenceClassification)
ANSWERERS = (Mu2SLAMForQuestionAnswering, MSLAMForQuestionAnswering)
EOS = 2


@pytest.fixture(scope="module")
def processor():
    return make_tiny_processor()


def build(model_class, processor, **options):
    """A model with random weights, also in the head and the embedding of the second segment."""
    torch.manual_seed(0)
    if model_class.config_class.model_type == "mu2slam":
        config = make_tiny_pair()[0].config
        config.num_labels = 3
    else:
        tokenizer = processor.tokenizer
        config = make_config(num_labels=3, vocab_size=len(tokenizer), text_token_offset=tokenizer.text_token_offset)
    for name, value in options.items():
        setattr(config, name, value)
    model = model_class(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def outputs_of(model, **batch):
    outputs = model(**batch)
    if hasattr(outputs, "logits"):
        return [outputs.logits]
    return [outputs.start_logits, outputs.end_logits]


def test_segments_begin_after_the_first_end():
    ids = torch.tensor([[9, 8, EOS, 7, EOS, 0], [9, EOS, 0, 0, 0, 0], [9, 9, 9, 9, 9, 9]])
    found = find_segments(ids, EOS)
    assert found.position_ids.tolist() == [[0, 1, 2, 0, 1, 2], [0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert found.is_second.sum(dim=1).tolist() == [3, 4, 0]
    assert found.is_first_end.nonzero().tolist() == [[0, 2], [1, 1]]


@pytest.mark.parametrize("model_class", (*CLASSIFIERS, *ANSWERERS))
@pytest.mark.parametrize("use_segment_embedding", (True, False))
def test_a_pair_alone_in_a_batch_and_with_poisoned_padding(model_class, use_segment_embedding, processor):
    model = build(model_class, processor, use_segment_embedding=use_segment_embedding)
    batch = processor.tokenizer(FIRST, SECOND, padding=True, return_tensors="pt")
    together = outputs_of(model, **batch)
    longer = {name: torch.nn.functional.pad(tensor, (0, 5)) for name, tensor in batch.items()}
    # Any tokens, also ends of texts, where the mask is 0.
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, len(processor.tokenizer), longer["input_ids"].shape, generator=generator)
    longer["input_ids"] = torch.where(longer["attention_mask"] == 1, longer["input_ids"], noise)
    poisoned = outputs_of(model, **longer)
    for row, (first, second) in enumerate(zip(FIRST, SECOND, strict=True)):
        alone = outputs_of(model, **processor.tokenizer([first], [second], return_tensors="pt"))
        for one, many, padded in zip(alone, together, poisoned, strict=True):
            length = one.shape[1]
            torch.testing.assert_close(many[row, :length], one[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(padded[row, :length], one[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_class", CLASSIFIERS)
def test_the_order_of_the_texts_matters(model_class, processor):
    """With restarting positions and one language, the embedding of the second segment tells the texts apart."""
    model = build(model_class, processor, use_segment_embedding=True)
    both = [
        processor.tokenizer([a], [b], return_tensors="pt") for a, b in (("la mer", "le son"), ("le son", "la mer"))
    ]
    first, second = (model(**batch).logits for batch in both)
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("model_class", CLASSIFIERS)
def test_a_single_text_has_one_segment(model_class, processor):
    model = build(model_class, processor, use_segment_embedding=True)
    batch = processor.tokenizer(FIRST, padding=True, return_tensors="pt")
    expected = model(**batch).logits
    with torch.no_grad():
        model.segment_embedding.weight.fill_(100.0)
    torch.testing.assert_close(model(**batch).logits, expected)


@pytest.mark.parametrize("model_class", ANSWERERS)
def test_span_logits_outside_of_the_passage_are_masked(model_class, processor):
    model = build(model_class, processor)
    batch = processor.tokenizer(FIRST, SECOND, padding=True, return_tensors="pt")
    outputs = model(**batch)
    for row, (first, second) in enumerate(zip(FIRST, SECOND, strict=True)):
        allowed = (outputs.start_logits[row] > -1e9).nonzero().flatten().tolist()
        assert allowed == [len(first), *range(len(first) + 1, len(first) + 1 + len(second))]
    assert float(outputs.start_logits.softmax(-1).sum()) == pytest.approx(3, rel=1e-5)
    starts = torch.tensor([len(text) for text in FIRST])
    loss = model(**batch, start_positions=starts, end_positions=starts + 1).loss
    log = torch.nn.functional.cross_entropy
    expected = (log(outputs.start_logits, starts) + log(outputs.end_logits, starts + 1)) / 2
    torch.testing.assert_close(loss, expected)
    with pytest.raises(ValueError, match="expects input_ids"):
        model(inputs_embeds=torch.zeros(1, 4, 16))


@pytest.mark.parametrize("model_class", (*CLASSIFIERS, *ANSWERERS))
def test_auto_classes_and_folders(model_class, processor, tmp_path):
    model = build(model_class, processor)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    name = "SequenceClassification" if model_class in CLASSIFIERS else "QuestionAnswering"
    loaded, info = getattr(transformers, f"AutoModelFor{name}").from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is model_class and not info["missing_keys"] and not info["unexpected_keys"]
    batch = processor.tokenizer(FIRST, SECOND, padding=True, return_tensors="pt")
    for own, other in zip(outputs_of(model, **batch), outputs_of(loaded.eval(), **batch), strict=True):
        torch.testing.assert_close(own, other)


def test_heads_load_the_encoder_of_an_encoder_decoder(processor, tmp_path):
    whole, _ = make_tiny_pair()
    whole.save_pretrained(tmp_path)
    for model_class in (Mu2SLAMForSequenceClassification, Mu2SLAMForQuestionAnswering):
        model, info = model_class.from_pretrained(tmp_path, output_loading_info=True)
        heads = ("segment_embedding", "projector", "classifier", "qa_outputs")
        assert all(key.split(".")[0] in heads for key in info["missing_keys"]) and not info["unexpected_keys"]
        for name, tensor in whole.model.encoder.state_dict().items():
            assert torch.equal(model.encoder.state_dict()[name], tensor)


def test_heads_load_a_pretrained_mslam(processor, tmp_path):
    model = build(MSLAMForPreTraining, processor)
    model.save_pretrained(tmp_path)
    loaded, info = MSLAMForQuestionAnswering.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == {"qa_outputs.weight", "qa_outputs.bias"} and not info["unexpected_keys"]
    assert torch.equal(loaded.model.embed_tokens.weight, model.model.embed_tokens.weight)


def test_the_stock_pipeline_classifies_pairs(processor, tmp_path):
    for model_class in CLASSIFIERS:
        model = build(model_class, processor)
        folder = tmp_path / model_class.__name__
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        pipe = pipeline("text-classification", model=str(folder))
        found = pipe({"text": FIRST[0], "text_pair": SECOND[0]}, top_k=None)
        shares = model(**processor.tokenizer(FIRST[0], SECOND[0], return_tensors="pt")).logits[0].softmax(-1)
        for one in found:
            assert one["score"] == pytest.approx(float(shares[model.config.label2id[one["label"]]]), abs=1e-5)


def test_freezing(processor):
    model = build(Mu2SLAMForQuestionAnswering, processor)
    model.freeze_encoder(1)
    trained = {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.requires_grad}
    assert {"qa_outputs", "segment_embedding"} <= trained
    layers = {name.split(".")[3] for name in trained if name.startswith("encoder.conformer.layers.")}
    assert layers == {"1"} and not any("embed_tokens" in name for name in trained)


@pytest.mark.parametrize("model_class", (*ANSWERERS, Mu2SLAMForConditionalGeneration))
def test_the_pipeline_answers_questions(model_class, processor, tmp_path):
    model = build(model_class, processor)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    pipe = pipeline("question-answering", model=str(tmp_path))
    assert type(pipe.model) is model_class
    passage = "la mesa press one to leave a message " * 3
    options = {"max_tokens": 40, "overlap_tokens": 10, "max_answer_tokens": 12}
    found = pipe({"question": "le mar", "context": passage}, **options)
    assert found.keys() == {"answer", "score", "start", "end"}
    assert found == pipe(question="le mar", context=passage, **options)
    assert pipe([{"question": "le mar", "context": passage}], **options) == [found]
    if found["start"] is not None:
        assert passage[found["start"] : found["end"]].casefold() == found["answer"].casefold()
    if model_class in ANSWERERS:
        assert 1 <= len(found["answer"]) <= 12
    with pytest.raises(ValueError, match="`question` and `context`"):
        pipe({"question": "le mar"})
