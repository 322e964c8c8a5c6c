# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of speech by way of its transcript: recognised first, then encoded as text.

Shapes: B batch, N encoder positions, L tokens, D width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence


def encode_transcripts(model: Any, encoder_outputs: Any, translated: Tensor, spoken: Tensor, **options: Any) -> Any:
    """Encoder outputs in which the speech of some rows is replaced by its transcript.

    Paper: section 2, speech and text share the encoder and the decoder, so that one model recognises and translates.
    Choice: an alternative to direct translation for models that have read far more translated text than speech.

    Args:
        model: model that transcribes and reads text.
        encoder_outputs: outputs of speech: `last_hidden_state` `(B, N, D)` and `attention_mask` `(B, N)` or None.
        translated: `(B,)` bool, the rows to replace. A row without a recognised word keeps its speech.
        spoken: `(B,)` int64 rows of the spoken languages.
        **options: arguments of `generate` for the transcripts.

    Returns:
        Encoder outputs with states `(B, N', D)`, N' the longest row, and their mask.
    """
    if not bool(translated.any()):
        return encoder_outputs
    states, mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask
    mask = torch.ones(states.shape[:2], dtype=torch.int64, device=states.device) if mask is None else mask
    output = type(encoder_outputs)
    ids = model.generate(
        encoder_outputs=output(last_hidden_state=states[translated], attention_mask=mask[translated]),
        source_modality="speech",
        language_ids=spoken[translated],
        decoder_language_ids=spoken[translated],
        translate_transcript=False,
        return_dict_in_generate=False,
        num_return_sequences=1,
        **options,
    )
    texts = _text_tokens(ids, model.config)
    recognized = torch.tensor([len(text) > 0 for text in texts], device=states.device)
    if not bool(recognized.any()):
        return encoder_outputs
    read = encode_tokens(model, [text for text in texts if text], spoken[translated][recognized])
    text_mask = read.attention_mask
    rows = translated.nonzero().flatten()[recognized]
    kept = torch.ones_like(translated).index_fill(0, rows, False)
    longest = max(int(mask[kept].sum(dim=-1).max()) if bool(kept.any()) else 0, text_mask.shape[1])
    states = pad(states[:, :longest], (0, 0, 0, max(0, longest - states.shape[1])))
    mask = pad(mask[:, :longest], (0, max(0, longest - mask.shape[1])))
    missing = longest - text_mask.shape[1]
    states = states.index_copy(0, rows, pad(read.last_hidden_state.to(states.dtype), (0, 0, 0, missing)))
    mask = mask.index_copy(0, rows, pad(text_mask.to(mask.dtype), (0, missing)))
    return output(last_hidden_state=states, attention_mask=mask)


def encode_tokens(model: Any, texts: Sequence[Sequence[int]], languages: Tensor) -> Any:
    """Encoder outputs of texts.

    Args:
        model: model that reads text.
        texts: text tokens of each item, without `</s>`.
        languages: `(B,)` int64 rows of their languages.

    Returns:
        Encoder outputs with states `(B, L, D)` and `attention_mask` `(B, L)` int64.
    """
    config, device = model.config, languages.device
    rows = [torch.tensor([*text, config.eos_token_id], device=device) for text in texts]
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    ids = pad_sequence(rows, batch_first=True, padding_value=config.pad_token_id)
    return model.get_encoder()(input_ids=ids, attention_mask=mask, language_ids=languages, return_dict=True)


def _text_tokens(ids: Tensor, config: Any) -> list[list[int]]:
    """The text tokens of each row of generated ids `(B, L)`."""
    is_text = (ids >= config.text_token_offset) | (ids == config.unk_token_id)
    return [row[own].tolist() for row, own in zip(ids, is_text, strict=True)]
