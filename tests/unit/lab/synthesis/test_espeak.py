# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import hashlib
import multiprocessing
import pickle

import pytest

from lab.synthesis.espeak import EspeakEngine, SpeechRequest

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


# f2 and Alicia are breathy: their noise is what differs between processes when it is seeded by the clock.
BLOCK = [
    SpeechRequest(text="please enter your number", voice="en-us+f2"),
    SpeechRequest(text="пожалуйста", voice="ru+Alicia", rate=120, pitch=70),
    SpeechRequest(text="deux mille", voice="fr"),
]


def _digest(block):
    return hashlib.sha256(b"".join(block)).hexdigest()


def test_same_block_same_samples_in_every_process_and_order(engine):
    first = engine.speak_block(BLOCK)
    assert all(len(pcm) > 10_000 for pcm in first)
    engine.speak_block(BLOCK[::-1])
    assert engine.speak_block(BLOCK) == first
    with EspeakEngine() as other:
        assert other.speak_block(BLOCK) == first


def test_a_pickled_engine_starts_its_own_server(engine):
    copy = pickle.loads(pickle.dumps(engine))
    assert copy.version == engine.version
    assert copy.speak_block(BLOCK) == engine.speak_block(BLOCK)
    copy.close()


def _speak_in_child(engine, queue):
    queue.put(_digest(engine.speak_block(BLOCK)))


def test_a_forked_process_does_not_use_its_parents_server(engine):
    expected = _digest(engine.speak_block(BLOCK))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_speak_in_child, args=(engine, queue)) for _ in range(2)]
    for child in children:
        child.start()
    assert _digest(engine.speak_block(BLOCK)) == expected
    assert [queue.get(timeout=60) for _ in children] == [expected, expected]
    for child in children:
        child.join()


def test_works_again_after_close(engine):
    with EspeakEngine() as other:
        other.close()
        assert other.speak_block(BLOCK[:1]) == engine.speak_block(BLOCK[:1])


def test_missing_voice_is_empty_and_empty_block_is_empty(engine):
    assert engine.speak_block([SpeechRequest(text="hello", voice="no-such-voice")]) == [b""]
    assert engine.speak_block([]) == []


def test_phonemes_mark_the_fall_back_to_english(engine):
    native, mixed = engine.phonemes_block(
        [SpeechRequest(text="привет мир", voice="ru"), SpeechRequest(text="привет hello", voice="ru")]
    )
    assert "(en)" not in native and "(en)" in mixed


def test_a_crash_of_the_fork_is_an_error_and_the_server_lives_on(engine):
    with pytest.raises(RuntimeError, match="crashed or hung in a block of 1 clips that starts with en-us: 7"):
        engine.speak_block([SpeechRequest(text=7, voice="en-us")])
    assert engine.speak_block(BLOCK[:1])[0]


def test_phones_follow_one_another_from_start_to_end(engine):
    with EspeakEngine(phoneme_events=True) as other:
        (samples, phones), (foreign, russian), (silent, nothing) = pickle.loads(
            pickle.dumps(other)
        ).speak_phones_block(
            [
                SpeechRequest(text="hello world", voice="en-us"),
                SpeechRequest(text="\u043f\u0440\u0438\u0432\u0435\u0442", voice="ru+f3"),
                SpeechRequest(text="hello", voice="no-such-voice"),
            ]
        )
        assert [(samples,)] == [
            (audio,) for audio in other.speak_block([SpeechRequest(text="hello world", voice="en-us")])
        ]
    assert "".join(phone.symbol for phone in phones) == "h\u0259lo\u028aw\u025c\u02d0ld"
    assert phones[0].start_seconds == 0.0 and phones[-1].end_seconds == pytest.approx(len(samples) / 2 / 22050)
    for before, after in zip(phones, phones[1:], strict=False):
        assert before.end_seconds == after.start_seconds and before.start_seconds < before.end_seconds
    # A palatalised consonant is one phone.
    assert "r\u02b2" in [phone.symbol for phone in russian] and foreign
    assert (silent, nothing) == (b"", [])
    # Listening to events does not change the sound.
    assert engine.speak_block([SpeechRequest(text="hello world", voice="en-us")]) == [samples]


def test_phones_need_an_engine_that_listens(engine):
    with pytest.raises(ValueError, match="phoneme_events=True"):
        engine.speak_phones_block([])
