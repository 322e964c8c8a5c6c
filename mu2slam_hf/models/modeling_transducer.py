# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transducer (RNN-T) models: the CTC models with a prediction and a joint network, which write the transcripts.

Shapes: B batch, T feature frames, N encoder frames, L tokens, D width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import CausalLMOutput
from transformers.utils.generic import ModelOutput

from .configuration_mslam import MSLAMRNNTConfig
from .configuration_mu2slam import Mu2SLAMRNNTConfig
from .generation_tokens import excluded_tokens
from .generation_transducer import search_beams, search_greedily
from .language_codes import language_index
from .modeling_mslam import MSLAMForCTC
from .modeling_mu2slam import Mu2SLAMForCTC
from .modules_base import CTCMixin
from .modules_capabilities import Capabilities, EncodedSpeech
from .modules_losses import ctc_sum
from .modules_transducer import TransducerHead, transducer_sum


@dataclass
class TransducerOutput(CausalLMOutput):
    """Output of a transducer model.

    Args:
        loss: scalar, if labels are given: transducer loss plus `ctc_loss_weight` times CTC loss.
        logits: `(B, N, V)` CTC logits, at least float32.
        hidden_states: on request, those of the encoder.
        attentions: on request, those of the encoder.
        last_hidden_state: `(B, N, D)` states of the encoder, which the joint network reads.
        loss_sums: `(2,)` transducer and CTC loss summed over utterances, if labels are given.
    """

    last_hidden_state: Tensor | None = None
    loss_sums: Tensor | None = None


@dataclass
class TransducerGenerateOutput(ModelOutput):
    """Output of `generate` of a transducer model.

    Args:
        sequences: `(B, L)` int64 token ids, padded with `pad_token_id`.
        frames: `(B, L)` int64 encoder frame of each token, padded with -1.
        scores: `(B,)` float32 log probability of each sequence; see [`TransducerHypothesis`].
    """

    sequences: Tensor | None = None
    frames: Tensor | None = None
    scores: Tensor | None = None


class TransducerMixin(CTCMixin):
    """What a transducer adds to a CTC model: the head, its loss, and decoding.

    Being CTC models, these models have the times and confidences of words, alignment, and the decision about silence
    by their CTC head; their transducer writes the text.
    """

    capabilities = Capabilities(
        tasks=("asr",), has_ctc=True, embeds=True, options=("num_beams",), reads_whole_recordings=True
    )
    config: Any
    transducer: TransducerHead

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path=None, *args, config=None, **kwargs):
        """As in transformers; with a `config`, also from a folder of a model with another head, or with none.

        Raises:
            ValueError: the folder has no transducer, and there is no `config` that describes a new one.
        """
        if config is None:
            content = cls.config_class.get_config_dict(pretrained_model_name_or_path)[0]
            if "transducer_config" not in content:
                raise ValueError(
                    f"{pretrained_model_name_or_path} has no transducer (no transducer_config in its configuration). "
                    "Train one on its encoder with a recipe of head.kind rnnt: MU2SLAM_MODEL="
                    f"{pretrained_model_name_or_path} mu2slam train "
                    "configuration/recipes/mslam/finetune_rnnt_prompts5.yaml"
                )
        return super().from_pretrained(pretrained_model_name_or_path, *args, config=config, **kwargs)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args, **kwargs) -> nn.Embedding:
        """As in transformers; also resizes the tables of the transducer."""
        embeddings = super().resize_token_embeddings(new_num_tokens, *args, **kwargs)
        prediction, joint = self.transducer.prediction, self.transducer.joint
        prediction.embed_tokens = self._get_resized_embeddings(prediction.embed_tokens, embeddings.num_embeddings)
        joint.token_head = self._get_resized_lm_head(joint.token_head, embeddings.num_embeddings)
        return embeddings

    def compute_output(self, states: Tensor, outputs, labels: Tensor | None, num_items_in_batch) -> TransducerOutput:
        """As [`CTCMixin`], with the loss `transducer + ctc_loss_weight * CTC`, each per target token (or a sum)."""
        logits = super().compute_output(states, outputs, None, None).logits
        loss = sums = None
        if labels is not None:
            mask = outputs.attention_mask
            mask = torch.ones(states.shape[:2], device=states.device) if mask is None else mask
            transducer, num_tokens = transducer_sum(self.transducer, states, mask, labels)
            ctc, num_aligned, _ = ctc_sum(logits, mask.bool(), labels, self.config.pad_token_id)
            sums = torch.stack([transducer, ctc.to(transducer.dtype)])
            counts = torch.stack([num_tokens, num_aligned]).clamp(min=1)
            if self.config.ctc_loss_reduction == "sum":
                counts = torch.ones_like(counts)
            elif num_items_in_batch is not None:
                counts = counts.new_ones(2) * num_items_in_batch
            transducer, ctc = (sums / counts).unbind()
            loss = transducer + self.config.transducer_config.ctc_loss_weight * ctc
        return TransducerOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            last_hidden_state=states,
            loss_sums=sums,
        )

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in [`InferenceMixin`], with the states that the joint network reads."""
        inputs = {self.main_input_name: speech, "attention_mask": attention_mask, "language_ids": language_ids}
        outputs = self(**inputs, return_dict=True)
        frame_mask = self.compute_frame_mask(attention_mask)
        return EncodedSpeech(states=outputs.last_hidden_state, frame_mask=frame_mask, ctc_logits=outputs.logits)

    def write_tokens(
        self,
        states: Sequence[Tensor],
        ctc_log_probs: Sequence[Tensor | None],
        *,
        target_langs: Sequence[str | None],
        num_beams: int = 1,
        **options: Any,
    ) -> list[list[int]]:
        """The tokens that the transducer writes for each recording; see [`InferenceMixin`].

        Args:
            states: `(N, D)` of each recording.
            ctc_log_probs: not read.
            target_langs: the spoken languages; None means unknown.
            num_beams: see [`generate`].
            **options: not read; the same for all models.
        """
        rows = [0 if code is None else language_index(code, self.config.languages) for code in target_langs]
        lengths = torch.tensor([len(frames) for frames in states], device=states[0].device)
        found = self._search(pad_sequence(list(states), batch_first=True), lengths, rows, num_beams)
        return [list(hypothesis.tokens) for hypothesis in found]

    def _search(self, states: Tensor, lengths: Tensor, rows: Any, num_beams: int, **options: Any):
        """Hypotheses of padded states `(B, N, D)`."""
        excluded = excluded_tokens(self.config, torch.as_tensor(rows, device=states.device))
        if num_beams == 1:
            return search_greedily(self.transducer, states, lengths, excluded=excluded, **options)
        return search_beams(self.transducer, states, lengths, num_beams=num_beams, excluded=excluded)

    @torch.no_grad()
    def generate(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        num_beams: int = 1,
        max_symbols_per_frame: int | None = None,
        max_new_tokens: int | None = None,
        return_dict_in_generate: bool = False,
        input_values: Tensor | None = None,
    ) -> Tensor | TransducerGenerateOutput:
        """Transcribe speech; `processor.batch_decode(sequences, skip_special_tokens=True)` gives the texts.

        Args:
            input_features: `(B, T, M)` float.
            attention_mask: `(B, T)`, 1 on real frames; None when nothing is padded.
            language_ids: `(B,)` int64 rows of `config.languages`; 0 (`und`) by default. Tokens that were added for
                other languages are not written.
            num_beams: 1 for greedy search, with up to `max_symbols_per_frame` tokens a frame; more for beam search,
                with at most one.
            max_symbols_per_frame: of greedy search; by default that of the configuration.
            max_new_tokens: number of tokens after which a sequence is cut off; None: there is no limit.
            return_dict_in_generate: whether to return also the frames and scores.
            input_values: `(B, samples)` in place of `input_features` for the front end `waveform`.

        Returns:
            `sequences` `(B, L)` int64, or a [`TransducerGenerateOutput`].

        Raises:
            ValueError: `num_beams` or another number below 1, or no speech.
        """
        numbers = {"num_beams": num_beams, "max_symbols_per_frame": max_symbols_per_frame}
        for name, value in (numbers | {"max_new_tokens": max_new_tokens}).items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        speech = input_features if input_values is None else input_values
        if speech is None:
            raise ValueError(f"generate expects {self.main_input_name}, the speech; got none.")
        if attention_mask is None:
            attention_mask = torch.ones(speech.shape[:2], dtype=torch.int64, device=speech.device)
        if language_ids is None:
            language_ids = torch.zeros(len(speech), dtype=torch.int64, device=speech.device)
        encoded = self.encode_speech(speech, attention_mask, language_ids)
        options = {"max_symbols_per_frame": max_symbols_per_frame} if num_beams == 1 else {}
        lengths = encoded.frame_mask.long().sum(-1)
        found = self._search(encoded.states, lengths, language_ids, num_beams, **options)
        tokens = [torch.tensor(one.tokens[:max_new_tokens], dtype=torch.int64) for one in found]
        sequences = pad_sequence(tokens, batch_first=True, padding_value=self.config.pad_token_id).to(speech.device)
        if not return_dict_in_generate:
            return sequences
        frames = [torch.tensor(one.frames[:max_new_tokens], dtype=torch.int64) for one in found]
        return TransducerGenerateOutput(
            sequences=sequences,
            frames=pad_sequence(frames, batch_first=True, padding_value=-1).to(speech.device),
            scores=torch.tensor([one.score for one in found], device=speech.device),
        )


class MSLAMForRNNT(TransducerMixin, MSLAMForCTC):
    """mSLAM with a transducer, and the CTC head, for speech recognition.

    Paper: mSLAM fine-tunes an RNN-T with a 2-layer LSTM. Choice: trained together with CTC, which gives the times of
    words.
    """

    config_class = MSLAMRNNTConfig
    config: MSLAMRNNTConfig

    def __init__(self, config: MSLAMRNNTConfig):
        super().__init__(config)
        self.transducer = TransducerHead(config, config.encoder_config.hidden_size)
        self.post_init()


class Mu2SLAMForRNNT(TransducerMixin, Mu2SLAMForCTC):
    """The Mu2SLAM encoder with a transducer, and the CTC head, for speech recognition."""

    config_class = Mu2SLAMRNNTConfig
    config: Mu2SLAMRNNTConfig

    def __init__(self, config: Mu2SLAMRNNTConfig):
        super().__init__(config)
        self.transducer = TransducerHead(config, config.d_model)
        self.post_init()


__all__ = ["MSLAMForRNNT", "Mu2SLAMForRNNT"]
