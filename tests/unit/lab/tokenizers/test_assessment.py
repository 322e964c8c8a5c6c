# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Assessment of tokenizers whose figures are known beforehand, and the sound it is made on."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from foreign_tokenizers import make_speech, make_telephone_tokenizer
from helpers import make_tiny_processor

pytest.importorskip("scipy", reason="needs the extra lab")

from lab.synthesis.espeak import Phone
from lab.synthesis.phones import SpokenVersion
from lab.tokenizers.assessment import (
    FIGURES,
    add_shaped_noise,
    assess_tokenizer,
    format_assessments,
    label_frames,
)
from lab.tokenizers.measures import compute_bpe_rate
from mu2slam_hf import Mu2SLAMFeatureExtractor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.quantization.tokenizer_loading import make_tokenize

FRAME = 640
SPELLED = {"a": 1, "b": 2, "": 0}


def by_level(waves):
    """One id per 40 ms: the level in its middle, in tenths of full scale."""
    rows = []
    for wave in waves:
        padded = np.pad(wave, (0, -len(wave) % FRAME), mode="edge")
        rows.append(np.rint(np.abs(padded[FRAME // 2 :: FRAME]) * 10).astype(np.int64))
    return rows


def constant(waves):
    return [np.full(-(-len(wave) // FRAME), 3, dtype=np.int64) for wave in waves]


def version(text: str, frames_per_phone: int, lang: str = "en", scale: float = 0.1) -> SpokenVersion:
    """A sentence of the phones a, b and pauses, each of its own level."""
    levels = np.repeat([scale * SPELLED[letter.strip()] for letter in text], frames_per_phone * FRAME)
    seconds = frames_per_phone * 0.04
    phones = [
        Phone(symbol=letter.strip(), start_seconds=number * seconds, end_seconds=(number + 1) * seconds)
        for number, letter in enumerate(text)
    ]
    return SpokenVersion(text=text, lang=lang, speaker="x", audio=levels.astype(np.float32), phones=phones)


def test_a_tokenizer_that_hears_phones_and_no_voices():
    sentences = [[version("ab a", 2), version("ab a", 3)], [version("bbba", 2), version("bbba", 4)]]
    assessment = assess_tokenizer(by_level, 8, sentences=sentences, name="level")
    figures = assessment.figures
    assert figures["speaker_agreement"] == 1.0 and figures["speaker_agreement_chance"] < 1.0
    for key in ("phone_purity", "id_purity", "phone_information", "phone_nmi"):
        assert figures[key] == pytest.approx(1.0)
    assert figures["phone_nmi_chance"] < 0.5
    # Pauses do not count: 3 * (2 + 3) and 4 * (2 + 4) frames.
    assert assessment.num_phone_frames == 39 and assessment.num_sentences == 2
    assert "usage" not in figures


def test_a_tokenizer_that_hears_voices_and_no_phones():
    def by_voice(waves):
        # The level of the first frame is that of the voice: every phone of it gets the same id.
        return [np.full(-(-len(w) // FRAME), int(round(float(w[0]) * 10)), dtype=np.int64) for w in waves]

    sentences = [[version("aba", 2), version("aba", 2, scale=0.3)], [version("aba", 2), version("aba", 2, scale=0.3)]]
    figures = assess_tokenizer(by_voice, 8, sentences=sentences).figures
    assert figures["speaker_agreement"] == 0.0
    assert figures["phone_information"] == pytest.approx(0.0, abs=1e-12)
    assert figures["phone_purity"] == pytest.approx(2 / 3)


def test_recordings_with_a_constant_tokenizer():
    waves = [np.full(FRAME * 50, 0.5, dtype=np.float32), np.full(FRAME * 25 + 1, 0.5, dtype=np.float32)]
    assessment = assess_tokenizer(constant, 4, waves)
    figures = assessment.figures
    assert (figures["usage"], figures["dead_codes"], figures["perplexity"]) == (0.25, 3.0, 1.0)
    assert figures["bits_entropy"] == 0.0
    assert figures["bits_nominal"] == 50.0 and figures["mean_run"] == 38.0
    for key in ("speed_0.9", "speed_1.1", "gain_-12db", "shift_10ms", "noise_20db", "noise_10db", "white_20db"):
        assert figures[key] == 1.0
    assert figures["reverberation"] == figures["context"] == 1.0
    # A run of equal ids becomes a few tokens: 1, 2, 4, 8, 16, 32 of the 50 ids are merged.
    assert figures["bpe_500"] < 25 / 5
    assert assessment.num_recordings == 2 and assessment.counts == (0, 0, 0, 76)


def test_recordings_with_a_tokenizer_of_levels():
    levels = np.random.default_rng(0).integers(2, 9, size=100) / 10
    wave = np.repeat(levels, FRAME).astype(np.float32)
    figures = assess_tokenizer(by_level, 10, [wave]).figures
    # 10 ms are a quarter of a frame, its middle stays; 12 dB are not.
    assert figures["shift_10ms"] > 0.98
    assert figures["gain_-12db"] == 0.0
    # The clip starts to lag where its length is rounded, and by resampling at edges of the steps.
    assert figures["speed_0.9"] > 0.9 and figures["speed_1.1"] > 0.9
    assert figures["noise_20db"] > figures["noise_10db"]


def test_context_is_what_the_other_half_changes():
    """Ids of the level where they are do not depend on it; ids of the mean level of the clip do."""
    wave = np.repeat(np.array([0.2, 0.4, 0.6, 0.8]), 2 * FRAME).astype(np.float32)
    assert assess_tokenizer(by_level, 10, [wave]).figures["context"] == 1.0

    def by_mean(waves):
        return [np.full(len(wave) // FRAME, round(10 * float(np.mean(wave))), dtype=np.int64) for wave in waves]

    # Means of 0.5, and of 0.15 and 0.35 with one half.
    assert assess_tokenizer(by_mean, 10, [wave]).figures["context"] == 0.0


def test_languages_and_meanings_of_recordings():
    levels = {"a": [0.2, 0.4, 0.6], "b": [0.8, 0.3, 0.5]}
    clips = [(meaning, lang) for meaning in "ab" for lang in ("fr", "en")]
    waves = [np.repeat(levels[meaning], FRAME * 2).astype(np.float32) for meaning, _ in clips]
    known = {"languages": [lang for _, lang in clips], "meanings": [meaning for meaning, _ in clips]}
    figures = assess_tokenizer(by_level, 10, waves, **known).figures
    assert figures["language_agreement"] == 1.0 and figures["language_agreement_chance"] == 0.0
    assert figures["usage_least"] == figures["usage"] == 0.6
    # Without a sentence in two languages there is nothing to compare.
    alone = assess_tokenizer(by_level, 10, waves[:1], languages=["fr"], meanings=["a"]).figures
    assert "language_agreement" not in alone and "bpe_500" not in alone and alone["usage_least"] == 0.3
    by_language = assess_tokenizer(by_level, 10, [waves[0], waves[3]], languages=["fr", "en"]).figures
    assert by_language["usage_least"] == 0.3 and by_language["usage"] == 0.6


def test_two_pitches_of_one_voice():
    other = replace(version("aab", 2), pitch=75)
    sentences = [[version("aab", 2), replace(version("aab", 3), speaker="y"), other]]
    assert assess_tokenizer(by_level, 8, sentences=sentences).figures["pitch_agreement"] == 1.0
    by_pitch = [[versions[0], versions[1], replace(other, audio=other.audio * 2)] for versions in sentences]
    assert assess_tokenizer(by_level, 8, sentences=by_pitch).figures["pitch_agreement"] < 0.5


def test_merges_of_random_and_of_repeated_ids():
    generator = np.random.default_rng(0)
    random_ids = [generator.integers(0, 1024, 200) for _ in range(4)]
    assert compute_bpe_rate(random_ids, 500) == pytest.approx(25.0, abs=0.2)
    # "0 1 2 3" again and again: all merges of a period of four apply in the clips that they were not learned on.
    period = [np.tile(np.arange(4), 50)] * 4
    assert compute_bpe_rate(period, 3) == pytest.approx(25.0 / 4)
    with pytest.raises(ValueError, match="one half of the clips"):
        compute_bpe_rate(random_ids[:1], 10)


def test_the_seed_gives_the_same_noise():
    wave = [np.random.default_rng(0).normal(0, 0.2, FRAME * 40).astype(np.float32)]
    first = assess_tokenizer(by_level, 20, wave).to_dict()
    assert assess_tokenizer(by_level, 20, wave).to_dict() == first


def test_shaped_noise_has_the_level_and_leaves_empty_bands_empty():
    time = np.arange(16000) / 16000
    wave = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    noise = add_shaped_noise(wave, 10.0, np.random.default_rng(0)) - wave
    assert 10 * np.log10(np.mean(wave**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    assert spectrum[430:451].sum() > 0.999 * spectrum.sum()
    silence = np.zeros(100, dtype=np.float32)
    assert add_shaped_noise(silence, 10.0, np.random.default_rng(0)) is silence


def test_a_frame_has_the_phone_at_its_middle():
    spoken = version("ab", 1)
    assert label_frames(spoken, 3) == ["a", "b", ""]


def test_real_tokenizers_with_one_and_several_codebooks():
    extractor, generator = Mu2SLAMFeatureExtractor(), np.random.default_rng(0)
    waves = [generator.normal(0, 0.1, size).astype(np.float32) for size in (9000, 3000, 640)]
    one = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    several = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16, num_codevector_groups=3))
    for tokenizer, codebook in ((one, 0), (several, 2)):
        ids = make_tokenize(tokenizer, extractor, codebook)(waves)
        assert [len(row) for row in ids] == [15, 5, 1]
        for row, wave in zip(ids, waves, strict=True):
            alone = tokenizer(extractor([wave], sampling_rate=16000)["input_features"])
            alone = alone[0] if alone.ndim == 2 else alone[0, :, codebook]
            assert torch.equal(torch.from_numpy(row), alone)


def test_a_tokenizer_that_hears_another_rate_gets_the_ids_of_the_processor():
    processor, codec = make_tiny_processor(), make_telephone_tokenizer()
    processor.speech_tokenizer = codec
    waves = [make_speech(16000), make_speech(5000)]
    ids = make_tokenize(codec, None)(waves)
    assert [len(row) for row in ids] == [25, 8]
    encoded = [processor.tokenizer.convert_speech_ids(row.tolist()) for row in ids]
    assert encoded == processor.encode_speech(waves, sampling_rate=16000)


def test_the_table_has_every_figure_and_one_column_each():
    waves = [np.full(FRAME * 5, 0.5, dtype=np.float32)] * 4
    sentences = [[version("ab", 2), version("ab", 3)], [version("ba", 2), version("ba", 3)]]
    sentences = [[*versions, replace(versions[0], pitch=75)] for versions in sentences]
    known = {"languages": ["en", "fr"] * 2, "meanings": ["a", "a", "b", "b"]}
    assessments = [assess_tokenizer(by_level, 8, waves, sentences, name=name, **known) for name in ("first", "second")]
    assert list(assessments[0].figures) == list(FIGURES)
    lines = format_assessments(assessments).splitlines()
    assert "first" in lines[0] and "second" in lines[0]
    assert len(lines) == len(FIGURES) + 4 and "those of the synthesiser" in lines[-1]


def test_nothing_to_assess_on():
    with pytest.raises(ValueError, match="recordings, sentences, or both"):
        assess_tokenizer(by_level, 8)


def test_plots(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    from lab.tokenizers.plots import save_plots

    waves = [np.full(FRAME * 5, 0.5, dtype=np.float32)]
    paths = save_plots([assess_tokenizer(by_level, 8, waves, name="level")], tmp_path / "plots")
    assert [path.name for path in paths] == ["usage.png", "invariance.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


def test_plots_without_matplotlib_name_the_extra(monkeypatch, tmp_path):
    import sys

    from lab.tokenizers.plots import save_plots

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assessment = assess_tokenizer(by_level, 8, [np.full(FRAME * 5, 0.5, dtype=np.float32)], name="level")
    with pytest.raises(ImportError, match=r"mu2slam-hf\[plots\]"):
        save_plots([assessment], tmp_path)


@pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="needs the extra lab")
def test_sentences_in_two_voices_have_the_same_phones():
    from lab.synthesis.phones import speak_in_voices

    sentences = speak_in_voices(["en", "fr"], 2, seed=1)
    assert [versions[0].lang for versions in sentences] == ["en", "en", "fr", "fr"]
    for first, second in sentences:
        assert first.text == second.text and first.speaker != second.speaker
        assert [p.symbol for p in first.phones if p.symbol] == [p.symbol for p in second.phones if p.symbol]
        for spoken in (first, second):
            assert spoken.audio.dtype == np.float32
            assert spoken.phones[-1].end_seconds == pytest.approx(len(spoken.audio) / 16000, abs=1e-3)
            # Where espeak-ng says there is a phone, there is sound; the edges aside.
            loud = [
                np.abs(spoken.audio[int(p.start_seconds * 16000) : int(p.end_seconds * 16000)]).max()
                for p in spoken.phones
                if p.symbol and p.end_seconds - p.start_seconds > 0.03
            ]
            assert min(loud) > 0
    assert [v.text for v, _ in speak_in_voices(["en", "fr"], 2, seed=1)] == [v.text for v, _ in sentences]
