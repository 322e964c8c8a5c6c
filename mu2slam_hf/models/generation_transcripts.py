# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translation of speech by way of its transcript: recognised first, then encoded as text.

Shapes: B batch, N encoder positions, L tokens, D width.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


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
    texts, text_mask = _as_source(ids, model.config)
    heard = text_mask.sum(dim=-1) > 1
    if not bool(heard.any()):
        return encoder_outputs
    texts, text_mask = texts[heard], text_mask[heard]
    read = model.get_encoder()(
        input_ids=texts, attention_mask=text_mask, language_ids=spoken[translated][heard], return_dict=True
    )
    rows = translated.nonzero().flatten()[heard]
    kept = torch.ones_like(translated).index_fill(0, rows, False)
    longest = max(int(mask[kept].sum(dim=-1).max()) if bool(kept.any()) else 0, texts.shape[1])
    states = pad(states[:, :longest], (0, 0, 0, max(0, longest - states.shape[1])))
    mask = pad(mask[:, :longest], (0, max(0, longest - mask.shape[1])))
    missing = longest - texts.shape[1]
    states = states.index_copy(0, rows, pad(read.last_hidden_state.to(states.dtype), (0, 0, 0, missing)))
    mask = mask.index_copy(0, rows, pad(text_mask.to(mask.dtype), (0, missing)))
    return output(last_hidden_state=states, attention_mask=mask)


def _as_source(ids: Tensor, config: Any) -> tuple[Tensor, Tensor]:
    """Generated ids `(B, L)` as inputs of the encoder: text tokens and `</s>`, padded on the right, and their mask."""
    is_text = (ids >= config.text_token_offset) | (ids == config.unk_token_id)
    rows = [row[own].tolist() + [config.eos_token_id] for row, own in zip(ids, is_text, strict=True)]
    longest = max(len(row) for row in rows)
    texts = torch.tensor([row + [config.pad_token_id] * (longest - len(row)) for row in rows], device=ids.device)
    lengths = torch.tensor([len(row) for row in rows], device=ids.device)
    return texts, (torch.arange(longest, device=ids.device) < lengths[:, None]).to(torch.int64)
