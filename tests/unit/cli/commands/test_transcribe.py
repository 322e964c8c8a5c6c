# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam transcribe` around a model that is replaced by a table: inputs, formats, checks, progress.

See `conftest.py`: the "recordings" are small files whose content is what is said in them.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pysubs2
import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.cli import main
from mu2slam_hf.cli.commands import transcribe as command

EXAMPLE = str(REPOSITORY_ROOT / "examples" / "es" / "vm-enter-num-to-call.opus")


def test_text_of_one_and_of_several_segments(transcribe, heard, files):
    files(one="hola", two="hola\nadiós", three="hola\nit: ciao")
    assert transcribe("one.wav", "--from", "es", "--to", "en")[1] == "one.wav (2.5 s)\n  es  hola\n  en  en hola\n"
    assert transcribe("one.wav")[1] == "one.wav (2.5 s, language predicted: es, 98 %)\n  es  hola\n"
    assert transcribe("two.wav", "--from", "es")[1].splitlines() == [
        "two.wav (4.5 s)",
        "  [00:00.0 - 00:01.0] hola",
        "  [00:02.0 - 00:03.0] adiós",
    ]
    lines = transcribe("two.wav", "--to", "en")[1].splitlines()
    assert lines[1:3] == ["  [00:00.0 - 00:01.0] es  hola", "                      en  en hola"]
    assert transcribe("three.wav", "--multilingual")[1].splitlines() == [
        "three.wav (4.5 s, languages predicted: es, it)",
        "  [00:00.0 - 00:01.0] es  hola",
        "  [00:02.0 - 00:03.0] it  ciao",
    ]
    lines = transcribe("two.wav", "--channels")[1].splitlines()
    assert lines[1:] == ["  [00:00.0 - 00:01.0] [speaker 1] hola", "  [00:02.0 - 00:03.0] [speaker 2] adiós"]


def test_uncertain_languages_and_recordings_without_speech_are_named(transcribe, heard, files):
    files(quiet="", unsure="und: hola")
    assert transcribe("quiet.wav")[1] == "quiet.wav (0.5 s)\n  (no speech)\n"
    assert transcribe("unsure.wav")[1] == "unsure.wav (2.5 s, language uncertain: written as es)\n  es  hola\n"
    quiet, unsure = map(json.loads, transcribe("quiet.wav", "unsure.wav", "--json")[1].splitlines())
    assert quiet["text"] == "" and quiet["segments"] == []
    assert unsure["language"] == "und" and unsure["written_language"] == "es"
    for name in ("txt", "srt"):
        assert transcribe("quiet.wav", "--output-format", name)[1] == ""


@pytest.mark.parametrize("option", ["--from", "--source-lang", "--language"])
@pytest.mark.parametrize("spelling", ["es", "Spanish", "spanish", "spa", "es-ES", "es_MX"])
def test_languages_in_any_spelling(transcribe, heard, files, option, spelling):
    files(a="hola")
    status, output, _ = transcribe("a.wav", option, spelling, "--json")
    assert status == 0 and heard.options.source_lang == json.loads(output)["language"] == "es"


def test_target_languages_tasks_and_options_reach_the_model(transcribe, heard, files):
    files(a="hola")
    transcribe(
        "a.wav", "--target-lang", "English,fra", "--chunk-length", 12.5, "--batch-seconds", 30, "--num-beams", 2
    )
    assert heard.options.target_langs == ("en", "fr") and heard.options.timestamps is None
    assert heard.options.chunk_length_s == 12.5 and heard.options.batch_seconds == 30
    assert heard.options.generate_kwargs == {"num_beams": 2}
    transcribe("a.wav", "--to", "it", "--to", "fr,en", "--dtype", "bf16")
    assert heard.options.target_langs == ("it", "fr", "en")
    transcribe("a.wav", "--task", "translate")
    assert heard.options.target_langs == ("en",)
    transcribe("a.wav", "--task", "translate", "--to", "it")
    assert heard.options.target_langs == ("it",)
    transcribe("a.wav", "--task", "translate", "--from", "en")
    assert heard.options.target_langs == ()
    transcribe("a.wav", "--from", "auto", "--multilingual", "--channels", "--word-timestamps")
    assert heard.options.source_lang is None and heard.options.multilingual and heard.options.split_channels
    assert heard.options.timestamps == "word"
    transcribe("a.wav", "--from", "und")
    assert heard.options.source_lang is None


def test_documents_on_standard_output(transcribe, heard, files):
    files(a="hola señora\nadiós", b="ciao")
    srt = transcribe("a.wav", "--output-format", "srt")[1]
    assert [event.plaintext for event in pysubs2.SSAFile.from_string(srt, format_="srt")] == ["hola señora", "adiós"]
    translated = transcribe("a.wav", "-f", "vtt", "--task", "translate")[1]
    assert translated.startswith("WEBVTT\n") and "en hola señora" in translated
    assert transcribe("a.wav", "-f", "txt")[1] == "hola señora\nadiós\n"
    assert transcribe("a.wav", "b.wav", "-f", "txt")[1] == "hola señora\nadiós\nciao\n"
    rows = [line.split("\t") for line in transcribe("a.wav", "b.wav", "-f", "tsv", "--to", "en")[1].splitlines()]
    assert rows[0] == ["file", "start", "end", "language", "text", "en"]
    assert [row[0] for row in rows[1:]] == ["a.wav", "a.wav", "b.wav"] and {len(row) for row in rows} == {6}
    rows = [line.split("\t") for line in transcribe("a.wav", "-f", "tsv", "--word-times")[1].splitlines()]
    assert rows[0] == ["start", "end", "confidence", "word"] and len(rows) == 4
    content = json.loads(transcribe("a.wav", "-f", "json", "--word-times")[1])
    assert content["file"] == "a.wav" and content["segments"][0]["words"][1]["word"] == "señora"
    assert 'text = "señora"' in transcribe("a.wav", "-f", "textgrid")[1]
    lines = transcribe("a.wav", "--word-times")[1].splitlines()
    assert lines[2:4] == ["     0.00    0.90   90 %  hola", "     1.00    1.90   90 %  señora"]


def test_folders_lists_addresses_and_standard_input(transcribe, heard, files, monkeypatch, tmp_path):
    files(b="uno", sub__a="dos", sub__deep__c="tres")
    Path("notes.txt").write_text("no recording")
    Path("clip.MP4").write_text("cuatro")
    Path(".hidden.wav").write_text("hidden")
    status, output, errors = transcribe(".", "--json")
    assert (status, errors) == (0, "")
    names = [json.loads(line)["file"] for line in output.splitlines()]
    assert names == ["b.wav", "clip.MP4", "sub/a.wav", "sub/deep/c.wav"]
    (tmp_path / "list.txt").write_text("# comment\n\nb.wav\nsub\nhttps://example.org/x/talk.mp3?y=1\n")
    assert transcribe("clip.MP4", "--file-list", tmp_path / "list.txt")[0] == 0
    assert heard.contents[4:] == ["cuatro", "uno", "dos", "tres", "address https://example.org/x/talk.mp3?y=1"]
    (tmp_path / "piped").write_text("cinco")
    monkeypatch.setattr(sys, "stdin", (tmp_path / "piped").open(encoding="utf-8"))
    assert json.loads(transcribe("-", "--json")[1])["text"] == "cinco"
    read, write = os.pipe()
    os.write(write, b"seis")
    os.close(write)
    assert transcribe(f"/dev/fd/{read}", "-o", "piped")[0] == 0 and heard.contents[-1] == "seis"
    os.close(read)
    Path("empty").mkdir()
    assert "empty: no recordings in this folder" in transcribe("empty")[2]
    assert transcribe()[0] == 2 and "expected FILE" in transcribe()[2]


def test_bad_recordings_are_reported_and_the_others_transcribed(transcribe, heard, files):
    files(a="hola", b="broken", c="adiós")
    Path("text.txt").write_text("text")
    names = ["gone.wav", "a.wav", "b.wav", "text.txt", "c.wav"]
    status, output, errors = transcribe(*names, "--from", "es")
    assert status == 1
    assert [line for line in output.splitlines() if not line.startswith(" ")] == ["a.wav (2.5 s)", "c.wav (2.5 s)"]
    # Those that can be found without the model come first.
    assert [line.split(":")[0] for line in errors.splitlines()] == ["gone.wav", "text.txt", "b.wav"]
    assert "expected a recording (--file-list" in errors
    status, output, errors = transcribe(*names, "--json")
    results = [json.loads(line) for line in output.splitlines()]
    assert (status, errors) == (1, "") and [result["file"] for result in results] == names
    assert ["error" in result for result in results] == [True, False, True, True, False]


def test_without_a_usable_recording_no_model_is_loaded(transcribe, heard):
    assert transcribe("gone.wav")[0] == 1 and heard.loaded == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "Klingon"], "--from Klingon: unknown language 'Klingon'; languages of the model: en"),
        (["--to", "German"], "--to German: the model does not support language"),
        (["--to", "und"], "--to und: expected a language to translate into"),
        (["--from", "es", "--multilingual"], "remove --from"),
        (["--output-format", "srt,vtt"], "several formats require --output-dir"),
        (["--output-format", "srt", "--json"], "--json and --output-format srt cannot both be printed"),
        (["b.wav", "--output-format", "srt"], "--output-format srt of 2 recordings requires --output-dir"),
        (["--to", "en", "--output-format", "srt"], "or --task translate for the translation alone"),
        (["--to", "en,fr", "--task", "translate", "-f", "srt"], "several languages requires --output-dir"),
        (["--overwrite"], "--overwrite requires --output-dir"),
        (["--output-dir", "a.wav"], "--output-dir a.wav: is a file"),
        (["--output", "a.srt"], "use --output-format srt > a.srt"),
        (["--output-dir", "a.wav/x"], "the folder cannot be created"),
        (["--device", "gpu"], "device 'gpu' is not available"),
        (["--device", "mps"], "arguments from the 'MPS' backend. Expected cpu, or cuda"),
        (["--model", "./nowhere"], "nowhere: not a checkpoint folder (no such folder)"),
        (["--file-list", "absent.txt"], "absent.txt: no such file; expected a list of recordings"),
        (["--plot", "absent/x.png"], "--plot absent/x.png: the folder absent does not exist"),
    ],
)
def test_checks_before_the_model_is_loaded(transcribe, heard, files, arguments, message, monkeypatch):
    monkeypatch.setattr(command, "check_plots", lambda: None)
    files(a="hola", b="adiós")
    status, output, errors = transcribe("a.wav", *arguments)
    assert (status, output, heard.loaded) == (1, "", 0)
    (line,) = errors.splitlines()
    assert line.startswith("mu2slam: ") and message in line


def test_plots_require_their_extra(transcribe, heard, files, monkeypatch):
    files(a="hola")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'mu2slam-hf[plots]'" in transcribe("a.wav", "--plot", "x.png")[2] and heard.loaded == 0


def test_plots_of_one_and_of_several_recordings(transcribe, heard, files, monkeypatch):
    import mu2slam_hf.data.audio

    plotted = []

    def plot_recording(waveform, sampling_rate, words, *, title, file):
        plotted.append((waveform, sampling_rate, [word.text for word in words], title, str(file)))

    module = ModuleType("recording_plots")
    module.plot_recording = plot_recording
    monkeypatch.setitem(sys.modules, "mu2slam_hf.inference.formats.plots", module)
    monkeypatch.setattr(command, "check_plots", lambda: None)
    monkeypatch.setattr(mu2slam_hf.data.audio, "load_audio", lambda source: f"waveform of {source}")
    files(a="hola", x__a="ciao")
    assert transcribe("a.wav", "--plot", "words.png")[0] == 0
    assert transcribe("a.wav", "x/a.wav", "--plot", "plots")[0] == 0
    assert plotted == [
        ("waveform of a.wav", 16000, ["hola"], "a.wav", "words.png"),
        ("waveform of a.wav", 16000, ["hola"], "a.wav", "plots/a.png"),
        ("waveform of x/a.wav", 16000, ["ciao"], "x/a.wav", "plots/x/a.png"),
    ]


def test_progress_is_shown_on_a_terminal_only(transcribe, heard, files, monkeypatch, capsys):
    import mu2slam_hf.data.audio

    files(a="hola", b="adiós")
    monkeypatch.setattr(mu2slam_hf.data.audio, "audio_duration_seconds", lambda source: 2.5)
    assert transcribe("a.wav", "b.wav")[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, output, errors = transcribe("a.wav", "b.wav", "--from", "es")
    assert status == 0 and output.count("(2.5 s)") == 2
    assert "/5 s of audio" in errors and "x real time" in errors
    # The length of an address is unknown, and so is the total.
    errors = transcribe("a.wav", "https://example.org/b.wav")[2]
    assert "/2" not in errors and "s of audio" in errors


def test_lines_of_progress_in_a_log_are_half_a_minute_apart(monkeypatch, capsys):
    import mu2slam_hf.data.audio
    from mu2slam_hf.cli import progress
    from mu2slam_hf.inference.recordings import Recording

    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(mu2slam_hf.data.audio, "audio_duration_seconds", lambda source: 300.0)
    recordings = [Recording(name=name, source=name, stem=name) for name in ("a.wav", "b.wav", "c.wav")]
    shown = progress.TranscriptionProgress(recordings)
    shown.skip(recordings[2])
    for _ in range(10):
        now[0] += 10.0
        shown.add(60.0)
    shown.close()
    assert capsys.readouterr().err.splitlines() == [
        "180 of 600 s of audio, 6.0 x real time",
        "360 of 600 s of audio, 6.0 x real time",
        "540 of 600 s of audio, 6.0 x real time",
    ]


class Recorded(list):
    """Standard output that keeps every write."""

    def write(self, text):
        self.append(text)

    def flush(self):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--from", "es"],
        ["--word-times"],
        ["--to", "en"],
        ["--multilingual", "-f", "txt"],
        ["-f", "txt"],
        ["-f", "srt"],
        ["-f", "vtt", "--word-times"],
        ["-f", "srt", "--task", "translate"],
        ["-f", "tsv"],
        ["-f", "tsv", "--word-times"],
    ],
    ids=" ".join,
)
def test_beginnings_do_not_change_what_is_printed(heard, files, monkeypatch, arguments):
    """Each beginning is printed at once, and the whole is the same as without beginnings."""
    lines = [f"una frase de prueba número {number} que es bastante más larga que las demás" for number in range(6)]
    files(a="hola", b="\n".join(lines[:5] + ["sí"] + lines[5:]), c="uno\ndos")
    names = ["b.wav"] if {"srt", "vtt"} & set(arguments) else ["a.wav", "b.wav", "c.wav"]
    printed = {}
    for heard.shows_beginnings in (False, True):
        monkeypatch.setattr(sys, "stdout", printed.setdefault(heard.shows_beginnings, Recorded()))
        assert main(["transcribe", *names, *arguments]) == 0
    assert "".join(printed[True]) == "".join(printed[False])
    assert len(printed[True]) >= len(printed[False]) + 4


@pytest.mark.parametrize("arguments", [["--json"], ["--multilingual"], ["-f", "textgrid"], ["-f", "json"]])
def test_outputs_that_need_the_whole_transcript_wait_for_it(transcribe, heard, files, arguments):
    files(b="uno\nit: due\ntres")
    heard.shows_beginnings = True
    shown = transcribe("b.wav", *arguments)
    heard.shows_beginnings = False
    assert transcribe("b.wav", *arguments) == shown


def test_the_first_command_of_the_readme(capsys):
    """With the real model of the package."""
    assert main(["transcribe", EXAMPLE, "--from", "es", "--to", "en"]) == 0
    first, spanish, english = capsys.readouterr().out.splitlines()
    assert first == f"{EXAMPLE} (3.0 s)"
    assert spanish == "  es  por favor marque el número que desea llamar" and english.startswith("  en  please ")
