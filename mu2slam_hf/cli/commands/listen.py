# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam listen`: transcription of a microphone or a pipe while somebody speaks."""

import argparse
import importlib.util
import queue
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mu2slam_hf.cli.adapters import add_adapters_option
from mu2slam_hf.cli.commands.transcribe import check_capabilities, read_languages
from mu2slam_hf.cli.model_options import add_model_options
from mu2slam_hf.cli.models import chosen_model
from mu2slam_hf.cli.options import (
    add_generation_options,
    add_json_option,
    add_source_language_option,
    add_target_languages_option,
    generation_arguments,
    positive_int,
    positive_seconds,
)
from mu2slam_hf.inference.recordings import print_error, print_json

if TYPE_CHECKING:
    from mu2slam_hf.inference.live.transcriber import LiveText

_BLOCK_SECONDS = 0.1
_SAMPLE_BYTES = 2


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "listen",
        help="transcribe a microphone or a pipe while somebody speaks",
        description="Writes the words of a speaker while he speaks, as far as they do not change any more, and the "
        "text of each piece of speech at the pause after it. Ctrl-C ends it.",
        epilog="A pipe brings samples of 16 bits of one channel, for example: ffmpeg -i SOURCE -f s16le -ac 1 -ar "
        "16000 - | mu2slam listen -",
    )
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        choices=("microphone", "-"),
        default="microphone",
        help="microphone (default; extra: microphone), or - for samples on standard input",
    )
    parser.add_argument("--rate", type=positive_int, default=16_000, metavar="HZ", help="samples per second (16000)")
    parser.add_argument("--input-device", metavar="NAME", help="name or number of the microphone (the system's)")
    parser.add_argument(
        "--pause", type=positive_seconds, default=0.5, metavar="SECONDS", help="a pause that ends a piece (0.5)"
    )
    parser.add_argument(
        "--step", type=positive_seconds, default=0.15, metavar="SECONDS", help="time between two guesses (0.15)"
    )
    add_source_language_option(parser)
    add_target_languages_option(parser)
    add_json_option(parser)
    add_model_options(parser)
    add_adapters_option(parser)
    add_generation_options(parser)
    parser.set_defaults(run=run, task="transcribe", multilingual=False)


def run(args: argparse.Namespace) -> int:
    """Transcribes until the end of the input, or Ctrl-C; returns 0."""
    check_input(args)
    model_choice = chosen_model(args, dict(args.adapters))
    languages = read_languages(args, model_choice.read_config())
    # What follows imports torch.
    from mu2slam_hf.inference.live.transcriber import LiveTranscriber
    from mu2slam_hf.inference.transcription import TranscriptionOptions

    model_choice.check()
    check_capabilities(model_choice, languages)
    options = TranscriptionOptions(
        source_lang=languages.source_lang,
        target_langs=languages.target_langs,
        adapter_name=languages.adapter_name,
        generate_kwargs=generation_arguments(args),
    )
    live = LiveTranscriber(*model_choice.load(), options, step_seconds=args.step, min_pause_seconds=args.pause)
    show = print_live_json if args.json else LiveLines().show
    blocks = read_pipe() if args.source == "-" else read_microphone(args.input_device, args.rate)
    try:
        for text in transcribe_blocks(live, blocks, args.rate):
            show(text)
    except KeyboardInterrupt:
        pass
    for text in live.finish():
        show(text)
    return 0


def check_input(args: argparse.Namespace) -> None:
    """Raises ImportError without the package for microphones, ValueError for a terminal in place of a pipe."""
    if args.source == "-":
        if sys.stdin.isatty():
            raise ValueError("-: expected samples of 16 bits on standard input, which is a terminal")
        if args.input_device:
            raise ValueError("--input-device is that of the microphone; remove -")
    elif importlib.util.find_spec("sounddevice") is None:
        raise ImportError("a microphone requires sounddevice: pip install 'mu2slam-hf[microphone]'")


def transcribe_blocks(live: Any, blocks: Iterator[bytes], rate: int) -> Iterator["LiveText"]:
    """The texts of blocks of samples of 16 bits."""
    import numpy as np
    import soxr

    resampler = soxr.ResampleStream(rate, live.sampling_rate, 1, dtype="float32")
    for block in blocks:
        samples = np.frombuffer(block, dtype="<i2").astype(np.float32) / 2**15
        yield from live.add(resampler.resample_chunk(samples))
    yield from live.add(resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))


def read_pipe() -> Iterator[bytes]:
    """Blocks of samples of standard input, as they come."""
    rest = b""
    while block := sys.stdin.buffer.read1(1 << 16):  # type: ignore[union-attr]
        block = rest + block
        size = len(block) - len(block) % _SAMPLE_BYTES
        rest = block[size:]
        yield block[:size]


def read_microphone(device: str | None, rate: int) -> Iterator[bytes]:
    """Blocks of samples of a microphone, without end.

    Raises:
        ValueError: there is none, or it has no such rate.
    """
    try:
        import sounddevice
    except OSError as error:  # of the system's library
        raise ValueError(f"the microphone cannot be used: {error}") from error
    blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def receive(data: Any, frames: int, time: Any, status: Any) -> None:
        blocks.put(bytes(data))
        if status:
            print_error("mu2slam", f"samples were lost ({status})")

    chosen = int(device) if device and device.isdigit() else device
    try:
        stream = sounddevice.RawInputStream(
            samplerate=rate,
            blocksize=round(rate * _BLOCK_SECONDS),
            device=chosen,
            channels=1,
            dtype="int16",
            callback=receive,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ValueError(f"the microphone cannot be used: {error}") from error
    with stream:
        print_error("mu2slam", "listening; Ctrl-C ends")
        while True:
            yield blocks.get()


def print_live_json(text: "LiveText") -> None:
    """Prints a text as a line of JSON: `partial` or `final`, times in seconds."""
    content: dict[str, Any] = {"type": "final" if text.is_final else "partial", "start": round(text.start_seconds, 3)}
    if text.transcript is not None:
        content["end"] = round(text.start_seconds + text.transcript.duration_seconds, 3)
        content["language"] = text.transcript.language
        if text.translations:
            content["translations"] = dict(text.translations)
    print_json({**content, "text": text.text})


class LiveLines:
    """A line per piece of speech; in a terminal, it grows until its end."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()

    def show(self, text: "LiveText") -> None:
        """Print a text."""
        if text.transcript is None:
            if self._is_terminal:
                width = shutil.get_terminal_size().columns - 1
                print(f"\r\x1b[K{text.text[-width:]}", end="", flush=True)
            return
        if self._is_terminal:
            print("\r\x1b[K", end="")
        if text.text:
            print(
                "\n".join([text.text, *(f"  {lang}  {line}" for lang, line in text.translations.items())]), flush=True
            )
