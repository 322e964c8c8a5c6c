# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Maestro: an mSLAM whose text is encoded, resampled to the frame rate of speech and refined before the shared layers.

Shapes: B batch, L tokens, N frames (25 Hz), D width.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.processing_utils import Unpack
from transformers.utils.generic import TransformersKwargs

from .configuration_maestro import MaestroConfig
from .modeling_conformer import ConformerEncoder
from .modeling_mslam import MSLAMModel, MSLAMModelOutput
from .modules_layers import linear
from .modules_lengths import default_position_ids
from .modules_positions import add_sinusoids
from .modules_text_resampling import DurationPredictor, ResampledText, ResidualConvolutions, resample


@dataclass
class MaestroModelOutput(MSLAMModelOutput):
    """Output of the encoder.

    Args:
        durations: `(B, L)` int64 for text: the frames of each token; else None.
    """

    durations: Tensor | None = None


class TextFrontend(nn.Module):
    """From token embeddings to states that are compared with the output of the speech layers.

    Paper: Maestro (Chen et al. 2022) section 2.2: convolutions and a text encoder, a duration predictor, a resampler,
    and a refiner. Choice: text encoder and refiner are Conformers, which the package has.
    """

    def __init__(self, config: MaestroConfig):
        super().__init__()
        text_config = config.text_encoder_config
        self.convolutions = ResidualConvolutions(text_config, config.num_text_convolutions)
        self.encoder = ConformerEncoder(text_config)
        predictor_config = copy.deepcopy(text_config)
        predictor_config.conv_depthwise_kernel_size = 3
        self.duration_predictor = DurationPredictor(
            predictor_config, config.duration_predictor_layers, config.max_frames_per_token
        )
        self.refiner = ConformerEncoder(config.refiner_config)

    def encode(self, embeds: Tensor, mask: Tensor, **kwargs) -> Tensor:
        """States `(B, L, D)` of tokens.

        Args:
            embeds: `(B, L, D)`, with positions, as from [`MSLAMModel.embed_text`].
            mask: `(B, L)` bool, True on real tokens.
            **kwargs: arguments of the attention backend.
        """
        states = self.convolutions(embeds, mask)
        return self.encoder(states, attention_mask=mask.long(), **kwargs).last_hidden_state

    def refine(self, states: Tensor, durations: Tensor, num_frames: int | None = None, **kwargs) -> ResampledText:
        """Resampled and refined text.

        Args:
            states: `(B, L, D)` of [`encode`].
            durations: `(B, L)` int64, 0 on padding; at least one frame in each row.
            num_frames: length of the rows, see [`resample`].
            **kwargs: arguments of the attention backend.
        """
        frames, mask = resample(states, durations, num_frames)
        if self.refiner.config.position_embeddings_type == "sinusoidal":
            frames = add_sinusoids(frames, default_position_ids(frames, None))
        refined = self.refiner(frames, attention_mask=mask.long(), **kwargs).last_hidden_state
        return ResampledText(refined, mask)


class MaestroModel(MSLAMModel):
    """The encoder: speech as in mSLAM; text at the frame rate of speech.

    Paper: Maestro section 2. Choice: resampled text enters where the speech layers end, before the projection to the
    shared layers, because it is matched with their output. Choice: special tokens have no frames.
    """

    config_class = MaestroConfig
    config: MaestroConfig
    _can_compile_fullgraph = False  # the length of resampled text depends on the predicted durations

    def __init__(self, config: MaestroConfig):
        super().__init__(config)
        self.text_frontend = TextFrontend(config)
        self.post_init()

    def embed_text(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        language_ids: Tensor | None = None,
    ) -> Tensor:
        """As in [`MSLAMModel`], with the embedding of the languages `(B,)` int64, if the model has one."""
        return self.add_languages(super().embed_text(input_ids, position_ids, inputs_embeds), language_ids)

    def text_parameters(self) -> list[Tensor]:
        """The parameters of the modules that process text before the shared layers."""
        return [*super().text_parameters(), *self.text_frontend.parameters()]

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        durations: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MSLAMModelOutput:
        """Encode speech or text.

        Args:
            input_features: `(B, T, M)` float log-mel features of speech; `input_values` `(B, samples)` for the front
                end `waveform`.
            attention_mask: `(B, T)` with speech, else `(B, L)`; 1 on real positions, 0 on padding (on the right).
            input_ids: `(B, L)` int64 tokens of text.
            inputs_embeds: `(B, L, D)` in place of `input_ids`, as returned by `embed_tokens`.
            durations: `(B, L)` int64 frames of each token; predicted by default.
            **kwargs: as in [`MSLAMModel`], except for packed rows of text.

        Returns:
            as [`MSLAMModel`]; for text `(B, N, D)` states at the frame rate of speech, with their `attention_mask`
            and a [`MaestroModelOutput`] with `durations`.

        Raises:
            ValueError: speech and text together, packed rows of text, a text without tokens, durations that do not
                match the tokens, or what [`MSLAMModel`] refuses.
        """
        has_text = input_ids is not None or inputs_embeds is not None
        if has_text and (input_features is not None or kwargs.get("input_values") is not None):
            raise ValueError(
                "Maestro encodes speech or text, got both; speech and its transcript are trained together by "
                "MaestroForPreTraining."
            )
        if has_text and kwargs.get("sequence_ids") is not None:
            raise ValueError(
                "Maestro resamples each text to a row of its own; pass padded rows instead of sequence_ids."
            )
        if durations is not None:
            kwargs["durations"] = durations
        return super().forward(
            input_features, attention_mask=attention_mask, input_ids=input_ids, inputs_embeds=inputs_embeds, **kwargs
        )

    def _encode_text(
        self, input_ids, attention_mask, inputs_embeds, position_ids, sequence_ids, kwargs
    ) -> MaestroModelOutput:
        embeds = self.embed_text(input_ids, position_ids, inputs_embeds, kwargs.get("language_ids"))
        mask = self._mark_tokens(embeds, input_ids, attention_mask)
        durations = kwargs.pop("durations", None)
        states = self.text_frontend.encode(embeds, mask)
        if durations is None:
            predictor = self.text_frontend.duration_predictor
            durations, _ = predictor.to_durations(predictor(states, mask), mask)
        elif durations.shape != mask.shape or not ((durations >= 0) & (mask | (durations == 0))).all():
            raise ValueError(
                f"durations must be (batch, tokens), here {tuple(mask.shape)}, numbers of frames of at least 0, and 0 "
                f"on padding and special tokens; got {tuple(durations.shape)}."
            )
        text = self.text_frontend.refine(states, durations)
        text_mask = text.mask.long()
        shared = self.run_shared_layers(linear(self.speech_projection, text.states), text_mask, **kwargs)
        return MaestroModelOutput(
            last_hidden_state=shared.last_hidden_state,
            hidden_states=shared.hidden_states,
            attentions=shared.attentions,
            attention_mask=text_mask,
            durations=durations,
        )

    def _mark_tokens(self, embeds: Tensor, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor:
        """`(B, L)` bool, True on tokens of text, False on padding and special tokens."""
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        if attention_mask is not None:
            mask = attention_mask.bool()
        if input_ids is not None:
            config = self.config
            special = torch.tensor([config.pad_token_id, config.bos_token_id, config.eos_token_id], device=mask.device)
            mask = mask & ~torch.isin(input_ids, special)
        empty = (~mask.any(dim=-1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"Text {empty[0]} of the batch has no tokens; leave empty texts out.")
        return mask


__all__ = ["MaestroModel", "MaestroModelOutput", "TextFrontend"]
