# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of texts, in batches of similar length."""

from collections.abc import Iterable
from typing import Any

from mu2slam_hf.evaluation.decode import generate_texts
from mu2slam_hf.models.modules_lengths import group_by_size
from mu2slam_hf.models.modules_text import prepare_text


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
