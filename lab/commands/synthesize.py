# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab synthesize`: n-way parallel synthetic speech in a folder with a manifest."""

import argparse
from typing import Any

from mu2slam_hf.cli import options
from mu2slam_hf.cli.corpus_options import load_single_corpus
from mu2slam_hf.cli.languages import language_code
from mu2slam_hf.cli.options import number_from_0, positive_int


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "synthesize",
        help="create synthetic parallel speech with texts (extra: lab)",
        description="Synthesises generated sentences (numbers, dates, quantities, names, ...), or the texts of a "
        "manifest or corpus, with espeak-ng and other speech engines, and writes recordings and a manifest.",
    )
    action = parser.add_mutually_exclusive_group(required=True)
    options.add_output_dir_option(action, "must not exist or be empty")
    action.add_argument(
        "--list-voices",
        action="store_true",
        help="list the voices of the installed engines, or of --engines, with their licences; test whether they work",
    )
    options.add_languages_option(parser, "default: all supported ones")
    options.add_seed_option(parser, "of meanings and voices")
    options.add_split_option(parser, "train", text="train", choices=("train", "dev", "test"))
    parser.add_argument("--workers", type=positive_int, default=1, metavar="N", help="clips spoken at a time (1)")
    parser.add_argument(
        "--band-limited",
        type=options.probability,
        default=0.75,
        metavar="SHARE",
        help="share of the clips without frequencies above 4 kHz, as over a telephone (0.75)",
    )
    add_voice_options(parser.add_argument_group("voices"))
    generated = parser.add_argument_group("generated sentences")
    generated.add_argument("--num", type=positive_int, metavar="N", help="number of sentences (1000)")
    generated.add_argument(
        "--form", choices=("written", "spoken"), default="written", help="with digits and capitals, or as spoken words"
    )
    generated.add_argument(
        "--kinds", type=name_list, metavar="KIND[,KIND]", help="kinds of contents, as date,time,quantity (all)"
    )
    add_text_options(parser.add_argument_group("texts of a corpus or manifest instead of generated sentences"))
    parser.set_defaults(run=run)


def add_voice_options(voices: Any) -> None:
    """Options of the voices to draw from."""
    voices.add_argument(
        "--engines",
        type=name_list,
        metavar="NAME[,NAME]",
        help="speech engines to draw voices from (--list-voices), or all that are installed (espeak-ng)",
    )
    voices.add_argument(
        "--engine-weights",
        type=weight_list,
        metavar="NAME=WEIGHT[,...]",
        help="share of an engine, or of a voice within its engine: festival=2,flite:slt=1; 0 leaves it out (the "
        "number of voices; espeak-ng as much as the others together)",
    )


def add_text_options(given: Any) -> None:
    """Options of given texts."""
    options.add_source_options(given)
    given.add_argument(
        "--max-texts", type=positive_int, metavar="N", help="at most N texts of each language, drawn at random (all)"
    )
    given.add_argument(
        "--voices-per-text", type=positive_int, metavar="N", help="number of voices of each text (5 to 2, by length)"
    )
    given.add_argument(
        "--max-characters", type=positive_int, metavar="N", help="only texts of at most N characters (230)"
    )
    given.add_argument(
        "--normalize-transcripts",
        action="store_true",
        help="speak the texts as written, and write transcripts in lower case without punctuation",
    )
    given.add_argument(
        "--random-sequences",
        type=number_from_0,
        default=0,
        metavar="N",
        help="also N random word sequences per language",
    )


def name_list(text: str) -> list[str]:
    """`espeak-ng,flite` as a list."""
    return [name.strip() for name in text.split(",")]


def weight_list(text: str) -> dict[str, float]:
    """`festival=2,flite:slt=1` as a dictionary."""
    weights = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected NAME=WEIGHT[,NAME=WEIGHT], got {text!r}") from None
    return weights


def run(args: argparse.Namespace) -> int:
    """Synthesises and writes clips; prints a summary."""
    options.check_source(args)
    if args.languages:
        args.languages = [language_code(lang) for lang in args.languages]
    if args.list_voices:
        return list_voices(args)
    records = load_single_corpus(args, args.split)
    from lab.synthesis.folder import FolderSettings
    from lab.synthesis.generator import write_synthetic_folder
    from lab.synthesis.speech import SoundSettings
    from lab.synthesis.texts import speak_manifest

    voices = open_voices(args)
    shared = {
        **{"languages": args.languages, "seed": args.seed, "folder": FolderSettings(num_workers=args.workers)},
        **{"sound": SoundSettings(band_limit_prob=args.band_limited), "voices": voices},
    }
    if args.manifest or args.corpus:
        summary = speak_manifest(
            args.manifest or records,
            args.output_dir,
            voices_by_length=count_voices(args.max_characters, args.voices_per_text),
            max_texts=args.max_texts,
            random_sequences=args.random_sequences,
            normalize_transcripts=args.normalize_transcripts,
            **shared,
        )
    else:
        shared |= {} if args.kinds is None else {"kinds": args.kinds}
        summary = write_synthetic_folder(
            args.output_dir, num_meanings=args.num or 1000, split=args.split, form=args.form, **shared
        )
    if voices is not None:
        voices.close()
    for lang, count in sorted(summary.num_clips.items()):
        print(f"{lang}: {count} clips, {summary.seconds[lang] / 3600:.2f} h")
    if summary.left_out:
        print(f"skipped: {len(summary.left_out)} clips, listed in synthesis.json")
    print(f"written to {summary.manifest}")
    return 0


def open_voices(args: argparse.Namespace) -> Any:
    """The `VoiceMix` of `--engines` and `--engine-weights`; None for espeak-ng alone."""
    if args.engines is None and args.engine_weights is None:
        return None
    from lab.synthesis.engine_registry import installed_engines
    from lab.synthesis.speech_engine import ESPEAK_NG
    from lab.synthesis.voice_mix import VoiceMix

    engines = installed_engines() if args.engines == ["all"] else args.engines or [ESPEAK_NG]
    if engines == [ESPEAK_NG] and not args.engine_weights:
        return None
    return VoiceMix(engines, weights=args.engine_weights)


def count_voices(max_characters: int | None, voices_per_text: int | None) -> tuple[tuple[int, int], ...]:
    """The pairs (characters, voices) of `speak_manifest`."""
    from lab.synthesis.texts import VOICES_BY_LENGTH

    pairs = list(VOICES_BY_LENGTH)
    if max_characters is not None:
        pairs = [(min(characters, max_characters), voices) for characters, voices in pairs]
        pairs.append((max_characters, pairs[-1][1]))
    return tuple((characters, voices_per_text or voices) for characters, voices in pairs)


def list_voices(args: argparse.Namespace) -> int:
    """Prints a table of voices; the variants of espeak-ng are one row for each language."""
    from lab.synthesis.engine_registry import ENGINES, open_engine
    from lab.synthesis.speech_engine import ESPEAK_NG
    from lab.synthesis.voice_alphabets import ALPHABETS
    from lab.synthesis.voice_checks import find_problem
    from mu2slam_hf.evaluation.scores.tables import align_columns

    rows = [("engine", "voice", "language", "licence", "used")]
    missing = []
    for name in ENGINES if args.engines in (None, ["all"]) else args.engines:
        try:
            engine = open_engine(name)
        except ImportError as error:
            missing.append(f"{name}: {error}")
            continue
        for lang in args.languages or ALPHABETS:
            voices = engine.voices(lang)
            if name == ESPEAK_NG and voices:
                base = voices[0].name.partition("+")[0]
                rows.append((name, f"{base}+... ({len(voices)} variants)", lang, voices[0].licence, "yes"))
                continue
            for voice in voices:
                problem = find_problem(engine, voice)
                used = f"no: {problem}" if problem else "yes"
                rows.append((name, voice.name, lang, voice.licence or "unknown", used))
        engine.close()
    print("\n".join(align_columns(rows, num_left=len(rows[0]))))
    for message in missing:
        print(message)
    return 0
