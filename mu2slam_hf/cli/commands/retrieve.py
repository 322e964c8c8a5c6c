# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam retrieve`: retrieval of texts for recordings, and of recordings for texts."""

import argparse
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.cli.files import check_output_file, read_text
from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    add_bootstrap_option,
    add_corpus_options,
    add_json_option,
    add_plot_option,
    add_recordings,
    add_results_option,
    add_seed_option,
    add_top_option,
    check_plots,
    layer_or_all,
)
from mu2slam_hf.cli.recordings import list_recordings
from mu2slam_hf.cli.records import describe_data, load_corpus_records, print_scores, save_results
from mu2slam_hf.inference.recordings import Recording, is_address, print_error, print_json

_SCORES = ("mean", "ctc", "ctc-pmi", "decoder-pmi", "dot")
_EVALUATED = ("mean", "ctc", "ctc-pmi")
_OF_POOLING_MODELS = "dot"
ALL_LAYERS = "all"


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "retrieve",
        help="retrieve texts for recordings, or recordings for texts",
        description="Prints the best texts of a file for each recording, or with --reverse the best recordings for "
        "each text; with --corpus or --manifest, evaluates retrieval, compared with chance and an "
        "untrained model.",
        epilog="Recordings that cannot be read are reported and skipped; the exit status is then 1.",
    )
    add_recordings(parser)
    parser.add_argument("--texts", metavar="FILE", help="text file with one sentence per line: the candidates")
    parser.add_argument("--reverse", action="store_true", help="print the best recordings for each text")
    parser.add_argument(
        "--score",
        nargs="+",
        choices=_SCORES,
        metavar="SCORE",
        help=f"{', '.join(_SCORES)}; default: ctc, in an evaluation {', '.join(_EVALUATED)}; of a dual encoder: dot",
    )
    parser.add_argument(
        "--text-lang",
        metavar="LANG",
        help="language of the texts, for decoder-pmi; in an evaluation: retrieve translations into it",
    )
    parser.add_argument(
        "--layer",
        type=layer_or_all,
        metavar="N",
        help="layer of the encoder whose states are pooled by `mean` (the output); in an evaluation, all: a table of "
        "the recall at every layer",
    )
    add_top_option(parser)
    add_json_option(parser)
    evaluation = parser.add_argument_group("evaluation")
    add_corpus_options(evaluation)
    evaluation.add_argument("--no-untrained", action="store_true", help="skip the untrained model (half the time)")
    add_seed_option(evaluation, "of the untrained model and the intervals")
    evaluation.add_argument(
        "--within",
        choices=("all", "language"),
        default="all",
        help="all recordings and texts together and each language (all), or only each language and their mean",
    )
    add_bootstrap_option(evaluation, 0)
    add_results_option(evaluation)
    add_plot_option(evaluation, "with --layer all, recall over the layers")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Retrieves, or evaluates; 1 if a recording could not be read."""
    given = bool(args.files or args.file_list)
    if given == bool(args.corpus or args.manifest):
        raise ValueError("pass recordings and --texts, or --corpus or --manifest for an evaluation")
    if given and args.layer == ALL_LAYERS:
        raise ValueError("--layer all: pass --corpus or --manifest, for which the layers are compared")
    if args.plot:
        if args.layer != ALL_LAYERS:
            raise ValueError("--plot shows the recall over the layers: pass --layer all")
        check_output_file(args.plot, "--plot")
        check_plots()
    if given and not args.texts:
        raise ValueError("--texts, the file with one candidate per line, is required")
    if given and args.score and len(args.score) > 1:
        raise ValueError(
            f"--score {' '.join(args.score)}: pass a single score to rank by; several are supported with --corpus and "
            "--manifest only"
        )
    resolve_languages(args, model_config(args), text_lang="--text-lang")
    if not given:
        return _evaluate(args)
    name = args.score[0] if args.score else None
    if name == "decoder-pmi" and not args.text_lang:
        raise ValueError(f"--score {name} requires --text-lang, the language of {args.texts}")
    content = read_text(args.texts, "candidates, one per line")
    # Not splitlines: a text may have other separators, such as U+2028.
    texts = [line.strip() for line in content.split("\n") if line.strip()]
    files = list_recordings(args.files, args.file_list)
    from mu2slam_hf.checkpoints.model_types import declared_capabilities
    from mu2slam_hf.cli.commands.translate import prepare_argument
    from mu2slam_hf.evaluation.tasks.pair_scores import DECODER_SECONDS, score_pairs

    pools = declared_capabilities(model_config(args)).pools
    name = name or (_OF_POOLING_MODELS if pools else "ctc")
    readable = find_readable(files, DECODER_SECONDS if name == "decoder-pmi" else None)
    if not texts or not readable:
        raise ValueError(f"{args.texts} has no texts" if readable else "none of the recordings can be read")
    model, processor = load_model(args)
    # A dual encoder has the tokenizer of another model, which reads texts as they are.
    prepared = texts if pools else [prepare_argument(text, processor.tokenizer) for text in texts]
    languages = [args.text_lang] * len(texts) if args.text_lang else None
    recordings = list(readable.values())
    options: dict[str, Any] = {"layer": args.layer, "text_languages": languages}
    scores = score_pairs(model, processor, recordings, prepared, [name], **options)[name]
    results = list(readable)
    queries, candidates = (texts, results) if args.reverse else (results, texts)
    for query, row in zip(queries, scores.T if args.reverse else scores, strict=True):
        best = row.topk(min(args.top, len(candidates)))
        answers = [(candidates[index], float(row[index])) for index in best.indices.tolist()]
        print_answers(query, answers, as_json=args.json)
    return 1 if any(file.name not in readable for file in files) else 0


def find_readable(recordings: Sequence[Recording], longest_seconds: float | None = None) -> dict[str, Any]:
    """Sources of the recordings that can be read, by name; the others are reported.

    They are decoded once to find out, and again for the scores, so that they need not all be in memory; what has an
    address is downloaded once.

    Args:
        recordings: recordings, also of equal names.
        longest_seconds: a longer recording is reported as one that cannot be read; None means no limit.
    """
    from mu2slam_hf.data.audio import SAMPLING_RATE, AudioError, load_audio
    from mu2slam_hf.data.audio_sources import stream_audio_source

    readable: dict[str, Any] = {}
    for recording in recordings:
        if recording.name in readable:
            continue
        try:
            if is_address(recording.name):
                source = load_audio(recording.source)
                num_samples = len(source)
            else:
                source = recording.source
                num_samples = sum(len(block) for block in stream_audio_source(source, SAMPLING_RATE))
        except AudioError as error:
            print_error(recording.name, error)
            continue
        if longest_seconds is not None and num_samples > longest_seconds * SAMPLING_RATE:
            reason = f"{num_samples / SAMPLING_RATE:.1f} s is longer than {longest_seconds:g} s, the most that the"
            print_error(recording.name, f"{reason} decoder scores; use --score ctc, ctc-pmi or mean")
            continue
        readable[recording.name] = source
    return readable


def print_answers(query: str, answers: list[tuple[str, float]], *, as_json: bool) -> None:
    """Prints the best candidates of a query with their scores; minus infinity is null in JSON."""
    if as_json:
        best = [{"answer": answer, "score": round(score, 4) if score > -1e300 else None} for answer, score in answers]
        print_json({"query": query, "answers": best})
    else:
        print("\n".join([query, *(f"  {score:9.3f}  {answer}" for answer, score in answers)]), flush=True)


def _evaluate(args: argparse.Namespace) -> int:
    """Prints the tables of a corpus; writes the record."""
    from mu2slam_hf.evaluation.scores.intervals import Bootstrap
    from mu2slam_hf.evaluation.tasks.retrieval import evaluate_retrieval, format_retrieval
    from mu2slam_hf.evaluation.tasks.retrieval_layers import format_layers, save_layers_plot
    from mu2slam_hf.models.modules_capabilities import capabilities_of

    if args.layer == ALL_LAYERS and (args.score or ["mean"]) != ["mean"]:
        raise ValueError(f"--layer all compares pooled states: --score {' '.join(args.score)} has no layers")
    records = load_corpus_records(args, args.split, args.limit, part=args.part)
    model, processor = load_model(args)
    default = (_OF_POOLING_MODELS,) if capabilities_of(model).pools else _EVALUATED
    results = evaluate_retrieval(
        model,
        processor,
        records,
        scores=args.score or (("mean",) if args.layer == ALL_LAYERS else default),
        layer=args.layer,
        untrained=not args.no_untrained,
        seed=args.seed,
        text_lang=args.text_lang,
        within_language=args.within == "language",
        bootstrap=Bootstrap(num_samples=args.bootstrap, seed=args.seed) if args.bootstrap else None,
        model_name=args.model,
        data=describe_data(args),
    )
    table = format_layers(results) if args.layer == ALL_LAYERS else format_retrieval(results)
    print_scores(results, table, as_json=args.json)
    if args.plot:
        save_layers_plot(results, args.plot)
    save_results(results, args.results)
    return 0
