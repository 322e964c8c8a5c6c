# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Settings of generation and of recordings: as given, else as stored with the model, else by default."""

from typing import Any

import torch

DEFAULT_CHUNK_SECONDS = 15.0
"""Maximum length of a window if neither options nor generation configuration say otherwise."""

DEFAULT_MAX_REPEATS = 4
"""Number of repetitions that are allowed in transcripts and translations if the generation configuration has none."""


def find_option(name: str, kwargs: dict, *configs: Any) -> Any:
    """An option of `generate`: the argument, else of the first configuration that has a value, else None."""
    values = (kwargs.get(name), *(getattr(config, name, None) for config in configs))
    return next((value for value in values if value is not None), None)


def is_plain_search(kwargs: dict, *configs: Any) -> bool:
    """Whether `generate` may search by a function of this package, which has nothing but tokens and their scores.

    Args:
        kwargs: arguments of `generate`.
        configs: generation configurations, in the order in which they apply after the arguments.
    """
    others = (
        "penalty_alpha",
        "dola_layers",
        "constraints",
        "force_words_ids",
        "prompt_lookup_num_tokens",
        "assistant_early_exit",
        "stop_strings",
    )
    given = (
        "custom_generate",
        "past_key_values",
        "cache",
        "streamer",
        "synced_gpus",
        "tokenizer",
        "assistant_tokenizer",
    )
    is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return (
        not any(find_option(name, kwargs, *configs) for name in others)
        and (find_option("num_beam_groups", kwargs, *configs) or 1) == 1
        and not any(kwargs.get(name) is not None for name in given)
        # Processes that share the weights must take the same number of steps.
        and not is_distributed
    )


def find_setting(model: Any, name: str, given: Any = None, default: Any = None) -> Any:
    """`given`, else the value that is stored with a model, else `default`; None counts as missing.

    Stored is what the generation configuration has, or the configuration of a model that does not generate.
    """
    configs = (getattr(model, "generation_config", None), getattr(model, "config", None))
    value = find_option(name, {name: given}, *configs)
    return default if value is None else value


def find_chunk_seconds(model: Any, given: float | None = None) -> float:
    """Maximum seconds of speech that a model reads at once: `given`, or the stored `chunk_length_s`, or the default.

    Raises:
        ValueError: less than a second.
    """
    seconds = find_setting(model, "chunk_length_s", given, DEFAULT_CHUNK_SECONDS)
    if seconds < 1.0:
        raise ValueError(f"chunk_length_s must be at least 1 second, got {seconds}.")
    return float(seconds)


def find_min_language_probability(model: Any, given: float | None = None) -> float:
    """Probability below which a language is `und`: `given`, or the stored `min_language_probability`, or 0."""
    return float(find_setting(model, "min_language_probability", given, 0.0))
