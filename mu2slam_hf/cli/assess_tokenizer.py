# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam assess-tokenizer`: comparison of speech tokenizers."""

import argparse
import json
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.options import language_list, positive_int, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "assess-tokenizer",
        help="compare speech tokenizers: codebook use, bit rate, invariance, phones, speakers",
        description="Prints a table of figures for each speech tokenizer: on recordings, use of the codebook, bits "
        "per second and invariance to speed, level and noise; on synthetic sentences, agreement of two "
        "voices and information about phones (with times of the synthesiser).",
    )
    parser.add_argument(
        "tokenizers", nargs="+", metavar="DIR", help="saved speech tokenizers, or processors that contain one"
    )
    parser.add_argument("--processor", metavar="DIR", help="feature extractor for tokenizers saved without one")
    parser.add_argument("--codebook", type=int, default=0, metavar="N", help="index of the codebook (0)")
    data = parser.add_argument_group("recordings; several sources are combined")
    data.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="NAME[=DIR]",
        help="corpus known by name, e.g. prompts5, and its folder (without one: --root); may be repeated",
    )
    data.add_argument("--root", metavar="DIR", help="folder of corpora given without one")
    data.add_argument("--split", default="dev", help="split of the corpora (dev)")
    data.add_argument(
        "--manifest",
        action="append",
        default=[],
        metavar="FILE",
        help="TSV, CSV, JSONL or Parquet with a column of audio files; may be repeated",
    )
    data.add_argument(
        "--limit", type=positive_int, metavar="N", help="only N recordings of each source, spread evenly"
    )
    synthetic = parser.add_argument_group("synthetic sentences (extra: synthetic)")
    synthetic.add_argument(
        "--languages", type=language_list, default=[], metavar="LANG,LANG", help="e.g. en,es,fr; default: none"
    )
    synthetic.add_argument("--sentences", type=positive_int, default=20, metavar="N", help="per language (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--plots", metavar="DIR", help="write plots to DIR (extra: plots)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Assesses all tokenizers on the same data and prints one table."""
    for corpus in args.corpus:
        if "=" not in corpus and not args.root:
            raise ValueError(f"--corpus {corpus} requires its folder: --corpus {corpus}=DIR, or --root DIR")
    if not (args.corpus or args.manifest or args.languages):
        raise ValueError("pass --corpus, --manifest or --languages: the data to assess tokenizers on")
    from mu2slam_hf.checkpoints.devices import check_device
    from mu2slam_hf.evaluation.speech_tokenizer_assessment import assess_tokenizer, format_assessments, make_tokenize

    quiet_libraries()
    check_device(args.device)
    # Fast checks first.
    loaded = [load_tokenizer(folder, args.processor) for folder in args.tokenizers]
    recordings = load_recordings(args)
    sentences = []
    if args.languages:
        from mu2slam_hf.synthetic.phones import speak_in_voices

        sentences = speak_in_voices(args.languages, args.sentences, seed=args.seed)
    assessments = []
    for folder, (tokenizer, feature_extractor) in zip(args.tokenizers, loaded, strict=True):
        config = tokenizer.config
        if not 0 <= args.codebook < config.num_codevector_groups:
            raise ValueError(f"--codebook out of range: {folder} has {config.num_codevector_groups} codebooks")
        tokenize = make_tokenize(tokenizer.to(args.device), feature_extractor, args.codebook)
        size = config.num_codevectors_per_group
        name = Path(folder).resolve().name
        assessments.append(assess_tokenizer(tokenize, size, recordings, sentences, name=name, seed=args.seed))
    print(format_assessments(assessments))
    if args.json:
        values = [assessment.to_dict() for assessment in assessments]
        Path(args.json).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    if args.plots:
        from mu2slam_hf.evaluation.speech_tokenizer_plots import save_plots

        for path in save_plots(assessments, args.plots):
            print(f"written to {path}")
    return 0


def load_recordings(args: argparse.Namespace) -> list[Any]:
    """Waveforms at 16 kHz of all given corpora and manifests."""
    from mu2slam_hf.data.audio import load_audio
    from mu2slam_hf.data.corpora.registry import load_corpus
    from mu2slam_hf.data.manifests import read_manifest

    sources = []
    for corpus in args.corpus:
        name, _, root = corpus.partition("=")
        sources.append(load_corpus(name, root or args.root, args.split))
    sources += [read_manifest(manifest) for manifest in args.manifest]
    chosen = []
    for records in sources:
        spoken = [record for record in records if record.audio is not None]
        if args.limit and len(spoken) > args.limit:
            spoken = [spoken[len(spoken) * number // args.limit] for number in range(args.limit)]
        chosen += spoken
    return [load_audio(record.audio) for record in chosen]


def load_tokenizer(folder: str, processor: str | None) -> tuple[Any, Any]:
    """Load a speech tokenizer and the feature extractor that it was trained with.

    Args:
        folder: folder of the tokenizer, or of a processor that contains one.
        processor: folder of the feature extractor, if it is not in `folder`.

    Raises:
        ValueError: the folder does not contain a speech tokenizer.
    """
    from mu2slam_hf.checkpoints.folders import check_model_type
    from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
    from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
    from mu2slam_hf.models.processing_mu2slam import SPEECH_TOKENIZER_FOLDER
    from mu2slam_hf.quantization.tokenizer_loading import find_feature_extractor

    expected = "expected a speech tokenizer, or a processor that contains one"
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: no such folder; {expected}")
    inside = Path(folder) / SPEECH_TOKENIZER_FOLDER
    place = inside if inside.is_dir() else Path(folder)
    if not (place / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json; {expected}")
    try:
        check_model_type(place, SpeechTokenizerModel.config_class.model_type)
    except ValueError as error:
        raise ValueError(f"{error}; {expected}") from error
    own = find_feature_extractor(place)
    given = Mu2SLAMFeatureExtractor.from_pretrained(processor) if processor else Mu2SLAMFeatureExtractor()
    return SpeechTokenizerModel.from_pretrained(place), own or given
