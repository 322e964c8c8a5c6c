# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.token_counts import TokenCounter
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

TEXTS = ["one two three", "un deux trois", "one two", "a"]


def test_counts_are_those_of_the_tokenizer_alone_and_in_batches():
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(TEXTS * 20, vocab_size=24, kind="unigram", num_speech_tokens=4)
    alone, together = TokenCounter(tokenizer), TokenCounter(tokenizer)
    together.count_all(TEXTS + TEXTS[:2])
    expected = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    assert [alone(text) for text in TEXTS] == [together(text) for text in TEXTS] == expected


def test_a_builder_counts_each_text_once():
    class Counted:
        def __init__(self):
            self.seen = []

        def __call__(self, texts, **_):
            self.seen += texts
            return {"input_ids": [[0] * len(text.split()) for text in texts]}

    tokenizer = Counted()
    records = [
        SpeechTextRecord(id=str(i), lang="en", text=text, translations={"fr": TEXTS[1]})
        for i, text in enumerate(TEXTS)
    ]
    examples = ExampleBuilder(tasks=["mt"], count_tokens=TokenCounter(tokenizer)).build(records)
    assert sorted(tokenizer.seen) == sorted(set(TEXTS))
    assert examples[0].num_source_tokens == 4 and examples[0].targets[0].num_tokens == 4
