# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Drafts of the output, of which the decoder checks several tokens at once: of an assistant model, or of the CTC head.

transformers' assisted decoding passes the arguments of the model on to the assistant, except for the output of the
encoder, and expects it to encode the source. In our `generate` the source has already been encoded at that point, so
the assistant is wrapped together with its own encoding of the source.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
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


FIRST_BLOCK, SMALLEST_BLOCK, LARGEST_BLOCK = 16, 4, 64
"""Numbers of tokens that are checked at a time: at first, and the limits as they follow what was accepted."""


class Draft:
    """A proposed text, and the place in it that the text written so far has reached.

    Args:
        tokens: the proposed text.
    """

    def __init__(self, tokens: Sequence[int]):
        self.tokens = np.asarray(tokens, dtype=np.int64)
        self.place = 0
        self.block = FIRST_BLOCK
        self._unaligned: list[int] = []
        # Edit distances between the text written so far and each beginning of the draft.
        self._distances = np.arange(len(self.tokens) + 1)

    def propose(self, longest: int) -> list[int]:
        """The next tokens of the draft, at most `longest`; none at its end."""
        return self.tokens[self.place : self.place + min(longest, self.block)].tolist()

    def follow(self, written: Sequence[int]) -> None:
        """Move on after tokens were written.

        Where the text leaves the draft, the draft goes on after its beginning with the smallest edit distance to
        the text. Of equal distances, one that ends with the token just written comes first, then the one nearest to
        a replacement of the token that was not accepted.

        Args:
            written: new tokens of the text.
        """
        if not len(self.tokens):
            return
        self._unaligned += written
        expected = self.tokens[self.place : self.place + len(written)].tolist()
        if expected == list(written):
            self.place += len(written)
            self.block = min(2 * self.block, LARGEST_BLOCK)
            return
        differing = (item != other for item, other in zip(written, expected, strict=False))
        accepted = next((index for index, differs in enumerate(differing) if differs), len(expected))
        self.block = min(max(2 * accepted, SMALLEST_BLOCK), LARGEST_BLOCK)
        for token in self._unaligned:
            self._distances = _extend_distances(self._distances, self.tokens, token)
        self._unaligned = []
        ends = np.flatnonzero(self._distances == self._distances.min())
        matching = ends[(ends > 0) & (self.tokens[ends - 1] == written[-1])]
        ends = matching if len(matching) else ends
        self.place = int(ends[np.abs(ends - (self.place + accepted + 1)).argmin()])


def _extend_distances(distances: np.ndarray, tokens: np.ndarray, token: int) -> np.ndarray:
    """Edit distances `(M + 1,)` of a text to all beginnings of `tokens` `(M,)`, after one more token of the text."""
    steps = np.arange(len(distances))
    added = distances + 1
    added[1:] = np.minimum(added[1:], distances[:-1] + (tokens != token))
    # A deletion after any of these: the running minimum along a diagonal.
    return np.minimum.accumulate(added - steps) + steps


def build_ctc_drafts(log_probs: Tensor, lengths: Tensor, blank: int) -> list[list[int]]:
    """Best paths of CTC.

    Args:
        log_probs: `(B, N, V)` float logits or log posteriors.
        lengths: `(B,)` int64 number of real frames.
        blank: id of the blank.

    Returns:
        tokens of each utterance, without blanks and repetitions.
    """
    best = log_probs.argmax(dim=-1).cpu()
    paths = [torch.unique_consecutive(row[:length]) for row, length in zip(best, lengths.tolist(), strict=True)]
    return [path[path != blank].tolist() for path in paths]
