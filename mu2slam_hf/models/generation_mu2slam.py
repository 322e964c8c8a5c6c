# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Generation with explicit languages and tasks: `generate(..., source_lang="es", target_lang="en")`.

Shapes: B batch, T feature frames, N encoder positions, R rows (batch x beams), L tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from .generation_adapters import with_adapters
from .generation_assisted import build_ctc_drafts, prepare_assistant
from .generation_cache import CACHE_ARGUMENT, SharedSourceCache
from .generation_ctc import CTCPrefixLogitsProcessor, CTCPrefixScorer
from .generation_greedy import GreedySearch, is_plain_greedy
from .generation_inference import Seq2SeqInferenceMixin
from .generation_settings import find_option
from .generation_tokens import (
    AllowedTokensLogitsProcessor,
    LanguageTokensLogitsProcessor,
    LoopLogitsProcessor,
    RowLengthLogitsProcessor,
    exclude_from_ctc,
    excluded_tokens,
)
from .generation_transcripts import encode_transcripts
from .language_codes import language_index
from .task_types import check_task, listing_choices, resolve_task_arguments

SOURCES = ("input_features", "input_values", "input_ids", "inputs_embeds", "encoder_outputs")
DEFAULT_MAX_LENGTH = 20
"""Default of transformers, replaced by a limit derived from the source."""


class Mu2SLAMGenerationMixin(Seq2SeqInferenceMixin):
    """Languages, tasks and joint CTC/attention decoding for [`Mu2SLAMForConditionalGeneration`]."""

    @torch.no_grad()
    @with_adapters(SOURCES)
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config=None,
        logits_processor: LogitsProcessorList | None = None,
        *args,
        source_lang: str | Sequence[str | None] | None = None,
        target_lang: str | Sequence[str | None] | None = None,
        task: str | None = None,
        target_modality: str | None = None,
        ctc_weight: float | None = None,
        source_modality: str | None = None,
        max_repeats: int | None = None,
        language: str | Sequence[str | None] | None = None,
        ctc_draft: bool | None = None,
        translate_transcript: bool | None = None,
        **kwargs,
    ):
        """Generate text or speech ids from speech or text.

        Args:
            inputs: `(B, T, M)` float features, the same as `input_features` (for the front end `waveform`:
                `(B, samples)`, the same as `input_values`).
            generation_config: as in transformers.
            logits_processor: further processors.
            source_lang: language of the source, one code (or name, such as "Spanish") or one per item; None means
                unknown (`und`).
            target_lang: language of the output, one code or one per item. Default: the source language if given, else
                the one predicted by the language head.
            task: `asr`, `ast`, `mt`, ...; only checked against modalities and languages, adds no token. As in Whisper
                also `transcribe` and `translate`, which translates into English by default. Default:
                `generation_config.task`.
            target_modality: `text` (default) or `speech`, which generates only codebook ids and `</s>`.
            ctc_weight: weight of CTC in the scores of same-language transcription, between 0 and 1. Default:
                `generation_config.ctc_weight`, else 0.
            source_modality: `speech` or `text`, only for `encoder_outputs`; None means unknown, without CTC.
            max_repeats: number of times that the same tokens may be repeated before a row is ended; texts that CTC
                scores may contain repetitions. Default: no limit for speech; for text that of
                `generation_config.max_repeats`, else none.
            language: Whisper's name of `source_lang`. Default: `generation_config.language`.
            ctc_draft: whether greedy transcription in the spoken language starts from the best path of CTC, of which
                the decoder checks several tokens at a time. The text is that without drafts, apart from tokens whose
                scores are equal up to rounding errors. It saves most time with single recordings, and where CTC and
                decoder agree. Default: `generation_config.ctc_draft`, else True. Has no effect with beams, sampling,
                other processors or outputs that greedy search does not have.
            translate_transcript: whether speech is translated by way of its transcript, which is recognised first and
                encoded as text. Default: `generation_config.translate_transcript`, else False: directly.
            **kwargs: `input_features` or `input_ids` with `attention_mask`, `language_ids` and
                `decoder_language_ids` `(B,)` in place of codes, and all arguments of transformers' `generate`. For
                assisted decoding (one item, greedy or sampling): `prompt_lookup_num_tokens`, or `assistant_model`,
                another encoder-decoder with the same vocabulary, which encodes the source itself.
                `adapter_names`: adapter of this call (`load_adapter`), or one per item; "__base__" is the model
                without adapters. Default: the one in use (`set_adapter`).

        Raises:
            ValueError: not exactly one source is given, a language or task is unknown, or the task does not match
                modalities and languages; the message contains all tasks and the languages of the model.
        """
        source = self._single_source(inputs, kwargs)
        config = generation_config if generation_config is not None else self.generation_config
        source_modality = self._source_modality(source, source_modality)
        source_lang, target_lang, task = resolve_task_arguments(
            self.config.languages,
            source_modality,
            language=language,
            source_lang=source_lang,
            target_lang=target_lang,
            task=task,
            defaults=config,
            has_source=kwargs.get("language_ids") is not None,
            has_target=kwargs.get("decoder_language_ids") is not None,
        )
        assistant = prepare_assistant(self, config, kwargs, source, source_lang)
        encoder_outputs = self._encode_source(source, source_lang, config, kwargs)
        modality = target_modality or ("speech" if task in ("tts", "s2st") else "text")
        source_ids = kwargs.pop("language_ids", None)
        spoken = self._spoken_languages(encoder_outputs, source_ids)
        target_ids = self._target_languages(target_lang, spoken, encoder_outputs, kwargs)
        self._check_task(task, source_modality, modality, source_ids, target_ids)
        kwargs |= {} if assistant is None else {"assistant_model": assistant}
        if translate_transcript is None:
            translate_transcript = getattr(config, "translate_transcript", None)
        if translate_transcript and (source_modality, modality) == ("speech", "text"):
            search = {"generation_config": generation_config, "ctc_weight": ctc_weight, "max_repeats": max_repeats}
            encoder_outputs = self._read_transcripts(encoder_outputs, spoken(), target_ids, search, kwargs)
        self._set_target(kwargs, target_ids, modality)

        processors = LogitsProcessorList([*self._token_processors(modality, target_ids), *(logits_processor or [])])
        weight = self._ctc_weight(ctc_weight, config)
        is_greedy = not args and assistant is None and is_plain_greedy(kwargs, config, self.generation_config)
        ctc_draft = getattr(config, "ctc_draft", None) is not False if ctc_draft is None else ctc_draft
        confirmed = drafts = None  # items whose tokens CTC scores; texts that CTC proposes
        if source_modality == "speech" and modality == "text":
            is_drafting = is_greedy and ctc_draft
            ctc, confirmed, drafts = self._read_ctc(encoder_outputs, spoken, target_ids, weight, is_drafting)
            processors += ctc
        processors += self._loop_processors(max_repeats, config if modality == "text" else None, confirmed)
        processors += self._length_processors(config, kwargs, encoder_outputs, source_modality, modality)
        kwargs |= {"custom_generate": GreedySearch(drafts)} if is_greedy else self._beam_options(kwargs, config)
        return super().generate(None, generation_config, processors, *args, encoder_outputs=encoder_outputs, **kwargs)

    def _beam_options(self, kwargs: dict, config) -> dict:
        """The cache of beam search, unless the caller chose another cache or none."""
        configs = (config, self.generation_config)
        chosen = ("past_key_values", "cache", "cache_implementation", "custom_generate", "assistant_model")
        with_beams = (find_option("num_beams", kwargs, *configs) or 1) > 1
        if not with_beams or find_option("use_cache", kwargs, *configs) is False:
            return {}
        if any(find_option(name, kwargs, *configs) is not None for name in chosen):
            return {}
        return {CACHE_ARGUMENT: SharedSourceCache(self.config.decoder_config)}

    def build_prompts(self, language_ids: Tensor) -> Tensor:
        """Decoder inputs `(B, prompt_length)` int64 that precede targets in the languages of the rows `(B,)`."""
        config = self.config
        if config.decoder_prompt == "start":
            return torch.full_like(language_ids, config.decoder_start_token_id)[:, None]
        # An index into a table rather than a loop over rows, so that the values stay on their device.
        tokens = torch.tensor(config.language_token_ids, device=language_ids.device)[language_ids][:, None]
        if config.decoder_prompt == "language":
            return tokens
        return torch.cat([torch.full_like(tokens, config.decoder_start_token_id), tokens], dim=1)

    def _set_target(self, kwargs: dict, target_ids: Tensor, modality: str) -> None:
        """Set language and modality, and begin with the token of the language unless the caller gave a beginning."""
        kwargs["decoder_language_ids"] = target_ids
        kwargs["decoder_modality_ids"] = torch.full_like(target_ids, 0 if modality == "speech" else 1)
        if self.config.decoder_prompt == "start" or kwargs.get("decoder_input_ids") is not None:
            return
        prompts = self.build_prompts(target_ids)
        if self.config.decoder_prompt == "language":
            # transformers would put its start token before inputs that begin with another one.
            kwargs["decoder_start_token_id"] = prompts[:, 0].tolist()
        else:
            kwargs["decoder_input_ids"] = prompts

    def guess_language(self, encoder_hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Index `(B,)` int64 of the most likely language of each item; `und` (row 0) only if there is no other.

        Args:
            encoder_hidden_states: `(B, N, D)`.
            attention_mask: `(B, N)`, 1 on real positions, or None.
        """
        logits = self.compute_language_logits(encoder_hidden_states, attention_mask)
        return logits[:, 1:].argmax(-1) + 1 if logits.shape[-1] > 1 else logits.argmax(-1)

    def _single_source(self, inputs: Tensor | None, kwargs: dict) -> str:
        if inputs is not None:
            if kwargs.get(self.main_input_name) is not None:
                raise ValueError(f"The source was given twice: as first argument and as {self.main_input_name}.")
            kwargs[self.main_input_name] = inputs
        given = [name for name in SOURCES if kwargs.get(name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"generate expects exactly one source: {self.main_input_name} (speech) or input_ids (text); got "
                f"{' and '.join(given) if given else 'none'}."
            )
        return given[0]

    def _source_modality(self, source: str, given: str | None) -> str | None:
        if source != "encoder_outputs":
            return "speech" if source == self.main_input_name else "text"
        if given not in (None, "speech", "text"):
            raise ValueError(f"source_modality must be 'speech' or 'text', got {given!r}.")
        return given

    def _encode_source(self, source: str, source_lang, config, kwargs: dict):
        """Run the encoder once for language head, CTC and decoder, unless its output was given."""
        tensor = kwargs.pop(source)
        attention_mask = kwargs.pop("attention_mask", None)
        batch_size = tensor.shape[0] if isinstance(tensor, Tensor) else tensor[0].shape[0]
        if source_lang is not None:
            kwargs["language_ids"] = self.language_rows(source_lang, batch_size)
        if source == "encoder_outputs":
            return self.build_encoder_outputs(tensor, attention_mask)
        if kwargs.get("language_ids") is None:
            kwargs["language_ids"] = torch.zeros(batch_size, dtype=torch.int64, device=self.device)
        flags = ("output_attentions", "output_hidden_states")
        options = {flag: True for flag in flags if kwargs.get(flag, getattr(config, flag, None))}
        options |= {name: kwargs.pop(name) for name in ("modality_ids", "position_ids") if name in kwargs}
        return self.get_encoder()(
            **{source: tensor},
            attention_mask=attention_mask,
            language_ids=kwargs["language_ids"],
            return_dict=True,
            **options,
        )

    def language_rows(self, codes: str | Sequence[str | None], batch_size: int) -> Tensor:
        if isinstance(codes, str):
            codes = [codes] * batch_size
        if len(codes) != batch_size:
            raise ValueError(f"Got {len(codes)} languages for a batch of {batch_size}; pass one, or one per item.")
        rows = [0 if code is None else language_index(code, self.config.languages) for code in codes]
        for row in set(rows):
            self.check_language_in_use(self.config.languages[row])
        return torch.tensor(rows, dtype=torch.int64, device=self.device)

    def _target_languages(self, target_lang, spoken: Callable[[], Tensor], encoder_outputs, kwargs: dict) -> Tensor:
        """Rows `(B,)` of the languages of the output; where they are not given, those of `spoken`."""
        states = encoder_outputs.last_hidden_state
        given = kwargs.pop("decoder_language_ids", None)
        if target_lang is not None and (isinstance(target_lang, str) or all(target_lang)):
            return self.language_rows(target_lang, states.shape[0])
        if given is not None:
            return given.to(states.device)
        if target_lang is None:
            return spoken()
        rows = self.language_rows(target_lang, states.shape[0])
        return torch.where(rows > 0, rows, spoken())

    def _spoken_languages(self, encoder_outputs, source_ids: Tensor | None) -> Callable[[], Tensor]:
        """A function that returns the rows `(B,)` of the source languages, predicted where they are not given.

        They are predicted when they are first needed, and once: target, transcripts and CTC read the same rows.
        """

        @cache
        def find_rows() -> Tensor:
            if source_ids is not None and bool((source_ids > 0).all()):
                return source_ids
            guessed = self.guess_language(encoder_outputs.last_hidden_state, encoder_outputs.attention_mask)
            return guessed if source_ids is None else torch.where(source_ids > 0, source_ids, guessed)

        return find_rows

    @staticmethod
    def _source_lengths(encoder_outputs) -> Tensor:
        """Numbers `(B,)` of real encoder positions."""
        states, mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask
        return torch.full(states.shape[:1], states.shape[1], device=states.device) if mask is None else mask.sum(-1)

    def _check_task(self, task, source_modality, modality, source_ids, target_ids) -> None:
        if task is None:
            return
        languages = self.config.languages
        sources = [None] * len(target_ids) if source_ids is None else source_ids.tolist()
        with listing_choices(languages):
            for source, target in zip(sources, target_ids.tolist(), strict=True):
                source_code = languages[source] if source else None
                check_task(task, source_modality, modality, source_code, languages[target] if target else None)

    def _token_processors(self, modality: str, target_ids: Tensor) -> list[LogitsProcessor]:
        """Processors that mask the tokens that no output of the modality and the target languages has."""
        allowed = AllowedTokensLogitsProcessor(self._allowed_tokens(modality, target_ids.device))
        excluded = excluded_tokens(self.config, target_ids)
        # That of the languages comes first, because it reads the scores of all tokens.
        return [allowed] if excluded is None else [LanguageTokensLogitsProcessor(excluded), allowed]

    def _allowed_tokens(self, modality: str, device: torch.device) -> Tensor:
        config = self.config
        if modality not in ("text", "speech"):
            raise ValueError(f"target_modality must be 'text' or 'speech', got {modality!r}.")
        ids = torch.arange(config.vocab_size, device=device)
        if modality == "speech":
            allowed = (ids >= config.speech_token_offset) & (
                ids < config.speech_token_offset + config.num_speech_tokens
            )
        else:
            allowed = ids >= config.text_token_offset
        return allowed | (ids == config.eos_token_id)

    def adjust_generation_fn(self, *args, **kwargs):
        """Load the generation configuration; called by `from_pretrained`."""
        super().adjust_generation_fn(*args, **kwargs)
        self._own_generation_config()

    def _own_generation_config(self):
        """Keep what is set in `generation_config`.

        Marked as derived from the model configuration, as that of new weights and of a folder of pre-training is, it
        would lose `ctc_weight` and all that transformers does not know when it is saved and loaded.
        """
        self.generation_config._from_model_config = False

    @staticmethod
    def _ctc_weight(given: float | None, config) -> float:
        weight = given if given is not None else getattr(config, "ctc_weight", None) or 0.0
        if not 0.0 <= weight <= 1.0:
            raise ValueError(f"ctc_weight must be between 0 and 1, got {weight}.")
        return weight

    def _ctc_logits(self, encoder_outputs, target_ids: Tensor) -> Tensor:
        """CTC logits `(B, N, V)` without the tokens of other languages."""
        logits = self.compute_ctc_logits(encoder_outputs.last_hidden_state)
        return exclude_from_ctc(logits, excluded_tokens(self.config, target_ids))

    def _read_transcripts(self, encoder_outputs, source_ids: Tensor, target_ids: Tensor, search: dict, kwargs: dict):
        """Encoder outputs of the transcripts of the rows to translate; the number of beams is that of translations."""
        if "num_beams" in kwargs:
            search["num_beams"] = kwargs["num_beams"]
        return encode_transcripts(self, encoder_outputs, source_ids != target_ids, source_ids, **search)

    def _read_ctc(
        self, encoder_outputs, spoken: Callable[[], Tensor], target_ids, weight: float, is_drafting: bool
    ) -> tuple:
        """What CTC knows about transcripts: processors, the items that they score `(B,)` bool, and drafts."""
        if not (weight > 0 or is_drafting):
            return [], None, None
        is_transcript = spoken() == target_ids
        if not bool(is_transcript.any()):
            return [], None, None
        logits = self._ctc_logits(encoder_outputs, target_ids)
        drafts = None
        if is_drafting:
            lengths = self._source_lengths(encoder_outputs).where(is_transcript, 0)
            drafts = build_ctc_drafts(logits, lengths, self.config.pad_token_id)
        if weight == 0:
            return [], None, drafts
        processor = self._ctc_processor(logits, encoder_outputs, torch.where(is_transcript, weight, 0.0))
        return [processor], is_transcript, drafts

    def _ctc_processor(self, logits: Tensor, encoder_outputs, weights: Tensor) -> LogitsProcessor:
        config = self.config
        ids = torch.arange(config.vocab_size, device=logits.device)
        # Those that `mask_ctc_logits` leaves.
        emitted = (ids >= config.text_token_offset) | (ids == config.pad_token_id) | (ids == config.unk_token_id)
        lengths = self._source_lengths(encoder_outputs)
        scorer = CTCPrefixScorer(logits.log_softmax(-1), lengths, config.pad_token_id, ids[emitted])
        return CTCPrefixLogitsProcessor(scorer, weights, config.eos_token_id, prompt_length=config.prompt_length)

    def _loop_processors(self, max_repeats: int | None, config, confirmed: Tensor | None) -> list[LogitsProcessor]:
        # Without a configuration for speech: runs of equal ids are how a long sound is written.
        max_repeats = max_repeats if max_repeats is not None else getattr(config, "max_repeats", None)
        return [] if max_repeats is None else [LoopLogitsProcessor(max_repeats, self.config.eos_token_id, confirmed)]

    def _length_processors(self, config, kwargs: dict, encoder_outputs, source_modality, modality: str) -> list:
        """A processor with the limit of each row; sets that of the batch in `kwargs`."""
        for settings in (config, self.generation_config):
            # transformers' own default, in folders that a Trainer has saved, is no limit that anyone has set.
            if settings.max_length == DEFAULT_MAX_LENGTH:
                settings.max_length = None
        limits = self._length_limits(config, kwargs, encoder_outputs, source_modality, modality)
        if limits is None:
            return []
        kwargs["max_new_tokens"] = int(limits.max())
        return [RowLengthLogitsProcessor(limits, self.config.eos_token_id)]

    def _length_limits(self, config, kwargs: dict, encoder_outputs, source_modality, modality: str) -> Tensor | None:
        """Maximum number of new tokens `(B,)` int64, from the length of each source; None if the caller sets a limit.

        Choice: at 25 Hz no transcript has more characters than frames; a translation may be longer, hence 1.5 x.
        """
        asked = any(kwargs.get(name) is not None for name in ("max_length", "max_new_tokens", "max_time"))
        if asked or config.max_new_tokens is not None or config.max_length is not None:
            return None
        factor = 16 if source_modality == "text" and modality == "speech" else 1.5
        limits = (factor * self._source_lengths(encoder_outputs)).to(torch.int64) + 32
        longest = self.config.decoder_config.max_target_length
        return limits if longest is None else limits.clamp(max=longest - self.config.prompt_length)
