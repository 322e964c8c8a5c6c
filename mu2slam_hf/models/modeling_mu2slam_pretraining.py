# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mu2SLAM for pre-training: encodes and decodes all views of a mixed batch together and returns every loss by name.

Shapes: U utterances, T feature frames (100 Hz), N encoder frames (25 Hz), M mel bins, P pooled text tokens, R rows,
L encoder positions of a row, D decoder positions of a row, K1 and K2 labelled positions, C transcripts, S sequences of
a row, V vocabulary, K losses. "Units" are positions in the pool of a batch, see `modules_pooling`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.processing_utils import Unpack
from transformers.utils.generic import ModelOutput, TransformersKwargs, can_return_tuple

from .configuration_mu2slam import Mu2SLAMConfig
from .modeling_mu2slam import Mu2SLAMForConditionalGeneration, Mu2SLAMModel, Mu2SLAMPreTrainedModel
from .modules_frontends import dummy_speech, select_speech_input
from .modules_layers import at_least_float32
from .modules_losses import (
    IGNORE_INDEX,
    cross_entropy_sum,
    ctc_sum,
    mask_ctc_logits,
    named_means,
    softmax_sums,
    weighted_mean_sum,
)
from .modules_pooling import gather_units, mean_by_sequence, pool_embeddings, pool_ids
from .task_types import PRETRAINING_VIEWS

PRETRAINING_LOSSES = (
    *(f"{view}_decoder" for view in PRETRAINING_VIEWS),
    *(f"{view}_mlm" for view in PRETRAINING_VIEWS),
    "ctc",
    "language",
)
"""Names of the losses, in the order of all vectors of sums, counts and weights."""


@dataclass
class Mu2SLAMForPreTrainingOutput(ModelOutput):
    """Losses of one batch as sums and counts, which can be added over batches and processes.

    Args:
        loss: scalar, the weighted sum of the losses of this batch, each divided by its count.
        loss_sums: `(K,)` float32 sums over targets, in the order of `PRETRAINING_LOSSES`.
        loss_counts: `(K,)` float32 number of targets per loss.
        encoder_last_hidden_state: `(R, L, hidden_size)`.
        last_hidden_state: `(R, D, hidden_size)` output of the decoder.
        mlm_logits: `(K1, V)` at masked positions, on request.
        decoder_logits: `(K2, V)` at the decoder's targets, on request.
    """

    loss: Tensor | None = None
    loss_sums: Tensor | None = None
    loss_counts: Tensor | None = None
    encoder_last_hidden_state: Tensor | None = None
    last_hidden_state: Tensor | None = None
    mlm_logits: Tensor | None = None
    decoder_logits: Tensor | None = None

    def named_losses(self) -> dict[str, float]:
        """Mean per target of every loss that has targets in this batch, by name."""
        return named_means(PRETRAINING_LOSSES, self.loss_sums, self.loss_counts)


class Mu2SLAMForPreTraining(Mu2SLAMPreTrainedModel):
    """Mu2SLAM with the heads of all pre-training losses.

    Paper: section 2.3. Encoder masked prediction and decoder share one output space of text tokens and speech ids;
    CTC and the language head are as in [`Mu2SLAMForConditionalGeneration`], which can load checkpoints of this class.

    A batch holds every utterance and every text token once (the pool), and index tensors with the inputs and targets
    of each view; `Mu2SLAMPreTrainingCollator` creates it, and the frozen speech tokenizer adds `speech_token_ids`.

    Example, one step on the smallest batch that has a speech-text pair:

    ```python
    >>> from transformers import AutoConfig, AutoModelForPreTraining

    >>> sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    >>> config = AutoConfig.for_model("mu2slam", encoder_config=sizes, decoder_config=sizes)
    >>> model = AutoModelForPreTraining.from_config(config)
    >>> batch = model.dummy_inputs
    >>> batch["input_features"].shape, batch["encoder_units"].tolist(), batch["mlm_labels"].tolist()
    (torch.Size([1, 11, 80]), [[1, 0, 3]], [2])

    >>> outputs = model(**batch)
    >>> outputs.loss.backward()
    >>> sorted(outputs.named_losses())
    ['asr_decoder', 'asr_mlm', 'ctc', 'language']
    ```

    Unit 0 is [MASK], so the encoder reads frames 1 and 3 of three, and predicts frame 2.
    """

    _can_compile_fullgraph = False  # graph break at the CTC loss
    _tied_weights_keys = {
        "lm_head.weight": "model.encoder.embed_tokens.weight",
        "mlm_head.weight": "model.encoder.embed_tokens.weight",
        "ctc_head.weight": "model.encoder.embed_tokens.weight",
    }
    _vocabulary_heads = ("lm_head", "mlm_head", "ctc_head")

    def __init__(self, config: Mu2SLAMConfig):
        super().__init__(config)
        self.model = Mu2SLAMModel(config)
        width = config.d_model
        self.lm_head = nn.Linear(width, config.vocab_size)
        self.mlm_head = nn.Linear(width, config.vocab_size)
        self.ctc_head = nn.Linear(width, config.vocab_size)
        self.language_head = nn.Linear(width, config.num_languages)
        self.post_init()

    def build_generator(self) -> Mu2SLAMForConditionalGeneration:
        """A model that generates with the weights of this one, not with a copy of them; in the same mode."""
        with torch.device("meta"):
            generator = Mu2SLAMForConditionalGeneration(self.config)
        for name in ("model", "lm_head", "ctc_head", "language_head"):
            setattr(generator, name, getattr(self, name))
        return generator.train(self.training)

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """The smallest batch with a pair: a forward ASR view of three frames, one of them masked, and two tokens."""
        config = self.config
        text = [config.pad_token_id, config.bos_token_id, config.eos_token_id]
        text += [config.vocab_size - 2, config.vocab_size - 1]
        pad, start, end, first, second = range(4, 9)  # units: 0 is [MASK], 1 to 3 are the frames, then these five
        batch = {
            "speech_token_ids": [[0, 1, 2]],
            "text_ids": text,
            "encoder_units": [[1, 0, 3]],
            "sequence_ids": [[1, 1, 1]],
            "position_ids": [[0, 1, 2]],
            "language_ids": [[0, 0, 0]],
            "modality_ids": [[0, 0, 0]],
            "mlm_positions": [1],
            "mlm_labels": [2],
            "mlm_view_ids": [PRETRAINING_VIEWS.index("asr")],
            "decoder_units": [[start, first, second, pad]],
            "decoder_sequence_ids": [[1, 1, 1, 0]],
            "decoder_source_ids": [[1, 1, 1, 1]],
            "decoder_position_ids": [[0, 1, 2, 0]],
            "decoder_language_ids": [[0, 0, 0, 0]],
            "decoder_modality_ids": [[1, 1, 1, 1]],
            "decoder_label_positions": [0, 1, 2],
            "decoder_labels": [first, second, end],
            "decoder_view_ids": [PRETRAINING_VIEWS.index("asr")] * 3,
            "ctc_positions": [[0, 1, 2]],
            "ctc_labels": [text[-2:]],
            "source_language_labels": [[IGNORE_INDEX, config.num_languages - 1]],
        }
        speech = dummy_speech(config.encoder_config, self.device)
        return {
            self.main_input_name: speech,
            "attention_mask": torch.ones(speech.shape[:2], dtype=torch.int64, device=self.device),
            **{name: torch.tensor(value, device=self.device) for name, value in batch.items()},
        }

    @can_return_tuple
    def forward(
        self,
        input_features: Tensor | None = None,
        *,
        attention_mask: Tensor,
        speech_token_ids: Tensor,
        text_ids: Tensor,
        encoder_units: Tensor,
        sequence_ids: Tensor,
        position_ids: Tensor,
        language_ids: Tensor,
        modality_ids: Tensor,
        mlm_positions: Tensor,
        mlm_labels: Tensor,
        mlm_view_ids: Tensor,
        decoder_units: Tensor,
        decoder_sequence_ids: Tensor,
        decoder_source_ids: Tensor,
        decoder_position_ids: Tensor,
        decoder_language_ids: Tensor,
        decoder_modality_ids: Tensor,
        decoder_label_positions: Tensor,
        decoder_labels: Tensor,
        decoder_view_ids: Tensor,
        ctc_positions: Tensor,
        ctc_labels: Tensor,
        source_language_labels: Tensor,
        input_values: Tensor | None = None,
        loss_weights: Tensor | None = None,
        output_logits: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Mu2SLAMForPreTrainingOutput:
        """Run all views of a batch and sum every loss.

        All integer inputs are int64. Every parameter receives a gradient in every batch: a loss without targets is 0
        with zero gradients, so that processes with different tasks stay synchronised.

        Args:
            input_features: `(U, T, M)` float, each utterance once; a batch without speech holds one silent utterance
                that no unit refers to.
            attention_mask: `(U, T)`, 1 on real frames; the values of padding have no effect.
            speech_token_ids: `(U, N)` codebook entries of the frozen speech tokenizer, -100 on padding.
            text_ids: `(P,)` pooled tokens.
            encoder_units: `(R, L)` units that the encoder reads.
            sequence_ids: `(R, L)`, 1 .. S within a row, one id per view; 0 on padding.
            position_ids: `(R, L)`, restarting with every segment.
            language_ids: `(R, L)` rows of `config.languages` for the encoder.
            modality_ids: `(R, L)`, 0 speech and 1 text.
            mlm_positions: `(K1,)` flat positions `r * L + l` of masked prediction; may be empty.
            mlm_labels: `(K1,)` units of the targets.
            mlm_view_ids: `(K1,)` rows of `PRETRAINING_VIEWS`.
            decoder_units: `(R, D)` units that the decoder reads.
            decoder_sequence_ids: `(R, D)`, one id per decoder sequence of a row; 0 on padding.
            decoder_source_ids: `(R, D)`: the sequence id in encoder row r that each position attends to.
            decoder_position_ids: `(R, D)`.
            decoder_language_ids: `(R, D)` rows of `config.languages`.
            decoder_modality_ids: `(R, D)`, 0 speech and 1 text.
            decoder_label_positions: `(K2,)` flat positions `r * D + d` of the decoder's targets; may be empty.
            decoder_labels: `(K2,)` units of the targets.
            decoder_view_ids: `(K2,)` rows of `PRETRAINING_VIEWS`.
            ctc_positions: `(C, F)` flat encoder positions of transcribed speech, -1 on padding; at least one row.
            ctc_labels: `(C, Q)` transcripts as token ids, -100 on padding; a row of -100 has no CTC target.
            source_language_labels: `(R, S + 1)` rows of `config.languages` per sequence id; -100 is ignored.
            input_values: `(U, samples)` float, in place of `input_features` for the front end `waveform`.
            loss_weights: `(K,)` coefficients in the order of `PRETRAINING_LOSSES`; 1 by default. They only affect
                `loss`.
            output_logits: whether to return the logits at labelled positions.
            **kwargs: arguments of the attention backend.

        Raises:
            ValueError: the speech ids do not match the frames.
        """
        speech = select_speech_input(self.config.encoder_config, input_features, input_values)
        embeddings, ids = self._build_pools(speech, attention_mask, speech_token_ids, text_ids)
        outputs = self.model(
            inputs_embeds=gather_units(embeddings, encoder_units),
            language_ids=language_ids,
            modality_ids=modality_ids,
            position_ids=position_ids,
            sequence_ids=sequence_ids,
            decoder_input_ids=ids[decoder_units],
            decoder_language_ids=decoder_language_ids,
            decoder_modality_ids=decoder_modality_ids,
            decoder_position_ids=decoder_position_ids,
            decoder_sequence_ids=decoder_sequence_ids,
            decoder_source_ids=decoder_source_ids,
            use_cache=False,
            **kwargs,
        )
        encoded, decoded = outputs.encoder_last_hidden_state, outputs.last_hidden_state
        num_views = len(PRETRAINING_VIEWS)
        labels = ids[decoder_labels]
        parts = [
            softmax_sums(self.lm_head, decoded, decoder_label_positions, labels, decoder_view_ids, num_views),
            softmax_sums(self.mlm_head, encoded, mlm_positions, ids[mlm_labels], mlm_view_ids, num_views),
            self._sum_ctc(encoded, ctc_positions, ctc_labels),
            self._sum_language(encoded, sequence_ids, source_language_labels),
        ]
        sums, counts = (torch.cat([at_least_float32(part[i].flatten()) for part in parts]) for i in (0, 1))
        return Mu2SLAMForPreTrainingOutput(
            loss=weighted_mean_sum(sums, counts, loss_weights),
            loss_sums=sums,
            loss_counts=counts,
            encoder_last_hidden_state=encoded,
            last_hidden_state=decoded,
            mlm_logits=self.mlm_head(encoded.flatten(0, 1)[mlm_positions]) if output_logits else None,
            decoder_logits=self.lm_head(decoded.flatten(0, 1)[decoder_label_positions]) if output_logits else None,
        )

    def _build_pools(self, speech, attention_mask, speech_token_ids, text_ids) -> tuple[Tensor, Tensor]:
        """Embeddings `(1 + U * N + P, hidden_size)` and vocabulary ids `(1 + U * N + P,)` of all units."""
        encoder, config = self.model.encoder, self.config
        speech = encoder.embed_speech(speech, attention_mask)
        if speech_token_ids.shape != speech.shape[:2]:
            raise ValueError(
                f"speech_token_ids must hold one id per encoder frame, {tuple(speech.shape[:2])} (utterances, "
                f"frames); got {tuple(speech_token_ids.shape)}. Use a SpeechTokenizerModel with one codebook."
            )
        # [MASK] and the text in one lookup: every lookup adds a gradient of the size of the large table.
        tokens = encoder.embed_text(nn.functional.pad(text_ids, (1, 0), value=config.mask_token_id))
        ids = pool_ids(config.mask_token_id, speech_token_ids, config.speech_token_offset, text_ids)
        return pool_embeddings(tokens, speech), ids

    def _sum_ctc(self, states: Tensor, positions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over transcripts and count of target tokens."""
        # (R, L, D) -> (R * L, D) -> (C, F, D)
        frames = gather_units(states.flatten(0, 1), positions.clamp(min=0))
        logits = mask_ctc_logits(self.ctc_head(frames), self.config)
        return ctc_sum(logits, positions >= 0, labels, blank=self.config.pad_token_id)[:2]

    def _sum_language(self, states: Tensor, sequence_ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over sequences with a language target, and their number."""
        means = mean_by_sequence(states, sequence_ids, labels.shape[1])
        logits = self.language_head(means.to(self.language_head.weight.dtype))
        return cross_entropy_sum(logits, labels)


__all__ = ["Mu2SLAMForPreTraining", "Mu2SLAMForPreTrainingOutput"]
