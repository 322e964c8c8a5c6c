# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter

import pytest

from mu2slam_hf.data.examples import builder
from mu2slam_hf.data.examples.builder import ExampleBuilder, ExampleLimits
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.task_types import PRETRAINING_TASKS, TASKS, TaskType


def build(records, *tasks, **options):
    """Examples of pre-training."""
    return ExampleBuilder(tasks=tasks, one_target=True, **options).build(records)


def record(id="a", audio="a.wav", text="one two", lang="en", seconds=2.0, corpus="c", **translations):
    return SpeechTextRecord(
        id=id, audio=audio, text=text, lang=lang, translations=translations, duration_seconds=seconds, corpus=corpus
    ).validate()


THREE = [
    record(fr="un deux", ru="odin dva"),
    record(lang="fr", text="un deux", en="one two", ru="odin dva"),
    record(id="b", text=None, lang="ru", seconds=3.0),
    record(id="t", audio=None, text="only text", lang="en", seconds=None),
]


def ids(examples):
    return [example.id for example in examples]


def test_speech_only_has_audio_and_nothing_else():
    left_out = Counter()
    examples = build(THREE, "speech", left_out=left_out)
    assert ids(examples) == ["speech:c/en/a", "speech:c/fr/a", "speech:c/ru/b"]
    for example in examples:
        assert example.targets == () and example.source_text is None and example.record is not None
        assert example.task == "speech" and example.sampling_language == example.source_lang
    assert left_out == {"no audio": 1}


def test_text_only_takes_each_text_once():
    own = build(THREE, "text", left_out=(left_out := Counter()))
    assert {example.id: example.source_text for example in own} == {
        "text:c/en/a": "one two",
        "text:c/fr/a": "un deux",
        "text:c/en/t": "only text",
    }
    assert left_out == {"no text in a wanted language": 1}
    every = build(THREE, "text", translations_as_texts=True)
    assert sorted(ids(every)) == ["text:c/en/a", "text:c/en/t", "text:c/fr/a", "text:c/ru/a"]
    for example in every:
        assert example.record is None and example.targets == ()
        assert example.num_source_tokens == len(example.source_text) + 1
        assert example.task == "text"


def test_a_text_of_its_own_goes_before_a_translation_of_another_record():
    first = record(id="x", audio=None, text="hello", seconds=None, fr="from the en record")
    second = record(id="x", audio=None, text="own", lang="fr", seconds=None)
    for records in ([first, second], [second, first]):
        examples = build(records, "text", translations_as_texts=True)
        assert {example.source_lang: example.source_text for example in examples} == {"en": "hello", "fr": "own"}


def test_asr_and_ast_have_one_target_each():
    left_out = Counter()
    asr = build(THREE, "asr", left_out=left_out)
    assert ids(asr) == ["asr:c/en/a", "asr:c/fr/a"]
    assert all(example.targets[0].lang == example.source_lang for example in asr)
    assert left_out == {"no transcript": 1, "no audio": 1}
    ast = build(THREE, "ast", languages=["en", "fr"])
    assert ids(ast) == ["ast:c/en/a:fr", "ast:c/fr/a:en"]
    both = build(THREE, "ast")
    assert len(set(ids(both))) == len(both) == 4
    for example in [*asr, *both]:
        (target,) = example.targets
        assert example.task == target.task and target.num_tokens == len(target.text) + 1
        assert example.sampling_language == example.source_lang


def test_mt_has_each_pair_of_an_n_way_sentence_once():
    examples = build(THREE, "mt")
    assert ids(examples) == ["mt:c/a:en-fr", "mt:c/a:en-ru", "mt:c/a:fr-ru"]
    texts = {"en": "one two", "fr": "un deux", "ru": "odin dva"}
    for example in examples:
        (target,) = example.targets
        assert example.source_text == texts[example.source_lang] and target.text == texts[target.lang]
        assert example.sampling_language == example.id.split(":")[-1]


def test_either_language_of_a_pair_may_be_the_source():
    records = [record(id=str(n), audio=None, seconds=None, text="a", fr="b") for n in range(400)]
    examples = build(records, "mt")
    assert examples == build(records[::-1], "mt")[::-1]
    share = sum(example.source_lang == "en" for example in examples) / len(examples)
    assert 0.4 < share < 0.6
    assert {example.sampling_language for example in examples} == {"en-fr"}


def test_unknown_languages_give_speech_but_no_pairs_of_texts():
    unknown = record(lang="und", fr="un deux")
    assert len(build([unknown], "speech")) == 1
    with pytest.raises(ValueError, match="no two texts"):
        build([unknown], "mt")


def test_long_examples_are_left_out_and_counted():
    records = [record(), record(id="long", seconds=9.0), record(id="wordy", text="x" * 50)]
    limits = ExampleLimits(max_seconds=5.0, max_tokens=20)
    left_out = Counter()
    examples = build(records, "asr", limits=limits, left_out=left_out)
    assert ids(examples) == ["asr:c/en/a"]
    assert left_out == {"longer than 5 s": 1, "text of more than 20 tokens": 1}
    pairs = [record(id="p", audio=None, seconds=None, fr="y" * 50)]
    with pytest.raises(ValueError, match=r"1 records give no example for task 'mt' \(1 x text of more than 20"):
        build(pairs, "mt", limits=limits)
    # the bound counts `</s>`
    assert build([record(text="x" * 19)], "asr", limits=limits)


def test_a_record_by_itself_gives_what_all_together_give():
    for task in PRETRAINING_TASKS:
        one_by_one = ExampleBuilder(tasks=[task], one_target=True, languages=["en", "fr", "ru"])
        alone = [example for each in THREE[:1] + THREE[2:] for example in one_by_one.examples_of(each)]
        assert sorted(ids(alone)) == sorted(ids(build(THREE[:1] + THREE[2:], task)))


def test_examples_of_a_record_take_turns():
    spoken = record(fr="un deux", ru="odin dva", de="eins zwei")
    for task in PRETRAINING_TASKS:
        turns = ExampleBuilder(tasks=[task], one_target=True, translations_as_texts=True)
        every = turns.examples_of(spoken)
        assert len(every) == {"speech": 1, "text": 4, "asr": 1, "ast": 3, "mt": 6}[task]
        assert [turns.example_of(spoken, turn) for turn in range(2 * len(every))] == 2 * every
    limited = ExampleBuilder(tasks=["ast"], one_target=True, limits=ExampleLimits(max_tokens=9))
    found = [limited.example_of(spoken, turn) for turn in range(3)]
    assert found[0] is None and [one.targets[0].lang for one in found[1:]] == ["fr", "ru"], "de has 10 tokens"
    assert limited.example_of(record(id="u"), 5) is None


def test_tasks_follow_one_another():
    every = build(THREE, *reversed(PRETRAINING_TASKS))
    assert ids(every) == [name for task in PRETRAINING_TASKS for name in ids(build(THREE, task))]


def test_supervised_speech_has_transcript_and_every_translation():
    (example,) = ExampleBuilder(tasks=["ast", "asr"]).build([record(fr="un deux", de="eins")])
    assert [(target.task, target.lang) for target in example.targets] == [("asr", "en"), ("ast", "de"), ("ast", "fr")]
    assert [target.num_tokens for target in example.targets] == [8, 5, 8]
    assert (example.id, example.source_lang, example.duration_seconds) == ("speech:c/en/a", "en", 2.0)
    with pytest.raises(ValueError, match=r"a: .*got speech with \['asr', 'ast', 'ast'\]"):
        assert example.task


def test_supervised_texts_go_in_all_directions_once():
    texts = {"en": "one", "fr": "un", "de": "eins"}
    records = [record(lang=lang, text=texts[lang], **texts_but(texts, lang)) for lang in ("en", "fr")]
    examples = ExampleBuilder(tasks=["mt"]).build(records)
    directions = [(example.source_lang, target.lang) for example in examples for target in example.targets]
    assert len(directions) == 6 == len(set(directions))
    for example in examples:
        assert example.source_text == texts[example.source_lang]
        assert all(target.text == texts[target.lang] for target in example.targets)
    assert ids(examples) == ["text:c/de/a", "text:c/en/a", "text:c/fr/a"]


def texts_but(texts, lang):
    return {other: text for other, text in texts.items() if other != lang}


def test_supervised_filters():
    records = [record(fr="t", de="t"), record(lang="ru", en="t")]
    examples = ExampleBuilder(languages=["en", "fr_FR", "fr"]).build(records)
    kinds = Counter((example.source_modality, example.source_lang, len(example.targets)) for example in examples)
    assert kinds == {("speech", "en", 2): 1, ("text", "en", 1): 1, ("text", "fr", 1): 1}
    (spoken,) = ExampleBuilder(tasks=["ast"]).build([record(text=None, fr="t")])
    assert spoken.targets[0].lang == "fr"
    written = ExampleBuilder().build([record(audio=None, seconds=None, fr="t")])
    assert {example.source_modality for example in written} == {"text"}
    # Without translations, records of one id are not versions of one sentence.
    apart = [record(audio=None, seconds=None), record(lang="fr", audio=None, seconds=None)]
    with pytest.raises(ValueError, match="2 records give no example for task 'mt'"):
        ExampleBuilder(tasks=["mt"]).build(apart)
    assert ids(build(apart, "mt")) == ["mt:c/a:en-fr"]


def test_a_new_task_needs_an_entry_in_the_table_of_tasks(monkeypatch):
    copy = TaskType(title="copy", source="text", target="text", same_language=True)
    monkeypatch.setitem(TASKS, "copy", copy)
    monkeypatch.setattr(builder, "TASK_NAMES", (*builder.TASK_NAMES, "copy"))
    written = record(audio=None, seconds=None, fr="un")
    english, _ = ExampleBuilder(tasks=["copy", "mt"]).build([written])
    assert [(target.task, target.lang) for target in english.targets] == [("mt", "fr"), ("copy", "en")]
    (alone,) = ExampleBuilder(tasks=["copy"]).build([record(audio=None, seconds=None)])
    assert alone.targets[0].text == alone.source_text and alone.task == "copy" and alone.sampling_language == "en"
    assert ids(build([written], "copy")) == ["copy:c/en/a", "copy:c/fr/a"]


def test_faults():
    for options, known in (({}, "asr, ast, mt; got"), ({"one_target": True}, "speech, text, asr, ast, mt; got")):
        for tasks in (["asr", "tts"], []):
            with pytest.raises(ValueError, match=f"`tasks` must be some of {known}"):
                ExampleBuilder(tasks=tasks, **options)
    with pytest.raises(ValueError, match=r"c/en/a.*fill_durations"):
        build([record(seconds=None)], "speech")
    for fields in ({"max_seconds": 0}, {"max_tokens": -1}):
        with pytest.raises(Exception, match=next(iter(fields))):
            ExampleLimits(**fields)
