# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam speak`: speech of texts and recordings, by way of speech ids."""

import argparse
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.files import check_output_file
from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_generation_options,
    add_seed_option,
    add_source_language_option,
    add_target_languages_option,
    generation_arguments,
)


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "speak",
        help="speak a text, or a recording through its speech ids",
        description="Writes a recording of TEXT, or with --recording what the speech ids of a recording keep of it; "
        "with --to, in another language. The model needs a speech synthesizer in its processor, whose voices are "
        "those of the recordings that it was trained on.",
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what to speak; quote it")
    parser.add_argument("--recording", metavar="FILE", help="audio file to speak, in place of TEXT")
    parser.add_argument("--output-file", required=True, metavar="FILE", help="file to write: .wav, .flac or .ogg")
    parser.add_argument("--replace", action="store_true", help="replace an existing output file")
    parser.add_argument("--speaker", metavar="NAME", help="voice of the synthesizer; default: that of the language")
    add_source_language_option(parser, default="unknown")
    add_target_languages_option(parser)
    add_seed_option(parser, "of the phases of the sound")
    add_model_options(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speaks, and writes the file."""
    if (args.text is None) == (args.recording is None):
        raise ValueError("pass TEXT, or --recording FILE")
    if len(args.target_langs) > 1:
        raise ValueError(f"--to {','.join(args.target_langs)}: one file has one language; pass a single one")
    path = check_output_file(args.output_file, "--output-file")
    if path.exists() and not args.replace:
        raise ValueError(f"--output-file {path}: exists already; pass --replace, or another name")
    config = model_config(args)
    is_synthesizer = config.get("model_type") == "mu2slam_speech_synthesizer"
    if is_synthesizer and (args.text is not None or args.target_langs):
        raise ValueError(
            f"{args.model}: is a speech synthesizer alone, which speaks the ids of a recording: pass --recording "
            "without --to; texts need a model that writes speech ids"
        )
    resolve_languages(args, config, source_lang="--from", target_langs="--to")
    from mu2slam_hf.inference.pipelines.speech_output import check_sound_file, speak, speak_again, write_recording

    check_sound_file(path)
    voice = {"source_lang": args.source_lang, "speaker": args.speaker, "seed": args.seed}
    if args.recording is not None and not args.target_langs:
        model, processor = load_model(args)
        if is_synthesizer:
            processor.set_speech_synthesizer(model)
        waveform = speak_again(processor, args.recording, **voice)
    else:
        model, processor = load_model(args, "tts" if args.recording is None else "s2st")
        source = args.text if args.recording is None else {"audio": args.recording}
        target = args.target_langs[0] if args.target_langs else None
        waveform = speak(model, processor, source, target_lang=target, **voice, **generation_arguments(args))
    write_recording(path, waveform)
    print(f"{Path(path)} ({len(waveform) / 16000:.1f} s)")
    return 0
