# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pipeline, function and command write the same for recordings of any length, whatever is recognised together."""

import json
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import soundfile
import torch
from helpers import REPOSITORY_ROOT
from rapidfuzz.distance.Levenshtein import distance as edit_distance
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset

import mu2slam_hf
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio_sources import read_audio_source
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.pipelines.transcripts import PipelineInput, ResultFormatter
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.models.modules_audio_decoders import AudioError

RATE = 16000
CLIPS = sorted((REPOSITORY_ROOT / "examples" / "es").glob("*.opus"))
SPANISH = {"source_lang": "es"}


@pytest.fixture(scope="module")
def recognizer():
    return pipeline("automatic-speech-recognition", model=mu2slam_hf.default_checkpoint(), device="cpu")


@pytest.fixture(scope="module")
def processor():
    return mu2slam_hf.Mu2SLAMProcessor.from_pretrained(mu2slam_hf.default_checkpoint())


@pytest.fixture(scope="module")
def clips():
    return [read_audio_source(path, RATE) for path in CLIPS]


@pytest.fixture(scope="module")
def recordings(clips):
    """With pauses between the clips, and without a pause that is long enough to be cut at."""
    pause = np.zeros(round(0.8 * RATE), np.float32)
    return {
        "pauses": np.concatenate([part for clip in clips * 3 for part in (clip, pause)]),
        "no pauses": np.concatenate(clips * 3),
    }


@pytest.fixture(scope="module")
def segments(recognizer, processor, recordings):
    """Function from the name of a recording and a chunk length to the segments that the function writes."""
    known = {}

    def transcribe(name, chunk_length_s):
        if (name, chunk_length_s) not in known:
            options = TranscriptionOptions(source_lang="es", chunk_length_s=chunk_length_s)
            found = transcribe_recordings(recognizer.model, processor, [recordings[name]], options)
            known[name, chunk_length_s] = next(found).segments
        return known[name, chunk_length_s]

    return transcribe


def joined(segments):
    return " ".join(segment.text for segment in segments)


@pytest.mark.parametrize(
    ("name", "chunk_length_s"),
    [("pauses", None), ("pauses", 10), ("pauses", 30), ("no pauses", None), ("no pauses", 10), ("no pauses", 20)],
)
def test_the_pipeline_writes_what_the_function_writes(recognizer, recordings, segments, name, chunk_length_s):
    options = {} if chunk_length_s is None else {"chunk_length_s": chunk_length_s, "stride_length_s": 2}
    found = recognizer(recordings[name], return_timestamps=True, generate_kwargs=SPANISH, **options)
    expected = segments(name, chunk_length_s)
    assert found["text"] == joined(expected)
    assert [chunk["text"] for chunk in found["chunks"]] == [segment.text for segment in expected]
    times = [edge for chunk in found["chunks"] for edge in chunk["timestamp"]]
    wanted = [edge for segment in expected for edge in (segment.start_seconds, segment.end_seconds)]
    np.testing.assert_allclose(times, wanted, atol=6e-4)
    assert times == sorted(times) and times[0] >= 0.0 and times[-1] <= len(recordings[name]) / RATE


def test_nothing_is_lost_or_repeated_between_pauses(recognizer, segments, clips):
    alone = [result["text"] for result in recognizer(list(clips), generate_kwargs=SPANISH)]
    expected = " ".join(alone * 3).split()
    for seconds in (None, 10):
        found = joined(segments("pauses", seconds)).split()
        # The pauses around a clip may change a letter, but no word is missing or written twice.
        assert edit_distance(found, expected) <= 2 and abs(len(found) - len(expected)) <= 2


def test_words_are_written_once_where_speech_is_cut(recognizer, recordings, segments):
    """Both windows hear the second around a cut; the words are still about as many as in one piece."""
    whole = len(joined(segments("no pauses", 20)).split())
    assert len(segments("no pauses", 10)) > 1
    assert abs(len(joined(segments("no pauses", 10)).split()) - whole) <= 0.15 * whole


@pytest.mark.parametrize("name", ["pauses", "no pauses"])
def test_the_command_writes_the_same(recognizer, recordings, name, tmp_path, capsys):
    soundfile.write(tmp_path / "long.wav", recordings[name], RATE, subtype="FLOAT")
    path = str(tmp_path / "long.wav")
    assert main(["transcribe", path, "--json", "--chunk-length", "10", "--device", "cpu"]) == 0
    written = json.loads(capsys.readouterr().out)
    found = recognizer(path, chunk_length_s=10, return_timestamps=True, return_language=True)
    assert (found["text"], found["language"]) == (written["text"], written["language"])
    expected = [(one["text"], (one["start"], one["end"]), one["language"]) for one in written["segments"]]
    assert [(one["text"], one["timestamp"], one["language"]) for one in found["chunks"]] == expected
    assert found["language"] == "es"


@pytest.mark.parametrize("level", [True, "word", "char"])
def test_times_do_not_change_the_text(recognizer, recordings, segments, level):
    options = {"chunk_length_s": 10, "generate_kwargs": SPANISH}
    found = recognizer(recordings["no pauses"], return_timestamps=level, **options)
    assert found["text"] == joined(segments("no pauses", 10))
    separator = "" if level == "char" else " "
    shown = separator.join(chunk["text"] for chunk in found["chunks"])
    assert shown == ("".join(found["text"].split()) if level == "char" else found["text"])
    times = [edge for chunk in found["chunks"] for edge in chunk["timestamp"]]
    assert times == sorted(times) and times[0] >= 0.0 and times[-1] <= len(recordings["no pauses"]) / RATE


def test_results_do_not_depend_on_what_is_recognised_together(recognizer, recordings, clips):
    english = read_audio_source(REPOSITORY_ROOT / "examples" / "en" / "vm-tooshort.opus", RATE)
    # Its beginning alone would be taken for English.
    mixed = np.concatenate([english, np.zeros(RATE, np.float32), recordings["pauses"][: 11 * RATE]])
    inputs = [clips[0], mixed]
    options = {"chunk_length_s": 2, "return_timestamps": "word", "return_language": True}
    alone = [recognizer(one, **options) for one in inputs]
    assert {chunk["language"] for chunk in alone[1]["chunks"]} == {alone[1]["language"]} == {"es"}
    assert recognizer(inputs, **options) == alone
    assert list(recognizer((one for one in inputs), batch_size=2, num_workers=2, **options)) == alone


def test_data_sets(recognizer):
    rows = datasets.Dataset.from_dict({"audio": [str(path) for path in CLIPS]})
    rows = rows.cast_column("audio", datasets.Audio(decode=False))
    expected = recognizer([str(path) for path in CLIPS])
    found = recognizer(KeyDataset(rows, "audio"))
    assert len(found) == len(CLIPS) and list(found) == expected
    assert recognizer(rows["audio"]) == expected
    assert list(recognizer(torch.utils.data.Subset(KeyDataset(rows, "audio"), [1, 0]))) == expected[1::-1]
    assert recognizer([]) == []
    with pytest.raises(ValueError, match=r"KeyDataset\(dataset, column\)"):
        recognizer(rows)
    with pytest.raises(ValueError, match=r"got the keys 'audio'\. .* KeyDataset"):
        recognizer(rows[0])


class Decoder:
    """A row of a column of `datasets.Audio` with torchcodec."""

    def __init__(self, samples):
        self.samples = samples

    def get_all_samples(self):
        return SimpleNamespace(data=torch.from_numpy(np.stack([self.samples, self.samples])), sample_rate=RATE)


def test_rows_of_torchcodec(recognizer, clips):
    assert recognizer(Decoder(clips[0])) == recognizer(clips[0])


def test_each_result_of_a_generator_comes_before_the_next_recording_is_read(recognizer, clips):
    read = []

    def record():
        for clip in clips[:3]:
            read.append(len(clip))
            yield clip

    for place, _ in enumerate(recognizer(record()), start=1):
        # transformers looks at the first one itself.
        assert len(read) == place


def test_an_unreadable_recording_raises_and_the_others_can_still_be_had(recognizer, clips, tmp_path):
    missing = str(tmp_path / "missing.wav")
    inputs = [clips[0], missing, {"raw": clips[1]}, clips[1]]
    with pytest.raises(AudioError, match=r"missing\.wav: no such file"):
        recognizer(inputs)
    for batch_size in (1, 4):
        found = recognizer((one for one in inputs), batch_size=batch_size)
        assert next(found) == recognizer(clips[0])
        with pytest.raises(AudioError, match=r"missing\.wav: no such file"):
            next(found)
        with pytest.raises(AudioError, match="must contain `sampling_rate`"):
            next(found)
        assert list(found) == [recognizer(clips[1])]


def test_a_recording_without_speech(recognizer):
    silence = np.zeros(5 * RATE, np.float32)
    assert recognizer(silence) == {"text": ""}
    found = recognizer(silence, return_timestamps="word", return_language=True)
    assert found == {"text": "", "chunks": [], "language": "und"}


def test_translations_have_the_times_of_their_sources(recognizer, recordings):
    audio, options = recordings["pauses"][: 12 * RATE], {"return_timestamps": True, "chunk_length_s": 5}
    found = recognizer(audio, generate_kwargs={**SPANISH, "task": "translate"}, **options)
    source = recognizer(audio, generate_kwargs=SPANISH, **options)
    assert found["text"] == " ".join(chunk["text"] for chunk in found["chunks"]) != source["text"]
    assert len(found["chunks"]) > 1
    assert {chunk["timestamp"] for chunk in found["chunks"]} <= {chunk["timestamp"] for chunk in source["chunks"]}


def test_the_stride_of_a_recording_is_not_written(recognizer, recordings):
    options = {"return_timestamps": "word", "generate_kwargs": SPANISH}
    audio = {"raw": recordings["pauses"][: 12 * RATE], "sampling_rate": RATE}
    whole = recognizer(audio, **options)["chunks"]
    inside = [chunk for chunk in whole if 1.0 <= sum(chunk["timestamp"]) / 2 < 10.0]
    assert 0 < len(inside) < len(whole)
    found = recognizer({**audio, "stride": (RATE, 2 * RATE)}, **options)
    assert found == {"text": " ".join(chunk["text"] for chunk in inside), "chunks": inside}
    audio = {"raw": audio["raw"][: 4 * RATE], "sampling_rate": RATE}
    with pytest.raises(ValueError, match="stride is supported for"):
        recognizer({**audio, "stride": (RATE, 0)}, generate_kwargs={**SPANISH, "target_lang": "fr"})


def word(text, start, end):
    return AlignedWord(text=text, start_seconds=start, end_seconds=end, score=-0.1)


def test_results_of_a_transcript():
    aligned = TranscriptSegment(
        start_seconds=0.0,
        end_seconds=1.00004,
        text="uno dos",
        language="es",
        words=(word("uno", 0.0, 0.4), word("dos", 0.5, 1.00004)),
        translations={"en": "one two"},
    )
    too_long = TranscriptSegment(
        start_seconds=2.0, end_seconds=3.0, text="tres uno", language="und", translations={"en": ""}
    )
    transcript = Transcript(segments=(aligned, too_long), duration_seconds=3.0, language="es")
    assert ResultFormatter()(transcript) == {"text": "uno dos tres uno"}
    words = ResultFormatter(timestamps="word", with_language=True)(transcript)
    assert words["chunks"][1:] == [
        {"text": "dos", "timestamp": (0.5, 1.0), "language": "es"},
        {"text": "tres", "timestamp": (None, None), "language": "und"},
        {"text": "uno", "timestamp": (None, None), "language": "und"},
    ]
    assert ResultFormatter(with_language=True)(transcript) == {
        "text": "uno dos tres uno",
        "language": "es",
        "chunks": [{"text": "uno dos", "language": "es"}, {"text": "tres uno", "language": "und"}],
    }
    # A segment that was not translated has no chunk.
    translated = ResultFormatter(target_lang="en", timestamps=True)(transcript)
    assert translated == {"text": "one two", "chunks": [{"text": "one two", "timestamp": (0.0, 1.0)}]}
    assert ResultFormatter()(transcript, (0.45, 1.0)) == {"text": "dos"}
    with pytest.raises(ValueError, match="return_timestamps=True for the times of segments"):
        ResultFormatter(target_lang="en", timestamps="char")


def test_a_stride_without_samples_is_refused():
    with pytest.raises(AudioError, match="stride requires"):
        PipelineInput({"path": "a.wav", "stride": (1, 2)}).read_audio()
