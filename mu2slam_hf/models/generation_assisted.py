# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Assisted decoding: a second encoder-decoder proposes tokens, and the model checks several of them at once.

transformers' assisted decoding passes the arguments of the model on to the assistant, except for the output of the
encoder, and expects it to encode the source. In our `generate` the source has already been encoded at that point, so
the assistant is wrapped together with its own encoding of the source.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.generation import GenerationMixin


class SourceAssistant:
    """An assistant with its encoding of the source; everything else is that of the model.

    Args:
        model: the assistant.
        encoder_outputs: its encoder's output for the source of the main model.
        language_rows: `(num_languages,)` int64: the assistant's row for each row of the main model's languages.
    """

    def __init__(self, model: Any, encoder_outputs: Any, language_rows: Tensor):
        self.model = model
        self.encoder_outputs = encoder_outputs
        self.language_rows = language_rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)

    def _prepare_model_inputs(self, inputs: Any, bos_token_id: Any, model_kwargs: dict) -> tuple[Any, str, dict]:
        """Called by transformers; the source needs no preparation."""
        return None, self.model.main_input_name, model_kwargs

    def _maybe_prepare_encoder_kwargs_for_generation(
        self, inputs: Any, model_kwargs: dict, name: str, generation_config: Any
    ) -> dict:
        """Called by transformers; adds the encoded source, and converts the target languages to the assistant's."""
        languages = self.language_rows[model_kwargs["decoder_language_ids"].cpu()].to(self.model.device)
        return {**model_kwargs, "encoder_outputs": self.encoder_outputs, "decoder_language_ids": languages}

    def generate(self, **kwargs: Any) -> Any:
        """Proposals. Languages, modality and processors are those of the main model, so ours are not applied again."""
        source = self.model.build_encoder_outputs(kwargs.pop("encoder_outputs"))
        # Passed separately, options of the configuration cause a warning.
        config = copy.deepcopy(kwargs.pop("generation_config"))
        others = config.update(**kwargs)
        return GenerationMixin.generate(self.model, generation_config=config, encoder_outputs=source, **others)


def prepare_assistant(
    model: Any, config: Any, kwargs: dict, source: str, source_lang: str | Sequence[str | None] | None
) -> SourceAssistant | None:
    """Check the options of assisted decoding, and encode the source with the assistant.

    Args:
        model: the main model.
        config: the generation configuration.
        kwargs: arguments of `generate`; `assistant_model` is removed. Choice: beams of the generation configuration
            do not apply, only those that are given here.
        source: name of the source in `kwargs`.
        source_lang: language of the source, or None.

    Returns:
        the assistant; None without `assistant_model`.

    Raises:
        ValueError: beams, more than one item, or an assistant that does not match the model or cannot encode the
            source.
    """
    assistant = kwargs.pop("assistant_model", None)
    lookup = kwargs.get("prompt_lookup_num_tokens", getattr(config, "prompt_lookup_num_tokens", None))
    if assistant is None and not lookup:
        return None
    option = "prompt_lookup_num_tokens" if assistant is None else "assistant_model"
    beams = kwargs.setdefault("num_beams", 1)
    if beams > 1:
        raise ValueError(f"{option} supports greedy decoding and sampling, but num_beams={beams}: pass num_beams=1.")
    states = kwargs[source] if isinstance(kwargs[source], Tensor) else kwargs[source][0]
    if states.shape[0] > 1:
        raise ValueError(f"{option} supports one item at a time, got {states.shape[0]}: call generate for each.")
    if assistant is None or isinstance(assistant, SourceAssistant):
        return assistant
    rows = map_assistant_languages(model, assistant)
    if source == "encoder_outputs":
        raise ValueError(
            f"assistant_model encodes the source itself: pass {model.main_input_name} or input_ids instead of "
            "encoder_outputs, or a SourceAssistant."
        )
    device = assistant.device
    names = ("attention_mask", "language_ids", "modality_ids", "position_ids", source)
    own = {name: kwargs[name].to(device) for name in names if kwargs.get(name) is not None}
    if "language_ids" in own:
        own["language_ids"] = rows[own["language_ids"].cpu()].to(device)
    if source_lang is not None:
        wanted = model.language_rows(source_lang, 1).cpu()
        own["language_ids"] = rows[wanted].to(device)
    with torch.no_grad():
        encoded = assistant.get_encoder()(**own, return_dict=True)
    return SourceAssistant(assistant, encoded, rows)


def map_assistant_languages(model: Any, assistant: Any) -> Tensor:
    """The assistant's row `(num_languages,)` int64 for each row of a model's languages; 0 for those that it lacks.

    Raises:
        ValueError: it is not an encoder-decoder, or its vocabulary or inputs are not those of the model.
    """
    if not hasattr(assistant, "build_encoder_outputs"):
        raise ValueError(f"assistant_model must be a Mu2SLAMForConditionalGeneration, got {type(assistant).__name__}.")
    mine, other = model.config, assistant.config
    differences = [
        f"{name} {getattr(mine, name)} and {getattr(other, name)}"
        for name in ("vocab_size", "speech_token_offset", "num_speech_tokens", "text_token_offset")
        if getattr(mine, name) != getattr(other, name)
    ]
    if model.main_input_name != assistant.main_input_name:
        differences.append(f"inputs {model.main_input_name} and {assistant.main_input_name}")
    if differences:
        raise ValueError(f"The model and assistant_model differ: {', '.join(differences)}.")
    languages = list(other.languages)
    return torch.tensor([languages.index(code) if code in languages else 0 for code in mine.languages])
