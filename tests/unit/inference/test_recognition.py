# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recognition with the checkpoint of the package, on its recorded examples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mu2slam_hf import Mu2SLAMForCTC
from mu2slam_hf.checkpoints import load_default
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.non_speech import generate_non_speech
from mu2slam_hf.inference.alignment import align_waveform
from mu2slam_hf.inference.no_speech import NoSpeechSettings
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.windows import Window

RATE = 16_000
GREEDY = {"num_beams": 1, "ctc_weight": 0.0}
NAMES = ("en/priv-recordintro", "es/vm-enter-num-to-call", "fr/vm-tooshort", "it/vm-leavemsg", "ru/vm-tooshort")


@pytest.fixture(scope="module")
def pair():
    model, processor = load_default()
    return model.eval(), processor


@pytest.fixture(scope="module")
def clips(repository_root):
    return [load_audio(repository_root / "examples" / f"{name}.opus") for name in NAMES]


def transcribe(pair, recordings, **options):
    return list(transcribe_recordings(*pair, recordings, TranscriptionOptions(**options)))


@pytest.mark.parametrize("generate_kwargs", [GREEDY, {"num_beams": 2}])
def test_a_short_clip_is_transcribed_as_by_generate(pair, clips, generate_kwargs):
    model, processor = pair
    # Among clips of other lengths, and alone.
    together = transcribe(pair, clips, generate_kwargs=generate_kwargs)
    for clip, transcript in zip(clips, together, strict=True):
        inputs = processor(audio=clip, sampling_rate=RATE, return_tensors="pt")
        ids = model.generate(**inputs, task="asr", **generate_kwargs)
        assert transcript.text == " ".join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())
        guessed = model.guess_language(model.get_encoder()(**inputs, return_dict=True).last_hidden_state)
        assert transcript.written_language == model.config.languages[guessed.item()]
    assert [transcript.language for transcript in together] == ["en", "es", "fr", "it", "ru"]


def test_a_recording_alone_and_among_others(pair, clips):
    together = transcribe(pair, clips, generate_kwargs=GREEDY, timestamps="word", target_langs=("en",))
    for clip, expected in zip(clips, together, strict=True):
        (alone,) = transcribe(pair, [clip], generate_kwargs=GREEDY, timestamps="word", target_langs=("en",))
        assert alone.text == expected.text and alone.language == expected.language
        assert alone.translation("en") == expected.translation("en") != ""
        assert alone.language_probability == pytest.approx(expected.language_probability, abs=1e-4)
        for one, other in zip(alone.words, expected.words, strict=True):
            assert one.text == other.text and one.start_seconds == pytest.approx(other.start_seconds, abs=1e-6)


def test_words_and_tokens_have_the_times_of_the_alignment(pair, clips):
    (words,) = transcribe(pair, clips[:1], generate_kwargs=GREEDY, timestamps="word")
    expected = align_waveform(*pair, clips[0], words.text, words.language)
    assert [word.text for word in words.words] == words.text.split()
    # The language is predicted in one case, given in the other; the times differ by a frame at most.
    for one, other in zip(words.words, expected.words, strict=True):
        assert abs(one.start_seconds - other.start_seconds) <= 0.08
    (tokens,) = transcribe(pair, clips[:1], generate_kwargs=GREEDY, timestamps="token")
    assert tokens.text == words.text and len(tokens.words) > len(words.words)


def test_a_long_recording_is_transcribed_as_its_clips(pair, clips):
    """Clips with pauses between them, more than one buffer: texts, times and languages are those of the clips."""
    gap = np.zeros(2 * RATE, np.float32)
    recording = np.concatenate([part for clip in (*clips * 4, clips[0]) for part in (clip, gap)])
    (transcript,) = transcribe(pair, [recording], generate_kwargs=GREEDY, multilingual=True)
    edges = np.cumsum([0, *(len(clip) + len(gap) for clip in (*clips * 4, clips[0]))]) / RATE
    languages = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        inside = [segment for segment in transcript.segments if start - 0.1 <= segment.start_seconds < stop - 0.1]
        assert inside and all(segment.end_seconds <= stop for segment in inside)
        languages.append(inside[0].written_language)
    assert np.mean([one == name[:2] for one, name in zip(languages, NAMES * 4 + NAMES[:1], strict=True)]) > 0.9
    assert transcript.duration_seconds == len(recording) / RATE


def test_text_of_tokens_keeps_spaces_at_cuts(pair, clips):
    # No pause in more than 15 s, so that the recording is cut inside speech.
    recording = np.concatenate([clips[1][1600:-1600]] * 8)
    kwargs = {"generate_kwargs": GREEDY, "source_lang": "es"}
    (words,) = transcribe(pair, [recording], timestamps="word", **kwargs)
    (tokens,) = transcribe(pair, [recording], timestamps="token", **kwargs)
    assert len(words.segments) > 1
    longest = max(len(word) for word in words.text.split())
    # The two are cut at other places, and a word or two is written on both sides of a cut.
    assert len(tokens.text.split()) == pytest.approx(len(words.text.split()), abs=4)
    assert max(len(word) for word in tokens.text.split()) <= longest + 3


def hear_a_core(pair, clips, monkeypatch, **options):
    """Windows with the same audio, with and without neighbours that help to hear; later calls of `generate`."""
    model, processor = pair
    recognizer = WindowRecognizer(model, processor, generate_kwargs={**GREEDY, **options})
    around = np.concatenate([clips[0][:RATE], clips[1], clips[0][:RATE]])
    whole = Window(waveform=around, start_sample=3 * RATE, core_start=0, core_stop=len(around))
    core = replace(whole, core_start=RATE, core_stop=RATE + len(clips[1]))
    found = recognizer.encode([whole, core])
    recognizer.transcribe(found, ["es", "es"])
    given, generate = [], model.generate

    def recording(**kwargs):
        given.append(kwargs)
        return generate(**kwargs)

    monkeypatch.setattr(model, "generate", recording)
    recognizer.translate(found, "en")
    assert all(one.translations["en"] for one in found)
    return found, given


def test_translation_hears_only_what_is_between_the_cuts(pair, clips, monkeypatch):
    """A window that hears its neighbours translates the frames of its core."""
    found, given = hear_a_core(pair, clips, monkeypatch, translate_transcript=False)
    frames = len(found[0].states)
    assert given[0]["encoder_outputs"].attention_mask.sum(-1).tolist() == [
        frames,
        -(-(RATE + len(clips[1])) // 640) - 25,
    ]
    assert given[0]["source_lang"] == ["es", "es"] and given[0]["target_lang"] == ["en", "en"]


def test_transcripts_are_translated_without_hearing_them_again(pair, clips, monkeypatch):
    """Only the words of the core, as `generate` translates them from text."""
    found, given = hear_a_core(pair, clips, monkeypatch, translate_transcript=True)
    (call,) = given
    assert call["source_modality"] == "text" and call["source_lang"] == ["es", "es"]
    model, processor = pair
    start, stop = 4.0, 4.0 + len(clips[1]) / RATE
    words = [word.text for word in found[1].words if start <= (word.start_seconds + word.end_seconds) / 2 < stop]
    assert 0 < len(words) < len(found[1].words)
    for one, text in zip(found, (found[0].text, " ".join(words)), strict=True):
        ids = model.generate(**processor(text=text, source_lang="es"), target_lang="en", **GREEDY)
        assert one.translations["en"] == processor.batch_decode(ids, skip_special_tokens=True)[0]


def test_batches_hold_at_most_the_given_seconds(pair, clips):
    recognizer = WindowRecognizer(*pair, batch_seconds=6.0)
    seconds = [2.0, 1.0, 3.0, 9.0, 2.5, 0.5]
    batches = list(recognizer._batches(seconds, seconds))
    assert sorted(sum(batches, [])) == sorted(seconds)
    assert all(len(batch) == 1 or len(batch) * max(batch) <= 6.0 for batch in batches)


def test_sounds_without_speech_are_rarely_written(pair):
    clips = [clip.waveform for clip in generate_non_speech(30, seed=77)]
    transcripts = transcribe(pair, clips, generate_kwargs=GREEDY)
    assert sum(bool(transcript.text) for transcript in transcripts) <= 2
    silent = [np.zeros(n, np.float32) for n in (1, 100, RATE, 40 * RATE)]
    assert all(transcript.segments == () for transcript in transcribe(pair, silent))


def test_a_ctc_model(pair, clips):
    model, processor = pair
    ctc = Mu2SLAMForCTC.from_pretrained(model.name_or_path).eval()
    (transcript,) = transcribe((ctc, processor.for_ctc()), clips[:1], timestamps="word")
    assert transcript.language == "und" and transcript.language_probability is None
    assert [word.text for word in transcript.words] == transcript.text.split()
    inputs = processor(audio=clips[0], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        best = ctc(**inputs).logits.argmax(-1)
    assert transcript.text == processor.for_ctc().batch_decode(best)[0].strip() != ""
    with pytest.raises(ValueError, match="cannot translate"):
        transcribe((ctc, processor.for_ctc()), clips[:1], target_langs=("en",))
    with pytest.raises(ValueError, match="does not support num_beams"):
        transcribe((ctc, processor.for_ctc()), clips[:1], generate_kwargs={"num_beams": 1})


def test_a_model_that_cannot_transcribe(pair):
    with pytest.raises(ValueError, match="cannot transcribe"):
        transcribe((pair[0].get_encoder(), pair[1]), [np.zeros(100)])


def test_repetitions_that_ctc_confirms_are_kept(pair, clips, monkeypatch):
    """What is said again and again is written again and again; a loop of the decoder alone is cut."""
    model, processor = pair
    said = processor.tokenizer(" ".join(["no"] * 30), add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(model, "generate", lambda **kwargs: torch.tensor([said] * len(kwargs["target_lang"])))
    for ctc_weight, count in ((0.5, 30), (0.0, 1)):
        recognizer = WindowRecognizer(model, processor, generate_kwargs={"ctc_weight": ctc_weight})
        recognizer.no_speech = NoSpeechSettings()
        window = Window(waveform=clips[0], start_sample=0, core_start=0, core_stop=len(clips[0]))
        found = recognizer.encode([window])
        recognizer.transcribe(found, ["es"])
        recognizer.translate(found, "en")
        assert len(found[0].text.split()) == count
        # No CTC for translations.
        assert len(found[0].translations["en"].split()) == 1
