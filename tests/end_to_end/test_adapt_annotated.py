# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tapes with several speakers, annotated in ELAN or Praat: one command cuts them and trains on the pieces."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from field_recordings import RATE, Line, join_recordings, write_elan, write_textgrids
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from transformers import pipeline

from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import AudioSlice, load_audio
from mu2slam_hf.data.corpora.mboshi_french import load_mboshi_french
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly


@dataclass(frozen=True)
class Spoken:
    """What the command should find: an utterance and its place in a tape."""

    tape: str
    line: Line
    speaker: str
    waveform: np.ndarray


def write_tape(tape: Path, records: Sequence[SpeechTextRecord], kind: str) -> list[Spoken]:
    """A tape with tiers of the transcript and its translation into French for each speaker."""
    waveforms = [load_audio(record.audio) for record in records]
    lines, found = defaultdict(list), []
    places = join_recordings(tape, waveforms)
    for record, waveform, place in zip(records, waveforms, places, strict=True):
        line = Line(place.start / RATE, place.stop / RATE, record.text, record.translations.get("fr"))
        lines[f"@{record.speaker}"].append(line)
        found.append(Spoken(tape.name, line, record.speaker, waveform[: place.stop - place.start]))
    if kind == "elan":
        write_elan(tape.with_suffix(".eaf"), {f"mdw{ending}": own for ending, own in lines.items()}, media=tape.name)
    else:
        write_textgrids(tape.with_suffix(".TextGrid"), lines, len(load_audio(str(tape))) / RATE)
    return found


def adapt(folder: Path, output: Path, *options: str) -> None:
    """Runs the command."""
    arguments = [str(folder), "--lang", "mdw", "--to", "fr", "--output", str(output), "--max-steps", "2", *options]
    assert main(["adapt", *arguments]) == 0


def check_cuts(output: Path, expected: Sequence[Spoken]) -> None:
    """The records of the report are the utterances: times, texts, translations, speakers and sound."""
    stored = json.loads((output / "adaptation" / "data.json").read_text(encoding="utf-8"))
    rows = {(Path(row["audio"]).name, round(row["start_seconds"], 3)): row for row in stored["records"]}
    assert len(rows) == len(stored["records"]) == len(expected)
    assert {row["part"] for row in rows.values()} == {"train", "dev"}
    for one in expected:
        row = rows[one.tape, round(one.line.start, 3)]
        assert row["end_seconds"] == pytest.approx(one.line.end, abs=1e-6)
        assert row["duration_seconds"] == pytest.approx(one.line.end - one.line.start, abs=1e-6)
        assert row["text"] == one.line.text and row["speaker"] == one.speaker
        assert row["translations"] == ({"fr": one.line.french} if one.line.french else {})
        cut = load_audio(AudioSlice(row["audio"], row["start_seconds"], row["end_seconds"]))
        # The tape has 16 bits, and what is louder than its range is cut off.
        np.testing.assert_allclose(cut, one.waveform.clip(-1, 1), atol=2e-4)
    assert not [finding for finding in stored["findings"] if finding["severity"] == "left_out"]


def check_model(output: Path, tape: Path) -> None:
    """The pipeline loads the model and writes text, and its scores are there."""
    transcriber = pipeline("automatic-speech-recognition", model=str(output))
    written = transcriber(str(tape), generate_kwargs={"source_lang": "mdw", "target_lang": "mdw"})["text"]
    assert isinstance(written, str)
    after = json.loads((output / "adaptation" / "finished.json").read_text(encoding="utf-8"))["after"]
    assert {"CER of transcription", "BLEU of translation into fr"} <= after.keys()


def test_real_recordings_on_tapes_of_both_formats(tmp_path, capsys, caplog):
    """Prompts in four languages stand for a new one; those in French have no translation."""
    records = [
        record for record in read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv") if record.lang != "ru"
    ]
    folder, output = tmp_path / "field", tmp_path / "model"
    expected = write_tape(folder / "tape 1.wav", records[::2], "elan")
    expected += write_tape(folder / "tape 2.wav", records[1::2], "praat")
    save_tiny_checkpoint(tmp_path / "tiny")
    adapt(folder, output, "--model", str(tmp_path / "tiny"), "--dev-share", "0.4")
    printed = capsys.readouterr().out
    check_cuts(output, expected)
    check_model(output, folder / "tape 1.wav")
    # Each file counts once, however many speakers it has.
    for name in ("ELAN", "TextGrid"):
        assert f"\n  1 x {name}: tier 'mdw' of each speaker is the transcript" in printed
    assert printed.index("\ntraining ") < printed.index("\ncalibration ") < printed.index("on the development")
    growths = [record for record in caplog.records if "processor.add_languages.mdw: new language" in record.message]
    assert len(growths) == 1, "the processor is built several times"
    page = (output / "adaptation" / "report.html").read_text(encoding="utf-8")
    for speaker in {record.speaker for record in records}:
        assert f"<td>{speaker}</td>" in page


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["elan", "praat"])
def test_mboshi(kind, tmp_path, data_root):
    """A language and letters that the checkpoint of the package does not know."""
    records = spread_evenly(load_mboshi_french(data_root / "mboshi_french", "dev"), 40)
    folder, output = tmp_path / "field", tmp_path / "model"
    expected = write_tape(folder / "tape 1.wav", records[::2], kind)
    expected += write_tape(folder / "tape 2.wav", records[1::2], kind)
    adapt(folder, output, "--like", "fr")
    check_cuts(output, expected)
    check_model(output, folder / "tape 1.wav")
