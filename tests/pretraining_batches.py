# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mixed batches of pre-training examples for tests: random noise for speech, lines of the tiny processor for text."""

from collections.abc import Iterable

import torch
from helpers import TINY_TEXTS

from mu2slam_hf.data.counter_seeds import DrawKey, counter_generator
from mu2slam_hf.data.dataset import DrawnExample, MultitaskItem
from mu2slam_hf.data.tasks import Target, TrainingExample

TEXTS = dict(zip(("en", "es", "fr", "it", "ru"), TINY_TEXTS, strict=True))


def make_item(
    task: str, number: int, *, seconds: float = 0.8, source: str = "en", target: str = "fr"
) -> MultitaskItem:
    """One example of a task of pre-training; `number` decides its noise and is part of its id."""
    is_speech = task in ("speech", "asr", "ast")
    if task == "asr":
        target = source
    targets = ()
    if task in ("asr", "ast", "mt"):
        text = TEXTS[target][: 9 + number % 5]
        targets = (Target(task=task, lang=target, text=text, num_tokens=len(text) + 1),)
    example = TrainingExample(
        id=f"{task}:{number}",
        source_modality="speech" if is_speech else "text",
        source_lang=source,
        targets=targets,
        source_text=None if is_speech else TEXTS[source],
        duration_seconds=seconds if is_speech else 0.0,
    )
    drawn = DrawnExample(
        key=DrawKey(number),
        example=example,
        parts=(example,),
        gap_seconds=0.0,
        speed_factor=1.0,
        source_lang="und" if number % 3 == 0 else source,
        targets=targets,
    )
    if not is_speech:
        return MultitaskItem(drawn=drawn)
    samples = counter_generator(0, "noise", number).normal(size=round(seconds * 16_000)) * 0.1
    return MultitaskItem(drawn=drawn, waveform=samples.astype("float32"))


def make_items(tasks: Iterable[str], first_number: int = 0) -> list[MultitaskItem]:
    """One example per name in `tasks`."""
    return [
        make_item(task, number, seconds=0.5 + 0.1 * (number % 4)) for number, task in enumerate(tasks, first_number)
    ]


def add_speech_tokens(batch: dict, num_speech_tokens: int) -> dict:
    """Model inputs of a collated batch, with made-up ids in place of the frozen tokenizer's."""
    from mu2slam_hf.models.modules_lengths import encoder_length, length_mask

    frames = encoder_length(batch["input_features"].shape[1])
    real = length_mask(encoder_length(batch["attention_mask"].sum(dim=1)), frames)
    ids = torch.arange(real.numel()).view(real.shape) * 7 % num_speech_tokens
    inputs = {name: value for name, value in batch.items() if name != "record_ids"}
    return {**inputs, "speech_token_ids": ids.masked_fill(~real, -100)}
