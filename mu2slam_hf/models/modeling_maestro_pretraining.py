# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Maestro for pre-training: pairs aligned by a transducer, text matched with speech, and every loss by name.

Shapes: U utterances, T feature frames (100 Hz), N encoder frames (25 Hz), M mel bins, W texts, L tokens, P pairs, Q
    negatives, C CTC labels, R rows of the shared layers, K losses, D width.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs, can_return_tuple

from .configuration_maestro import MaestroConfig
from .modeling_maestro import MaestroModel
from .modeling_mslam_pretraining import (
    ALONE,
    MSLAMForPreTraining,
    MSLAMForPreTrainingOutput,
    at_least_one,
    first_if_none,
    mark_rows,
    or_undetermined,
    place_asked,
    read_runs,
)
from .modules_base import touch_parameters
from .modules_frontends import dummy_speech, select_speech_input
from .modules_layers import at_least_float32, linear
from .modules_lengths import downsample_attention_mask
from .modules_losses import IGNORE_INDEX, named_means, weighted_mean_sum
from .modules_segments import lay_out_segments
from .modules_speech_masking import counter_spans
from .modules_text_resampling import ResampledText
from .modules_transducer import TransducerHead, find_emission_frames, frames_to_durations, transducer_sum

MAESTRO_LOSSES = (
    *("contrastive", "diversity", "speech_mlm"),
    *("rnnt", "ctc", "matching", "duration", "aligned_mlm"),
)
"""Names of the losses, in the order of all vectors of sums, counts and weights."""


@dataclass
class MaestroForPreTrainingOutput(MSLAMForPreTrainingOutput):
    """Losses of one batch as sums and counts, in the order of `MAESTRO_LOSSES`; the rest as for mSLAM.

    Args:
        durations: `(P, L)` int64 aligned frames of the tokens of each pair; None if matching is skipped.
        num_cut_durations: 0-d int64, number of tokens of unpaired texts whose predicted duration was cut.
    """

    durations: Tensor | None = None
    num_cut_durations: Tensor | None = None

    def named_losses(self) -> dict[str, float]:
        """Mean per target of every loss that has targets in this batch, by name."""
        return named_means(MAESTRO_LOSSES, self.loss_sums, self.loss_counts)


class Pairs(NamedTuple):
    """Speech with its text.

    Attributes:
        speech_rows: `(P,)` int64 rows of the utterances.
        text_rows: `(P,)` int64 rows of the texts.
        frame_mask: `(P, N)` bool, True on real frames.
        is_token: `(P, L)` bool, True on tokens of a pair.
        labels: `(P, L)` int64, -100 elsewhere.
        num_frames: 0-d number of frames of pairs with tokens.
        num_tokens: 0-d number of tokens of pairs.
    """

    speech_rows: Tensor
    text_rows: Tensor
    frame_mask: Tensor
    is_token: Tensor
    labels: Tensor
    num_frames: Tensor
    num_tokens: Tensor


class EncodedTexts(NamedTuple):
    """All texts of a batch, and those without speech at the frame rate of speech.

    Attributes:
        tokens: `(W, L, D)` output of the text encoder; None if nothing needs it.
        log_durations: `(W, L)` predictions of the durations, likewise.
        mask: `(W, L)` bool, True on real tokens.
        labels: `(A, L)` int64 tokens of the texts without speech, -100 elsewhere.
        languages: `(A,)` int64 languages of these texts.
        masked: these texts `(A, N', D)`, with masked frames; None if they are skipped.
        num_cut: 0-d number of tokens whose duration was cut, likewise.
        matches: whether text is matched with speech.
    """

    tokens: Tensor | None
    log_durations: Tensor | None
    mask: Tensor
    labels: Tensor
    languages: Tensor
    masked: ResampledText | None
    num_cut: Tensor | None
    matches: bool


class SharedStates(NamedTuple):
    """Output of the shared layers.

    Attributes:
        states: `(R, L, D)` rows that hold all utterances and masked texts.
        speech_starts: `(U,)` int64 flat position of the first frame of each utterance.
        text_starts: `(A,)` int64 the same of each text without speech; empty if they are skipped.
    """

    states: Tensor
    speech_starts: Tensor
    text_starts: Tensor


class AlignmentAverage(nn.Module):
    """A copy of encoder and transducer that follows their weights and is never trained.

    Paper: Maestro section 2.3, an exponential moving average aligns pairs and predicts durations of texts.
    """

    def __init__(self, config: MaestroConfig):
        super().__init__()
        self.model = MaestroModel(config)
        self.transducer = TransducerHead(config, config.encoder_config.hidden_size)
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, model: MaestroModel, transducer: TransducerHead, decay: float) -> None:
        """Move all weights towards those of the model: `decay * own + (1 - decay) * model`."""
        for own, other in ((self.model, model), (self.transducer, transducer)):
            for average, values in zip(own.state_dict().values(), other.state_dict().values(), strict=True):
                if average.is_floating_point():
                    average.lerp_(values.to(average.dtype), 1.0 - decay)
                else:
                    average.copy_(values)


class MaestroForPreTraining(MSLAMForPreTraining):
    r"""Maestro with the heads of all pre-training losses.

    Paper: Maestro (Chen et al. 2022) section 2. With e_s the output of the speech layers, e_t that of the text encoder
    and a the durations of the tokens in a pair, which its best path through the transducer gives:

    `matching = |norm(e_s) - norm(refiner(resample(e_t, a)))|^2 / D`, a mean over frames of pairs;
    `rnnt = -log P(t | e_s)` of pairs; `duration = (predicted - log(1 + a))^2`;
    `aligned_mlm = -log P(t | mask(refiner(resample(e_t, predicted))))` of texts without speech.

    Speech without text has the losses of [`MSLAMForPreTraining`].
    Choice: states are normalised without affine parameters before they are matched, because the scale of e_s is
    arbitrary and shrinking must not pay. Choice: masked frames of text are replaced as those of speech
    (`config.speech_mask`).
    """

    config_class = MaestroConfig
    config: MaestroConfig
    _model_class = MaestroModel
    model: MaestroModel
    _tied_weights_keys = {"ctc_head.weight": "model.embed_tokens.weight"}
    _vocabulary_heads = ("ctc_head",)

    def __init__(self, config: MaestroConfig):
        super().__init__(config)
        self.transducer = TransducerHead(config, config.encoder_config.hidden_size)
        self.average = AlignmentAverage(config) if config.alignment_ema_decay else None
        self.post_init()

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A small batch with all losses: an utterance, a text and a pair; three frames and two tokens each."""
        first, second = self.config.vocab_size - 2, self.config.vocab_size - 1
        speech = dummy_speech(self.config.encoder_config, self.device)
        batch = {
            "mask_time_indices": [[True, False, True], [False, False, False]],
            "negative_frames": [[[2], [-1], [0]], [[-1], [-1], [-1]]],
            "noise_seed": [1, 2],
            "text_ids": [[first, second], [second, first]],
            "text_attention_mask": [[1, 1], [1, 1]],
            "text_seed": [3, 4],
            "pair_speech_rows": [1],
            "pair_text_rows": [1],
            "ctc_labels": [[IGNORE_INDEX, IGNORE_INDEX], [second, first]],
        }
        return {
            self.main_input_name: torch.cat([speech, speech.flip(1)]),
            "attention_mask": torch.ones((2, speech.shape[1]), dtype=torch.int64, device=self.device),
            **{name: torch.tensor(value, device=self.device) for name, value in batch.items()},
        }

    def start_average(self) -> None:
        """Copy the weights into the average that aligns; without one (`alignment_ema_decay` 0), nothing happens."""
        if self.average is not None:
            self.average.follow(self.model, self.transducer, 0.0)

    def update_average(self) -> None:
        """Let the average follow the weights, after an update of the optimizer."""
        if self.average is not None:
            self.average.follow(self.model, self.transducer, self.config.alignment_ema_decay)

    @can_return_tuple
    def forward(  # type: ignore[override]
        self,
        input_features: Tensor | None = None,
        *,
        attention_mask: Tensor,
        mask_time_indices: Tensor,
        negative_frames: Tensor,
        noise_seed: Tensor,
        text_ids: Tensor,
        text_attention_mask: Tensor,
        text_seed: Tensor,
        pair_speech_rows: Tensor,
        pair_text_rows: Tensor,
        ctc_labels: Tensor,
        input_values: Tensor | None = None,
        speech_language_ids: Tensor | None = None,
        text_language_ids: Tensor | None = None,
        loss_weights: Tensor | None = None,
        skipped_losses: tuple[str, ...] = (),
        pack_sequences: bool | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MaestroForPreTrainingOutput:
        """Run a mixed batch and sum every loss.

        Every parameter receives a gradient in every batch, as in [`MSLAMForPreTraining`].

        Args:
            input_features: `(U, T, M)` float, each utterance once; a batch without speech holds one silent utterance.
            attention_mask: `(U, T)` int64, 1 on real frames.
            mask_time_indices: `(U, N)` bool, True on frames that are masked and predicted; none in pairs.
            negative_frames: `(U, N, Q)` int64, as in [`MSLAMForPreTraining`].
            noise_seed: `(U,)` int64 seeds of the noise that replaces masked frames.
            text_ids: `(W, L)` int64 tokens without special tokens; a batch without text holds one row of padding.
            text_attention_mask: `(W, L)` int64, 1 on real tokens.
            text_seed: `(W,)` int64 seeds of the spans that are masked in unpaired texts, and of their noise.
            pair_speech_rows: `(P,)` int64 rows of the utterances of the pairs; may be empty.
            pair_text_rows: `(P,)` int64 rows of their texts.
            ctc_labels: `(U, C)` int64 transcripts as token ids, -100 on padding; a row of -100 has no CTC target.
            input_values: `(U, samples)` float, in place of `input_features` for the front end `waveform`.
            speech_language_ids: `(U,)` int64 rows of `config.languages`; 0 (`und`) by default.
            text_language_ids: `(W,)` int64, likewise.
            loss_weights: `(K,)` coefficients in the order of `MAESTRO_LOSSES`; 1 by default. They only affect `loss`.
            skipped_losses: names among `matching`, `duration` and `aligned_mlm` that are not computed: their sums are
                0, and parameters of theirs alone receive zero gradients.
            pack_sequences: as in [`MSLAMForPreTraining`].
            **kwargs: arguments of the attention backend.

        Raises:
            ValueError: masks do not match the frames, a negative is not a masked frame, or frames of pairs are masked.
        """
        config = self.config
        speech_input = select_speech_input(config.encoder_config, input_features, input_values)
        frame_mask = at_least_one(downsample_attention_mask(attention_mask, config.encoder_config))
        is_masked = self._check_masks(frame_mask, mask_time_indices, negative_frames)
        in_pair = mark_rows(pair_speech_rows, len(frame_mask))
        if bool((is_masked & in_pair[:, None]).any()):
            raise ValueError("mask_time_indices must be False in pairs, whose text is matched with all frames.")
        masked = is_masked.flatten().nonzero()[:, 0]
        frames, codes = self._mask_and_quantize(speech_input, attention_mask, frame_mask, is_masked, noise_seed)
        languages = or_undetermined(speech_language_ids, attention_mask)
        speech = self._run_speech_layers(frames, frame_mask, languages, kwargs)
        pairs = collect_pairs(frame_mask, text_ids, text_attention_mask, pair_speech_rows, pair_text_rows)
        inputs = (text_ids, text_attention_mask, text_seed, or_undetermined(text_language_ids, text_ids))
        texts = self._encode_texts(*inputs, pair_text_rows, skipped_losses, kwargs)
        layout = self._run_shared(speech, frame_mask, languages, texts, pack_sequences, kwargs)
        states, starts = layout.states, layout.speech_starts

        pair_states = read_runs(states, starts[pairs.speech_rows], frame_mask.shape[1])
        rnnt = transducer_sum(self.transducer, pair_states, pairs.frame_mask, pairs.labels)[0]
        parts = {
            **self._sum_speech(speech, states, starts, codes, masked, is_masked, negative_frames, in_pair),
            "rnnt": (rnnt, pairs.num_tokens),
            "ctc": self._sum_ctc(states, starts, frame_mask, ctc_labels),
        }
        utterances = (speech_input, attention_mask, languages)
        aligned, matching = self._match(speech, pair_states, texts, pairs, utterances, kwargs)
        parts |= matching | self._sum_reconstruction(layout, texts)
        sums, counts = self._stack(parts, skipped_losses)
        return MaestroForPreTrainingOutput(
            loss=weighted_mean_sum(sums, counts, loss_weights),
            loss_sums=sums,
            loss_counts=counts,
            last_hidden_state=states,
            speech_hidden_state=speech,
            codevector_ids=codes.ids.view(-1, config.num_codevector_groups),
            durations=aligned,
            num_cut_durations=texts.num_cut,
        )

    def _sum_speech(
        self,
        speech: Tensor,
        states: Tensor,
        starts: Tensor,
        codes,
        masked: Tensor,
        is_masked: Tensor,
        negatives,
        in_pair,
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Sums and counts of the losses of speech without text."""
        contrastive, diversity = self._sum_contrastive(speech, codes, masked, negatives, is_masked, in_pair)
        none = torch.zeros_like(starts[:0])
        asked = place_asked(is_masked, in_pair, starts, none, none)
        sums, counts = self._sum_codes(states, codes, masked, asked)
        return {"contrastive": contrastive, "diversity": diversity, "speech_mlm": (sums[ALONE], counts[ALONE])}

    def _encode_texts(
        self,
        text_ids: Tensor,
        attention_mask: Tensor,
        seeds: Tensor,
        languages: Tensor,
        pair_rows: Tensor,
        skipped: Collection[str],
        kwargs: dict,
    ) -> EncodedTexts:
        """Encode all texts; resample and mask those without speech."""
        frontend, mask = self.model.text_frontend, at_least_one(attention_mask)
        matches, reconstructs = not {"matching", "duration"} <= set(skipped), "aligned_mlm" not in skipped
        is_alone = ~mark_rows(pair_rows, len(text_ids))
        # Without unpaired texts, the first one passes through without targets: all processes run the same modules.
        alone = first_if_none(is_alone)
        is_target = attention_mask.bool()[alone] & is_alone[alone, None]
        labels = text_ids[alone].masked_fill(~is_target, IGNORE_INDEX)
        if not (matches or reconstructs):
            return EncodedTexts(None, None, mask, labels, languages[alone], None, None, matches)
        embeds = self.model.embed_text(text_ids, language_ids=languages)
        tokens = frontend.encode(embeds, mask, **kwargs)
        log_durations = frontend.duration_predictor(tokens, mask)
        if not reconstructs:
            return EncodedTexts(tokens, log_durations, mask, labels, languages[alone], None, None, matches)
        predicted = log_durations
        if self.average is not None:
            with torch.no_grad():
                other = self.average.model
                embeds = other.embed_text(text_ids, language_ids=languages)
                states = other.text_frontend.encode(embeds, mask, **kwargs)
                predicted = other.text_frontend.duration_predictor(states, mask)
        durations, num_cut = frontend.duration_predictor.to_durations(predicted[alone], mask[alone])
        text = frontend.refine(tokens[alone], durations, **kwargs)
        config, lengths = self.config, text.mask.sum(-1)
        spans = counter_spans(
            seeds[alone], lengths, text.mask.shape[1], config.text_mask_time_prob, config.text_mask_time_length
        )
        masked = ResampledText(self.model.mask_speech(text.states, spans, seeds[alone]), text.mask)
        return EncodedTexts(tokens, log_durations, mask, labels, languages[alone], masked, num_cut, matches)

    def _run_shared(
        self,
        speech: Tensor,
        frame_mask: Tensor,
        speech_languages: Tensor,
        texts: EncodedTexts,
        pack: bool | None,
        kwargs: dict,
    ) -> SharedStates:
        """The shared layers over all utterances and masked texts."""
        lengths, parts, languages, text = frame_mask.sum(-1), [speech], [speech_languages], texts.masked
        starts = torch.arange(len(speech), device=speech.device) * speech.shape[1]
        if text is not None:
            rows = torch.arange(len(text.mask), device=speech.device) * text.mask.shape[1]
            starts, lengths = torch.cat([starts, frame_mask.numel() + rows]), torch.cat([lengths, text.mask.sum(-1)])
            parts.append(text.states.to(speech.dtype))
            languages.append(texts.languages)
        none = torch.zeros_like(starts)
        rows = lay_out_segments(starts, lengths, none, none, self._packs(pack))
        projected = [linear(self.model.speech_projection, part) for part in parts]
        states = self._run_shared_layers(projected, rows, languages, kwargs)
        return SharedStates(states, rows.starts[: len(speech)], rows.starts[len(speech) :])

    def _sum_reconstruction(self, layout: SharedStates, texts: EncodedTexts) -> dict[str, tuple[Tensor, Tensor]]:
        """Sum and count of `aligned_mlm` over tokens of masked texts; nothing if they are skipped."""
        if texts.masked is None:
            return {}
        states = read_runs(layout.states, layout.text_starts, texts.masked.mask.shape[1])
        loss, _ = transducer_sum(self.transducer, states, texts.masked.mask, texts.labels)
        return {"aligned_mlm": (loss, (texts.labels != IGNORE_INDEX).sum())}

    def _match(
        self,
        speech: Tensor,
        states: Tensor,
        texts: EncodedTexts,
        pairs: Pairs,
        inputs: tuple[Tensor, Tensor, Tensor],
        kwargs: dict,
    ) -> tuple[Tensor | None, dict[str, tuple[Tensor, Tensor]]]:
        """Durations `(P, L)`; sums and counts of `matching` over frames and of `duration` over tokens of pairs.

        Args:
            speech: `(U, N, D)` output of the speech layers.
            states: `(P, N, D)` output of the shared layers for the utterances of the pairs.
            texts: all texts.
            pairs: the pairs.
            inputs: the input of the front end for all utterances, its mask, and their languages.
            kwargs: arguments of the attention backend.
        """
        if not texts.matches:
            return None, {}
        assert texts.tokens is not None and texts.log_durations is not None
        aligned, num_frames = self._align(states, pairs, *inputs, kwargs), pairs.frame_mask.shape[1]
        refined = self.model.text_frontend.refine(texts.tokens[pairs.text_rows], aligned, num_frames, **kwargs)
        target = speech[pairs.speech_rows]
        if self.config.matching_stop_gradient:
            target = target.detach()
        difference = normalize_states(refined.states) - normalize_states(target)
        has_tokens = pairs.is_token.any(-1, keepdim=True)
        errors = difference.square().mean(-1).masked_fill(~(pairs.frame_mask & has_tokens), 0.0)
        predicted = texts.log_durations[pairs.text_rows]
        wrong = (predicted - torch.log1p(aligned.to(predicted.dtype))).square().masked_fill(~pairs.is_token, 0.0)
        return aligned, {"matching": (errors.sum(), pairs.num_frames), "duration": (wrong.sum(), pairs.num_tokens)}

    @torch.no_grad()
    def _align(
        self,
        states: Tensor,
        pairs: Pairs,
        speech_input: Tensor,
        attention_mask: Tensor,
        languages: Tensor,
        kwargs: dict,
    ) -> Tensor:
        """Durations `(P, L)` int64 of the tokens of pairs on the best path; they add up to the frames of each pair."""
        transducer = self.transducer
        if self.average is not None:
            transducer, model = self.average.transducer, self.average.model
            features, mask = speech_input[pairs.speech_rows], attention_mask[pairs.speech_rows]
            options = {**kwargs, "language_ids": languages[pairs.speech_rows]}
            speech = model.run_speech_layers(model.embed_speech(features, mask), pairs.frame_mask.long(), **options)
            projected = linear(model.speech_projection, speech.last_hidden_state)
            states = model.run_shared_layers(projected, pairs.frame_mask.long(), **options).last_hidden_state
        durations = align_labels(transducer, states, pairs.frame_mask, pairs.labels)
        # What has no tokens is not compared, but has frames.
        durations[:, 0] += pairs.frame_mask.sum(-1) - durations.sum(-1)
        return durations

    def _stack(self, parts: dict[str, tuple[Tensor, Tensor]], skipped: Collection[str]) -> tuple[Tensor, Tensor]:
        """Sums and counts `(K,)`; a skipped loss has neither. Every trainable parameter receives a gradient."""
        zero = parts["rnnt"][0].new_zeros(())
        parts = parts | dict.fromkeys(skipped, (zero, zero))
        sums, counts = (torch.stack([at_least_float32(parts[name][i]) for name in MAESTRO_LOSSES]) for i in (0, 1))
        # A sharded parameter (DTensor) is not whole here; those of skipped modules then have no gradient.
        whole = (one for one in self.parameters() if one.requires_grad and not hasattr(one, "device_mesh"))
        return touch_parameters(sums, whole), counts


def collect_pairs(
    frame_mask: Tensor, text_ids: Tensor, attention_mask: Tensor, speech_rows: Tensor, text_rows: Tensor
) -> Pairs:
    """The pairs of a batch; without any, the first utterance and the first text are one without targets."""
    is_pair = len(speech_rows) > 0
    if not is_pair:
        speech_rows = text_rows = torch.zeros(1, dtype=torch.int64, device=text_ids.device)
    is_token = attention_mask.bool()[text_rows] & is_pair
    return Pairs(
        speech_rows=speech_rows,
        text_rows=text_rows,
        frame_mask=frame_mask[speech_rows],
        is_token=is_token,
        labels=text_ids[text_rows].masked_fill(~is_token, IGNORE_INDEX),
        num_frames=(frame_mask[speech_rows] & is_token.any(-1, keepdim=True)).sum(),
        num_tokens=is_token.sum(),
    )


def align_labels(transducer: TransducerHead, states: Tensor, frame_mask: Tensor, labels: Tensor) -> Tensor:
    """Frames `(P, L)` int64 of each label on the best path of `states` `(P, N, D)`; 0 where `labels` are -100."""
    num_frames, num_labels = frame_mask.sum(-1), (labels != IGNORE_INDEX).sum(-1)
    blanks, arcs = transducer.compute_arcs(states, num_frames, labels, num_labels)
    emitted = find_emission_frames(blanks, arcs, num_frames, num_labels)
    return frames_to_durations(emitted, num_frames, num_labels)


def normalize_states(states: Tensor) -> Tensor:
    """States `(..., D)`, at least float32, with mean 0 and variance 1."""
    return nn.functional.layer_norm(at_least_float32(states), states.shape[-1:])


__all__ = ["MaestroForPreTraining", "MaestroForPreTrainingOutput"]
