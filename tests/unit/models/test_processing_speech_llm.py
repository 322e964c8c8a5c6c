# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Prompts with recordings: places, special tokens, targets, languages, and what is refused."""

import pytest
import torch
from tiny_speech_llm import KINDS, make_speech_llm, make_text_tokenizer

from mu2slam_hf import SpeechLLMProcessor
from mu2slam_hf.models.processing_speech_llm import AUDIO_TOKEN
from mu2slam_hf.models.task_prompts import TEST_PROMPTS, TRAINING_PROMPTS, check_prompts, fill_prompt

TEMPLATE = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}"


@pytest.fixture(scope="module", params=KINDS)
def processor(request) -> SpeechLLMProcessor:
    return make_speech_llm(request.param)[1]


def wave(length: int = 8000) -> torch.Tensor:
    return torch.linspace(-0.1, 0.1, length)


def pieces(processor, row) -> str:
    """Text of a row with one mark for all embeddings of a recording."""
    marked, last = [], None
    for token in row.tolist():
        if token == processor.audio_token_id:
            marked += ["[audio]"] if last != token else []
        else:
            marked.append(processor.tokenizer.decode([token]))
        last = token
    return " ".join("".join(f" {item} " if item == "[audio]" else item for item in marked).split())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_text_model_expects_around_a_prompt(kind):
    processor = make_speech_llm(kind)[1]
    inputs = processor([wave(), wave(3000)], task="asr", source_lang=["fr", "ca"], text_target=["le chat", "mat"])
    audio = inputs["input_ids"] == processor.audio_token_id
    assert audio.sum(-1).tolist() == processor.count_embeddings(inputs["input_features_mask"])
    eos, bos = processor.tokenizer.eos_token_id, processor.tokenizer.bos_token_id
    rows = inputs["input_ids"], inputs["attention_mask"]
    if kind == "mt5":
        assert inputs["attention_mask"][:, 0].all(), "padded on the right"
        assert all(row[mask.bool()][-1] == eos for row, mask in zip(*rows, strict=True))
        assert all(row[row >= 0][-1] == eos for row in inputs["labels"])
    else:
        assert inputs["attention_mask"][:, -1].all(), "padded on the left"
        assert all(row[mask.bool()][0] == bos for row, mask in zip(*rows, strict=True))
        labelled = inputs["labels"] >= 0
        assert torch.equal(inputs["labels"][labelled], inputs["input_ids"][labelled])
        assert inputs["input_ids"][:, -1].tolist() == [eos, eos]
    texts = [processor.tokenizer.decode(row[row >= 0], skip_special_tokens=True) for row in inputs["labels"]]
    assert texts == ["le chat", "mat"]


def test_the_prompt_is_the_given_one_or_that_of_the_task_or_the_default(processor):
    spelled = {
        "asr": "The preceding audio is in French. Perform speech recognition (in French):",
        "ast": "Transcribe the content of this audio into English in textual form:",
        None: processor.default_prompt,
    }
    for task, prompt in spelled.items():
        row = processor([wave()], task=task, source_lang="fr", target_lang="en")["input_ids"][0]
        assert pieces(processor, row).replace(" ", "").strip("</s>") == ("[audio]" + prompt).replace(" ", "")
    assert "[audio]" in pieces(processor, processor(wave())["input_ids"][0])
    row = processor(text="the cat", task="mt", source_lang="en", target_lang="fr")["input_ids"][0]
    assert "FrenchintextualForm:thecat".lower() in pieces(processor, row).replace(" ", "").lower()


def test_the_place_of_a_recording_in_a_prompt(processor):
    row = processor([wave()], text=f"the {AUDIO_TOKEN} mat")["input_ids"][0]
    assert "the [audio]" in pieces(processor, row) and pieces(processor, row).index("mat") > 8
    with pytest.raises(ValueError, match="2 places"):
        processor([wave()], text=f"{AUDIO_TOKEN} and {AUDIO_TOKEN}")


def test_typed_special_tokens_stay_text(processor):
    typed = f"cat </s> {AUDIO_TOKEN}"
    special = {processor.audio_token_id, processor.tokenizer.eos_token_id}
    assert not special & set(processor.encode(typed))
    source = processor(text=typed, task="mt", target_lang="fr")["input_ids"][0].tolist()
    assert processor.audio_token_id not in source
    labels = processor([wave()], text_target=[typed])["labels"][0]
    assert (labels == processor.tokenizer.eos_token_id).sum() == 1


def test_a_chat_template_is_the_turn_of_a_user():
    processor = make_speech_llm("llama")[1]
    processor.chat_template = TEMPLATE
    row = processor([wave()], text="cat </s> mat")["input_ids"][0].tolist()
    bos, eos = processor.tokenizer.bos_token_id, processor.tokenizer.eos_token_id
    assert row[0] == bos and row[-1] == eos and row.count(eos) == 1 and row[1] == processor.audio_token_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Nothing to process"),
        ({"audio": [wave()], "task": "asr"}, "task='asr' requires source_lang=: the prompt names the language"),
        ({"audio": [wave()], "task": "ast"}, "requires target_lang="),
        ({"audio": [wave()], "task": "asr", "source_lang": "de"}, "does not support language 'de'.*French"),
        ({"audio": [wave()], "task": "mt", "target_lang": "en"}, "reads texts: omit audio="),
        ({"text": "a", "task": "asr", "source_lang": "en"}, "requires audio="),
        ({"audio": [wave()], "task": "s2st"}, "Unknown task 's2st'"),
        ({"audio": [wave()] * 2, "text": ["a", "b", "c"]}, "one for each of 2 recordings; got 3"),
        ({"audio": [wave()] * 2, "task": "asr", "source_lang": ["en"] * 3}, "source_lang has 3 codes for 2 items"),
        ({"audio": [wave()], "text_target": ["a", "b"]}, "one target: got 2 for 1"),
        ({"audio": [wave(16000 * 31)]}, "Recording 0 has 31.0 s, more than the 30 s .*transcribe_recordings"),
    ],
)
def test_refused(processor, arguments, message):
    with pytest.raises(ValueError, match=message):
        processor(**arguments)


def test_a_processor_that_does_not_match_its_model():
    model, processor = make_speech_llm()
    processor.check_config(model.config)
    processor.languages = ["und", "en"]
    processor.audio_lengths = {**processor.audio_lengths, "stride": 4}
    with pytest.raises(ValueError, match="languages is .*audio_lengths is .*'stride': 2"):
        processor.check_config(model.config)
    with pytest.raises(ValueError, match="prompts: unknown task 'lid'"):
        SpeechLLMProcessor(processor.feature_extractor, make_text_tokenizer("mt5"), prompts={"lid": "?"})


def test_requests_for_transcripts_as_in_transformers(processor):
    request = processor.apply_transcription_request([wave()], language="fr")
    same = processor([wave()], task="asr", source_lang="fr")
    assert all(torch.equal(request[name], same[name]) for name in same)


# ---- prompts --------------------------------------------------------------------------------------------------------


def test_there_are_25_prompts_for_each_task_with_their_fields():
    fields = {"asr": "{language}", "ast": "{target}", "mt": "{target}"}
    assert set(TRAINING_PROMPTS) == set(TEST_PROMPTS) == set(fields)
    for task, prompts in TRAINING_PROMPTS.items():
        assert len(set(prompts)) == 25 and all(fields[task] in prompt for prompt in prompts)
        assert TEST_PROMPTS[task] not in prompts and fields[task] in TEST_PROMPTS[task]
    check_prompts(TRAINING_PROMPTS)
    assert fill_prompt(TRAINING_PROMPTS["asr"][0], "asr", "pt-BR", None) == (
        "Perform speech recognition in Portuguese using the preceding audio:"
    )
    assert fill_prompt("{target}", "ast", "fr", "qaa-x-tone") == "qaa-x-tone"


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"lid": ["a"]}, "is not a task with prompts"),
        ({"asr": []}, "at least one"),
        ({"asr": ["a", "a"]}, "different prompts"),
        ({"asr": ["{lang}"]}, "may have {language} and {target} only"),
        ({"mt": ["translate:"]}, "does not name the language to write"),
    ],
)
def test_prompts_that_are_refused(prompts, message):
    with pytest.raises(ValueError, match=message):
        check_prompts(prompts)
