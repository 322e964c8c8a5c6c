# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Use of an encoder-decoder by inference: encoded speech, languages, and texts written from encoder states.

Shapes: B batch, T input frames (or samples), N encoder positions, D width, V vocabulary, G languages.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .generation_transcripts import encode_tokens
from .modules_capabilities import Capabilities, EncodedSpeech, InferenceMixin
from .task_types import TASKS


class Seq2SeqInferenceMixin(InferenceMixin):
    """Capabilities of an encoder-decoder with a CTC head and a language head."""

    capabilities = Capabilities(
        tasks=(*TASKS, "qa"), has_ctc=True, identifies_languages=True, generates=True, embeds=True
    )

    def encode_speech(self, speech: Tensor, attention_mask: Tensor, language_ids: Tensor) -> EncodedSpeech:
        """As in [`InferenceMixin`]."""
        outputs = self.get_encoder()(
            **{self.main_input_name: speech},
            attention_mask=attention_mask,
            language_ids=language_ids,
            return_dict=True,
        )
        states, mask = outputs.last_hidden_state, outputs.attention_mask
        mask = torch.ones(states.shape[:2], device=states.device) if mask is None else mask
        return EncodedSpeech(
            states=states,
            frame_mask=mask,
            ctc_logits=self.compute_ctc_logits(states),
            language_logits=self.compute_language_logits(states, mask),
        )

    def compute_languages(self, **inputs: Any) -> Tensor:
        """Logits `(B, G)` of recordings or texts."""
        outputs = self.get_encoder()(**inputs, return_dict=True)
        return self.compute_language_logits(outputs.last_hidden_state, outputs.attention_mask)

    def write_tokens(
        self,
        states: Sequence[Tensor],
        ctc_log_probs: Sequence[Tensor | None],
        *,
        source_langs: Sequence[str | None],
        target_langs: Sequence[str | None],
        transcripts: Sequence[Sequence[int]] | None = None,
        **options: Any,
    ) -> list[list[int]]:
        """Generate a text for each recording; see [`InferenceMixin`].

        The source languages are passed on, so that CTC scores all transcripts, also of windows whose own prediction
        differs from that of the recording.
        """
        if transcripts is None:
            outputs = self.stack_states(states)
        else:
            outputs = encode_tokens(self, transcripts, self.language_rows(source_langs, len(transcripts)))
        ids = self.generate(
            encoder_outputs=outputs,
            source_modality="speech" if transcripts is None else "text",
            source_lang=list(source_langs),
            target_lang=list(target_langs),
            **options,
        )
        return getattr(ids, "sequences", ids).tolist()

    def stack_states(self, states: Sequence[Tensor]) -> Any:
        """States `(N, D)` of several recordings as one output of the encoder."""
        mask = pad_sequence([torch.ones(len(row), dtype=torch.int64) for row in states], batch_first=True)
        mask = mask.to(self.device)
        outputs = self.build_encoder_outputs((pad_sequence(list(states), batch_first=True),), mask)
        outputs.attention_mask = mask
        return outputs
