# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Assembly of transcripts, with a recogniser whose results are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch

from mu2slam_hf.inference import transcription
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings
from mu2slam_hf.inference.window_loop import RecordingTooLongError
from mu2slam_hf.inference.windows import RecognizedWindow
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_capabilities import Capabilities

RATE = 2000
LANGUAGES = ["und", "en", "es"]


class KnownRecognizer:
    """Hears a word per half second of sound, named after its number, in the language of its loudness.

    Sound of level 0.1 is Spanish with probability 0.9, louder sound English; level 0.02 is no speech.
    """

    sampling_rate = RATE
    failing_word: str | None = None
    batches: list[int] = []

    def __init__(self, model, processor, **options):
        type(self).batches = []

    def compute_blanks(self, waveform, source_lang=None):
        return np.ones(len(waveform) // 40 + 1)

    def encode(self, windows, source_langs):
        found = []
        for window in windows:
            level = float(np.abs(window.waveform).max())
            languages = {"en": 0.1, "es": 0.9} if level < 0.15 else {"en": 0.8, "es": 0.2}
            one = RecognizedWindow(window=window, num_samples=len(window.waveform), has_speech=level > 0.03)
            one.language_probabilities = languages if self.has_languages else None
            found.append(one)
        return found

    has_languages = True

    def transcribe(self, windows, languages, level=None):
        self.batches.append(len(windows))
        for one, language in zip(windows, languages, strict=True):
            one.written_language = language
            start, stop = one.window.start_sample / RATE, (one.window.start_sample + one.num_samples) / RATE
            numbers = range(int(np.ceil(2 * start - 1e-6)), int(np.floor(2 * stop + 1e-6)))
            sounding = [n for n in numbers if abs(one.window.waveform[int((n / 2 - start) * RATE) + 50]) > 0.01]
            one.words = tuple(
                AlignedWord(text=f"{language}{n}", start_seconds=n / 2 + 0.05, end_seconds=n / 2 + 0.45, score=-0.1)
                for n in sounding
            )
            one.text = " ".join(word.text for word in one.words)
            one.has_speech = bool(one.text)
            if self.failing_word in one.text.split():
                raise ValueError("the model fails")

    def translate(self, windows, target_lang):
        for one in windows:
            if one.has_speech:
                one.translations[target_lang] = f"{target_lang}: {one.text}"


def sound(seconds, level=0.5):
    """A square wave whose amplitude changes every 10 ms, so that it is not steady."""
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.uniform(0.3, 1.0, round(seconds * 100)), RATE // 100)
    wave = level * envelope * np.where(np.arange(len(envelope)) % 4 < 2, 1.0, -1.0)
    wave[:: RATE // 2] = level
    return wave.astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def join(*parts):
    return np.concatenate(parts)


def build_model():
    model = torch.nn.Module()
    model.capabilities = Capabilities(tasks=("asr", "ast"), has_ctc=True)
    return model


@pytest.fixture
def transcribe(monkeypatch):
    """`transcribe_recordings` with the recogniser above."""
    monkeypatch.setattr(transcription, "WindowRecognizer", KnownRecognizer)
    model = build_model()
    processor = SimpleNamespace(
        languages=LANGUAGES, language_row=lambda code: 0 if code is None else LANGUAGES.index(code.lower())
    )

    def run(*recordings, progress=None, **options):
        return list(
            transcribe_recordings(model, processor, recordings, TranscriptionOptions(**options), progress=progress)
        )

    return run


def numbers(transcript):
    return [int(word[2:]) for word in transcript.text.split()]


@pytest.mark.parametrize("seconds", [3.0, 15.0, 15.5, 59.5, 60.0, 61.0, 130.0])
def test_every_word_of_a_long_recording_is_written_once(transcribe, seconds):
    (transcript,) = transcribe(sound(seconds), timestamps="word")
    assert numbers(transcript) == list(range(int(2 * seconds)))
    assert [word.text for word in transcript.words] == transcript.text.split()
    assert transcript.duration_seconds == seconds
    starts = [word.start_seconds for word in transcript.words]
    assert starts == pytest.approx([n / 2 + 0.05 for n in range(len(starts))])
    assert len(transcript.segments) == pytest.approx(seconds / 12, abs=2 + seconds / 20)


def test_pauses_separate_segments(transcribe):
    (transcript,) = transcribe(join(silence(3), sound(4), silence(2), sound(5), silence(80), sound(3), silence(1)))
    assert [[int(word[2:]) for word in segment.text.split()] for segment in transcript.segments] == [
        list(range(6, 14)),
        list(range(18, 28)),
        list(range(188, 194)),
    ]
    for segment in transcript.segments:
        assert segment.words == ()  # not asked for
        assert segment.start_seconds == pytest.approx(int(segment.text.split()[0][2:]) / 2 + 0.05)


def test_one_language_for_the_whole_recording(transcribe):
    # A minute of English decides, also about the Spanish at the beginning and at the end.
    recording = join(sound(5, 0.1), silence(1), sound(60), silence(1), sound(20, 0.1))
    for batch_seconds in (1.0, 20.0, 500.0):
        (transcript,) = transcribe(recording, batch_seconds=batch_seconds)
        assert {segment.language for segment in transcript.segments} == {"en"}
        assert {segment.written_language for segment in transcript.segments} == {"en"}
        assert len({segment.language_probability for segment in transcript.segments}) == 1
        assert transcript.language == "en" and 0.7 < transcript.language_probability < 0.8
        assert all(word.startswith("en") for word in transcript.text.split())


def test_the_language_does_not_depend_on_other_recordings(transcribe):
    mixed = join(sound(5, 0.1), silence(1), sound(12), silence(1), sound(12))
    (alone,) = transcribe(mixed)
    for before in (1.0, 50.0, 110.0, 118.0):
        for batch_seconds in (3.0, 60.0):
            _, among, _ = transcribe(sound(before), mixed, sound(4, 0.1), batch_seconds=batch_seconds)
            assert among == alone


def test_a_language_for_every_segment(transcribe):
    recording = join(sound(5, 0.1), silence(1), sound(16), silence(1), sound(3, 0.1))
    (transcript,) = transcribe(recording, multilingual=True)
    for segment in transcript.segments:
        assert segment.language == ("en" if 5.5 < segment.start_seconds < 22.5 else "es")
    assert {segment.language for segment in transcript.segments} == {"en", "es"}
    assert transcript.language == "en" and transcript.language_probability == 0.8


def test_an_improbable_language_is_undetermined_but_written(transcribe):
    (transcript,) = transcribe(sound(3), min_language_probability=0.85)
    assert transcript.language == "und" and transcript.written_language == "en"
    assert transcript.language_probability == pytest.approx(0.8) and transcript.text.startswith("en0 en1")
    (transcript,) = transcribe(sound(3), min_language_probability=0.75)
    assert transcript.language == "en"


def test_a_given_language(transcribe):
    for code, expected in (("es", "es"), ("ES", "es"), ("und", "en")):
        (transcript,) = transcribe(sound(3), source_lang=code)
        assert transcript.language == transcript.written_language == expected
        assert (transcript.language_probability is None) == (expected == "es")
    (transcript,) = transcribe(silence(3), source_lang="es")
    assert transcript.language == "es" and transcript.segments == ()


def test_a_model_without_language_head(transcribe, monkeypatch):
    monkeypatch.setattr(KnownRecognizer, "has_languages", False)
    (transcript,) = transcribe(sound(20))
    assert transcript.language == "und" and transcript.language_probability is None
    assert transcript.written_language is None and len(transcript.text.split()) == 40


def test_recordings_without_speech_have_no_segments(transcribe):
    noise = sound(4, 0.02)
    for transcript in transcribe(silence(1), silence(100), noise, join(noise, silence(30))):
        assert transcript.segments == () and transcript.text == "" and transcript.language == "und"


def test_noise_before_speech(transcribe):
    (transcript,) = transcribe(join(sound(4, 0.025), silence(20), sound(3)), batch_seconds=2.0)
    assert numbers(transcript)[-6:] == list(range(48, 54))


def test_words_next_to_a_window_without_speech_are_kept(transcribe, monkeypatch):
    """A window of a long stretch may be judged to have no speech; its neighbours keep what they heard of it."""
    windows = []
    original = KnownRecognizer.encode

    def encode(self, given, source_langs):
        found = original(self, given, source_langs)
        for one in found:
            windows.append(one.window)
            one.has_speech = len(windows) != 2
        return found

    monkeypatch.setattr(KnownRecognizer, "encode", encode)
    (transcript,) = transcribe(sound(40))
    hole = windows[1]
    start, stop = ((hole.start_sample + edge) / RATE for edge in (hole.core_start, hole.core_stop))
    expected = [n for n in range(80) if not start + 1 < n / 2 + 0.45 <= n / 2 + 0.5 < stop - 0.5]
    assert set(expected) <= set(numbers(transcript)) and len(numbers(transcript)) < 80
    assert numbers(transcript) == sorted(set(numbers(transcript)))


def test_channels_are_transcribed_separately(transcribe):
    left, right = join(sound(5), silence(20)), join(silence(10), sound(6), silence(9))
    (transcript,) = transcribe(np.stack([left, right]), split_channels=True)
    assert [segment.channel for segment in transcript.segments] == [0, 1]
    assert numbers(transcript) == [*range(10), *range(20, 32)]
    assert transcript.duration_seconds == 25
    (mixed,) = transcribe(np.stack([left, right]))
    assert numbers(mixed) == numbers(transcript) and {segment.channel for segment in mixed.segments} == {None}
    (mono,) = transcribe(left, split_channels=True)
    assert {segment.channel for segment in mono.segments} == {None}


def test_translations(transcribe):
    (transcript,) = transcribe(join(sound(4), silence(13)), target_langs=("es", "en"))
    assert transcript.segments[0].translations == {code: f"{code}: {transcript.text}" for code in ("es", "en")}
    assert transcript.translation("es") == f"es: {transcript.text}" and transcript.translation("ru") == ""


def test_errors_and_results_are_in_order(transcribe, tmp_path):
    sf.write(tmp_path / "good.wav", sound(3), RATE)
    # More than one block: the beginning of this file has been recognised when its end is found to be invalid.
    sf.write(tmp_path / "bad.wav", np.append(np.tile(sound(10), 20), np.nan), RATE, subtype="FLOAT")
    recordings = [tmp_path / "good.wav", tmp_path / "no.wav", sound(70), tmp_path / "bad.wav", b"", sound(2), None]
    for batch_seconds in (0.5, 5.0, 1000.0):
        results = transcribe(*recordings, batch_seconds=batch_seconds)
        assert [isinstance(result, AudioError) for result in results] == [False, True, False, True, True, False, True]
        assert "no.wav" in str(results[1]) and "bad.wav" in str(results[3])
        assert numbers(results[0]) == list(range(6)) and numbers(results[2]) == list(range(140))
        assert numbers(results[5]) == list(range(4))


@pytest.mark.parametrize("options", [{}, {"source_lang": "es"}, {"multilingual": True}, {"timestamps": "word"}])
def test_settled_beginnings_are_those_of_the_transcript(transcribe, options):
    """Whatever is given early stays as it is, in recordings with pauses and with cuts inside speech."""
    parts = [join(sound(seconds, level), silence(0.8)) for seconds, level in [(3, 0.1), (7, 0.5), (40, 0.5), (2, 0.1)]]
    recordings = [sound(4), join(*parts, *parts), sound(130), silence(70), join(sound(2), silence(70), sound(2))]
    expected = transcribe(*recordings, **options)
    beginnings = [[] for _ in recordings]
    requests = [
        TranscriptionRequest(source=recording, source_lang=options.get("source_lang"), on_settled=given.append)
        for recording, given in zip(recordings, beginnings, strict=True)
    ]
    for batch_seconds in (1.0, 15.0, 60.0):
        assert transcribe(*requests, batch_seconds=batch_seconds, **options) == expected
    for transcript, given in zip(expected, beginnings, strict=True):
        for beginning in given:
            count = len(beginning.segments)
            assert 1 < count and beginning.segments == transcript.segments[:count]
            assert beginning.duration_seconds == transcript.duration_seconds
            if not options.get("multilingual"):
                assert (beginning.language, beginning.language_probability) == (
                    transcript.language,
                    transcript.language_probability,
                )
    assert not beginnings[0] and not beginnings[3] and len(beginnings[1]) > 3 and len(beginnings[2]) > 3
    assert min(len(beginning.segments) for beginning in beginnings[2]) < 5


def test_beginnings_are_given_in_the_order_of_the_recordings(transcribe):
    events = []
    requests = [TranscriptionRequest(source=sound(100), on_settled=lambda _, n=n: events.append(n)) for n in range(3)]
    transcribe(*requests, batch_seconds=500.0)
    assert events == sorted(events)


def test_a_recording_that_fails_at_its_end_has_no_beginning(transcribe, tmp_path):
    sf.write(tmp_path / "bad.wav", np.append(np.tile(sound(10), 20), np.nan), RATE, subtype="FLOAT")
    given = []
    (error,) = transcribe(
        TranscriptionRequest(source=tmp_path / "bad.wav", on_settled=given.append), batch_seconds=5.0
    )
    assert isinstance(error, AudioError) and not given


def test_a_recording_that_is_longer_than_it_may_be(transcribe):
    requests = [TranscriptionRequest(source=sound(length), max_seconds=100.0) for length in (100, 101, 3)]
    whole, refused, short = transcribe(*requests)
    assert whole.duration_seconds == 100.0 and short.duration_seconds == 3.0
    assert isinstance(refused, RecordingTooLongError) and str(refused) == "the recording is longer than 100 s"


def test_results_do_not_wait_for_the_next_recording(monkeypatch, transcribe):
    """A finished recording is given while the next one, a long one, is still being read."""
    read = []
    original = transcription.Transcriber.process
    monkeypatch.setattr(
        transcription.Transcriber, "process", lambda self, pool: (read.append(len(pool)), original(self, pool))
    )
    processor = SimpleNamespace(languages=LANGUAGES, language_row=lambda code: 0)
    options = TranscriptionOptions(batch_seconds=5.0)
    results = transcribe_recordings(build_model(), processor, [sound(3), sound(300)], options)
    next(results)
    assert len(read) < 4


def test_errors_of_the_model_are_raised(transcribe, monkeypatch):
    """They are not errors of the recording that happens to be read."""
    monkeypatch.setattr(KnownRecognizer, "failing_word", "en3")
    with pytest.raises(ValueError, match="the model fails"):
        transcribe(sound(3), sound(3), batch_seconds=2.0)


def test_a_generator_of_recordings_is_read_as_results_are_taken(monkeypatch, transcribe):
    taken = []

    def recordings():
        for number in range(6):
            taken.append(number)
            yield sound(4)

    processor = SimpleNamespace(languages=LANGUAGES, language_row=lambda code: 0)
    results = transcribe_recordings(build_model(), processor, recordings(), TranscriptionOptions(batch_seconds=2.0))
    assert numbers(next(results)) == list(range(8)) and len(taken) <= 2
    assert len(list(results)) == 5 and taken == list(range(6))


def test_progress_counts_every_second_once(transcribe, tmp_path):
    seconds = []
    transcribe(sound(70), silence(200), b"", sound(3), progress=seconds.append, batch_seconds=10.0)
    assert sum(seconds) == pytest.approx(273)
    seconds = []
    sf.write(tmp_path / "silence.wav", silence(600), RATE)
    transcribe(tmp_path / "silence.wav", progress=seconds.append)
    assert sum(seconds) == pytest.approx(600) and len(seconds) >= 4


def test_the_mode_of_the_model_is_restored(transcribe, monkeypatch):
    processor = SimpleNamespace(languages=LANGUAGES, language_row=lambda code: 0)
    for training in (True, False):
        model = build_model().train(training)
        results = transcribe_recordings(model, processor, [sound(1), sound(1)])
        next(results)
        assert not model.training
        results.close()
        assert model.training is training


@pytest.mark.parametrize("recordings", ["speech.wav", b"RIFF", {"array": [0.0], "sampling_rate": 16000}])
def test_one_recording_in_place_of_a_list(transcribe, recordings):
    with pytest.raises(ValueError, match="list or another iterable of recordings"):
        next(transcribe_recordings(None, None, recordings))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"chunk_length_s": 0.5}, "at least 1 second"), ({"timestamps": "char"}, "'word', 'token' or None")],
)
def test_invalid_options(transcribe, options, message):
    with pytest.raises(ValueError, match=message):
        transcribe(sound(1), **options)
