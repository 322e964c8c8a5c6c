# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam retrieve`: retrieval of texts for recordings, and of recordings for texts."""

import argparse
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.files import read_text
from mu2slam_hf.cli.options import add_corpus_options, add_model_options, load_model, positive_int
from mu2slam_hf.cli.recordings import load_recordings, print_error, print_json
from mu2slam_hf.cli.records import describe_data, load_records, save_results

_SCORES = ("mean", "mean-centred", "mean-csls", "mean-margin", "ctc", "ctc-pmi", "decoder", "decoder-pmi")
_EVALUATED = ("mean", "mean-centred", "mean-csls", "ctc", "ctc-pmi")


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
    parser.add_argument("files", nargs="*", metavar="FILE", help="recordings, or one folder of them")
    parser.add_argument("--texts", metavar="FILE", help="text file with one candidate per line")
    parser.add_argument("--reverse", action="store_true", help="print the best recordings for each text")
    parser.add_argument(
        "--score",
        nargs="+",
        choices=_SCORES,
        metavar="SCORE",
        help=f"{', '.join(_SCORES)}; default: ctc; in an evaluation most of them",
    )
    parser.add_argument(
        "--text-lang",
        metavar="LANG",
        help="language of the texts, for decoder; in an evaluation: retrieve translations into it",
    )
    parser.add_argument("--layer", type=int, metavar="N", help="layer whose states `mean` pools (the output)")
    parser.add_argument("--top", type=positive_int, default=3, metavar="N", help="number of results to print (3)")
    parser.add_argument("--json", action="store_true", help="one JSON object per query and line")
    evaluation = parser.add_argument_group("evaluation")
    add_corpus_options(evaluation)
    evaluation.add_argument("--no-untrained", action="store_true", help="skip the untrained model (half the time)")
    evaluation.add_argument("--seed", type=int, default=0, help="seed of the untrained model (0)")
    evaluation.add_argument("--results", metavar="FILE", help="write the record of the evaluation to FILE (JSON)")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Retrieves, or evaluates; 1 if a recording could not be read."""
    if bool(args.files) == bool(args.corpus or args.manifest):
        raise ValueError("pass recordings and --texts, or --corpus or --manifest for an evaluation")
    if args.files and not args.texts:
        raise ValueError("--texts, the file with one candidate per line, is required")
    if args.files and args.score and len(args.score) > 1:
        raise ValueError(
            f"--score {' '.join(args.score)}: pass a single score to rank by; several are supported with --corpus and "
            "--manifest only"
        )
    if not args.files:
        return evaluate(args)
    content = read_text(args.texts, "candidates, one per line")
    texts = [line.strip() for line in content.splitlines() if line.strip()]
    files = list_files(args.files)
    waves = read_recordings(files)
    if not texts or not waves:
        raise ValueError(f"{args.texts} has no texts" if waves else "none of the recordings can be read")
    from mu2slam_hf.cli.translate import prepare_text
    from mu2slam_hf.evaluation.retrieval import score_pairs

    model, processor = load_model(args)
    name = (args.score or ["ctc"])[0]
    prepared = [prepare_text(text, processor.tokenizer) for text in texts]
    if name.startswith("decoder") and not args.text_lang:
        raise ValueError(f"--score {name} requires --text-lang, the language of {args.texts}")
    languages = [args.text_lang] * len(texts) if args.text_lang else None
    recordings = list(waves.values())
    options: dict[str, Any] = {"layer": args.layer, "text_languages": languages}
    scores = score_pairs(model, processor, recordings, prepared, [name], **options)[name]
    found = list(waves)
    queries, candidates = (texts, found) if args.reverse else (found, texts)
    for query, row in zip(queries, scores.T if args.reverse else scores, strict=True):
        best = row.topk(min(args.top, len(candidates)))
        answers = [(candidates[place], float(row[place])) for place in best.indices.tolist()]
        print_answers(query, answers, as_json=args.json)
    return 1 if len(found) < len(files) else 0


def list_files(names: list[str]) -> list[str]:
    """All files; those of a folder sorted by name."""
    files: list[str] = []
    for name in names:
        folder = Path(name)
        files += sorted(str(path) for path in folder.iterdir() if path.is_file()) if folder.is_dir() else [name]
    return files


def read_recordings(files: list[str]) -> dict[str, Any]:
    """The waveforms of the files that can be read; the others are reported."""
    from mu2slam_hf.data.audio import AudioError

    loaded = dict(zip(files, load_recordings(files), strict=True))
    for file, wave in loaded.items():
        if isinstance(wave, AudioError):
            print_error(file, wave)
    return {file: wave for file, wave in loaded.items() if not isinstance(wave, AudioError)}


def print_answers(query: str, answers: list[tuple[str, float]], *, as_json: bool) -> None:
    """Prints the best candidates of a query with their scores; minus infinity is null in JSON."""
    if as_json:
        best = [{"answer": answer, "score": round(score, 4) if score > -1e300 else None} for answer, score in answers]
        print_json({"query": query, "answers": best})
    else:
        print("\n".join([query, *(f"  {score:9.3f}  {answer}" for answer, score in answers)]), flush=True)


def evaluate(args: argparse.Namespace) -> int:
    """Prints the tables of a corpus; writes the record."""
    from mu2slam_hf.evaluation.retrieval_evaluation import evaluate_retrieval, format_retrieval

    records = load_records(args, args.split, args.limit)
    model, processor = load_model(args)
    results = evaluate_retrieval(
        model,
        processor,
        records,
        scores=args.score or _EVALUATED,
        layer=args.layer,
        untrained=not args.no_untrained,
        seed=args.seed,
        text_lang=args.text_lang,
        model_name=args.model,
        data=describe_data(args),
    )
    print(format_retrieval(results))
    save_results(results, args.results)
    return 0
