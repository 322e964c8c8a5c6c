# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription and translation of recordings of any length."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .processing_alignment import align_waveform
from .processing_transcripts import Transcript, TranscriptSegment


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions:
    """What to write for each recording.

    Attributes:
        source_lang: spoken language; None means that it is predicted.
        target_langs: languages to translate into, besides the transcript.
        timestamps: "word" or "token" for the times of words or tokens (characters, pieces); None for segments only.
        multilingual: predict the language of every segment instead of one for the whole recording.
        split_channels: transcribe the channels of a recording separately, as different speakers, instead of their mean.
        chunk_length_s: maximum seconds of speech that the model reads at once; None means that of the generation
            configuration.
        batch_seconds: maximum seconds of audio in a batch, including padding.
        generate_kwargs: passed to `generate`.
    """

    source_lang: str | None = None
    target_langs: tuple[str, ...] = ()
    timestamps: str | None = None
    multilingual: bool = False
    split_channels: bool = False
    chunk_length_s: float | None = None
    batch_seconds: float = 60.0
    generate_kwargs: Mapping[str, Any] = field(default_factory=dict)


def transcribe_recordings(
    model: Any,
    processor: Any,
    recordings: Iterable[Any],
    options: TranscriptionOptions | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Transcript | ValueError]:
    """Transcribe recordings of any length, in bounded memory.

    Args:
        model: `Mu2SLAMForConditionalGeneration` or a CTC model of this package.
        processor: its processor.
        recordings: paths, bytes of files, arrays, mappings with `array` and `sampling_rate`; see `read_audio_source`.
        options: what to write.
        progress: called with the number of seconds of audio that have been processed since the last call.

    Yields:
        for each recording, in order, its transcript, or the error that tells why it cannot be read.
    """
    options = options or TranscriptionOptions()
    from mu2slam_hf.data.audio import load_audio  # replaced by the block reader

    for recording in recordings:
        try:
            waveform = load_audio(recording)
        except ValueError as error:
            yield error
            continue
        yield _transcribe_window(model, processor, waveform, options)
        if progress is not None:
            progress(len(waveform) / 16_000)


def _transcribe_window(model, processor, waveform, options) -> Transcript:
    from mu2slam_hf.evaluation.decode import generate_texts, guess_languages

    with torch.no_grad():
        language = options.source_lang or guess_languages(model, processor, [waveform])[0]
        shared = {"audio": [waveform], "source_lang": options.source_lang, **options.generate_kwargs}
        text = generate_texts(model, processor, target_lang=language, task="asr", **shared)[0]
        translations = {
            target: generate_texts(model, processor, target_lang=target, **shared)[0]
            for target in options.target_langs
        }
    duration = len(waveform) / 16_000
    words = ()
    if options.timestamps and text:
        words = align_waveform(
            model, processor, waveform, text, options.source_lang, level=options.timestamps
        ).words
    segment = TranscriptSegment(
        start_seconds=0.0, end_seconds=duration, text=text, language=language, words=words, translations=translations
    )
    return Transcript(segments=(segment,) if text else (), duration_seconds=duration, language=language)
