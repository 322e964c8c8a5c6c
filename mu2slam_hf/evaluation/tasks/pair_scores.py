# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of pairs of recordings and texts, for retrieval.

There are three kinds of scores. `mean`: similarity of mean-pooled encoder states, one vector per item, fast enough for
millions; its quality depends on how well training has aligned speech and text. `ctc`: log probability of the text
given the speech by the CTC head, one forward pass per recording and a sum over all alignments per pair; slower, and
much better if the encoder was trained for recognition. `decoder`: log probability by the decoder, one pass per pair;
slowest, and the only one trained on texts in another language than the speech.

Shapes: Q queries, C candidates, L tokens.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.inference.alignment import join_units, split_transcript
from mu2slam_hf.inference.ctc_alignment import ctc_log_likelihoods
from mu2slam_hf.inference.ctc_windows import iterate_ctc_log_probs
from mu2slam_hf.inference.representations import ALL_LAYERS, SpeechTextEncoder
from mu2slam_hf.inference.similarity import cosine_similarities, csls_scores
from mu2slam_hf.inference.windows import open_recording
from mu2slam_hf.models.modules_capabilities import capabilities_of

SCORES = ("mean", "ctc", "ctc-pmi", "decoder-pmi", "dot")
"""Names of the scores of pairs.

`mean`: cosine, after subtraction of the mean of each side (which does not require pairs) and corrected for hubs by
CSLS. `ctc`: log p(text | speech). `ctc-pmi`: minus the log of the mean of p(text | speech) over all recordings, which
corrects for texts that are probable for any recording, and needs many recordings. `decoder-pmi`: the same with the
decoder, which receives the language of the text but not that of the speech. `dot`: the dot product of the vectors
of a model that pools by itself, which receives both languages if they are given.
"""

LAYER_SCORES = ("cosine", "centred", "csls")
"""Names of the scores of each layer: cosine; after subtraction of the mean of each side; also corrected by CSLS."""

# Number of pairs that the decoder scores at a time.
_DECODED_TEXTS = 64
# Decoders are trained on single utterances; attention to a whole recording is quadratic in its length.
DECODER_SECONDS = 60.0


def score_pairs(
    model: Any,
    processor: Any,
    audio: Sequence[Any],
    texts: Sequence[str],
    scores: Sequence[str] = ("ctc-pmi",),
    *,
    layer: int | None = None,
    text_languages: Sequence[str] | None = None,
    audio_languages: Sequence[str | None] | None = None,
) -> dict[str, Tensor]:
    """Scores of all pairs of recordings and texts.

    Args:
        model: model with a shared encoder, with a CTC head for `ctc` and a decoder for `decoder-pmi`; in evaluation
            mode.
        processor: its processor.
        audio: Q recordings, in any form that `load_audio` accepts.
        texts: C texts.
        scores: names in `SCORES`; scores of one kind share the forward passes.
        layer: the layer whose states `mean` pools, see `encode_pieces`.
        text_languages: C codes, for `decoder-pmi` and `dot`; the other scores do not use languages.
        audio_languages: Q codes, for `dot`; None means unknown.

    Returns:
        a dictionary from each score to `(Q, C)` float64; -inf if a text cannot be encoded or requires more frames than
        the recording has.

    Raises:
        ValueError: an unknown score, no text can be encoded, a score with `pmi` of a single recording, or
            `decoder-pmi` without languages or a decoder.
    """
    unknown = sorted(set(scores) - set(SCORES))
    if unknown:
        raise ValueError(f"unknown scores {unknown}; expected some of {', '.join(SCORES)}")
    if len(audio) < 2 and (compared := [name for name in scores if name.endswith("-pmi")]):
        raise ValueError(
            f"{compared[0]} compares the recordings with one another and got {len(audio)}: pass several, or use the "
            "scores ctc or mean"
        )
    results: dict[str, Tensor] = {}
    if "mean" in scores:
        results["mean"] = _compute_vector_scores(SpeechTextEncoder(model, processor, layer=layer), audio, texts)
    if "dot" in scores:
        if not capabilities_of(model).pools:
            raise ValueError(f"{type(model).__name__} has no vectors that were trained for dot products; use mean")
        encoder = SpeechTextEncoder(model, processor)
        speech = encoder.encode_speech(audio, audio_languages)
        text = encoder.encode_text(texts, text_languages)
        results["dot"] = encoder.similarity(speech.double(), text.double())
    if "ctc" in scores or "ctc-pmi" in scores:
        results["ctc"] = compute_ctc_scores(model, processor, audio, texts)
        results["ctc-pmi"] = _less_their_mean(results["ctc"])
    if "decoder-pmi" in scores:
        if text_languages is None:
            raise ValueError("the decoder requires the languages of the texts: pass text_languages")
        results["decoder-pmi"] = _less_their_mean(
            compute_decoder_scores(model, processor, audio, texts, text_languages)
        )
    return {name: results[name] for name in scores}


def score_layers(
    model: Any, processor: Any, audio: Sequence[Any], texts: Sequence[str]
) -> dict[int, dict[str, Tensor]]:
    """Scores of all pairs of recordings and texts by the mean-pooled states of each layer that both pass through.

    Args:
        model: model with a shared encoder, in evaluation mode.
        processor: its processor.
        audio: Q recordings.
        texts: C texts.

    Returns:
        a dictionary from the numbers of the layers to the names in `LAYER_SCORES` to `(Q, C)` float64.
    """
    encoder = SpeechTextEncoder(model, processor, layer=ALL_LAYERS)
    # (Q, layers, D) and (C, layers, D); text may enter after some layers.
    speech, text = encoder.encode_speech(audio).double(), encoder.encode_text(texts).double()
    first = speech.shape[1] - text.shape[1]
    results = {}
    for layer in range(first, speech.shape[1]):
        recordings, sentences = speech[:, layer], text[:, layer - first]
        centred = cosine_similarities(recordings - recordings.mean(dim=0), sentences - sentences.mean(dim=0))
        values = (cosine_similarities(recordings, sentences), centred, csls_scores(centred))
        results[layer] = dict(zip(LAYER_SCORES, values, strict=True))
    return results


def _less_their_mean(likelihoods: Tensor) -> Tensor:
    """`log p(t | s) - log mean over s' of p(t | s')` of `(Q, C)` log probabilities."""
    prior = likelihoods.logsumexp(dim=0) - math.log(len(likelihoods))
    return (likelihoods - prior).nan_to_num(nan=-math.inf)


def _compute_vector_scores(encoder: SpeechTextEncoder, audio: Sequence[Any], texts: Sequence[str]) -> Tensor:
    """CSLS of centred vectors; a single item is not centred, because nothing would be left of it."""
    speech, text = encoder.encode_speech(audio).double(), encoder.encode_text(texts).double()
    encoder.fit_centers(*(vectors if len(vectors) > 1 else None for vectors in (speech, text)))
    return csls_scores(encoder.similarity(speech, text))


@torch.no_grad()
def compute_ctc_scores(model: Any, processor: Any, audio: Sequence[Any], texts: Sequence[str]) -> Tensor:
    """Log probability of each text given each recording, `(Q, C)` float64, over all alignments.

    Characters that are not in the vocabulary are omitted, as in forced alignment; a text of only such characters gets
    -inf.

    Args:
        model: model with a CTC head.
        processor: its processor.
        audio: Q recordings.
        texts: C texts.

    Raises:
        ValueError: the model has no CTC head, or no text can be encoded.
    """
    spelled: dict[int, list[int]] = {}
    for place, text in enumerate(texts):
        try:
            units, _ = split_transcript(text, processor.tokenizer)
        except ValueError:
            continue
        ids, _ = join_units([unit for unit in units if min(unit.ids) >= 0], processor.tokenizer)
        spelled[place] = ids
    if not spelled:
        raise ValueError("none of the texts has characters of the vocabulary")
    scores = torch.full((len(audio), len(texts)), -math.inf, dtype=torch.float64)
    # The loss requires only the columns that occur; the blank is the first.
    columns = [model.config.pad_token_id, *sorted({index for ids in spelled.values() for index in ids})]
    indices = {index: place for place, index in enumerate(columns)}
    labels = [[indices[index] for index in ids] for ids in spelled.values()]
    for row, recording in enumerate(audio):
        blocks = stream_audio_source(recording, SAMPLING_RATE)
        windows = iterate_ctc_log_probs(model.eval(), processor, blocks)
        log_probs = torch.cat([window[:, columns] for window in windows])
        scores[row, list(spelled)] = ctc_log_likelihoods(log_probs, labels)
    return scores


@torch.no_grad()
def compute_decoder_scores(
    model: Any, processor: Any, audio: Sequence[Any], texts: Sequence[str], text_languages: Sequence[str]
) -> Tensor:
    """Log probability of each text given each recording by the decoder, `(Q, C)` float64, including `</s>`.

    Args:
        model: model with a decoder.
        processor: its processor.
        audio: Q recordings.
        texts: C texts.
        text_languages: C codes.

    Raises:
        ValueError: the model has no decoder, or does not support a language; or a recording is longer than a minute.
    """
    if not capabilities_of(model).generates:
        raise ValueError(f"{type(model).__name__} has no decoder; use the scores mean or ctc")
    # Texts of similar length together, to minimise padding.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    chunks = [order[start : start + _DECODED_TEXTS] for start in range(0, len(order), _DECODED_TEXTS)]
    targets = [
        processor(text_target=[texts[c] for c in chunk], target_lang=[text_languages[c] for c in chunk]).to(
            model.device
        )
        for chunk in chunks
    ]
    scores = torch.zeros(len(audio), len(texts), dtype=torch.float64)
    for row, recording in enumerate(audio):
        waveform = open_recording(recording, DECODER_SECONDS)
        if not isinstance(waveform, np.ndarray):
            raise ValueError(
                f"audio[{row}] is longer than {DECODER_SECONDS:g} s, the most that the decoder scores at once; use "
                "the scores ctc, ctc-pmi or mean, which read recordings of any length"
            )
        inputs = processor(audio=[waveform], sampling_rate=SAMPLING_RATE, return_tensors="pt")
        encoded = model.get_encoder()(**inputs.to(model.device))
        for chunk, target in zip(chunks, targets, strict=True):
            labels = target["labels"]
            outputs = model(
                # One recording for all texts: (1, N, D) -> (C, N, D)
                encoder_outputs=(encoded.last_hidden_state.expand(len(chunk), -1, -1),),
                labels=labels,
                decoder_language_ids=target["decoder_language_ids"],
            )
            log_probs = outputs.logits.float().log_softmax(dim=-1)
            chosen = log_probs.gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
            # (C, L) -> (C,)
            scores[row, chunk] = torch.where(labels >= 0, chosen, 0.0).double().sum(dim=1).cpu()
    return scores
