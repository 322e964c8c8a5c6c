# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configurations of the mSLAM models: one encoder shared by speech and text, and its CTC and transducer models."""

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_conformer import check_choice, check_multiple, check_positive
from .configuration_mu2slam import CLASSIFIER_POOLINGS, CTC_LOSS_REDUCTIONS, SpeechTextConfig
from .configuration_transducer import TransducerConfig

QUANTIZER_METHODS = ("gumbel", "nearest")
RANDOM_PROJECTION = "random_projection"
SPEECH_MASKS = ("noise", "learned", "features")
CTC_INPUTS = ("speech", "pair")


@strict
class MSLAMConfig(SpeechTextConfig):
    r"""Configuration of the mSLAM encoder.

    Paper: mSLAM (Bapna et al. 2022) and SLAM (Bapna et al. 2021): the layers `[0, num_speech_layers)` process speech
    only, the layers above process speech, text, or both; w2v-BERT (Chung et al. 2021) for the losses on speech. The
    defaults are the 0.6B model: 8 + 16 layers of width 1024, 4096 characters.
    Choice: the id space of [`Mu2SLAMConfig`], including its speech ids (which mSLAM neither reads nor predicts), so
    that processors, tokenizers and token embeddings are interchangeable.

    Args:
        encoder_config (`dict` or [`ConformerEncoderConfig`], *optional*): All Conformer layers, and the front end.
        num_speech_layers (`int`, *optional*, defaults to 8): Number of layers that process speech only.
        add_speech_projection (`bool`, *optional*, defaults to `True`): Whether a linear projection follows these
            layers, as in the paper. Without it the encoder is identical to that of [`Mu2SLAMConfig`].
        vocab_size (`int`, *optional*, defaults to 5184): As in [`Mu2SLAMConfig`].
        speech_token_offset (`int`, *optional*, defaults to 64): As in [`Mu2SLAMConfig`].
        num_speech_tokens (`int`, *optional*, defaults to 1024): As in [`Mu2SLAMConfig`].
        text_token_offset (`int`, *optional*, defaults to 1088): As in [`Mu2SLAMConfig`].
        languages (`list[str]`, *optional*, defaults to `["und"]`): Languages of the processor. Only
            `use_language_embedding` and the residual adapters of `encoder_config` read the language.
        quantizer_method (`str`, *optional*, defaults to `"nearest"`): `nearest`: the nearest entry, both normalised to
            length 1, of entries that follow the frames; `gumbel`: learned logits, sampled in training, as in
            w2v-BERT. Choice: in runs of a few hundred updates only `nearest` learned codes. `random_projection`:
            nothing is learned; the input features of a frame, before masking, are projected at random to random
            entries, as in BEST-RQ (Chiu et al. 2022) and USM. Masked prediction is then the only loss on speech
            alone: there are no contrastive and no diversity loss.
        quantizer_seed (`int`, *optional*, defaults to 0): Seed of the projection and the entries of
            `random_projection`.
        quantizer_center_utterances (`bool`, *optional*, defaults to `True`): Whether the mean of each utterance is
            subtracted from the frames that are quantised. Choice: codes of the same sound then depend less on the
            microphone and the voice; the papers do not subtract it. For `random_projection`, each feature also has
            variance 1 in its utterance. Paper: BEST-RQ normalises its input, without which few entries are used.
        quantizer_stop_gradient (`bool`, *optional*, defaults to `True`): Whether no gradient flows from the quantiser
            into the front end. Choice: in runs of a few hundred updates the gradient of the targets makes the front
            end sensitive to noise; in the papers it flows.
        quantizer_frame_entropy_weight (`float`, *optional*, defaults to 0.0): Weight, inside the diversity loss, of
            the entropy of the distribution over entries of single frames. Choice: not by default, as in the papers.
        num_codevectors_per_group (`int`, *optional*, defaults to 1024): Number of entries K of a codebook.
        num_codevector_groups (`int`, *optional*, defaults to 1): Number of codebooks G; masked prediction has a
            softmax for each.
        codevector_dim (`int`, *optional*, defaults to 1024): Width of a quantised vector (all groups concatenated);
            for `random_projection` that of an entry of each codebook.
        proj_codevector_dim (`int`, *optional*, defaults to 768): Width in which context and targets are compared.
        contrastive_logits_temperature (`float`, *optional*, defaults to 0.1): Divisor of the cosine similarities.
        num_negatives (`int`, *optional*, defaults to 100): Number of distractors Q per masked frame; the collator
            draws them.
        commitment_loss_weight (`float`, *optional*, defaults to 1.0): Weight, inside the contrastive loss, of the
            commitment loss that moves frames towards their entries for method `nearest`. Choice.
        speech_mask (`str`, *optional*, defaults to `"noise"`): Replacement of masked frames. `noise`: a random vector
            (w2v-BERT); `learned`: the embedding of [MASK], as in Mu2SLAM and for imported encoders; `features`: random
            features before the front end, as in BEST-RQ, which requires `random_projection`.
        speech_mask_noise_std (`float`, *optional*, defaults to 0.1): Standard deviation of these random vectors.
        ctc_input (`str`, *optional*, defaults to `"speech"`): Input of the CTC head for an utterance of a pair.
            `speech`: the utterance alone, in a second pass through the shared layers, so that its transcript cannot be
            copied; `pair`: the speech part of the pair. Choice: the paper does not specify it.
        ctc_loss_reduction (`str`, *optional*, defaults to `"mean"`): `mean` per target token, or `sum`.
        use_weighted_layer_sum (`bool`, *optional*, defaults to `True`): Whether a classification head uses a learned
            weighted average of the layers instead of the last one.
        classifier_proj_size (`int`, *optional*, defaults to 256): Width of the projection before classification.
        classifier_pooling (`str`, *optional*, defaults to `"mean"`): `mean` or `max` over the real positions.
        classifier_dropout (`float`, *optional*, defaults to 0.0): Dropout before the classifier.
        use_segment_embedding (`bool`, *optional*, defaults to `False`): As in [`Mu2SLAMConfig`].
        use_language_embedding (`bool`, *optional*, defaults to `False`): Whether an embedding of the language is added
            to the input of the shared layers and, in Maestro, to that of the text encoder, as in Maestro-U.
        inputs_to_logits_ratio (`int`, *optional*, defaults to 640): As in [`Mu2SLAMConfig`].
        tie_word_embeddings (`bool`, *optional*, defaults to `True`): Whether text input, text prediction and CTC share
            one embedding table.
    """

    model_type = "mslam"

    num_speech_layers: int = 8
    add_speech_projection: bool = True
    quantizer_method: str = "nearest"
    quantizer_seed: int = 0
    quantizer_center_utterances: bool = True
    quantizer_stop_gradient: bool = True
    quantizer_frame_entropy_weight: float | int = 0.0
    num_codevectors_per_group: int = 1024
    num_codevector_groups: int = 1
    codevector_dim: int = 1024
    proj_codevector_dim: int = 768
    contrastive_logits_temperature: float | int = 0.1
    num_negatives: int = 100
    commitment_loss_weight: float | int = 1.0
    speech_mask: str = "noise"
    speech_mask_noise_std: float | int = 0.1
    ctc_input: str = "speech"
    ctc_loss_reduction: str = "mean"
    use_weighted_layer_sum: bool = True
    classifier_proj_size: int = 256
    classifier_pooling: str = "mean"
    classifier_dropout: float | int = 0.0
    use_segment_embedding: bool = False
    use_language_embedding: bool = False

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers that process speech."""
        return self.encoder_config.num_hidden_layers

    @property
    def num_attention_heads(self) -> int:
        """Number of attention heads per layer."""
        return self.encoder_config.num_attention_heads

    @property
    def num_shared_layers(self) -> int:
        """Number of layers shared by speech and text."""
        return self.encoder_config.num_hidden_layers - self.num_speech_layers

    @property
    def has_random_codes(self) -> bool:
        """Whether the codes of speech are those of a random projection, which is not trained."""
        return self.quantizer_method == RANDOM_PROJECTION

    def validate_architecture(self):
        """Part of `@strict` validation: raises ValueError for values from which no encoder can be built."""
        num_layers = self.encoder_config.num_hidden_layers
        if not 1 <= self.num_speech_layers < num_layers:
            raise ValueError(
                f"num_speech_layers must be between 1 and {num_layers - 1}, with at least one shared layer "
                f"(encoder_config.num_hidden_layers is {num_layers}); got {self.num_speech_layers}."
            )
        if self.encoder_config.hidden_size % 2:
            raise ValueError(
                "the sinusoidal positions of text require an even encoder_config.hidden_size; got "
                f"{self.encoder_config.hidden_size}."
            )
        check_choice(self, "quantizer_method", (*QUANTIZER_METHODS, RANDOM_PROJECTION))
        check_choice(self, "speech_mask", SPEECH_MASKS)
        check_choice(self, "ctc_input", CTC_INPUTS)
        check_choice(self, "ctc_loss_reduction", CTC_LOSS_REDUCTIONS)
        check_choice(self, "classifier_pooling", CLASSIFIER_POOLINGS)
        check_positive(self, "num_codevectors_per_group", "num_codevector_groups", "codevector_dim")
        check_positive(self, "proj_codevector_dim", "num_negatives", "classifier_proj_size")
        if self.has_random_codes:
            if self.encoder_config.frontend == "waveform":
                raise ValueError(
                    "quantizer_method 'random_projection' quantises input features; the front end 'waveform' has none."
                )
        else:
            check_multiple(self, "codevector_dim", "num_codevector_groups")
            if self.speech_mask == "features":
                raise ValueError(
                    "speech_mask 'features' requires quantizer_method 'random_projection': a learned quantiser reads "
                    f"the unmasked output of the front end; got quantizer_method {self.quantizer_method!r}."
                )
        if self.contrastive_logits_temperature <= 0:
            raise ValueError(
                f"contrastive_logits_temperature must be positive, got {self.contrastive_logits_temperature}."
            )
        if self.speech_mask_noise_std < 0:
            raise ValueError(f"speech_mask_noise_std cannot be negative, got {self.speech_mask_noise_std}.")
        super().validate_architecture()


@strict
class MSLAMCTCConfig(MSLAMConfig):
    r"""Configuration of the CTC-only model, with the keys of [`MSLAMConfig`].

    It has its own `model_type` for the same reason as [`Mu2SLAMCTCConfig`]: a checkpoint has one tokenizer class, and
    CTC requires one that collapses repeats.
    """

    model_type = "mslam_ctc"


@strict
class MSLAMRNNTConfig(MSLAMCTCConfig):
    r"""Configuration of the transducer model, with the keys of [`MSLAMConfig`].

    Args:
        transducer_config (`dict` or [`TransducerConfig`], *optional*): The prediction and joint network.
    """

    model_type = "mslam_rnnt"
    sub_configs_defaults = {**MSLAMCTCConfig.sub_configs_defaults, "transducer_config": TransducerConfig}

    transducer_config: dict | PreTrainedConfig | None = None


__all__ = ["MSLAMCTCConfig", "MSLAMConfig", "MSLAMRNNTConfig"]
