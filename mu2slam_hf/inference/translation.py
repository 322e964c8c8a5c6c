# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of texts, in batches of similar length."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from mu2slam_hf.data.text import prepare_text
from mu2slam_hf.models.modules_capabilities import capabilities_of
from mu2slam_hf.models.modules_lengths import group_by_size


@torch.no_grad()
def translate(
    model: Any,
    processor: Any,
    texts: str | Iterable[str],
    *,
    source_lang: str | Sequence[str | None] | None = None,
    target_lang: str | Sequence[str],
    task: str = "mt",
    normalize: str = "auto",
    batch_size: int = 16,
    **generate_kwargs: Any,
) -> list[str]:
    """Translate texts.

    Args:
        model: `Mu2SLAMForConditionalGeneration`.
        processor: its processor.
        texts: one text or several.
        source_lang: their language, a code or a name, or one for each text; None means unknown.
        target_lang: language to translate into, or one for each text.
        task: a task from text to text, checked against the languages.
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
    indices = [place for place, source in enumerate(sources) if source]
    results = [""] * len(items)
    for group in group_by_size([len(sources[place]) for place in indices], float("inf"), batch_size):
        chosen = [indices[index] for index in group]
        options = {
            "source_lang": _languages_of(source_lang, chosen),
            "target_lang": _languages_of(target_lang, chosen),
        }
        outputs = _generate(
            model, processor, [sources[place] for place in chosen], task=task, **options, **generate_kwargs
        )
        for place, output in zip(chosen, outputs, strict=True):
            results[place] = output
    return results


def _generate(
    model: Any, processor: Any, texts: Sequence[str], task: str, source_lang: Any, target_lang: Any, **options: Any
) -> list[str]:
    asked = {"task": task, "source_lang": source_lang, "target_lang": target_lang}
    if capabilities_of(model).reads_prompts:
        inputs = processor(text=list(texts), **asked).to(model.device)
        ids = model.generate(**inputs, **options)
    else:
        inputs = processor(text=list(texts), return_tensors="pt").to(model.device)
        ids = model.generate(**inputs, **asked, **options)
    return [text.strip() for text in processor.batch_decode(getattr(ids, "sequences", ids), skip_special_tokens=True)]


def _languages_of(languages: Any, places: Sequence[int]) -> Any:
    """The languages of some texts, of a list of languages; one language for all texts as it is."""
    return languages if languages is None or isinstance(languages, str) else [languages[index] for index in places]
