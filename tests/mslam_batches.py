# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tiny mSLAM models and batches of plain utterances, texts and pairs, made without the package's collator."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mu2slam_hf import MSLAMConfig, MSLAMForPreTraining
from mu2slam_hf.models.modules_lengths import encoder_length

NUM_SPEECH, TEXT_OFFSET, VOCABULARY, NUM_CODES = 16, 80, 112, 12
FRONTENDS = {
    "conv2d": {},
    "stacked_frames": {"frontend": "stacked_frames", "num_mel_bins": 8},
    "waveform": {"frontend": "waveform", "conv_dim": [4, 6], "conv_kernel": [10, 3], "conv_stride": [5, 2]},
}
IGNORED = -100


def make_config(encoder: dict | None = None, **options) -> MSLAMConfig:
    """16-wide, one speech layer and two shared ones."""
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_norm_groups": 4,
        "conv_norm": "layer",
        "position_embeddings_type": "rotary",
        "subsampling_conv_channels": [4, 2],
        "left_max_position_embeddings": 3,
        "right_max_position_embeddings": 3,
        "initializer_range": 0.1,
    }
    shared = {
        "num_speech_layers": 1,
        "vocab_size": VOCABULARY,
        "num_speech_tokens": NUM_SPEECH,
        "text_token_offset": TEXT_OFFSET,
        "num_codevectors_per_group": NUM_CODES,
        "codevector_dim": 8,
        "proj_codevector_dim": 6,
        "classifier_proj_size": 8,
        "initializer_range": 0.1,
        # As in w2v-BERT: gradients flow through every part.
        "quantizer_method": "gumbel",
        "quantizer_center_utterances": False,
        "quantizer_stop_gradient": False,
    }
    return MSLAMConfig(encoder_config={**sizes, **(encoder or {})}, **{**shared, **options})


def make_model(seed: int = 0, encoder: dict | None = None, dtype=torch.float32, **options) -> MSLAMForPreTraining:
    """A model with random weights (biases too), in evaluation mode."""
    torch.manual_seed(seed)
    model = MSLAMForPreTraining(make_config(encoder, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    # As after some training: not the statistics of nothing.
    model.quantizer.norm.update(4.0 * torch.randn(50, model.config.hidden_size) + 0.5)
    if model.quantizer.method == "nearest":
        model.quantizer.use.fill_(1.0)
        model.quantizer.recent_use.fill_(1.0)
    return model.to(dtype).eval()


@dataclass
class Utterance:
    """Speech of one length, and what is asked of it.

    Args:
        speech: `(T, M)`, or `(samples,)`.
        masked: for each of the N encoder frames, whether it is masked.
        negatives: frame -> numbers of other frames.
        seed: of the noise.
        transcript: ids for CTC.
    """

    speech: Tensor
    masked: list[bool]
    negatives: dict[int, list[int]] = field(default_factory=dict)
    seed: int = 0
    transcript: list[int] = field(default_factory=list)


@dataclass
class Text:
    """What the encoder reads of a text, and position -> token of what is asked."""

    shown: list[int]
    asked: dict[int, int] = field(default_factory=dict)


@dataclass
class Batch:
    """Utterances, texts, and (utterance, text) pairs of their numbers."""

    utterances: list[Utterance]
    texts: list[Text]
    pairs: list[tuple[int, int]]


def make_batch(config: MSLAMConfig, kinds: str, seed: int = 0, length: int = 60, num_negatives: int = 3) -> Batch:
    """Random content: `s` an utterance alone, `t` a text alone, `p` a pair, `c` a pair with CTC, `a` a transcribed
    utterance alone."""
    generator = torch.Generator().manual_seed(seed)
    batch = Batch([], [], [])

    def draw(high: int, low: int = 0) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    for number, kind in enumerate(kinds):
        if kind in "spca":
            batch.utterances.append(make_utterance(config.encoder_config, length + 7 * number, generator))
            frames = len(batch.utterances[-1].masked)
            batch.utterances[-1].seed = draw(2**62)
            if kind in "ca":
                batch.utterances[-1].transcript = [draw(VOCABULARY, TEXT_OFFSET) for _ in range(min(3, frames // 3))]
        if kind in "tpc":
            real = [draw(VOCABULARY, TEXT_OFFSET) for _ in range(4 + number)]
            asked = {position: real[position] for position in range(0, len(real), 3)}
            shown = [config.mask_token_id if position in asked else token for position, token in enumerate(real)]
            batch.texts.append(Text(shown, asked))
        if kind in "pc":
            batch.pairs.append((len(batch.utterances) - 1, len(batch.texts) - 1))
        if kind == "s":
            utterance = batch.utterances[-1]
            places = [frame for frame, is_masked in enumerate(utterance.masked) if is_masked]
            for frame in places if len(places) > 1 else []:
                others = [place for place in places if place != frame]
                utterance.negatives[frame] = [others[draw(len(others))] for _ in range(num_negatives)]
            if len(places) > 2:
                utterance.negatives[places[0]] = utterance.negatives[places[0]][:1]
    return batch


def make_utterance(encoder_config, length: int, generator: torch.Generator) -> Utterance:
    """About half of the frames masked, in runs; `length` counts 10 ms frames of `conv2d`."""
    size = {"waveform": (length * 10,), "stacked_frames": (length // 4, encoder_config.feature_size)}
    shape = size.get(encoder_config.frontend, (length, encoder_config.feature_size))
    speech = torch.randn(shape, generator=generator)
    frames = encoder_length(shape[0], encoder_config)
    masked = (torch.rand(-(-frames // 2), generator=generator) < 0.5).repeat_interleave(2)[:frames].tolist()
    return Utterance(speech, masked)


def collate(config: MSLAMConfig, batch: Batch, extra: int = 0, garbage: float = 0.0) -> dict:
    """Padded tensors; `extra` lengthens every padding, `garbage` is what speech holds there."""
    utterances, texts = batch.utterances, batch.texts
    if not utterances:
        encoder_config = config.encoder_config
        length = {"waveform": 640, "stacked_frames": 1}.get(encoder_config.frontend, 4)
        shape = (length,) if encoder_config.frontend == "waveform" else (length, encoder_config.feature_size)
        utterances = [Utterance(torch.zeros(shape), [False] * encoder_length(length, encoder_config))]
    texts = texts or [Text([])]
    longest = max(len(one.speech) for one in utterances) + extra
    features = torch.full((len(utterances), longest, *utterances[0].speech.shape[1:]), garbage)
    attention = torch.zeros(len(utterances), longest, dtype=torch.int64)
    num_frames = encoder_length(longest, config.encoder_config)
    num_negatives = max([1, *(len(found) for one in utterances for found in one.negatives.values())])
    mask_time_indices = torch.zeros(len(utterances), num_frames, dtype=torch.bool)
    negatives = torch.full((len(utterances), num_frames, num_negatives), -1)
    width = max([1, *(len(one.transcript) for one in utterances)]) + extra
    labels = torch.full((len(utterances), width), IGNORED)
    for row, one in enumerate(utterances):
        features[row, : len(one.speech)] = one.speech
        attention[row, : len(one.speech)] = 1
        mask_time_indices[row, : len(one.masked)] = torch.tensor(one.masked)
        labels[row, : len(one.transcript)] = torch.tensor(one.transcript, dtype=torch.int64)
        for frame, found in one.negatives.items():
            negatives[row, frame, : len(found)] = torch.tensor(found)
    num_tokens = max(1, max(len(text.shown) for text in texts)) + extra
    ids = torch.full((len(texts), num_tokens), config.pad_token_id)
    text_labels = torch.full((len(texts), num_tokens), IGNORED)
    for row, text in enumerate(texts):
        ids[row, : len(text.shown)] = torch.tensor(text.shown, dtype=torch.int64)
        for position, token in text.asked.items():
            text_labels[row, position] = token
    lengths = torch.tensor([len(text.shown) for text in texts])
    pairs = torch.tensor(batch.pairs, dtype=torch.int64).view(-1, 2)
    return {
        "input_values" if config.encoder_config.frontend == "waveform" else "input_features": features,
        "attention_mask": attention,
        "mask_time_indices": mask_time_indices,
        "negative_frames": negatives,
        "noise_seed": torch.tensor([one.seed for one in utterances]),
        "text_ids": ids,
        "text_attention_mask": (torch.arange(num_tokens)[None] < lengths[:, None]).long(),
        "text_labels": text_labels,
        "pair_speech_rows": pairs[:, 0],
        "pair_text_rows": pairs[:, 1],
        "ctc_labels": labels,
    }
