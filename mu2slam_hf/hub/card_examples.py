# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples of a model card: recordings with their references, and what the model makes of them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import torch

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.inference.transcription import TranscriptionRequest, transcribe_recordings
from mu2slam_hf.models.modules_capabilities import capabilities_of

NUM_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class CardExample:
    """One recording of a card.

    Attributes:
        name: folder and name of the file.
        lang: spoken language.
        reference: its transcript.
        output: the recognised text.
        translations: target language -> (reference, output).
    """

    name: str
    lang: str
    reference: str
    output: str
    translations: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def choose_records(records: Sequence[SpeechTextRecord], count: int = NUM_EXAMPLES) -> list[SpeechTextRecord]:
    """The first recordings with a transcript, as far as possible of different languages and different sentences.

    Choice: a fixed rule and not a selection by hand, so that failures are shown as often as they happen.

    Args:
        records: candidates in order.
        count: number of examples.
    """
    usable = [record for record in records if record.audio is not None and record.text]
    chosen: list[SpeechTextRecord] = []
    for is_new in (
        lambda record: all(record.lang != other.lang and record.id != other.id for other in chosen),
        lambda record: all(record.lang != other.lang for other in chosen),
        lambda record: record not in chosen,
    ):
        for record in usable:
            if len(chosen) < count and is_new(record):
                chosen.append(record)
    return chosen


@torch.no_grad()
def make_card_examples(
    model: Any, processor: Any, records: Sequence[SpeechTextRecord], target_lang: str = "en"
) -> list[CardExample]:
    """Transcribe records, and translate them where they have a reference in `target_lang`.

    Args:
        model: a model with the capability `asr`. One in half precision on a CPU is
            copied to float32, in which the command line computes.
        processor: its processor.
        records: with audio and transcript; see `choose_records`.
        target_lang: language of the translations.

    Returns:
        One example per record; the spoken language is given to the model, and its own generation settings are used.

    Raises:
        ValueError: no record with audio and transcript, or the model produces no text.
    """
    capabilities = capabilities_of(model)
    if "asr" not in capabilities.tasks:
        raise ValueError(f"expected a model that produces text for the examples of a card, got {type(model).__name__}")
    if not records:
        raise ValueError("expected records with audio and text for the examples of a card, got none")
    if model.device.type == "cpu" and model.dtype != torch.float32:
        model = copy.deepcopy(model).float()
    requests = [
        TranscriptionRequest(
            source=load_audio(record.audio),
            source_lang=record.lang if capabilities.translates or record.lang in processor.languages else None,
            target_langs=(target_lang,) if capabilities.translates and target_lang in record.translations else (),
        )
        for record in records
    ]
    examples = []
    for record, transcript in zip(records, transcribe_recordings(model, processor, requests), strict=True):
        if isinstance(transcript, ValueError):
            raise transcript
        translations = {}
        if capabilities.translates and target_lang in record.translations:
            translations[target_lang] = (record.translations[target_lang], transcript.translation(target_lang))
        examples.append(
            CardExample(
                name=_short_name(record),
                lang=record.lang,
                reference=record.text or "",
                output=transcript.text,
                translations=translations,
            )
        )
    return examples


def _short_name(record: SpeechTextRecord) -> str:
    """The last two parts of the path, which say nothing about the machine."""
    return "/".join(PurePath(record.audio).parts[-2:]) if isinstance(record.audio, (str, PurePath)) else record.id
