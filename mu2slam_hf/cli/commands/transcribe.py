# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam transcribe`: transcription and translation of recordings of any length."""

import argparse
import errno
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.cli.adapters import add_adapters_option, choose_adapter, read_adapters, with_added_languages
from mu2slam_hf.cli.files import check_output_file, check_output_folder
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import chosen_model
from mu2slam_hf.cli.options import (
    add_generation_options,
    add_json_option,
    add_output_dir_option,
    add_output_format_option,
    add_plot_option,
    add_recordings,
    add_source_language_option,
    add_target_languages_option,
    add_window_options,
    check_plots,
    check_silero,
    generation_arguments,
    positive_int,
    positive_seconds,
)
from mu2slam_hf.cli.progress import TranscriptionProgress
from mu2slam_hf.cli.recordings import find_unusable, list_recordings, report_all_unusable
from mu2slam_hf.inference.languages import resolve_language, resolve_source_language
from mu2slam_hf.inference.output_settings import FORMATS, OutputSettings
from mu2slam_hf.inference.recordings import Recording, print_error
from mu2slam_hf.models.language_codes import UNDETERMINED

if TYPE_CHECKING:
    from mu2slam_hf.checkpoints.model_choice import ModelChoice
    from mu2slam_hf.inference.transcription import TranscriptionOptions
    from mu2slam_hf.inference.transcription_job import TranscriptionJob
    from mu2slam_hf.inference.transcripts import Transcript


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
    add_window_options(long)
    long.add_argument(
        "--whole-recording",
        action="store_true",
        help="encode each recording in one pass, with attention inside chunks; CTC models and transducers only",
    )
    long.add_argument(
        "--attention-chunk",
        type=positive_seconds,
        metavar="SECONDS",
        help="limit the attention of the encoder to chunks of this length; 8 for --whole-recording with a model that "
        "was trained on utterances",
    )
    add_model_options(parser)
    add_adapters_option(parser)
    add_generation_options(parser)
    add_engine_options(parser.add_argument_group("several processes or machines"))
    parser.set_defaults(run=run)


def add_engine_options(group: Any) -> None:
    """`--engine`, `--ray-workers`."""
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: transcribe with several processes, of this machine or of the Ray cluster that RAY_ADDRESS names, "
        "where all machines must find the files by the same paths (extra: scale); default: in this process",
    )
    group.add_argument(
        "--ray-workers",
        type=positive_int,
        metavar="N",
        help="processes of --engine ray, each with a model (one per processor, or per GPU with --device cuda)",
    )


def run(args: argparse.Namespace) -> int:
    """Transcribes all readable recordings; returns 1 if one could not be read."""
    recordings: Sequence[Recording] = list_recordings(args.files, args.file_list)
    output_settings = read_output_settings(args, len(recordings))
    model = chosen_model(args, dict(args.adapters))
    check_engine(args)
    languages = read_languages(args, model.read_config())
    if output_settings.folder is None and report_all_unusable(recordings, as_json=output_settings.as_json):
        return 1
    # What follows imports torch.
    from mu2slam_hf.inference.output_names import separate_stems
    from mu2slam_hf.inference.transcription_job import TranscriptionJob

    model.check()
    check_capabilities(model, languages)
    if output_settings.folder is not None:
        recordings, notes = separate_stems(recordings)
        for note in notes:
            print_error("mu2slam", note)
    options = build_options(args, languages, with_words=bool(args.plot) or output_settings.needs_words)
    engine = {}
    if args.engine == "ray":
        from mu2slam_hf.inference.ray_engine import RayEngine

        engine["engine"] = RayEngine(num_workers=args.ray_workers)
    job = TranscriptionJob(
        model=model, recordings=recordings, options=options, unusable=find_unusable(recordings), **engine
    )
    return write_results(job, output_settings, args.plot)


def check_engine(args: argparse.Namespace) -> None:
    """Raises ValueError for options that contradict each other, ImportError if Ray is not installed."""
    if args.ray_workers and args.engine != "ray":
        raise ValueError("--ray-workers requires --engine ray")
    if args.engine == "ray" and importlib.util.find_spec("ray") is None:
        raise ImportError("--engine ray requires Ray: pip install 'mu2slam-hf[scale]'")


def read_output_settings(args: argparse.Namespace, num_recordings: int) -> OutputSettings:
    """What to write and where.

    Raises:
        ValueError: options that contradict each other.
        ImportError: a missing extra.
    """
    if args.plot:
        check_plots()
    if args.vad == "silero":
        check_silero()
    if args.overwrite and not args.output_dir:
        raise ValueError("--overwrite requires --output-dir")
    formats = tuple(args.formats or ())
    settings = OutputSettings(
        folder=check_output_folder(args.output_dir, formats=FORMATS) if args.output_dir else None,
        formats=formats,
        as_json=args.json,
        word_times=args.word_times,
        speakers=args.channels,
        overwrite=args.overwrite,
        translation_only=args.task == "translate",
    )
    if args.output_dir:
        return replace(settings, formats=formats or ("txt",))
    if formats == ("json",):
        return replace(settings, as_json=True, formats=())
    if formats:
        check_printed_format(settings, num_recordings, args.target_langs)
    return settings


def check_printed_format(settings: OutputSettings, num_recordings: int, target_langs: Sequence[str]) -> None:
    """Raises ValueError for formats that cannot be printed one after the other."""
    formats = settings.formats
    given = f"--output-format {','.join(formats)}"
    if settings.as_json:
        raise ValueError(f"--json and {given} cannot both be printed; pass --output-dir for the files")
    if len(formats) > 1:
        raise ValueError(f"{given}: several formats require --output-dir")
    if num_recordings > 1 and formats[0] in ("srt", "vtt", "textgrid"):
        raise ValueError(f"{given} of {num_recordings} recordings requires --output-dir: one file for each")
    if formats[0] in ("txt", "srt", "vtt") and target_langs:
        if not settings.translation_only:
            raise ValueError(
                f"{given} with --to has a file for each language: pass --output-dir, or --task translate for the "
                "translation alone"
            )
        if len(target_langs) > 1:
            raise ValueError(f"{given} with several languages requires --output-dir: one file for each")


@dataclass(frozen=True, kw_only=True)
class JobLanguages:
    """Languages of a job, as the model calls them.

    Attributes:
        source_lang: spoken language; None means that it is predicted.
        target_langs: languages to translate into.
        adapter_name: the adapter for the spoken language.
    """

    source_lang: str | None
    target_langs: tuple[str, ...]
    adapter_name: str | None


def read_languages(args: argparse.Namespace, config: Mapping[str, Any]) -> JobLanguages:
    """Languages of the arguments, checked by the configuration of the model.

    Raises:
        ValueError: a language that the model does not support, or options that contradict each other.
    """
    adapters = read_adapters(args.adapters)
    languages = with_added_languages(config.get("languages") or [], adapters)
    default_target = ["en"] if args.task == "translate" else []
    source_lang = resolve_source_language(args.source_lang, languages, "--from")
    target_langs = [resolve_language(text, languages, "--to") for text in args.target_langs or default_target]
    if args.multilingual and source_lang:
        raise ValueError("--multilingual predicts the language of every segment; remove --from")
    if UNDETERMINED in target_langs:
        raise ValueError("--to und: expected a language to translate into")
    return JobLanguages(
        source_lang=source_lang,
        # The transcript is the text in its own language.
        target_langs=tuple(dict.fromkeys(lang for lang in target_langs if lang != source_lang)),
        adapter_name=choose_adapter(adapters, source_lang),
    )


def check_capabilities(model: "ModelChoice", languages: JobLanguages) -> None:
    """Raises ValueError if the class of the model cannot transcribe, or not translate."""
    name = (model.read_config().get("architectures") or ["a model without class"])[0]
    capabilities = model.read_capabilities()
    if "asr" not in capabilities.tasks:
        raise ValueError(f"{model.name}: {name} cannot transcribe recordings")
    if languages.target_langs and not capabilities.translates:
        raise ValueError(f"{model.name}: {name} transcribes, but cannot translate; remove --to")


def build_options(args: argparse.Namespace, languages: JobLanguages, *, with_words: bool) -> "TranscriptionOptions":
    """The options of the arguments, whose languages were read before."""
    from mu2slam_hf.inference.transcription import TranscriptionOptions

    return TranscriptionOptions(
        source_lang=languages.source_lang,
        target_langs=languages.target_langs,
        timestamps="word" if with_words else None,
        multilingual=args.multilingual,
        split_channels=args.channels,
        whole_recording=args.whole_recording,
        chunk_length_s=args.chunk_length,
        vad=args.vad,
        adapter_name=languages.adapter_name,
        batch_seconds=args.batch_seconds,
        generate_kwargs=generation_arguments(args),
    )


def write_results(job: "TranscriptionJob", output_settings: OutputSettings, plot_path: str | None) -> int:
    """Run a job, print or write its results; returns 1 if a recording could not be read."""
    from mu2slam_hf.inference.outputs import build_output

    output = build_output(job, output_settings)
    if not output_settings.as_json:
        for name, message in job.unusable.items():
            print_error(name, message)
    plots = PlotFolder(plot_path, job.recordings) if plot_path else None
    progress = TranscriptionProgress([usable for usable in job.recordings if usable.name not in job.unusable])
    status = 0

    def begin(recording: Recording, beginning: "Transcript") -> None:
        progress.clear()
        output.begin(recording, beginning)

    try:
        show = begin if output.shows_beginnings else None
        for recording, result in job.run(output.find, progress, show, output.journal_of):
            progress.clear()
            if isinstance(result, ValueError):
                status = 1
                if output_settings.as_json or recording.name not in job.unusable:
                    output.report(recording, result)
                continue
            try:
                output.write(recording, result)
                if plots is not None:
                    plots.save(recording, result)
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE):
                    raise  # nothing else can be written either
                status = 1
                output.report(recording, error)
    finally:
        progress.close()
    return status


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
        self._stems = {separate_stem.name: separate_stem.stem for separate_stem in separate_stems(recordings)[0]}

    def save(self, recording: Recording, transcript: Any) -> None:
        """Plot a recording with its words."""
        from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
        from mu2slam_hf.inference.formats.plots import plot_recording

        file = self._file or self._folder / f"{self._stems[recording.name]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        waveform = load_audio(recording.source)
        plot_recording(waveform, SAMPLING_RATE, transcript.words, title=recording.name, file=file)
