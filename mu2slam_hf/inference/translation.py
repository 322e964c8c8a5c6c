# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of texts in batches of similar length, and single calls of `generate` for speech or text."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from mu2slam_hf.data.text import prepare_text
from mu2slam_hf.inference.representations import prepare_inputs
from mu2slam_hf.models.modules_lengths import group_by_size


def translate(
    model: Any,
    processor: Any,
    texts: str | Iterable[str],
    *,
    source_lang: str | None = None,
    target_lang: str,
    normalize: str = "auto",
    batch_size: int = 16,
    **generate_kwargs: Any,
) -> list[str]:
    """Translate texts.

    Args:
        model: `Mu2SLAMForConditionalGeneration`.
        processor: its processor.
        texts: one text or several.
        source_lang: their language, a code or a name; None means unknown.
        target_lang: language to translate into.
        normalize: "auto", "always" or "never", see `prepare_text`.
        batch_size: maximum number of texts in a batch; results do not depend on it.
        **generate_kwargs: passed to `generate`.

    Returns:
        One translation for each text, in their order; empty for a text without characters.

    Raises:
        ValueError: a language that the model does not support, both languages are the same, or an item that is not a
            text.
    """
    items = [texts] if isinstance(texts, str) else list(texts)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise ValueError(f"texts[{index}] must be a str, got {type(item).__name__}")
    sources = [prepare_text(item, processor.tokenizer, normalize) for item in items]
    places = [place for place, source in enumerate(sources) if source]
    results = [""] * len(items)
    languages: dict[str, Any] = {"source_lang": source_lang, "target_lang": target_lang, "task": "mt"}
    for group in group_by_size([len(sources[place]) for place in places], float("inf"), batch_size):
        chosen = [places[index] for index in group]
        batch = [sources[place] for place in chosen]
        outputs = generate_texts(model, processor, text=batch, **languages, **generate_kwargs)
        for place, output in zip(chosen, outputs, strict=True):
            results[place] = output
    return results


@torch.no_grad()
def generate_texts(
    model: Any,
    processor: Any,
    *,
    audio: Sequence[Any] | None = None,
    text: Sequence[str] | None = None,
    source_lang: Sequence[str] | str | None = None,
    target_lang: Sequence[str] | str | None = None,
    task: str | None = None,
    **generate_kwargs: Any,
) -> list[str]:
    """Generate one text for every recording or every source text.

    Args:
        model: `Mu2SLAMForConditionalGeneration`; its mode (train or eval) is restored afterwards.
        processor: its processor.
        audio: 16 kHz arrays `(samples,)`; exactly one of `audio` and `text` must be given.
        text: source texts.
        source_lang: code or one per item; None means unknown.
        target_lang: code or one per item; None means the source language, given or predicted.
        task: checked against modality and languages, see the model's `generate`.
        **generate_kwargs: passed to `generate`.
    """
    if (audio is None) == (text is None):
        raise ValueError("expected exactly one of `audio` and `text`")
    inputs = prepare_inputs(model, processor, audio=audio, text=text)
    languages = {
        name: value if value is None or isinstance(value, str) else list(value)
        for name, value in (("source_lang", source_lang), ("target_lang", target_lang))
    }
    ids = model.generate(**inputs, **languages, task=task, **generate_kwargs)
    return [text.strip() for text in processor.batch_decode(ids, skip_special_tokens=True)]


@torch.no_grad()
def guess_languages(model: Any, processor: Any, audio: Sequence[Any]) -> list[str]:
    """Predict the language of each recording with the language head.

    Args:
        model: `Mu2SLAMForConditionalGeneration`.
        processor: its processor.
        audio: 16 kHz arrays `(samples,)`.
    """
    inputs = prepare_inputs(model, processor, audio=audio)
    unknown = torch.zeros(len(audio), dtype=torch.int64, device=model.device)  # row 0 is "und"
    outputs = model.get_encoder()(**inputs, language_ids=unknown)
    rows = model.guess_language(outputs.last_hidden_state, outputs.attention_mask)
    return [model.config.languages[row] for row in rows.tolist()]
