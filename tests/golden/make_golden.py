# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Makes the golden files beside it: a tiny checkpoint, its outputs, and the names of all weights.

    python tests/golden/make_golden.py

They must keep loading, with the same outputs, in every later release: run this again only where a change of the format
is wanted, and say so in the release notes.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]

from helpers import make_tiny_config  # noqa: E402

from mu2slam_hf import (  # noqa: E402
    ConformerEncoder,
    MaestroConfig,
    MaestroForPreTraining,
    MSLAMConfig,
    MSLAMCTCConfig,
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForPreTraining,
    MSLAMForRNNT,
    MSLAMForSequenceClassification,
    MSLAMModel,
    MSLAMRNNTConfig,
    Mu2SLAMConfig,
    Mu2SLAMCTCConfig,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMForPreTraining,
    Mu2SLAMForRNNT,
    Mu2SLAMModel,
    Mu2SLAMRNNTConfig,
    SpeechSynthesizerConfig,
    SpeechSynthesizerModel,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
)
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoder  # noqa: E402

CHECKPOINT = FOLDER / "mu2slam_tiny"
OUTPUTS = FOLDER / "mu2slam_tiny_outputs.safetensors"
KEYS = FOLDER / "state_dict_keys.json"


def build_models() -> dict[str, torch.nn.Module]:
    """One tiny model per class whose weights people keep, by a name for the golden files."""
    config = make_tiny_config()
    rotary = make_tiny_config(conv_norm="layer", position_embeddings_type="rotary").encoder_config
    with torch.device("meta"):  # names and shapes only: no random number is drawn for these
        imported = {
            f"Mu2SLAMEncoder {name}": Mu2SLAMEncoder(config) for name, config in build_imported_configs().items()
        }
        on_layer = {"features": "encoder", "encoder_config": rotary, "encoder_layer": 2}
        front_end = {"encoder_config": rotary, "codevector_dim": 12, "num_codevector_groups": 2}
        trained_tokenizers = {
            f"SpeechTokenizerModel {name}": SpeechTokenizerModel(
                SpeechTokenizerConfig(kind=name.split()[0], num_codevectors_per_group=64, **options)
            )
            for name, options in (
                ("kmeans", {"num_context_frames": 1}),
                ("kmeans encoder", on_layer),
                ("contrastive gumbel", front_end),
                ("contrastive nearest", front_end | {"quantizer_method": "nearest"}),
            )
        }
    shared = {"vocab_size": 160, "num_speech_tokens": 16, "text_token_offset": 80, "languages": config.languages}
    return {
        "Mu2SLAMModel": Mu2SLAMModel(config),
        "Mu2SLAMForConditionalGeneration": Mu2SLAMForConditionalGeneration(config),
        "Mu2SLAMForCTC": Mu2SLAMForCTC(Mu2SLAMCTCConfig(encoder_config=config.encoder_config, **shared)),
        "ConformerEncoder group sinusoidal": ConformerEncoder(config.encoder_config),
        "ConformerEncoder layer rotary": ConformerEncoder(rotary),
        "SpeechTokenizerModel": SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=64)),
        "Mu2SLAMForPreTraining": Mu2SLAMForPreTraining(config),
        **imported,
        **build_synthesizers(),
        **trained_tokenizers,
        **build_mslam_models(config),
        **build_transducers(config),
    }


def build_mslam_models(mu2slam_config: Mu2SLAMConfig) -> dict[str, torch.nn.Module]:
    """One of every class of the mSLAM family; names and shapes only."""
    options = {
        name: getattr(mu2slam_config, name) for name in ("vocab_size", "num_speech_tokens", "text_token_offset")
    }
    options |= {
        "encoder_config": mu2slam_config.encoder_config,
        "num_speech_layers": 1,
        "num_codevectors_per_group": 8,
    }
    options |= {"codevector_dim": 12, "proj_codevector_dim": 6, "classifier_proj_size": 10}
    options |= {"quantizer_method": "gumbel"}
    config, two = MSLAMConfig(**options), {"quantizer_method": "nearest", "num_codevector_groups": 2}
    nearest = MSLAMConfig(**options | two, add_speech_projection=False)
    small = {"num_hidden_layers": 1}
    transducer = {"hidden_size": 8, "joint_size": 8, "num_layers": 1}
    maestro = MaestroConfig(
        **options,
        text_encoder_config=small,
        refiner_config=small,
        transducer_config=transducer,
        alignment_ema_decay=0.9,
    )
    with torch.device("meta"):
        return {
            "MSLAMModel": MSLAMModel(config),
            "MSLAMForPreTraining": MSLAMForPreTraining(config),
            "MSLAMForPreTraining nearest two": MSLAMForPreTraining(nearest),
            "MSLAMForCTC": MSLAMForCTC(MSLAMCTCConfig(**options)),
            "MSLAMForSequenceClassification": MSLAMForSequenceClassification(config),
            "MSLAMForAudioClassification": MSLAMForAudioClassification(config),
            "MaestroForPreTraining": MaestroForPreTraining(maestro),
        }


def build_synthesizers() -> dict[str, torch.nn.Module]:
    """Speech synthesizers with both vocoders of the package; names and shapes only."""
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    sizes = {"num_speech_tokens": 16, "encoder_config": small, "frame_config": small}
    with torch.device("meta"):
        return {
            "SpeechSynthesizerModel griffin_lim": SpeechSynthesizerModel(SpeechSynthesizerConfig(**sizes)),
            "SpeechSynthesizerModel istft": SpeechSynthesizerModel(
                SpeechSynthesizerConfig(vocoder="istft", vocoder_config=small, **sizes)
            ),
        }


def build_transducers(config: Mu2SLAMConfig) -> dict[str, torch.nn.Module]:
    """The transducer of each family, with each kind of prediction network, without its encoder."""
    options = {name: getattr(config, name) for name in ("vocab_size", "num_speech_tokens", "text_token_offset")}
    options["encoder_config"] = {**config.encoder_config.to_dict(), "num_hidden_layers": 9}
    sizes = {"hidden_size": 10, "num_layers": 2, "joint_size": 12}
    stateless = sizes | {"predictor_type": "stateless"}
    with torch.device("meta"):
        return {
            "TransducerHead lstm": Mu2SLAMForRNNT(Mu2SLAMRNNTConfig(**options, transducer_config=sizes)).transducer,
            "TransducerHead stateless": MSLAMForRNNT(
                MSLAMRNNTConfig(**options, transducer_config=stateless)
            ).transducer,
        }


def build_imported_configs() -> dict[str, Mu2SLAMConfig]:
    """Encoders as public weights need them: w2v-BERT 2.0, Wav2Vec2-Conformer with relative and rotary positions."""
    waveform = {"frontend": "waveform", "conv_norm": "batch", "convolution_bias": False, "final_layer_norm": True}
    waveform |= {"conv_dim": [4, 6], "conv_kernel": [10, 3], "conv_stride": [5, 2]}
    stacked = {"frontend": "stacked_frames", "conv_norm": "layer", "convolution_bias": False, "conv_causal": True}
    turned = {"position_embeddings_type": "rotary", "rotary_before_projection": True}
    return {
        "stacked_frames relative_key": make_tiny_config(position_embeddings_type="relative_key", **stacked),
        "waveform relative group": make_tiny_config(position_embeddings_type="relative", **waveform),
        "waveform rotary layer": make_tiny_config(feat_extract_norm="layer", conv_bias=True, **turned, **waveform),
    }


def describe_weights(model: torch.nn.Module) -> dict[str, list[int]]:
    """Name and shape of everything in a state dict."""
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def build_inputs() -> dict[str, torch.Tensor]:
    """Inputs by a formula, the same with every version of every library: two utterances, the second one shorter."""
    features = torch.sin(torch.arange(2 * 30 * 80, dtype=torch.float64) * 0.37).reshape(2, 30, 80).float()
    mask = torch.ones(2, 30, dtype=torch.int64)
    mask[1, 17:] = 0
    return {
        "input_features": features,
        "attention_mask": mask,
        "language_ids": torch.tensor([1, 2]),
        "decoder_input_ids": torch.tensor([[1, 90, 91, 92], [1, 100, 101, 102]]),
        "decoder_language_ids": torch.tensor([3, 4]),
    }


@torch.no_grad()
def compute_outputs(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What the golden checkpoint says about the golden inputs; nothing where the second utterance has ended."""
    inputs = build_inputs()
    outputs = model.eval()(**inputs)
    text = model(input_ids=inputs["decoder_input_ids"][:, 1:], decoder_input_ids=inputs["decoder_input_ids"])
    return {
        "encoder_last_hidden_state": outputs.encoder_last_hidden_state * outputs.encoder_attention_mask[..., None],
        "logits": outputs.logits,
        "language_logits": outputs.language_logits,
        "ctc_best": outputs.ctc_logits.argmax(-1) * outputs.encoder_attention_mask,
        "text_logits": text.logits,
    }


@torch.no_grad()
def compute_speech_ids() -> torch.Tensor:
    """Ids by a tokenizer that is nothing but its configuration."""
    return SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=64))(build_inputs()["input_features"])


def main() -> None:
    """Write all golden files."""
    torch.manual_seed(0)
    models = build_models()
    model = models["Mu2SLAMForConditionalGeneration"]
    with torch.no_grad():
        for parameter in model.parameters():
            # Freshly made ones hold zeros and ones; a weight that is loaded to the wrong place would not show.
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(CHECKPOINT)
    save_file({**compute_outputs(model), "speech_ids": compute_speech_ids()}, OUTPUTS)
    keys = {name: describe_weights(built) for name, built in models.items()}
    KEYS.write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
