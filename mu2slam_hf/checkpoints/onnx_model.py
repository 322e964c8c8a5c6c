# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An encoder-decoder whose graphs run in onnxruntime; search, CTC scores, languages and tokens are those of PyTorch.

Shapes: B batch, T input frames (or samples), N encoder positions, R rows (batch x beams), L new target positions,
P cached target positions, H heads, E head size, D width, V vocabulary, G languages.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import Seq2SeqLMOutput

from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.generation_cache import RaggedCacheLayer
from mu2slam_hf.models.generation_mu2slam import Mu2SLAMGenerationMixin
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoderOutput, Mu2SLAMPreTrainedModel, as_encoder_output
from mu2slam_hf.models.modules_capabilities import EncodedSpeech
from mu2slam_hf.models.modules_lengths import downsample_attention_mask

GRAPHS = ("speech", "text", "heads", "prefill", "decode")
"""Names of the graphs of a model, each in a file NAME.onnx."""


class OnnxGraphs:
    """The graphs of a folder, each read when it first runs, with as many threads as torch has.

    Args:
        folder: folder of `mu2slam export`.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self._sessions: dict[str, Any] = {}

    def run(self, name: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """The outputs of a graph, on the CPU; inputs that it does not read are left out."""
        session = self._sessions.get(name) or self._open(name)
        names = [node.name for node in session.get_inputs()]
        outputs = session.run(None, {key: inputs[key].detach().contiguous().numpy() for key in names})
        return [torch.from_numpy(output) for output in outputs]

    def _open(self, name: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that wait busily would take the processor from torch, which works between two runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        path = str(self.folder / f"{name}.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._sessions[name] = session
        return session


def _refuse_records(flags: Mapping[str, Any]) -> None:
    """Raise ValueError if a call asks for what the graphs do not return."""
    asked = [name for name in ("output_attentions", "output_hidden_states") if flags.get(name)]
    if asked:
        raise ValueError(f"an exported model has no {asked[0]}; use the PyTorch checkpoint that it was exported from")


class OnnxEncoder(nn.Module):
    """The encoder for speech or text.

    Args:
        graphs: the graphs.
        config: configuration of the model.
        main_input_name: name of the input of speech.
    """

    def __init__(self, graphs: OnnxGraphs, config: Mu2SLAMConfig, main_input_name: str):
        super().__init__()
        self.graphs = graphs
        self.config = config
        self.main_input_name = main_input_name

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        language_ids: Tensor | None = None,
        input_values: Tensor | None = None,
        **kwargs: Any,
    ) -> Mu2SLAMEncoderOutput:
        """As `Mu2SLAMEncoder.forward`, for one source without packed rows."""
        _refuse_records(kwargs)
        speech = input_values if input_features is None else input_features
        source = input_ids if speech is None else speech
        if source is None:
            raise ValueError(f"an exported model reads {self.main_input_name} or input_ids; got neither")
        if attention_mask is None:
            attention_mask = torch.ones(source.shape[:2], dtype=torch.int64)
        if language_ids is None:
            language_ids = torch.zeros(len(source), dtype=torch.int64)
        if speech is None:
            inputs = {"input_ids": source, "attention_mask": attention_mask, "language_ids": language_ids}
            return Mu2SLAMEncoderOutput(
                last_hidden_state=self.graphs.run("text", inputs)[0], attention_mask=attention_mask
            )
        states, *_ = self.run_speech(speech, attention_mask, language_ids)
        mask = downsample_attention_mask(attention_mask, self.config.encoder_config)
        return Mu2SLAMEncoderOutput(last_hidden_state=states, attention_mask=mask.to(torch.int64))

    def run_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> list[Tensor]:
        """States `(B, N, D)`, CTC log posteriors `(B, N, V)`, language log posteriors `(B, G)`."""
        inputs = {"speech": speech, "attention_mask": attention_mask, "language_ids": language_ids}
        return self.graphs.run("speech", inputs)


class OnnxForConditionalGeneration(Mu2SLAMPreTrainedModel, Mu2SLAMGenerationMixin, GenerationMixin):
    """`Mu2SLAMForConditionalGeneration` for inference on a CPU, without weights in PyTorch.

    Args:
        config: configuration of the model.
        folder: folder with the graphs.
    """

    capabilities = Mu2SLAMGenerationMixin.capabilities

    def __init__(self, config: Mu2SLAMConfig, folder: str | os.PathLike[str]):
        super().__init__(config)
        # No decoder is built that would set it. The graph takes bool masks, which the search with drafts makes for it.
        decoder_config: Any = config.decoder_config
        decoder_config._attn_implementation = "sdpa"
        self.graphs = OnnxGraphs(folder)
        self.encoder = OnnxEncoder(self.graphs, config, self.main_input_name)

    @property
    def device(self) -> torch.device:
        """Where inputs and outputs are."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of inputs and outputs."""
        return torch.float32

    def get_encoder(self, *args: Any, **kwargs: Any) -> OnnxEncoder:
        """The encoder."""
        return self.encoder

    def build_encoder_outputs(self, outputs: Any, attention_mask: Tensor | None = None) -> Mu2SLAMEncoderOutput:
        """As in `Mu2SLAMForConditionalGeneration`."""
        if isinstance(outputs, Mu2SLAMEncoderOutput):
            return Mu2SLAMEncoderOutput(**outputs)
        return as_encoder_output(outputs, attention_mask, self.config.encoder_config)

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in `InferenceMixin`; logits are log posteriors."""
        states, ctc, languages = self.encoder.run_speech(speech, attention_mask, language_ids)
        mask = downsample_attention_mask(attention_mask, self.config.encoder_config).to(torch.int64)
        return EncodedSpeech(states=states, frame_mask=mask, ctc_logits=ctc, language_logits=languages)

    def compute_ctc_logits(self, encoder_hidden_states: Tensor) -> Tensor:
        """CTC log posteriors `(B, N, V)` of states `(B, N, D)`."""
        return self._run_heads(encoder_hidden_states, None)[0]

    def compute_language_logits(self, encoder_hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Language log posteriors `(B, G)` of states `(B, N, D)` with mask `(B, N)`."""
        return self._run_heads(encoder_hidden_states, attention_mask)[1]

    def _run_heads(self, states: Tensor, mask: Tensor | None) -> list[Tensor]:
        mask = torch.ones(states.shape[:2]) if mask is None else mask
        return self.graphs.run("heads", {"states": states, "frame_mask": mask.to(torch.int64)})

    def forward(
        self,
        encoder_outputs: Mu2SLAMEncoderOutput,
        decoder_input_ids: Tensor,
        decoder_attention_mask: Tensor | None = None,
        decoder_language_ids: Tensor | None = None,
        decoder_modality_ids: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        cache: Any = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Logits `(R, L, V)` of new target positions; arguments are those of the model in PyTorch."""
        _refuse_records(kwargs)
        cache = cache if past_key_values is None else past_key_values
        if cache is None:
            own, cross = (DynamicCache(config=self.config.decoder_config) for _ in range(2))
            cache = EncoderDecoderCache(own, cross)
        rows, length = decoder_input_ids.shape
        states, source_mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask
        if source_mask is None:
            source_mask = torch.ones(states.shape[:2])
        if source_mask.dim() == 2:
            source_mask = source_mask[:, None, None]
        past, starts = self._read_past(cache, rows, length)
        nothing = torch.zeros(rows, dtype=torch.int64)
        inputs = {
            "input_ids": decoder_input_ids,
            "language_ids": nothing if decoder_language_ids is None else decoder_language_ids,
            "modality_ids": nothing + 1 if decoder_modality_ids is None else decoder_modality_ids,
            "position_ids": starts + torch.arange(length) if decoder_position_ids is None else decoder_position_ids,
            "mask": _target_mask(starts, past[0].shape[2], length, decoder_attention_mask),
            "source_mask": source_mask.bool(),
            **_named("past", past),
            **_named("source", self._read_source(cache, states)),
        }
        logits, *new = self.graphs.run("decode", inputs)
        for layer in range(len(new) // 2):
            cache.self_attention_cache.update(new[layer], new[len(new) // 2 + layer], layer)
        return Seq2SeqLMOutput(logits=logits, past_key_values=cache if use_cache else None)

    def _read_past(self, cache: Any, rows: int, length: int) -> tuple[list[Tensor], Tensor]:
        """Cached keys, then values `(R, H, P, E)` of all layers, and the first new position of each row `(R, 1)`."""
        config: Any = self.config.decoder_config
        layers = [layer for layer in cache.self_attention_cache.layers if layer.is_initialized]
        first: Any = next(iter(cache.self_attention_cache.layers), None)
        is_ragged = isinstance(first, RaggedCacheLayer)
        num_past = first.stop - length if is_ragged else cache.get_seq_length()
        starts = first.positions[:, :1] if is_ragged and first.positions is not None else None
        starts = torch.full((rows, 1), num_past) if starts is None else starts
        if not layers:
            size = config.hidden_size // config.num_attention_heads
            empty = torch.zeros(rows, config.num_attention_heads, 0, size)
            return [empty] * (2 * config.num_hidden_layers), starts
        tensors = [*(layer.keys for layer in layers), *(layer.values for layer in layers)]
        return [tensor[:, :, :num_past] for tensor in tensors], starts

    def _read_source(self, cache: Any, states: Tensor) -> list[Tensor]:
        """Keys, then values `(R, H, N, E)` of the source in all layers; projected once."""
        cross = cache.cross_attention_cache
        config: Any = self.config.decoder_config
        count = config.num_hidden_layers
        if not cache.is_updated.get(0):
            projected = self.graphs.run("prefill", {"states": states})
            for layer in range(count):
                cross.update(projected[layer], projected[count + layer], layer)
                cache.is_updated[layer] = True
        return [*(layer.keys for layer in cross.layers), *(layer.values for layer in cross.layers)]


def _named(kind: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    """Keys, then values of all layers, by the names of the inputs of the graph."""
    names = layer_names(kind, len(tensors) // 2)
    return dict(zip(names, tensors, strict=True))


def layer_names(kind: str, num_layers: int) -> list[str]:
    """Names of keys, then values of all layers: `past_keys.0`, ..., `past_values.0`, ..."""
    return [f"{kind}_{part}.{layer}" for part in ("keys", "values") for layer in range(num_layers)]


def _target_mask(starts: Tensor, num_past: int, length: int, given: Tensor | None) -> Tensor:
    """Mask `(R, 1, L, P + L)` bool: the cached positions before the first new one of a row, and new ones causally.

    Args:
        starts: `(R, 1)` int64 first new position.
        num_past: P.
        length: L.
        given: `(R, P + L)`, 1 on real positions; one with four axes says nothing else than `starts`.
    """
    rows = len(starts)
    cached = (torch.arange(num_past) < starts)[:, None, None].expand(rows, 1, length, num_past)
    new = torch.ones(length, length, dtype=torch.bool).tril().expand(rows, 1, length, length)
    mask = torch.cat([cached, new], dim=-1)
    if given is not None and given.dim() == 2:
        mask = mask & given.bool()[:, None, None]
    return mask
