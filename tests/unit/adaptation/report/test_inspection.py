# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What can be used of recordings, and what is reported about the rest."""

import av
import numpy as np
import pytest
import soundfile as sf
from field_recordings import LINES, Line, write_clips, write_elan, write_tape
from mpeg_audio import encode_mpeg

from mu2slam_hf.adaptation.reading.data_source import read_data
from mu2slam_hf.adaptation.reading.options import CheckLimits, ReadingOptions
from mu2slam_hf.adaptation.report.inspection import audio_sources, compare_records, inspect_records
from mu2slam_hf.adaptation.report.recording_levels import measure_recording, measure_recordings
from mu2slam_hf.data.audio import AudioError, AudioSlice, load_audio


def inspect(source, *, limits=None, encode=None, **options):
    """Findings and usable records of a folder."""
    data = read_data(source, ReadingOptions(lang="mdw", **options))
    limits = limits or CheckLimits()
    levels = measure_recordings(audio_sources(data), num_threads=1)
    found = inspect_records(data, levels, limits, encode)
    compare_records(data, found, levels, limits)
    return data, found


def kinds(data):
    return sorted((finding.kind, finding.place.rpartition("/")[2]) for finding in data.findings)


def character_ids(texts):
    return [list(map(ord, text)) for text in texts]


def test_every_fault_of_a_clip_is_reported_and_the_good_one_stays(tmp_path):
    write_clips(tmp_path, {name: f"mwana {name}" for name in ("good", "silent", "short", "long", "broken", "cut")})
    write_clips(tmp_path, {"signs": "***", "dense": "mwana " * 20, "copy": "mwana good"})
    write_tape(tmp_path / "silent.wav", 3.0, level=1e-4)
    write_tape(tmp_path / "short.wav", 0.05)
    write_tape(tmp_path / "long.wav", 31.0)
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:70_000])
    (tmp_path / "copy.wav").write_bytes((tmp_path / "good.wav").read_bytes())
    data, found = inspect(tmp_path, encode=character_ids)
    assert kinds(data) == [
        ("damaged_audio", "cut.wav"),
        ("no_letters", "signs.txt"),
        ("repeated_recording", "good.txt"),
        ("silent", "silent.txt"),
        ("too_long", "long.txt"),
        ("too_much_text", "dense.txt"),
        ("too_short", "short.txt"),
        ("unreadable_audio", "broken.wav"),
    ]
    cut, record = sorted(found.labelled, key=lambda record: -record.duration_seconds)[::-1]
    assert cut.id == "cut" and cut.duration_seconds == pytest.approx(69_956 / 32_000)
    assert record.id == "copy" and record.duration_seconds == 3.0
    # 75 frames of 40 ms for 119 characters, 0 of them next to an equal one
    (dense,) = [finding for finding in data.findings if finding.kind == "too_much_text"]
    assert "can write at most 75 in this time, and would need 119" in dense.message


def test_annotations_at_and_after_the_end(tmp_path):
    write_tape(tmp_path / "tape.wav", 6.0)
    lines = [LINES[0], Line(5.0, 6.2, "bana"), Line(5.5, 9.0, "ba"), Line(6.0, 7.0, "ngá"), Line(20.0, 21.0, "mwε")]
    write_elan(tmp_path / "tape.eaf", {"mdw@A": lines[:2], "mdw@B": lines[2:]})
    data, found = inspect(tmp_path)
    assert kinds(data) == [
        ("beyond_end", "tape.eaf, tier 'mdw@B', 00:00:06.000"),
        ("beyond_end", "tape.eaf, tier 'mdw@B', 00:00:20.000"),
        ("cut_at_end", "tape.eaf, tier 'mdw@B', 00:00:05.500"),
        ("overlap", "tape.eaf, tier 'mdw@B', 00:00:05.500"),
    ]
    assert [(record.audio.start_seconds, record.audio.end_seconds) for record in found.labelled] == [
        (0.5, 2.25),
        (5.0, 6.0),
        (5.5, 6.0),
    ]
    assert [record.duration_seconds for record in found.labelled] == [1.75, 1.0, 0.5]


def test_overlaps_name_the_other_utterance(tmp_path):
    write_tape(tmp_path / "tape.wav")
    other = [Line(2.0, 3.0, "bana"), Line(6.4, 7.1, "ba")]
    write_elan(tmp_path / "tape.eaf", {"tx@A": LINES, "tx@B": other})
    data, _ = inspect(tmp_path)
    overlaps = {f.place.rpartition(", ")[2]: f.message for f in data.findings if f.kind == "overlap"}
    # 0.1 s at the limits of neighbours is no overlap
    assert sorted(overlaps) == ["00:00:02.000", "00:00:02.500"]
    assert "0.2 s are also annotated for another speaker" in overlaps["00:00:02.000"]


def test_rates_are_compared_with_the_median(tmp_path):
    write_clips(tmp_path, {f"c{n}": "mwana bana wa mísi" for n in range(6)} | {"slow": "a", "fast": "ba ngá " * 20})
    write_tape(tmp_path / "slow.wav", 9.0, seed=77)
    data, found = inspect(tmp_path)
    by_kind = dict(kinds(data))
    assert by_kind["little_text"] == "slow.txt" and by_kind["fast_text"] == "fast.txt"
    assert len(found.labelled) == 8
    (repeated,) = [finding for finding in data.findings if finding.kind == "repeated_text"]
    assert "occurs 6 times" in repeated.message


def test_translations_are_checked(tmp_path):
    write_clips(tmp_path, {"a": "mwana bana", "b": "bana ba ngá", "c": "wa mísi"}, a="mwana bana", b="les enfants")
    data, found = inspect(tmp_path, target_langs=("fr",))
    assert kinds(data) == [("no_translation", "c.txt"), ("same_translation", "a.txt")]
    assert len(found.labelled) == 3


def test_a_translation_without_transcript_is_kept_with_its_recording(tmp_path):
    write_tape(tmp_path / "a.wav", 3.0)
    (tmp_path / "a.fr.txt").write_text("les enfants")
    _, found = inspect(tmp_path, target_langs=("fr",), encode=character_ids)
    (record,) = found.labelled
    assert record.text is None and record.translations == {"fr": "les enfants"}
    _, found = inspect(tmp_path)
    assert found.labelled == [] and len(found.untranscribed) == 1


def test_an_unreadable_tape_is_one_finding_for_all_its_utterances(tmp_path):
    (tmp_path / "tape.wav").write_bytes(b"")
    write_elan(tmp_path / "tape.eaf", {"mdw": LINES})
    data, found = inspect(tmp_path)
    (finding,) = data.findings
    place = f"{tmp_path / 'tape.eaf'}, tier 'mdw', 00:00:00.500"
    expected = f"the file is empty (0 bytes); its 4 utterances are left out; first named in {place}"
    assert finding.message == expected and not found.labelled


def test_a_missing_recording_of_a_table_is_reported_by_line(tmp_path):
    (tmp_path / "list.tsv").write_text("audio\ttext\ngone.wav\tmwana\n")
    data, _ = inspect(tmp_path)
    (finding,) = data.findings
    assert finding.place == f"{tmp_path / 'list.tsv'}:2" and "gone.wav: no such file" in finding.message


def test_long_speech_without_text_is_cut_at_quiet_places(tmp_path):
    samples = np.random.default_rng(0).normal(0.0, 0.1, 16_000 * 100).astype(np.float32)
    pauses = [(24.0, 24.5), (48.3, 48.8), (73.0, 73.4)]
    for start, end in pauses:
        samples[int(start * 16_000) : int(end * 16_000)] = 0.0
    sf.write(tmp_path / "tape.wav", samples, 16_000)
    _, found = inspect(tmp_path, limits=CheckLimits(max_seconds=40.0))
    pieces = [record.audio for record in found.untranscribed]
    assert all(isinstance(piece, AudioSlice) and piece.duration_seconds <= 40.0 for piece in pieces)
    assert pieces[0].start_seconds == 0.0 and pieces[-1].end_seconds == 100.0
    for one, two, (start, end) in zip(pieces[:-1], pieces[1:], pauses, strict=True):
        assert one.end_seconds == two.start_seconds and start <= one.end_seconds <= end
    assert len({record.key for record in found.untranscribed}) == 4


def test_mp3_and_video_without_text_are_cut(tmp_path):
    (tmp_path / "talk.mp3").write_bytes(20 * encode_mpeg("mp3_variable_bare"))
    with av.open(str(tmp_path / "film.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=16_000, layout="mono")
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 40 * 16_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data, found = inspect(tmp_path)
    assert kinds(data) == []
    for name, seconds, rate in (("talk.mp3", 60.0, 44_100), ("film.mp4", 40.0, 16_000)):
        pieces = [record.audio for record in found.untranscribed if record.audio.path.endswith(name)]
        assert len(pieces) >= 2 and pieces[-1].end_seconds == pytest.approx(seconds, abs=1.0)
        lengths = [len(load_audio(piece)) / 16_000 for piece in pieces]
        assert lengths == pytest.approx([piece.duration_seconds for piece in pieces], abs=1e-3)
        assert measure_recording(str(tmp_path / name)).sampling_rate == rate


@pytest.mark.parametrize("seconds", [30.0, 30.1, 59.0, 61.0, 200.0])
def test_pieces_cover_the_recording_and_none_is_too_long(tmp_path, seconds):
    write_tape(tmp_path / "tape.wav", seconds, rate=8000)
    _, found = inspect(tmp_path)
    lengths = [record.duration_seconds for record in found.untranscribed]
    assert sum(lengths) == pytest.approx(seconds, abs=1e-3) and max(lengths) <= 30.0


def test_levels_and_formats(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    samples = np.concatenate([np.zeros(44_100), tone])
    sf.write(tmp_path / "a.flac", np.stack([samples, samples], axis=1), 44_100)
    levels = measure_recording(str(tmp_path / "a.flac"))
    assert (levels.sampling_rate, levels.num_channels, levels.duration_seconds) == (44_100, 2, 2.0)
    assert len(levels.levels_db) == 20
    assert levels.peak_db(0.0, 0.9) == -120.0
    # a sine of amplitude 0.5 has a power of 0.125
    assert levels.peak_db() == pytest.approx(10 * np.log10(0.125), abs=0.05)
    with pytest.raises(AudioError):
        measure_recording(str(tmp_path / "gone.wav"))


def test_progress_counts_every_recording(tmp_path):
    write_clips(tmp_path, {"a": "x", "b": "y"})
    seen = []
    measure_recordings({name: str(tmp_path / f"{name}.wav") for name in "ab"}, num_threads=2, progress=seen.append)
    assert seen == ["a", "b"]


def test_limits_are_checked():
    with pytest.raises(ValueError, match="0 < `min_seconds` < `max_seconds`, got 3 and 2"):
        CheckLimits(min_seconds=3, max_seconds=2)
    with pytest.raises(ValueError, match="above 1"):
        CheckLimits(rate_factor=1.0)
