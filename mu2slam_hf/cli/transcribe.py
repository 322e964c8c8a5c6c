# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam transcribe`: transcription and translation of recordings of any length."""

import argparse
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mu2slam_hf
from mu2slam_hf.cli.adapters import add_adapters_option, choose_adapter, read_adapters, with_added_languages
from mu2slam_hf.cli.files import check_output_file, check_output_folder
from mu2slam_hf.cli.languages import model_config, resolve_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import load_model
from mu2slam_hf.cli.options import (
    FORMATS,
    add_batch_seconds_option,
    add_generation_options,
    add_json_option,
    add_output_dir_option,
    add_output_format_option,
    add_plot_option,
    add_recordings,
    add_source_language_option,
    add_target_languages_option,
    check_plots,
    check_silero,
    generation_arguments,
    positive_seconds,
)
from mu2slam_hf.cli.progress import TranscriptionProgress, measure_seconds
from mu2slam_hf.cli.recordings import find_unusable, list_recordings, report_all_unusable
from mu2slam_hf.inference.recordings import Recording, print_error

if TYPE_CHECKING:
    from mu2slam_hf.inference.outputs import TranscriptOutput


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "transcribe",
        help="transcribe recordings of any length, and translate them",
        description="Transcribes recordings and, with --to or --task translate, translates them. Audio and video "
        "files of any sampling rate can be read.",
        epilog="Recordings that cannot be read are reported and skipped; the exit status is then 1. With "
        "--output-dir, an interrupted run continues where it stopped when the same command is run again: finished "
        "recordings are known by their content, the options and the model (addresses by their name).",
    )
    add_recordings(parser)
    add_source_language_option(parser)
    add_target_languages_option(parser)
    parser.add_argument(
        "--task",
        choices=("transcribe", "translate"),
        default="transcribe",
        help="translate: also translate, into English if --to is not given (transcribe)",
    )
    parser.add_argument(
        "--multilingual", action="store_true", help="predict the language of every segment, not of the whole recording"
    )
    parser.add_argument(
        "--channels", action="store_true", help="transcribe the channels of a recording separately, as speakers"
    )
    output = parser.add_argument_group("output")
    add_output_format_option(output, "text on standard output; txt with --output-dir")
    add_output_dir_option(output, "one file per recording and format, translations as NAME.en.srt")
    output.add_argument(
        "--overwrite", action="store_true", help="transcribe everything again, and replace all files of the output"
    )
    output.add_argument(
        *("--word-times", "--word-timestamps"),
        action="store_true",
        help="times and confidences of words; tsv: a line per word",
    )
    add_json_option(output)
    add_plot_option(output, "waveform, spectrogram and words; a file, or a folder for several recordings")
    long = parser.add_argument_group("long recordings")
    long.add_argument(
        "--chunk-length",
        type=positive_seconds,
        metavar="SECONDS",
        help="maximum seconds of speech that the model reads at once; default: that of the checkpoint",
    )
    long.add_argument(
        "--vad",
        choices=("energy", "silero"),
        default="energy",
        help="what finds the speech: pauses by energy, or the neural network silero-vad (extra: vad), which ignores "
        "noise and music (energy)",
    )
    add_batch_seconds_option(long)
    add_model_options(parser)
    add_adapters_option(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Transcribes all readable recordings; returns 1 if one could not be read."""
    recordings: Sequence[Recording] = list_recordings(args.files, args.file_list)
    check_arguments(args, recordings)
    resolve(args)
    if not args.output_dir and report_all_unusable(recordings, as_json=args.json):
        return 1
    output, recordings = build_output(args, recordings)
    unusable = find_unusable(recordings)
    if not args.json:
        for name, message in unusable.items():
            print_error(name, message)
    plots = PlotFolder(args.plot, recordings) if args.plot else None
    status = 0
    for recording, result in transcribe_all(recordings, unusable, output, args):
        if isinstance(result, ValueError):
            status = 1
            if args.json or recording.name not in unusable:
                output.report(recording, result)
            continue
        output.write(recording, result)
        if plots is not None:
            plots.save(recording, result)
    return status


def check_arguments(args: argparse.Namespace, recordings: Sequence[Recording]) -> None:
    """Raises ValueError for options that contradict each other, and ImportError for a missing extra."""
    if args.plot:
        check_plots()
    if args.vad == "silero":
        check_silero()
    if args.overwrite and not args.output_dir:
        raise ValueError("--overwrite requires --output-dir")
    if args.output_dir:
        args.formats = args.formats or ["txt"]
        return
    if args.formats == ["json"]:
        args.json, args.formats = True, None
    if not args.formats:
        return
    given = f"--output-format {','.join(args.formats)}"
    if args.json:
        raise ValueError(f"--json and {given} cannot both be printed; pass --output-dir for the files")
    if len(args.formats) > 1:
        raise ValueError(f"{given}: several formats require --output-dir")
    if len(recordings) > 1 and args.formats[0] in ("srt", "vtt", "textgrid"):
        raise ValueError(f"{given} of {len(recordings)} recordings requires --output-dir: one file for each")
    if args.formats[0] in ("txt", "srt", "vtt") and args.target_langs:
        if args.task == "transcribe":
            raise ValueError(
                f"{given} with --to has a file for each language: pass --output-dir, or --task translate for the "
                "translation alone"
            )
        if len(args.target_langs) > 1:
            raise ValueError(f"{given} with several languages requires --output-dir: one file for each")


def resolve(args: argparse.Namespace) -> None:
    """Check languages and class of the model by its configuration, before its weights are loaded.

    Raises:
        ValueError: a language that the model does not support, or a model that cannot transcribe or translate.
    """
    from mu2slam_hf.checkpoints.devices import check_device
    from mu2slam_hf.checkpoints.quantization import check_quantization

    config = model_config(args)
    adapters = read_adapters(args)
    config["languages"] = with_added_languages(config.get("languages") or [], adapters)
    name = (config.get("architectures") or [""])[0]
    if not name.endswith(("ForConditionalGeneration", "ForCTC")):
        raise ValueError(f"{args.model}: {name or 'a model without class'} cannot transcribe recordings")
    if args.task == "translate" and not args.target_langs:
        args.target_langs = ["en"]
    resolve_languages(args, config, source_lang="--from", target_langs="--to")
    args.adapter = choose_adapter(adapters, args.source_lang)
    if args.multilingual and args.source_lang:
        raise ValueError("--multilingual predicts the language of every segment; remove --from")
    if "und" in args.target_langs:
        raise ValueError("--to und: expected a language to translate into")
    if args.target_langs and name.endswith("ForCTC"):
        raise ValueError(f"{args.model}: {name} transcribes, but cannot translate; remove --to")
    # The transcript is the text in its own language.
    args.target_langs = [lang for lang in args.target_langs if lang != args.source_lang]
    check_device(args.device)
    if args.quantization:
        check_quantization(args.quantization)


def build_output(
    args: argparse.Namespace, recordings: Sequence[Recording]
) -> tuple["TranscriptOutput", Sequence[Recording]]:
    """The output of the command, and the recordings with different stems if it writes files."""
    from mu2slam_hf.inference.outputs import Document, FolderOutput, JsonLines, ReadableText

    if args.output_dir:
        from mu2slam_hf.inference.output_names import separate_stems

        folder = check_output_folder(args.output_dir, formats=FORMATS)
        recordings, notes = separate_stems(recordings)
        for note in notes:
            print_error("mu2slam", note)
        output = FolderOutput(
            folder,
            recordings,
            args.formats,
            args.target_langs,
            settings=describe_settings(args),
            word_times=args.word_times,
            speakers=args.channels,
            overwrite=args.overwrite,
            as_json=args.json,
        )
        return output, recordings
    if args.json:
        return JsonLines(), recordings
    if args.formats:
        translated = args.task == "translate" and args.target_langs and args.formats[0] != "tsv"
        document = Document(
            args.formats[0],
            target_lang=args.target_langs[0] if translated else None,
            with_names=len(recordings) > 1,
            word_times=args.word_times,
            speakers=args.channels,
            target_langs=args.target_langs,
        )
        return document, recordings
    return ReadableText(language_given=args.source_lang is not None, word_times=args.word_times), recordings


def needs_word_times(args: argparse.Namespace) -> bool:
    """Whether words are printed, or needed for a format or a plot."""
    from mu2slam_hf.inference.formats.transcripts import WORD_FORMATS

    return bool(args.word_times or args.plot or WORD_FORMATS & set(args.formats or ()))


def describe_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What transcripts depend on, besides the recording; JSON types."""
    from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint
    from mu2slam_hf.inference.journal import describe_model

    return {
        "version": mu2slam_hf.__version__,
        "model": describe_model(default_checkpoint() if args.model == DEFAULT_NAME else args.model),
        "dtype": args.dtype,
        "quantization": args.quantization,
        "source_lang": args.source_lang,
        "target_langs": args.target_langs,
        "word_times": needs_word_times(args),
        "multilingual": args.multilingual,
        "channels": args.channels,
        "chunk_length": args.chunk_length,
        "vad": args.vad,
        "adapter": None if args.adapter is None else describe_model(args.adapters[args.adapter]),
        "generation": generation_arguments(args),
    }


def transcribe_all(
    recordings: Sequence[Recording], unusable: Mapping[str, str], output: "TranscriptOutput", args: argparse.Namespace
) -> Iterator[tuple[Recording, Any]]:
    """Transcripts, or the `ValueError` of an unusable recording, in the order of the recordings.

    The model is loaded when the first recording needs it; recordings are read when the model asks for them.
    """
    usable = [recording for recording in recordings if recording.name not in unusable]
    seconds = measure_seconds(usable) if sys.stderr.isatty() else {}
    # Without the length of one recording the total is unknown.
    known_lengths = all(recording.name in seconds for recording in usable)
    progress = TranscriptionProgress(sum(seconds[one.name] for one in usable) if known_lengths else None)
    # Recordings that were looked at, with their result, or None if the model has to give it.
    looked_at: deque[tuple[Recording, Any]] = deque()

    def find_pending() -> Iterator[Any]:
        for recording in recordings:
            known: Any = ValueError(unusable[recording.name]) if recording.name in unusable else None
            try:
                known = known or output.find(recording)
            except OSError as error:
                known = ValueError(f"{recording.name}: cannot be read ({error.strerror})")
            looked_at.append((recording, known))
            if known is None:
                yield recording.source
            else:
                progress.skip(seconds.get(recording.name))

    pending = find_pending()
    try:
        for first in pending:  # the first recording that needs the model, if there is one
            for result in transcribe(chain([first], pending), args, progress):
                while looked_at[0][1] is not None:
                    progress.clear()
                    yield looked_at.popleft()
                progress.clear()
                yield looked_at.popleft()[0], result
        yield from looked_at
    finally:
        progress.close()


def transcribe(sources: Iterator[Any], args: argparse.Namespace, progress: TranscriptionProgress) -> Iterator[Any]:
    """Load the model, and transcribe."""
    from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings

    model, processor = load_model(args, adapters=args.adapters)
    options = TranscriptionOptions(
        source_lang=args.source_lang,
        target_langs=tuple(args.target_langs),
        timestamps="word" if needs_word_times(args) else None,
        multilingual=args.multilingual,
        split_channels=args.channels,
        chunk_length_s=args.chunk_length,
        vad=args.vad,
        adapter_name=args.adapter,
        batch_seconds=args.batch_seconds,
        generate_kwargs=generation_arguments(args),
    )
    return transcribe_recordings(model, processor, sources, options, progress=progress.add)


class PlotFolder:
    """Plots of transcripts: a file for a single recording, else one file per recording in a folder.

    Args:
        path: file or folder.
        recordings: all recordings.

    Raises:
        ValueError: the folder does not exist and cannot be created, or is a file.
    """

    def __init__(self, path: str, recordings: Sequence[Recording]) -> None:
        from mu2slam_hf.inference.output_names import separate_stems

        single = len(recordings) == 1 and bool(Path(path).suffix) and not Path(path).is_dir()
        self._file = check_output_file(path, "--plot") if single else None
        self._folder = Path() if single else check_output_folder(path, "--plot")
        self._stems = {one.name: one.stem for one in separate_stems(recordings)[0]}

    def save(self, recording: Recording, transcript: Any) -> None:
        """Plot a recording with its words."""
        from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
        from mu2slam_hf.inference.formats.plots import plot_recording

        file = self._file or self._folder / f"{self._stems[recording.name]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        waveform = load_audio(recording.source)
        plot_recording(waveform, SAMPLING_RATE, transcript.words, title=recording.name, file=file)
