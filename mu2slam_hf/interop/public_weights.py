# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A Mu2SLAM model with the weights of a public speech encoder and of the decoder of a public text model."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import AutoConfig, AutoTokenizer, PreTrainedModel

from mu2slam_hf.interop.layer_choice import choose_layers, keep_layers
from mu2slam_hf.interop.speech_encoder_formats import FORMATS
from mu2slam_hf.interop.speech_encoders import SpeechEncoderWeights, load_speech_encoder
from mu2slam_hf.interop.speech_extractors import build_feature_extractor, load_feature_extractor
from mu2slam_hf.interop.text_decoder_formats import find_text_format
from mu2slam_hf.interop.text_decoders import TextDecoderWeights, load_text_decoder
from mu2slam_hf.interop.text_tokenizers import ConvertedTokenizer, convert_tokenizer
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.modules_speech_inputs import describe_mismatch
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor


def build_from_speech_and_text(
    speech: str | PreTrainedModel,
    text: str | PreTrainedModel,
    *,
    decoder_layers: int | Sequence[int] | None = None,
    encoder_layers: int | Sequence[int] | None = None,
    languages: Sequence[str] | None = None,
    num_speech_tokens: int = 1024,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    model_class: type[Mu2SLAMForConditionalGeneration] | None = None,
    **shared: Any,
) -> tuple[Mu2SLAMForConditionalGeneration, Mu2SLAMProcessor]:
    """Build a model and its processor from a speech encoder and the decoder of a text model.

    Trained already: the speech encoder; the kept layers of the decoder, its embeddings and its softmax. New: the rows
    of the speech codebook, biases and language head, and where the widths differ two linear maps: from the embeddings
    to the encoder's layers, and from the encoder's output to the decoder. The cross-attention is trained for the
    encoder of the text model, so the model must be fine-tuned before its output means anything.

    In evaluation mode the layers of the encoder return for speech what the source returns, and the decoder with all
    its layers returns for the same encoder states the logits of the source. As there, the token of the target language
    precedes the text (`config.decoder_prompt`); the added embeddings of languages are zero at first.

    Args:
        speech: folder, name on the Hub or loaded model in the format `wav2vec2-bert` (w2v-BERT 2.0) or
            `wav2vec2-conformer`.
        text: folder, name on the Hub or loaded model in the format `m2m_100` (NLLB-200) or `mbart` (mBART-50).
        decoder_layers: decoder layers that are kept: a number of evenly spaced ones, or a list; None for all. The
            paper has 6.
        encoder_layers: encoder layers that are kept, likewise.
        languages: language table; by default all languages of the text model. Others get a new token each.
        num_speech_tokens: number of entries of the speech codebook.
        tokenizer: of the text model; by default the one saved with it. Required for a loaded model.
        feature_extractor: of the speech encoder; by default the one saved with it, else that of its format.
        model_class: `Mu2SLAMForConditionalGeneration` by default.
        **shared: further keys of [`Mu2SLAMConfig`] (`ctc_loss_weight`, ...).

    Returns:
        the model in evaluation mode, and the processor.

    Raises:
        ValueError: a model in another format, an incomplete checkpoint, layers that do not exist, or a tokenizer or
            feature extractor that does not match.
    """
    speech_config = speech.config if isinstance(speech, PreTrainedModel) else AutoConfig.from_pretrained(speech)
    if speech_config.model_type not in FORMATS:
        raise ValueError(
            f"speech: expected an encoder of type {' or '.join(FORMATS)}, got {speech_config.model_type!r}."
        )
    converted = convert_tokenizer(_load_tokenizer(text, tokenizer), num_speech_tokens, languages)
    encoder = keep_encoder_layers(load_speech_encoder(speech), encoder_layers)
    if feature_extractor is None:
        is_model = isinstance(speech, PreTrainedModel)
        feature_extractor = (
            build_feature_extractor(speech_config) if is_model else load_feature_extractor(str(speech), speech_config)
        )
    mismatch = describe_mismatch(feature_extractor, encoder.config)
    if mismatch is not None:
        raise ValueError(f"{encoder.source}: {mismatch}")
    decoder = load_text_decoder(text, decoder_layers)
    config = build_config(encoder, decoder, converted, **shared)
    model = (model_class or Mu2SLAMForConditionalGeneration)(config)
    encoder.load_into(model)
    decoder.load_into(model, converted)
    processor = Mu2SLAMProcessor(feature_extractor, converted.tokenizer, languages=converted.languages)
    processor.check_config(config)
    return model.eval(), processor


def build_config(
    encoder: SpeechEncoderWeights, decoder: TextDecoderWeights, converted: ConvertedTokenizer, **shared: Any
) -> Mu2SLAMConfig:
    """The configuration of a model with an imported encoder, decoder and tokenizer; `shared` takes precedence."""
    tokenizer = converted.tokenizer
    ids = converted.source_ids.tolist()
    # mBART begins with the token of the language, and its configuration may name one as the start.
    start = decoder.eos_token_id if converted.decoder_prompt == "language" else decoder.start_token_id
    values: dict[str, Any] = {
        "encoder_config": copy.deepcopy(encoder.config),
        "decoder_config": decoder.decoder_config,
        "add_encoder_projection": encoder.config.hidden_size != decoder.decoder_config["hidden_size"],
        "vocab_size": len(ids),
        "speech_token_offset": tokenizer.speech_token_offset,
        "num_speech_tokens": tokenizer.num_speech_tokens,
        "text_token_offset": tokenizer.text_token_offset,
        "languages": converted.languages,
        "language_token_ids": converted.language_token_ids,
        "decoder_prompt": converted.decoder_prompt,
        "decoder_start_token_id": ids.index(start),
        "tie_word_embeddings": decoder.tie_word_embeddings,
    }
    return Mu2SLAMConfig(**{**values, **shared})


def keep_encoder_layers(weights: SpeechEncoderWeights, layers: int | Sequence[int] | None) -> SpeechEncoderWeights:
    """A speech encoder with some of its layers, see `choose_layers`."""
    chosen = choose_layers(layers, weights.config.num_hidden_layers, "encoder_layers")
    config = copy.deepcopy(weights.config)
    config.num_hidden_layers = len(chosen)
    return replace(weights, config=config, state_dict=keep_layers(weights.state_dict, "conformer.layers.", chosen))


def _load_tokenizer(text: str | PreTrainedModel, tokenizer: Any) -> Any:
    if tokenizer is not None:
        return tokenizer
    if isinstance(text, PreTrainedModel):
        find_text_format(text.config, type(text).__name__)
        raise ValueError("text is a loaded model: pass its tokenizer as tokenizer=.")
    find_text_format(AutoConfig.from_pretrained(text), text)
    return AutoTokenizer.from_pretrained(text)


__all__ = ["build_from_speech_and_text"]
