# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples of a card: which recordings are taken, and that the texts are the model's."""

import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf import Mu2SLAMForCTC, SpeechTextRecord, read_manifest
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.hub.card_examples import CardExample, choose_records, make_card_examples
from mu2slam_hf.hub.cards import card_template, load_card_facts, render_card
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings

RECORDS = read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv")
FACTS = REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml"


@pytest.fixture(scope="module")
def pair():
    return make_tiny_pair()


def record(id, lang, **fields) -> SpeechTextRecord:
    return SpeechTextRecord(**{"id": id, "lang": lang, "audio": f"{lang}/{id}.wav", "text": "a", **fields})


def test_languages_and_sentences_differ_where_possible():
    assert [(r.lang, r.id) for r in choose_records(RECORDS)] == [
        ("en", "vm-tooshort"),
        ("es", "vm-enter-num-to-call"),
        ("it", "vm-leavemsg"),
    ]
    parallel = [record("1", "en"), record("2", "en"), record("1", "fr")]
    assert [(r.lang, r.id) for r in choose_records(parallel)] == [("en", "1"), ("fr", "1"), ("en", "2")]
    assert len(choose_records(parallel, 2)) == 2


def test_only_recordings_with_a_transcript_are_taken():
    useless = [record("1", "en", audio=None), record("2", "en", text=None)]
    assert choose_records(useless) == []
    assert [r.id for r in choose_records([*useless, record("3", "en")])] == ["3"]


def test_outputs_are_those_of_the_model(pair):
    model, processor = pair
    chosen = choose_records(RECORDS, 2)
    model.generation_config.max_new_tokens = 8
    english, spanish = make_card_examples(model, processor, chosen)
    assert english.name == "en/vm-tooshort.opus" and not english.translations
    assert spanish.reference == chosen[1].text
    options = TranscriptionOptions(source_lang="es", target_langs=("en",))
    (transcript,) = transcribe_recordings(model, processor, [load_audio(chosen[1].audio)], options)
    assert spanish.output == transcript.text
    assert spanish.translations == {"en": (chosen[1].translations["en"], transcript.translation("en"))}


def test_half_precision_is_computed_in_float32_and_left_as_it_was():
    rounded, processor = make_tiny_pair()
    rounded = rounded.to(torch.bfloat16)
    restored = make_tiny_pair()[0].to(torch.bfloat16).float()
    for model in (rounded, restored):
        model.generation_config.max_new_tokens = 8
    examples = make_card_examples(rounded, processor, RECORDS[:1])
    assert rounded.dtype == torch.bfloat16
    assert examples == make_card_examples(restored, processor, RECORDS[:1])


def test_a_ctc_model_transcribes_without_translation(pair):
    model, processor = pair
    (example,) = make_card_examples(Mu2SLAMForCTC.from_conditional_generation(model), processor, RECORDS[1:2])
    assert not example.translations


def test_what_cannot_be_shown_is_refused(pair):
    model, processor = pair
    with pytest.raises(ValueError, match="got none"):
        make_card_examples(model, processor, [])
    with pytest.raises(ValueError, match="produces text .* got Mu2SLAMModel"):
        make_card_examples(model.model, processor, RECORDS[:1])


def test_examples_come_before_all_tables(pair):
    examples = [
        CardExample(name="a/b.wav", lang="es", reference="uno", output="", translations={"en": ("one", "two")}),
        CardExample(name="c/d.wav", lang="fr", reference="deux", output="doux"),
    ]
    facts = load_card_facts(FACTS)
    described = {"model": pair[0], "model_type": MODEL_TYPES["mu2slam"], "has_code": True}
    card = render_card(card_template(), facts, examples=examples, **described)
    shown = card[card.index("## Examples") : card.index("## Use")]
    for text in ("`a/b.wav` (es)", "said: uno", "output: (nothing)", "into en: one", "output: two", "output: doux"):
        assert text in shown, text
    assert card.index(facts.summary.strip()) < card.index("## Examples") < card.index("\n|")
    assert "## Examples" not in render_card(card_template(), facts, **described)
