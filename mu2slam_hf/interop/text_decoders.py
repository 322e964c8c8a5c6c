# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Import of the decoders of public text models: M2M100 and NLLB-200 (`m2m_100`), mBART and mBART-50 (`mbart`).

As with speech encoders, every weight of the source is mapped or omitted with a reason, and every weight of our decoder
is loaded or in the list of new weights; anything else is an error.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedModel

from mu2slam_hf.interop.layer_choice import choose_layers, keep_layers
from mu2slam_hf.interop.speech_encoder_formats import refuse_unknown, rename_weights
from mu2slam_hf.interop.speech_encoders import check_complete, check_names
from mu2slam_hf.interop.text_decoder_formats import TOKEN_TABLES, convert_decoder_config, find_text_format
from mu2slam_hf.interop.text_tokenizers import NEW_ROW, ConvertedTokenizer

# Our weights that text models do not have, and those of encoder and CTC head.
_NEW_KEYS = (
    r"model\.decoder\.embed_(languages|modalities)\.weight",
    r"lm_head\.bias",  # mBART has one
    r"(ctc_head|language_head)\.(weight|bias)",
    r"model\.encoder\.(?!embed_tokens).*",
)
_ZEROED = ("embed_languages", "embed_modalities")


@dataclass(frozen=True)
class TextDecoderWeights:
    """The decoder of a text model, with the names of this package and the token ids of the source.

    Attributes:
        decoder_config: fields of a [`Mu2SLAMDecoderConfig`].
        state_dict: maps names in a [`Mu2SLAMForConditionalGeneration`] to tensors.
        source: source of the weights, for messages.
        left_out: maps omitted names of the source to reasons.
        tie_word_embeddings: whether inputs of encoder and decoder and the softmax share one table.
        start_token_id: the decoder's start token in the source.
        eos_token_id: `</s>` in the source.
    """

    decoder_config: dict[str, Any]
    state_dict: dict[str, Tensor] = field(repr=False)
    source: str
    left_out: dict[str, str] = field(repr=False)
    tie_word_embeddings: bool
    start_token_id: int
    eos_token_id: int

    def load_into(self, model: Any, converted: ConvertedTokenizer) -> None:
        """Copy the weights into a [`Mu2SLAMForConditionalGeneration`] whose vocabulary is that of `converted`.

        Rows of tokens that the source does not have are drawn with mean and deviation of its rows; those of new
        languages begin as the mean of the languages of the source. The embeddings of languages and modalities are
        zero, so that the output is that of the source. With separate tables the CTC head begins as the softmax.

        Raises:
            ValueError: weights are missing, unexpected or of another shape, or the source has fewer rows than its
                tokenizer; the message contains their names.
        """
        given = {name: self._permute(name, tensor, converted) for name, tensor in self.state_dict.items()}
        own = model.state_dict()
        tied = map(re.escape, TOKEN_TABLES) if self.tie_word_embeddings else ()
        check_names(own, given, self.source, new_keys=[*_NEW_KEYS, *tied], advice="")
        with torch.no_grad():
            for name, tensor in given.items():
                own[name].copy_(tensor)
            for name in _ZEROED:
                getattr(model.model.decoder, name).weight.zero_()
            if not self.tie_word_embeddings:
                model.ctc_head.weight.copy_(given["lm_head.weight"])

    def _permute(self, name: str, tensor: Tensor, converted: ConvertedTokenizer) -> Tensor:
        """A weight with its rows in the order of our ids."""
        is_bias = name == "lm_head.bias"
        if name not in TOKEN_TABLES and not is_bias:
            return tensor
        if is_bias:
            tensor = tensor.flatten()
        ids = torch.from_numpy(converted.source_ids)
        if int(ids.max()) >= tensor.shape[0]:
            raise ValueError(
                f"{self.source}: {name} has {tensor.shape[0]} rows, but the tokenizer has ids up to {int(ids.max())}."
            )
        permuted = tensor[ids.clamp(min=0)]
        new = ids == NEW_ROW
        if is_bias:
            return permuted.masked_fill(new, 0.0)
        used = permuted[~new].float()
        drawn = used.mean(0) + used.std(0) * torch.randn(int(new.sum()), tensor.shape[1])
        permuted[new] = drawn.to(tensor.dtype)
        languages = torch.tensor(converted.language_token_ids)
        is_new = new[languages]
        if bool(is_new.any()) and not bool(is_new.all()):
            permuted[languages[is_new]] = permuted[languages[~is_new]].mean(0)
        return permuted


def load_text_decoder(
    name_or_model: str | PreTrainedModel, layers: int | Sequence[int] | None = None, **kwargs: Any
) -> TextDecoderWeights:
    """Load the decoder, the embeddings and the softmax of a text model, with the names of this package.

    Args:
        name_or_model: a folder, a name on the Hub, or a model: `M2M100ForConditionalGeneration` (also NLLB-200) or
            `MBartForConditionalGeneration`.
        layers: decoder layers that are kept, see `choose_layers`; None for all.
        **kwargs: passed to `from_pretrained` (`revision`, `token`, `dtype`, ...); ignored for a model.

    Raises:
        ValueError: another kind of model, an unexpected weight, an incomplete checkpoint, or layers that do not exist.
    """
    is_model = isinstance(name_or_model, PreTrainedModel)
    source = type(name_or_model).__name__ if is_model else str(name_or_model)
    options = {name: value for name, value in kwargs.items() if name != "dtype"}
    model: Any = name_or_model
    config: Any = model.config if is_model else AutoConfig.from_pretrained(source, **options)
    known = find_text_format(config, source)
    chosen = choose_layers(layers, config.decoder_layers, "decoder_layers")
    if not is_model:
        options = {"dtype": torch.float32, **kwargs}
        model, info = AutoModelForSeq2SeqLM.from_pretrained(source, output_loading_info=True, **options)
        refuse_unknown(info["unexpected_keys"], known, source)
        check_complete(info["missing_keys"], source)
    elif not hasattr(model, "lm_head"):
        raise ValueError(f"{source}: expected a model with a softmax over text (lm_head), for conditional generation.")
    renamed, left_out = rename_weights(model.state_dict(), known, source)
    start = config.decoder_start_token_id
    return TextDecoderWeights(
        decoder_config=convert_decoder_config(config, len(chosen)),
        state_dict=keep_layers(renamed, "model.decoder.layers.", chosen),
        source=source,
        left_out=left_out,
        tie_word_embeddings=bool(config.tie_word_embeddings),
        start_token_id=config.eos_token_id if start is None else start,
        eos_token_id=config.eos_token_id,
    )


__all__ = ["TextDecoderWeights", "load_text_decoder"]
