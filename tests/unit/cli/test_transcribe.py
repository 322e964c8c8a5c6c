# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam transcribe` around a model that is replaced by a table: inputs, formats, checks, progress.

The "recordings" are small files whose content is what is said in them.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pysubs2
import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.cli import main
from mu2slam_hf.cli import transcribe as command
from mu2slam_hf.models import processing_transcription
from mu2slam_hf.models.processing_alignment import AlignedWord
from mu2slam_hf.models.processing_transcripts import Transcript, TranscriptSegment

EXAMPLE = str(REPOSITORY_ROOT / "examples" / "es" / "vm-enter-num-to-call.opus")


def say(content, options):
    """A transcript: one segment per line of the content, one second per word; lines may start with a language."""
    segments, here = [], 0.0
    for number, line in enumerate(content.splitlines()):
        language, _, text = line.rpartition(": ")
        texts = text.split()
        words = [
            AlignedWord(text=one, start_seconds=here + place, end_seconds=here + place + 0.9, score=-0.1)
            for place, one in enumerate(texts)
        ]
        uncertain = language == "und"
        segments.append(
            TranscriptSegment(
                start_seconds=here,
                end_seconds=here + len(texts),
                text=text,
                language=options.source_lang or language or "es",
                language_probability=None if options.source_lang else 0.984,
                written_language="es" if uncertain else None,
                words=tuple(words) if options.timestamps else (),
                translations={lang: f"{lang} {text}" for lang in options.target_langs},
                channel=number % 2 if options.split_channels else None,
            )
        )
        here += len(texts) + 1.0
    language = segments[0].language if segments else "und"
    return Transcript(
        segments=tuple(segments),
        duration_seconds=here + 0.5,
        language=language,
        language_probability=segments[0].language_probability if segments else None,
        written_language=segments[0].written_language if segments else None,
    )


@pytest.fixture
def heard(monkeypatch):
    """What the replaced model was asked: options, contents; `interrupt_at` stops a run before that recording."""
    log = SimpleNamespace(options=None, contents=[], loaded=0, interrupt_at=None)

    def load_model(args, **_):
        log.loaded += 1
        return None, None

    def transcribe_recordings(model, processor, recordings, options=None, *, progress=None):
        log.options = options
        for recording in recordings:
            content = recording if isinstance(recording, bytes) else f"address {recording}".encode()
            if isinstance(recording, str) and Path(recording).exists():
                content = Path(recording).read_bytes()
            if log.interrupt_at == len(log.contents):
                raise KeyboardInterrupt
            log.contents.append(content.decode())
            if content == b"broken":
                yield ValueError(f"{recording}: cannot be decoded")
                continue
            transcript = say(content.decode(), options)
            progress(transcript.duration_seconds)
            yield transcript

    monkeypatch.setattr(command, "load_model", load_model)
    monkeypatch.setattr(processing_transcription, "transcribe_recordings", transcribe_recordings)
    return log


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Creates files with contents in the current folder."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")

    def create(**contents):
        for name, content in contents.items():
            path = Path(name.replace("__", "/") + ".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    return create


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = main(["transcribe", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_text_of_one_and_of_several_segments(run, heard, files):
    files(one="hola", two="hola\nadiós", three="hola\nit: ciao")
    assert run("one.wav", "--from", "es", "--to", "en")[1] == "one.wav (2.5 s)\n  es  hola\n  en  en hola\n"
    assert run("one.wav")[1] == "one.wav (2.5 s, language predicted: es, 98 %)\n  es  hola\n"
    assert run("two.wav", "--from", "es")[1].splitlines() == [
        "two.wav (4.5 s)",
        "  [00:00.0 - 00:01.0] hola",
        "  [00:02.0 - 00:03.0] adiós",
    ]
    lines = run("two.wav", "--to", "en")[1].splitlines()
    assert lines[1:3] == ["  [00:00.0 - 00:01.0] es  hola", "                      en  en hola"]
    assert run("three.wav", "--multilingual")[1].splitlines() == [
        "three.wav (4.5 s, languages predicted: es, it)",
        "  [00:00.0 - 00:01.0] es  hola",
        "  [00:02.0 - 00:03.0] it  ciao",
    ]
    lines = run("two.wav", "--channels")[1].splitlines()
    assert lines[1:] == ["  [00:00.0 - 00:01.0] [speaker 1] hola", "  [00:02.0 - 00:03.0] [speaker 2] adiós"]


def test_uncertain_languages_and_recordings_without_speech_are_named(run, heard, files):
    files(quiet="", unsure="und: hola")
    assert run("quiet.wav")[1] == "quiet.wav (0.5 s)\n  (no speech)\n"
    assert run("unsure.wav")[1] == "unsure.wav (2.5 s, language uncertain: written as es)\n  es  hola\n"
    quiet, unsure = map(json.loads, run("quiet.wav", "unsure.wav", "--json")[1].splitlines())
    assert quiet["text"] == "" and quiet["segments"] == []
    assert unsure["language"] == "und" and unsure["written_language"] == "es"
    for name in ("txt", "srt"):
        assert run("quiet.wav", "--output-format", name)[1] == ""


@pytest.mark.parametrize("option", ["--from", "--source-lang", "--language"])
@pytest.mark.parametrize("spelling", ["es", "Spanish", "spanish", "spa", "es-ES", "es_MX"])
def test_languages_in_any_spelling(run, heard, files, option, spelling):
    files(a="hola")
    status, output, _ = run("a.wav", option, spelling, "--json")
    assert status == 0 and heard.options.source_lang == json.loads(output)["language"] == "es"


def test_target_languages_tasks_and_options_reach_the_model(run, heard, files):
    files(a="hola")
    run("a.wav", "--target-lang", "English,fra", "--chunk-length", 12.5, "--batch-seconds", 30, "--num-beams", 2)
    assert heard.options.target_langs == ("en", "fr") and heard.options.timestamps is None
    assert heard.options.chunk_length_s == 12.5 and heard.options.batch_seconds == 30
    assert heard.options.generate_kwargs == {"num_beams": 2}
    run("a.wav", "--task", "translate")
    assert heard.options.target_langs == ("en",)
    run("a.wav", "--task", "translate", "--to", "it")
    assert heard.options.target_langs == ("it",)
    run("a.wav", "--task", "translate", "--from", "en")
    assert heard.options.target_langs == ()
    run("a.wav", "--from", "auto", "--multilingual", "--channels", "--word-timestamps")
    assert heard.options.source_lang is None and heard.options.multilingual and heard.options.split_channels
    assert heard.options.timestamps == "word"
    run("a.wav", "--from", "und")
    assert heard.options.source_lang is None


def test_documents_on_standard_output(run, heard, files):
    files(a="hola señora\nadiós", b="ciao")
    srt = run("a.wav", "--output-format", "srt")[1]
    assert [event.plaintext for event in pysubs2.SSAFile.from_string(srt, format_="srt")] == ["hola señora", "adiós"]
    translated = run("a.wav", "-f", "vtt", "--task", "translate")[1]
    assert translated.startswith("WEBVTT\n") and "en hola señora" in translated
    assert run("a.wav", "-f", "txt")[1] == "hola señora\nadiós\n"
    assert run("a.wav", "b.wav", "-f", "txt")[1] == "hola señora\nadiós\nciao\n"
    rows = [line.split("\t") for line in run("a.wav", "b.wav", "-f", "tsv", "--to", "en")[1].splitlines()]
    assert rows[0] == ["file", "start", "end", "language", "text", "en"]
    assert [row[0] for row in rows[1:]] == ["a.wav", "a.wav", "b.wav"] and {len(row) for row in rows} == {6}
    rows = [line.split("\t") for line in run("a.wav", "-f", "tsv", "--word-times")[1].splitlines()]
    assert rows[0] == ["start", "end", "confidence", "word"] and len(rows) == 4
    content = json.loads(run("a.wav", "-f", "json", "--word-times")[1])
    assert content["file"] == "a.wav" and content["segments"][0]["words"][1]["word"] == "señora"
    assert 'text = "señora"' in run("a.wav", "-f", "textgrid")[1]
    lines = run("a.wav", "--word-times")[1].splitlines()
    assert lines[2:4] == ["     0.00    0.90   90 %  hola", "     1.00    1.90   90 %  señora"]


def test_folders_lists_addresses_and_standard_input(run, heard, files, monkeypatch, tmp_path):
    files(b="uno", sub__a="dos", sub__deep__c="tres")
    Path("notes.txt").write_text("no recording")
    Path("clip.MP4").write_text("cuatro")
    Path(".hidden.wav").write_text("hidden")
    status, output, errors = run(".", "--json")
    assert (status, errors) == (0, "")
    names = [json.loads(line)["file"] for line in output.splitlines()]
    assert names == ["b.wav", "clip.MP4", "sub/a.wav", "sub/deep/c.wav"]
    (tmp_path / "list.txt").write_text("# comment\n\nb.wav\nsub\nhttps://example.org/x/talk.mp3?y=1\n")
    assert run("clip.MP4", "--file-list", tmp_path / "list.txt")[0] == 0
    assert heard.contents[4:] == ["cuatro", "uno", "dos", "tres", "address https://example.org/x/talk.mp3?y=1"]
    (tmp_path / "piped").write_text("cinco")
    monkeypatch.setattr(sys, "stdin", (tmp_path / "piped").open(encoding="utf-8"))
    assert json.loads(run("-", "--json")[1])["text"] == "cinco"
    read, write = os.pipe()
    os.write(write, b"seis")
    os.close(write)
    assert run(f"/dev/fd/{read}", "-o", "piped")[0] == 0 and heard.contents[-1] == "seis"
    os.close(read)
    Path("empty").mkdir()
    assert "empty: no recordings in this folder" in run("empty")[2]
    assert run()[0] == 2 and "expected FILE" in run()[2]


def test_bad_recordings_are_reported_and_the_others_transcribed(run, heard, files):
    files(a="hola", b="broken", c="adiós")
    Path("text.txt").write_text("text")
    names = ["gone.wav", "a.wav", "b.wav", "text.txt", "c.wav"]
    status, output, errors = run(*names, "--from", "es")
    assert status == 1
    assert [line for line in output.splitlines() if not line.startswith(" ")] == ["a.wav (2.5 s)", "c.wav (2.5 s)"]
    # Those that can be found without the model come first.
    assert [line.split(":")[0] for line in errors.splitlines()] == ["gone.wav", "text.txt", "b.wav"]
    assert "expected a recording (--file-list" in errors
    status, output, errors = run(*names, "--json")
    results = [json.loads(line) for line in output.splitlines()]
    assert (status, errors) == (1, "") and [result["file"] for result in results] == names
    assert ["error" in result for result in results] == [True, False, True, True, False]


def test_without_a_usable_recording_no_model_is_loaded(run, heard):
    assert run("gone.wav")[0] == 1 and heard.loaded == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "Klingon"], "--from Klingon: unknown language 'Klingon'; nearest of the 6 known codes"),
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
        (["--model", "./nowhere"], "nowhere: not a checkpoint folder (no such folder)"),
        (["--file-list", "absent.txt"], "absent.txt: no such file; expected a list of recordings"),
        (["--plot", "absent/x.png"], "--plot absent/x.png: the folder absent does not exist"),
    ],
)
def test_checks_before_the_model_is_loaded(run, heard, files, arguments, message, monkeypatch):
    monkeypatch.setattr(command, "check_plots", lambda: None)
    files(a="hola", b="adiós")
    status, output, errors = run("a.wav", *arguments)
    assert (status, output, heard.loaded) == (1, "", 0)
    (line,) = errors.splitlines()
    assert line.startswith("mu2slam: ") and message in line


def test_plots_require_their_extra(run, heard, files, monkeypatch):
    files(a="hola")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'mu2slam-hf[plots]'" in run("a.wav", "--plot", "x.png")[2] and heard.loaded == 0


def test_plots_of_one_and_of_several_recordings(run, heard, files, monkeypatch):
    import mu2slam_hf.data.audio

    plotted = []

    def plot_recording(waveform, sampling_rate, words, *, title, file):
        plotted.append((waveform, sampling_rate, [word.text for word in words], title, str(file)))

    module = ModuleType("recording_plots")
    module.plot_recording = plot_recording
    monkeypatch.setitem(sys.modules, "mu2slam_hf.evaluation.recording_plots", module)
    monkeypatch.setattr(command, "check_plots", lambda: None)
    monkeypatch.setattr(mu2slam_hf.data.audio, "load_audio", lambda source: f"waveform of {source}")
    files(a="hola", x__a="ciao")
    assert run("a.wav", "--plot", "words.png")[0] == 0
    assert run("a.wav", "x/a.wav", "--plot", "plots")[0] == 0
    assert plotted == [
        ("waveform of a.wav", 16000, ["hola"], "a.wav", "words.png"),
        ("waveform of a.wav", 16000, ["hola"], "a.wav", "plots/a.png"),
        ("waveform of x/a.wav", 16000, ["ciao"], "x/a.wav", "plots/x/a.png"),
    ]


def test_progress_is_shown_on_a_terminal_only(run, heard, files, monkeypatch, capsys):
    import mu2slam_hf.data.audio

    files(a="hola", b="adiós")
    monkeypatch.setattr(mu2slam_hf.data.audio, "audio_duration_seconds", lambda source: 2.5)
    assert run("a.wav", "b.wav")[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, output, errors = run("a.wav", "b.wav", "--from", "es")
    assert status == 0 and output.count("(2.5 s)") == 2
    assert "/5 s of audio" in errors and "x real time" in errors
    # The length of an address is unknown, and so is the total.
    errors = run("a.wav", "https://example.org/b.wav")[2]
    assert "/2" not in errors and "s of audio" in errors


class TestOutputFolder:
    """Files of a folder, and runs that continue earlier ones."""

    def test_one_file_per_recording_format_and_language(self, run, heard, files):
        files(a="hola", sub__b="adiós", quiet="")
        status, output, errors = run(".", "--to", "en", "-f", "all", "-o", "out")
        assert (status, errors) == (0, "")
        found = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file())
        suffixes = [".TextGrid", ".en.srt", ".en.txt", ".en.vtt", ".json", ".srt", ".tsv", ".txt", ".vtt"]
        assert found == [".mu2slam-transcribe.jsonl", *(s + x for s in ("a", "quiet", "sub/b") for x in suffixes)]
        assert output.splitlines()[0] == "a.wav (2.5 s): 9 files, out/a.*"
        assert output.splitlines()[1].startswith("quiet.wav (0.5 s, no speech)")
        assert Path("out/a.txt").read_text() == "hola\n" and Path("out/a.en.txt").read_text() == "en hola\n"
        assert Path("out/quiet.txt").read_text() == "" and json.loads(Path("out/quiet.json").read_text())["text"] == ""
        assert json.loads(Path("out/sub/b.json").read_text())["file"] == "sub/b.wav"
        for name in ("a.srt", "a.en.vtt"):
            assert len(pysubs2.load(f"out/{name}")) == 1

    def test_the_default_format_is_text_and_json_lines_may_be_printed_too(self, run, heard, files):
        files(a="hola")
        assert json.loads(run("a.wav", "--output-dir", "out", "--json")[1])["text"] == "hola"
        assert Path("out/a.txt").read_text() == "hola\n"

    def test_an_interrupted_run_continues(self, run, heard, files):
        files(a="uno", b="dos", c="tres", d="broken")
        heard.interrupt_at = 2
        status, _, errors = run(".", "-o", "out")
        assert status == 130 and "interrupted" in errors
        assert sorted(path.name for path in Path("out").glob("*.txt")) == ["a.txt", "b.txt"]
        heard.interrupt_at = None
        status, output, errors = run(".", "-o", "out")
        assert heard.contents == ["uno", "dos", "tres", "broken"] and Path("out/c.txt").read_text() == "tres\n"
        assert status == 1 and "cannot be decoded" in errors
        assert output.splitlines()[0] == "a.wav (2.5 s): unchanged, already written"
        # Everything is finished; only what failed is tried again.
        run(".", "-o", "out")
        assert heard.contents[4:] == ["broken"]
        Path("d.wav").unlink()
        loaded = heard.loaded
        assert run(".", "-o", "out")[0] == 0 and heard.loaded == loaded

    def test_changed_recordings_options_and_models_are_transcribed_again(self, run, heard, files, tmp_path):
        files(a="uno", b="dos")
        run(".", "-o", "out")
        files(a="changed")
        run(".", "-o", "out")
        assert heard.contents == ["uno", "dos", "changed"] and Path("out/a.txt").read_text() == "changed\n"
        run("a.wav", "-o", "out", "--to", "fr")
        run("a.wav", "-o", "out", "--to", "fr", "--num-beams", 3)
        run("a.wav", "-o", "out", "--to", "fr", "--num-beams", 3)
        assert heard.contents[3:] == ["changed", "changed"]

    def test_another_model_is_another_result(self, run, heard, files, tmp_path):
        config = {"architectures": ["Mu2SLAMForCTC"], "languages": ["und", "es"]}
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.json").write_text(json.dumps({**config, "name": name}))
            (tmp_path / name / "model.safetensors").write_bytes(b"x")
        files(a="uno")
        for name in ("first", "second", "second"):
            assert run("a.wav", "-o", "out", "--model", tmp_path / name)[0] == 0
        assert len(heard.contents) == 2
        (tmp_path / "second" / "model.safetensors").write_bytes(b"xy")
        run("a.wav", "-o", "out", "--model", tmp_path / "second")
        assert len(heard.contents) == 3
        assert "cannot translate" in run("a.wav", "--model", tmp_path / "first", "--to", "es")[2]

    def test_renamed_recordings_and_other_formats_need_no_model(self, run, heard, files):
        files(a="uno dos")
        run("a.wav", "-o", "out", "-f", "srt")
        Path("a.wav").rename("renamed.wav")
        run("renamed.wav", "-o", "out", "-f", "srt,vtt")
        assert len(heard.contents) == 1
        assert Path("out/renamed.srt").read_text() == Path("out/a.srt").read_text()
        assert Path("out/renamed.vtt").exists()

    def test_corrected_files_are_kept_and_deleted_ones_written_again(self, run, heard, files):
        files(a="uno", b="dos")
        run(".", "-o", "out")
        Path("out/a.txt").write_text("corrected")
        Path("out/b.txt").unlink()
        run(".", "-o", "out")
        assert Path("out/a.txt").read_text() == "corrected" and Path("out/b.txt").read_text() == "dos\n"
        assert len(heard.contents) == 2
        run(".", "-o", "out", "--overwrite")
        assert len(heard.contents) == 4 and Path("out/a.txt").read_text() == "uno\n"

    def test_files_of_others_are_not_replaced(self, run, heard, files):
        files(a="uno")
        Path("out").mkdir()
        Path("out/a.srt").write_text("by hand")
        status, _, errors = run("a.wav", "-o", "out", "-f", "srt")
        assert status == 1 and heard.loaded == 0
        assert "out/a.srt exists, and no earlier run wrote it; pass --overwrite" in errors
        assert run("a.wav", "-o", "out", "-f", "srt", "--overwrite")[0] == 0
        assert Path("out/a.srt").read_text() != "by hand"

    def test_recordings_with_the_same_name_do_not_share_a_file(self, run, heard, files):
        files(x__talk="uno", y__talk="dos")
        Path("x/talk.mp3").write_text("tres")
        status, _, errors = run("x/talk.wav", "y/talk.wav", "x/talk.mp3", "x/talk.wav", "-o", "out")
        assert status == 0
        assert "3 recordings are named talk: written as x/talk.wav, y/talk, x/talk.mp3" in errors
        texts = {path.relative_to("out").as_posix(): path.read_text() for path in Path("out").rglob("*.txt")}
        assert texts == {"x/talk.wav.txt": "uno\n", "y/talk.txt": "dos\n", "x/talk.mp3.txt": "tres\n"}
        files(a="uno")
        Path("a.en.wav").write_text("dos")
        errors = run("a.wav", "a.en.wav", "--to", "en", "-o", "other")[2]
        assert "would both be written to other/a.en.txt" in errors

    def test_a_journal_cut_off_by_a_crash_is_still_read(self, run, heard, files):
        files(a="uno", b="dos")
        run(".", "-o", "out")
        journal = Path("out/.mu2slam-transcribe.jsonl")
        lines = journal.read_bytes().splitlines(keepends=True)
        assert len(lines) == 4  # a transcript and a file for each recording
        journal.write_bytes(b"".join(lines[:2]) + lines[2][:20])
        Path("out/b.txt").unlink()
        del heard.contents[:]
        for _ in range(2):
            assert run(".", "-o", "out")[0] == 0
        assert heard.contents == ["dos"] and Path("out/b.txt").read_text() == "dos\n"
        # A transcript with fields that this version does not have is made again.
        journal.write_text(journal.read_text().replace('"duration_seconds"', '"length"'))
        assert run(".", "-o", "out")[0] == 0 and heard.contents[1:] == ["uno", "dos"]


def test_the_first_command_of_the_readme(capsys):
    """With the real model of the package."""
    assert main(["transcribe", EXAMPLE, "--from", "es", "--to", "en"]) == 0
    first, spanish, english = capsys.readouterr().out.splitlines()
    assert first == f"{EXAMPLE} (3.0 s)"
    assert spanish == "  es  por favor marque el número que desea llamar" and english.startswith("  en  please ")
