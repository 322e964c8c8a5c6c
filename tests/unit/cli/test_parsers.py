# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Misspelt options and commands: the right one is named."""

import pytest

import mu2slam_hf
from mu2slam_hf.cli import build_parser, main
from mu2slam_hf.cli.parsers import find_similar_option


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("transcribe a.wav --output-fmt srt", "unknown option --output-fmt; did you mean --output-format?"),
        ("transcribe a.wav --output_format srt", "unknown option --output_format; did you mean --output-format?"),
        ("transcribe a.wav --Output-Dir x", "did you mean --output-dir?"),
        ("transcribe a.wav --format srt", "did you mean --output-format?"),
        ("transcribe a.wav --word_timestamps True", "did you mean --word-timestamps?"),
        ("transcribe a.wav --lang es", "did you mean --from?"),
        ("transcribe a.wav -l es", "unknown option -l; did you mean --from?"),
        ("transcribe a.wav --verbose", "unknown option --verbose; it is not needed: progress and results are always"),
        ("transcribe a.wav -v", "unknown option -v; it is not needed"),
        ("transcribe a.wav --dtype fp8", "invalid choice: 'fp8' (choose from"),
        ("list-languages", "did you mean `mu2slam languages`?"),
        ("info", "did you mean `mu2slam languages`?"),
        ("adapt folder --from es", "did you mean --lang?"),
        ("adapt folder --source-lang es", "did you mean --lang?"),
        ("adapt folder --src es", "did you mean --lang?"),
        ("inspect-data folder", "did you mean `mu2slam adapt --check`?"),
        ("transcribe a.wav --languag=es", "did you mean --language?"),
        ("transcribe a.wav --src es", "did you mean --from?"),
        ("transcribe a.wav --target-languages es", "did you mean --target-lang"),
        ("transcribe a.wav --timestamps", "did you mean --word-times?"),
        ("transcribe a.wav --diarize", "did you mean --channels?"),
        ("transcribe a.wav --batch-size 4", "did you mean --batch-seconds?"),
        ("transcribe a.wav --beam_size 4", "did you mean --num-beams?"),
        ("transcribe a.wav --times-word", "did you mean --word-times?"),
        ("transcribe a.wav --reverse", "--reverse; it is an option of `mu2slam retrieve`"),
        ("transcribe a.wav --min-probabilty 1", "did you mean --min-probability of `mu2slam identify-language`?"),
        ("transcribe a.wav -x", "unknown option -x"),
        ("transcribe a.wav --frobnicate", "unknown option --frobnicate (`mu2slam transcribe --help`"),
        ("translate x --too en", "unknown option --too; did you mean --to?"),
        ("identify-language --plots y", "did you mean --plot?"),
        ("train --config x", "did you mean --recipe?"),
        ("evaluate --manifest m --source-lang both", "did you mean --condition?"),
        ("calibrate --manifest m --limit 5", "did you mean --num-recordings?"),
        ("evaluate --manifest m --json a.json", "'a.json'; --json takes no file, did you mean --results a.json?"),
        ("train r all", "mu2slam train: error: unexpected argument 'all' ("),
        ("--versio", "unknown option --versio; did you mean --version?"),
        ("transcribed a.wav", "unknown command 'transcribed'; did you mean `mu2slam transcribe`?"),
        ("identify_language a.wav", "did you mean `mu2slam identify-language`?"),
        ("detect-language a.wav", "did you mean `mu2slam identify-language`?"),
        ("asr a.wav", "did you mean `mu2slam transcribe`?"),
        ("talk.mp4", "did you mean `mu2slam transcribe talk.mp4`?"),
        ("https://example.org/talk", "did you mean `mu2slam transcribe https://example.org/talk`?"),
        ("help transcrib", "did you mean `mu2slam transcribe`?"),
        ("transcribe a.wav --output-format doc", "unknown format 'doc'; expected txt, srt, vtt, tsv, json, textgrid"),
        ("transcribe a.wav --task sing", "invalid choice: 'sing'"),
        ("transcribe a.wav --num-beams 100000", "expected a number of at most 100, got 100000"),
        ("transcribe a.wav --max-new-tokens 1000000000", "expected a number of at most 100000"),
        ("transcribe a.wav --chunk-length 1e308", "expected a positive number of seconds, at most 1000000"),
        ("adapt folder --encoding rot13", "expected an encoding of texts, such as cp1252, got 'rot13'"),
        ("adapt folder --encoding nonsense", "expected an encoding of texts"),
    ],
)
def test_what_is_meant_is_named_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and line.startswith("mu2slam")


def test_values_that_look_like_options_are_left_alone():
    parse = build_parser().parse_args
    assert parse(["translate", "--to", "en", "--", "--texts", "-x"]).texts == ["--texts", "-x"]
    assert parse(["translate", "- yes, please", "--to", "en"]).texts == ["- yes, please"]
    assert parse(["tone-corpus", "--output-dir", "x", "--seed", "-3"]).seed == -3
    assert parse(["transcribe", "-", "--from=es"]).files == ["-"]


@pytest.mark.parametrize("name", ["float16", "fp16", "half"])
def test_other_names_of_types(name):
    assert build_parser().parse_args(["transcribe", "a.wav", "--dtype", name]).dtype == "float16"


def test_an_unrelated_option_has_no_suggestion():
    assert find_similar_option("--zzz", ["--to", "--from"]) is None
    assert find_similar_option("--channel", ["--channels", "--chunk-length"]) == "--channels"


def test_help_version_and_no_arguments(capsys):
    for arguments in (["help"], ["--help"], ["help", "align"], ["align", "-h"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert ("--level" in capsys.readouterr().out) == ("align" in arguments)
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.strip() == f"mu2slam-hf {mu2slam_hf.__version__}"
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2 and "transcribe" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        "transcribe a.wav --from es --source-lang es --language es --to en --target-lang fr",
        "transcribe a.wav -f srt -o out",
        "transcribe a.wav --output-format .SRT,vtt --output-dir out --overwrite",
        "evaluate --manifest m --condition both --results scores.json --json",
        "align a.wav text --output-format textgrid",
        "calibrate --corpus prompts5=d --corpus stamps --manifest m --root d",
        "identify-language - folder --file-list list.txt",
        "retrieve folder --texts t --text-lang Spanish",
    ],
)
def test_spellings_that_are_accepted(arguments):
    build_parser().parse_args(arguments.split())
