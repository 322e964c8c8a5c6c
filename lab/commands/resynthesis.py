# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab resynthesis`: what the speech ids of a synthesizer keep of the recordings of a corpus."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli import options
from mu2slam_hf.cli.files import check_output_file
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.records import describe_data, load_corpus_records


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "resynthesis",
        help="recognise recordings that were turned into speech ids and back",
        description="Turns the recordings of a corpus into speech ids and these into sound, and prints the error "
        "rates of a recogniser on them, beside those on the recordings and on their own log-mel frames through the "
        "vocoder, with pitch and duration.",
    )
    parser.add_argument("synthesizer", metavar="DIR", help="folder of a trained synthesizer")
    options.add_corpus_options(parser, required=True)
    options.add_bootstrap_option(parser, 0)
    options.add_results_option(parser)
    options.add_plot_option(parser, "spectrograms of the first three recordings and of their copies, a folder")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table; writes scores and figures as JSON."""
    if args.results:
        check_output_file(args.results, "--results")
    if args.plot:
        options.check_plots()
    from lab.resynthesis import SYSTEMS, resynthesize, score_resynthesis
    from mu2slam_hf.checkpoints.folders import check_model_type
    from mu2slam_hf.data.audio import load_audio
    from mu2slam_hf.evaluation.records.results import current_commit, describe_command, describe_machine
    from mu2slam_hf.evaluation.scores.intervals import Bootstrap
    from mu2slam_hf.evaluation.scores.scoring import MEAN, format_value
    from mu2slam_hf.evaluation.scores.tables import align_columns
    from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
    from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
    from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor

    options.quiet_libraries()
    check_model_type(args.synthesizer, SpeechSynthesizerConfig.model_type)
    processor = SpeechSynthesizerProcessor.from_pretrained(args.synthesizer)
    processor.set_speech_synthesizer(SpeechSynthesizerModel.from_pretrained(args.synthesizer).eval())
    records = [record for record in load_corpus_records(args, args.split, args.limit, part=args.part) if record.text]
    if args.plot:
        from lab.tokenizers.plots import save_spectrograms

        for record in records[:3]:
            copies = resynthesize(processor, load_audio(record.audio), record.lang)
            save_spectrograms(copies, Path(args.plot) / f"{record.lang}_{record.id}.png")
    bootstrap = Bootstrap(num_samples=args.bootstrap) if args.bootstrap else None
    scores, figures = score_resynthesis(load_model(args, "asr"), processor, records, bootstrap=bootstrap)
    names = list(dict.fromkeys(name for values in figures.values() for name in values))
    rows = [["", "wer", "cer", *names]]
    for system in SYSTEMS:
        means = {s.metric: s for s in scores if s.system == system and s.source_lang == MEAN}
        values = [format_value(means[metric]) for metric in ("wer", "cer")]
        rows.append([system, *values, *(f"{figures[system].get(name, float('nan')):.2f}" for name in names)])
    print("\n".join(align_columns(rows)))
    if args.results:
        facts = {"command": describe_command(), "git_commit": current_commit(), "machine": describe_machine()}
        content = {**facts, "data": describe_data(args), "figures": figures, "scores": [asdict(s) for s in scores]}
        with atomic_path(args.results) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0
