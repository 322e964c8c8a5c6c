# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM for pre-training: encodes speech, text and pairs of a batch together and returns every loss by name.

Shapes: U utterances, T feature frames (100 Hz), N encoder frames (25 Hz), M mel bins, W texts, L tokens, P pairs, Q
    negatives, C CTC labels, S sequences of the shared layers, R rows that hold them, F masked frames of the batch, G
    codebooks, K losses, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.processing_utils import Unpack
from transformers.utils.generic import ModelOutput, TransformersKwargs, can_return_tuple

from .configuration_conformer import ConformerEncoderConfig
from .configuration_mslam import MSLAMConfig
from .modeling_mslam import MSLAMModel, MSLAMPreTrainedModel
from .modules_frontends import dummy_speech, select_speech_input
from .modules_layers import at_least_float32, linear
from .modules_learned_quantization import LearnedQuantizer, QuantizerOutput
from .modules_lengths import downsample_attention_mask, length_mask
from .modules_losses import (
    IGNORE_INDEX,
    contrastive_losses,
    ctc_sum,
    diversity_loss,
    mask_ctc_logits,
    named_means,
    softmax_sums,
    weighted_mean_sum,
)
from .modules_pooling import gather_units
from .modules_quantization import (
    RandomProjectionQuantizer,
    center_utterances,
    stack_frames,
    standardize_utterances,
)
from .modules_segments import SegmentRows, lay_out_segments

MSLAM_LOSSES = ("contrastive", "diversity", "speech_mlm", "text_mlm", "tlm_speech", "tlm_text", "ctc")
"""Names of the losses, in the order of all vectors of sums, counts and weights."""

ALONE, IN_PAIR = 0, 1
"""Kinds of masked positions; each has its own loss on the same softmax."""


@dataclass
class MSLAMForPreTrainingOutput(ModelOutput):
    """Losses of one batch as sums and counts, which can be added over batches and processes.

    Args:
        loss: scalar, the weighted sum of the losses of this batch, each divided by its count.
        loss_sums: `(K,)` float32 sums over targets, in the order of `MSLAM_LOSSES`.
        loss_counts: `(K,)` float32 number of targets per loss.
        last_hidden_state: `(R, L, D)` output of the shared layers.
        speech_hidden_state: `(U, N, D)` output of the speech layers.
        codevector_ids: `(F, G)` int64, ids of all masked frames of the batch, for statistics of the use of the
            codebooks.
    """

    loss: Tensor | None = None
    loss_sums: Tensor | None = None
    loss_counts: Tensor | None = None
    last_hidden_state: Tensor | None = None
    speech_hidden_state: Tensor | None = None
    codevector_ids: Tensor | None = None

    def named_losses(self) -> dict[str, float]:
        """Mean per target of every loss that has targets in this batch, by name."""
        return named_means(MSLAM_LOSSES, self.loss_sums, self.loss_counts)


class SharedLayout(NamedTuple):
    """Start of each utterance, text and pair in the shared layers, as flat positions `r * L + l`.

    Attributes:
        rows: the sequences laid out in rows.
        speech_starts: `(U,)` int64 start of each utterance as a sequence of its own; -1 if it is not one.
        text_starts: `(W,)` int64 start of each text as a sequence of its own; -1 if it is not one.
        pair_speech_starts: `(P,)` int64 start of the speech of each pair.
        pair_text_starts: `(P,)` int64 start of the text of each pair.
    """

    rows: SegmentRows
    speech_starts: Tensor
    text_starts: Tensor
    pair_speech_starts: Tensor
    pair_text_starts: Tensor


class Asked(NamedTuple):
    """Positions that have a prediction target.

    Attributes:
        positions: `(k,)` int64 flat positions in the rows of the shared layers.
        kinds: `(k,)` int64, `ALONE` or `IN_PAIR`.
        units: `(k,)` int64 flat positions in the batch: `u * N + n` for a frame, `w * L + l` for a token.
    """

    positions: Tensor
    kinds: Tensor
    units: Tensor


class MSLAMForPreTraining(MSLAMPreTrainedModel):
    """mSLAM with the quantiser and the heads of all pre-training losses.

    Paper: mSLAM section 3. Speech only: w2v-BERT, that is, a contrastive and a diversity loss on the output of the
    speech layers and prediction of the codes of masked frames on the output of the last layer; the quantiser reads the
    frames *before* masking. Text only: prediction of masked tokens. Pairs: prediction of both in one sequence (TLM),
    and CTC.
    Choice: an utterance of a pair that has CTC labels passes through the shared layers a second time without its text,
    and CTC uses that output (`config.ctc_input`): from the pair, where half of the transcript is visible, CTC would
    learn to copy. The same frames are masked as in the pair.
    With `config.quantizer_method="random_projection"`: BEST-RQ (Chiu et al. 2022), and with text and pairs USM's
    recipe. The codes are those of the input features, nothing of the quantiser is trained, and the contrastive and the
    diversity loss have no targets.
    Choice: token prediction and CTC are tied to the token embeddings, each with its own bias, as in Mu2SLAM.

    Example, one step on a small batch with all losses:

    ```python
    >>> from transformers import AutoConfig, AutoModelForPreTraining

    >>> sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    >>> config = AutoConfig.for_model("mslam", encoder_config=sizes, num_speech_layers=1, codevector_dim=8)
    >>> model = AutoModelForPreTraining.from_config(config)
    >>> batch = model.dummy_inputs
    >>> batch["input_features"].shape, batch["pair_speech_rows"].tolist(), batch["mask_time_indices"].tolist()
    (torch.Size([2, 11, 80]), [1], [[True, False, True], [False, True, False]])

    >>> outputs = model(**batch)
    >>> outputs.loss.backward()
    >>> sorted(outputs.named_losses())
    ['contrastive', 'ctc', 'diversity', 'speech_mlm', 'text_mlm', 'tlm_speech', 'tlm_text']
    ```
    """

    _can_compile_fullgraph = False  # its shapes depend on the number of masked positions
    # In lower precision, entries and running statistics would give other ids than in training.
    _keep_in_fp32_modules_strict = ["quantizer"]
    _tied_weights_keys = {
        "mlm_head.weight": "model.embed_tokens.weight",
        "ctc_head.weight": "model.embed_tokens.weight",
    }
    _vocabulary_heads: tuple[str, ...] = ("mlm_head", "ctc_head")
    _model_class: type[MSLAMModel] = MSLAMModel

    def __init__(self, config: MSLAMConfig):
        super().__init__(config)
        self.model = self._model_class(config)
        width = config.encoder_config.hidden_size
        groups, entries = config.num_codevector_groups, config.num_codevectors_per_group
        self.quantizer: LearnedQuantizer | RandomProjectionQuantizer
        if config.has_random_codes:
            size = stacked_feature_size(config.encoder_config)
            self.quantizer = RandomProjectionQuantizer(
                size, entries, config.codevector_dim, groups, config.quantizer_seed
            )
        else:
            self.quantizer = LearnedQuantizer(width, entries, groups, config.codevector_dim, config.quantizer_method)
            self.project_hid = nn.Linear(width, config.proj_codevector_dim)
            self.project_q = nn.Linear(config.codevector_dim, config.proj_codevector_dim)
        self.speech_heads = nn.ModuleList(nn.Linear(width, entries) for _ in range(groups))
        for name in self._vocabulary_heads:
            setattr(self, name, nn.Linear(width, config.vocab_size))
        self.post_init()

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A small batch with all losses: an utterance, a text and a pair; three frames and two tokens each."""
        first, second, mask = self.config.vocab_size - 2, self.config.vocab_size - 1, self.config.mask_token_id
        speech = dummy_speech(self.config.encoder_config, self.device)
        batch = {
            "mask_time_indices": [[True, False, True], [False, True, False]],
            "negative_frames": [[[2], [-1], [0]], [[-1], [-1], [-1]]],
            "noise_seed": [1, 2],
            "text_ids": [[first, mask], [mask, second]],
            "text_attention_mask": [[1, 1], [1, 1]],
            "text_labels": [[IGNORE_INDEX, second], [first, IGNORE_INDEX]],
            "pair_speech_rows": [1],
            "pair_text_rows": [1],
            "ctc_labels": [[IGNORE_INDEX, IGNORE_INDEX], [first, second]],
        }
        return {
            self.main_input_name: torch.cat([speech, speech.flip(1)]),
            "attention_mask": torch.ones((2, speech.shape[1]), dtype=torch.int64, device=self.device),
            **{name: torch.tensor(value, device=self.device) for name, value in batch.items()},
        }

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        *,
        attention_mask: Tensor,
        mask_time_indices: Tensor,
        negative_frames: Tensor,
        noise_seed: Tensor,
        text_ids: Tensor,
        text_attention_mask: Tensor,
        text_labels: Tensor,
        pair_speech_rows: Tensor,
        pair_text_rows: Tensor,
        ctc_labels: Tensor,
        input_values: Tensor | None = None,
        speech_language_ids: Tensor | None = None,
        text_language_ids: Tensor | None = None,
        loss_weights: Tensor | None = None,
        pack_sequences: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MSLAMForPreTrainingOutput:
        """Run a mixed batch and sum every loss.

        Every parameter receives a gradient in every batch: a loss without targets is 0 with zero gradients, so that
        processes with different data stay synchronised. The values of padding have no effect.

        Args:
            input_features: `(U, T, M)` float, each utterance once; a batch without speech holds one silent utterance
                without targets.
            attention_mask: `(U, T)` int64, 1 on real frames.
            mask_time_indices: `(U, N)` bool, True on frames that are masked and predicted.
            negative_frames: `(U, N, Q)` int64, for masked frames of speech without text: other masked frames of the
                same utterance; -1 for none.
            noise_seed: `(U,)` int64, seeds of the noise that replaces masked frames; unused if `config.speech_mask` is
                `learned`.
            text_ids: `(W, L)` int64, already masked; a batch without text holds one row of padding.
            text_attention_mask: `(W, L)` int64, 1 on real tokens.
            text_labels: `(W, L)` int64, -100 is ignored.
            pair_speech_rows: `(P,)` int64 rows of the utterances of the pairs; may be empty.
            pair_text_rows: `(P,)` int64 rows of their texts.
            ctc_labels: `(U, C)` int64 transcripts as token ids, -100 on padding; a row of -100 has no CTC target.
            input_values: `(U, samples)` float, in place of `input_features` for the front end `waveform`.
            speech_language_ids: `(U,)` int64 rows of `config.languages`; 0 (`und`) by default.
            text_language_ids: `(W,)` int64, likewise.
            loss_weights: `(K,)` coefficients in the order of `MSLAM_LOSSES`; 1 by default. They only affect `loss`.
            pack_sequences: whether short sequences share rows of the shared layers; the result is the same. Default:
                True if the attention backend supports a mask between sequences (all except flash attention).
            **kwargs: arguments of the attention backend.

        Raises:
            ValueError: masks do not match the frames, or a negative is not a masked frame.
        """
        model, config = self.model, self.config
        speech_input = select_speech_input(config.encoder_config, input_features, input_values)
        frame_mask = at_least_one(downsample_attention_mask(attention_mask, config.encoder_config))
        is_masked = self._check_masks(frame_mask, mask_time_indices, negative_frames)
        masked = is_masked.flatten().nonzero()[:, 0]
        frames, codes = self._mask_and_quantize(speech_input, attention_mask, frame_mask, is_masked, noise_seed)
        languages = (
            or_undetermined(speech_language_ids, attention_mask),
            or_undetermined(text_language_ids, text_ids),
        )
        speech = self._run_speech_layers(frames, frame_mask, languages[0], kwargs)
        text_mask = at_least_one(text_attention_mask)
        layout = self._lay_out(frame_mask, text_mask, pair_speech_rows, pair_text_rows, ctc_labels, pack_sequences)
        projected = linear(model.speech_projection, speech)
        states = self._run_shared_layers((projected, model.embed_text(text_ids)), layout.rows, languages, kwargs)

        in_pair = mark_rows(pair_speech_rows, len(speech))
        contrastive, diversity = self._sum_contrastive(speech, codes, masked, negative_frames, is_masked, in_pair)
        asked = place_asked(is_masked, in_pair, layout.speech_starts, pair_speech_rows, layout.pair_speech_starts)
        speech_sums, speech_counts = self._sum_codes(states, codes, masked, asked)
        text_sums, text_counts = self._sum_tokens(states, layout, text_labels, text_mask, pair_text_rows)
        parts = {
            "contrastive": contrastive,
            "diversity": diversity,
            "speech_mlm": (speech_sums[ALONE], speech_counts[ALONE]),
            "text_mlm": (text_sums[ALONE], text_counts[ALONE]),
            "tlm_speech": (speech_sums[IN_PAIR], speech_counts[IN_PAIR]),
            "tlm_text": (text_sums[IN_PAIR], text_counts[IN_PAIR]),
            "ctc": self._sum_ctc(states, self._find_ctc_starts(layout, pair_speech_rows), frame_mask, ctc_labels),
        }
        sums, counts = (torch.stack([at_least_float32(parts[name][i]) for name in MSLAM_LOSSES]) for i in (0, 1))
        return MSLAMForPreTrainingOutput(
            loss=weighted_mean_sum(sums, counts, loss_weights),
            loss_sums=sums,
            loss_counts=counts,
            last_hidden_state=states,
            speech_hidden_state=speech,
            codevector_ids=codes.ids.view(-1, config.num_codevector_groups),
        )

    def _run_speech_layers(self, frames: Tensor, frame_mask: Tensor, languages: Tensor, kwargs: dict) -> Tensor:
        """Output `(U, N, D)` of the speech layers."""
        options = {**kwargs, "language_ids": languages}
        return self.model.run_speech_layers(frames, frame_mask.long(), **options).last_hidden_state

    def _sum_tokens(
        self, states: Tensor, layout: SharedLayout, text_labels: Tensor, text_mask: Tensor, pair_text_rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums and counts `(2,)` of the prediction of masked tokens."""
        asked_tokens, in_pair = (text_labels != IGNORE_INDEX) & text_mask, mark_rows(pair_text_rows, len(text_mask))
        asked = place_asked(asked_tokens, in_pair, layout.text_starts, pair_text_rows, layout.pair_text_starts)
        labels = text_labels.flatten()[asked.units]
        return softmax_sums(self.mlm_head, states, asked.positions, labels, asked.kinds, 2)

    def _frames_to_quantize(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """Input of the quantiser from the front end's output `(U, N, D)`, before masking."""
        if self.config.quantizer_stop_gradient:
            frames = frames.detach()
        return center_utterances(frames, frame_mask) if self.config.quantizer_center_utterances else frames

    def _mask_and_quantize(
        self, speech_input: Tensor, attention_mask: Tensor, frame_mask: Tensor, is_masked: Tensor, noise_seed: Tensor
    ) -> tuple[Tensor, QuantizerOutput]:
        """Frames `(U, N, D)` for the speech layers, and the codes of the masked ones, in the order of the batch."""
        model, masked = self.model, is_masked.flatten().nonzero()[:, 0]
        if self.config.has_random_codes:
            codes = self._project_at_random(speech_input, attention_mask, masked)
            return model.embed_masked_speech(speech_input, attention_mask, is_masked, noise_seed), codes
        frames = model.embed_speech(speech_input, attention_mask)
        codes = self.quantizer(self._frames_to_quantize(frames, frame_mask).flatten(0, 1)[masked])
        return model.mask_speech(frames, is_masked, noise_seed), codes

    def _project_at_random(self, features: Tensor, attention_mask: Tensor, masked: Tensor) -> QuantizerOutput:
        """Codes of the masked frames from the features `(U, T, M)`, as many of them as the front end reads a frame."""
        real = attention_mask.bool()
        if self.config.quantizer_center_utterances:
            features = standardize_utterances(features, real)
        else:
            features = torch.where(real[..., None], features, 0.0)
        frames = stack_frames(features, self.config.encoder_config.subsampling_factor)
        return QuantizerOutput(None, self.quantizer(frames.flatten(0, 1)[masked]), None, None)

    @staticmethod
    def _check_masks(frame_mask: Tensor, mask_time_indices: Tensor, negatives: Tensor) -> Tensor:
        """Check the mask and the negatives; returns `mask_time_indices` without padding."""
        shape = tuple(frame_mask.shape)
        if tuple(mask_time_indices.shape) != shape or tuple(negatives.shape[:2]) != shape:
            raise ValueError(
                "mask_time_indices and negative_frames must hold one row per utterance and one entry per encoder "
                f"frame, {shape}; got {tuple(mask_time_indices.shape)} and {tuple(negatives.shape[:2])}."
            )
        is_masked = mask_time_indices.bool() & frame_mask
        present = negatives >= 0
        row = torch.arange(len(negatives), device=negatives.device)[:, None, None]
        wrong = present & ~(is_masked[row, negatives.clamp(min=0)] & is_masked[..., None])
        if wrong.any():
            raise ValueError(
                "negative_frames must be -1 except at masked real frames, and must refer to masked real frames of "
                f"the same utterance; {int(wrong.sum())} entries are invalid."
            )
        return is_masked

    def _lay_out(
        self,
        frame_mask: Tensor,
        text_mask: Tensor,
        pair_speech_rows: Tensor,
        pair_text_rows: Tensor,
        ctc_labels: Tensor,
        pack_sequences: bool | None,
    ) -> SharedLayout:
        """Lay out the sequences of the shared layers: utterances, texts, pairs."""
        num_frames, num_tokens = frame_mask.shape[1], text_mask.shape[1]
        frame_lengths, text_lengths = frame_mask.sum(-1), text_mask.sum(-1)
        speech_is_alone = ~mark_rows(pair_speech_rows, len(frame_mask))
        if self.config.ctc_input == "speech":
            speech_is_alone = speech_is_alone | (ctc_labels != IGNORE_INDEX).any(-1)
        speech, text = speech_is_alone.nonzero()[:, 0], (~mark_rows(pair_text_rows, len(text_mask))).nonzero()[:, 0]
        no_speech, no_text = torch.zeros_like(text), torch.zeros_like(speech)
        # (S,): utterances, texts, pairs
        first_rows = torch.cat([speech, no_speech, pair_speech_rows])
        second_rows = torch.cat([no_text, text, pair_text_rows])
        first_lengths = torch.cat([frame_lengths[speech], no_speech, frame_lengths[pair_speech_rows]])
        second_lengths = torch.cat([no_text, text_lengths[text], text_lengths[pair_text_rows]])
        rows = lay_out_segments(
            first_rows * num_frames,
            first_lengths,
            frame_mask.numel() + second_rows * num_tokens,
            second_lengths,
            self._packs(pack_sequences),
        )
        starts = rows.starts.split([len(speech), len(text), len(pair_speech_rows)])
        return SharedLayout(
            rows=rows,
            speech_starts=rows.starts.new_full((len(frame_mask),), -1).index_copy(0, speech, starts[0]),
            text_starts=rows.starts.new_full((len(text_mask),), -1).index_copy(0, text, starts[1]),
            pair_speech_starts=starts[2],
            pair_text_starts=starts[2] + frame_lengths[pair_speech_rows],
        )

    def _packs(self, pack_sequences: bool | None) -> bool:
        """Whether short sequences share rows; by default, if the attention backend supports the mask of such rows."""
        if pack_sequences is None:
            return "flash" not in (self.config._attn_implementation or "eager")
        return pack_sequences

    def _run_shared_layers(
        self, parts: Sequence[Tensor], rows: SegmentRows, languages: Sequence[Tensor], kwargs: dict
    ) -> Tensor:
        """States `(R, L, D)` of all sequences, whose units are the positions of the parts `(B, L, D)` in order.

        The languages of each part are `(B,)` int64.
        """
        pool = torch.cat([part.flatten(0, 1).to(parts[0].dtype) for part in parts])
        return self.model.run_shared_layers(
            gather_units(pool, rows.units),
            None if rows.is_packed else rows.sequence_ids,
            rows.sequence_ids if rows.is_packed else None,
            rows.position_ids,
            self._place_languages(parts, rows, languages),
            **kwargs,
        ).last_hidden_state

    def _place_languages(
        self, parts: Sequence[Tensor], rows: SegmentRows, languages: Sequence[Tensor]
    ) -> Tensor | None:
        """Languages `(R, L)` int64 of all positions of the shared layers; None if the model does not read them."""
        if not (self.config.encoder_config.adapter_size or self.config.use_language_embedding):
            return None
        units = [ids.repeat_interleave(part.shape[1]) for part, ids in zip(parts, languages, strict=True)]
        return torch.cat(units)[rows.units]

    def _sum_contrastive(
        self, speech: Tensor, codes: QuantizerOutput, masked: Tensor, negatives: Tensor, is_masked, in_pair
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Sums and counts of the contrastive and the diversity loss, over masked frames of speech without text."""
        config = self.config
        if config.has_random_codes:
            none = speech.new_zeros(())
            return (none, none), (none, none)
        assert codes.vectors is not None and codes.probabilities is not None
        context = self.project_hid(speech.flatten(0, 1)[masked])
        targets = self.project_q(codes.vectors.to(context.dtype))
        by_frame = context.new_zeros(is_masked.numel(), context.shape[-1])
        losses, asked = contrastive_losses(
            by_frame.index_copy(0, masked, context).view(*speech.shape[:2], -1),
            by_frame.index_copy(0, masked, targets).view(*speech.shape[:2], -1),
            negatives,
            config.contrastive_logits_temperature,
        )
        # Positions without targets contribute zero gradients.
        total = losses.sum() + 0.0 * (context.sum() + targets.sum())
        if codes.commitment is not None:
            weights = asked.flatten()[masked] * config.commitment_loss_weight
            total = total + (codes.commitment * weights).sum()
        is_alone = (is_masked & ~in_pair[:, None]).flatten()[masked]
        count = is_alone.sum()
        diversity = diversity_loss(codes.probabilities[is_alone], config.quantizer_frame_entropy_weight)
        diversity = diversity + 0.0 * codes.probabilities.sum()
        return (total, asked.sum()), (diversity * count, count)

    def _sum_codes(
        self, states: Tensor, codes: QuantizerOutput, masked: Tensor, asked: Asked
    ) -> tuple[Tensor, Tensor]:
        """Sums and counts `(2,)` of the prediction of codes; with several codebooks their mean."""
        ids = codes.ids.view(-1, self.config.num_codevector_groups)
        # Both are sorted flat positions; every frame with a target is among the masked ones.
        labels = ids[torch.searchsorted(masked, asked.units)]
        parts = [
            softmax_sums(head, states, asked.positions, column, asked.kinds, 2)
            for head, column in zip(self.speech_heads, labels.unbind(-1), strict=True)
        ]
        return torch.stack([sums for sums, _ in parts]).mean(0), parts[0][1]

    def _find_ctc_starts(self, layout: SharedLayout, pair_speech_rows: Tensor) -> Tensor:
        """`(U,)` flat positions of the utterances that CTC reads."""
        if self.config.ctc_input == "speech":
            return layout.speech_starts
        return layout.speech_starts.scatter_reduce(0, pair_speech_rows, layout.pair_speech_starts, "amax")

    def _sum_ctc(self, states: Tensor, starts: Tensor, frame_mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over transcripts and count of target tokens."""
        # Without any target, the head receives a zero gradient through the first utterance.
        rows = first_if_none((labels != IGNORE_INDEX).any(-1))
        frames = read_runs(states, starts[rows], frame_mask.shape[1])
        logits = mask_ctc_logits(self.ctc_head(frames), self.config)
        return ctc_sum(logits, frame_mask[rows], labels[rows], blank=self.config.pad_token_id)[:2]


def stacked_feature_size(config: ConformerEncoderConfig) -> int:
    """Number of input features of which the front end makes one frame."""
    return config.feature_size * config.subsampling_factor


def read_runs(states: Tensor, starts: Tensor, length: int) -> Tensor:
    """Runs `(C, length, D)` of rows `(R, L, D)` from the flat positions `starts` `(C,)` on; arbitrary past the end."""
    positions = starts[:, None] + torch.arange(length, device=starts.device)
    # (R, L, D) -> (R * L, D) -> (C, length, D)
    return gather_units(states.flatten(0, 1), positions.clamp(min=0, max=states.shape[0] * states.shape[1] - 1))


def at_least_one(mask: Tensor) -> Tensor:
    """`mask` `(B, L)`, 1 on real positions (on the left), as bool and with at least one position in every row.

    A row without targets may consist of padding only; attention over no position would give NaN.
    """
    return length_mask(mask.long().sum(-1).clamp(min=1), mask.shape[1])


def or_undetermined(language_ids: Tensor | None, rows: Tensor) -> Tensor:
    """Languages `(B,)` int64 of rows `(B, ...)`; 0 (`und`) for all of them if none are given."""
    return rows.new_zeros(len(rows), dtype=torch.int64) if language_ids is None else language_ids


def first_if_none(chosen: Tensor) -> Tensor:
    """Flat positions `(k,)` int64 where `chosen` is True, or the first position if there are none."""
    results = chosen.flatten().nonzero()[:, 0]
    return results if len(results) else results.new_zeros(1)


def mark_rows(rows: Tensor, number: int) -> Tensor:
    """`(number,)` bool, True at `rows` `(k,)` int64."""
    return torch.zeros(number, dtype=torch.bool, device=rows.device).index_fill(0, rows, True)


def place_asked(asked: Tensor, in_pair: Tensor, alone_starts: Tensor, pair_rows: Tensor, pair_starts: Tensor) -> Asked:
    """Map positions of the batch to the rows of the shared layers.

    Args:
        asked: `(A, n)` bool, frames of utterances or tokens of texts.
        in_pair: `(A,)` bool, True for utterances or texts of a pair.
        alone_starts: `(A,)` int64 start of those that are sequences of their own.
        pair_rows: `(P,)` int64 indices of those in the pairs.
        pair_starts: `(P,)` int64 their starts.
    """
    row, place = (asked & ~in_pair[:, None]).nonzero(as_tuple=True)
    pair, inside = asked[pair_rows].nonzero(as_tuple=True)
    return Asked(
        positions=torch.cat([alone_starts[row] + place, pair_starts[pair] + inside]),
        kinds=torch.cat([torch.full_like(row, ALONE), torch.full_like(pair, IN_PAIR)]),
        units=torch.cat([row * asked.shape[1] + place, pair_rows[pair] * asked.shape[1] + inside]),
    )


__all__ = ["MSLAMForPreTraining", "MSLAMForPreTrainingOutput"]
