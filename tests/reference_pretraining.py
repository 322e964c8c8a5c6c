# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""All losses of pre-training, slowly: one example, one view, one sequence at a time, unpadded, written out in loops.

It shares nothing with the package's views, collator, pooling and loss functions. Of the model it runs the parts
(front end, embedding tables, Conformer, decoder, heads) on single sequences, so it checks all that is between: which
positions are read, masked, predicted, normalised, aligned, summed and counted.

Letters: T feature frames, N encoder frames, D width, V vocabulary.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mu2slam_hf.models.modules_positions import sinusoidal_embedding

SPEECH, TEXT, UNDETERMINED = 0, 1, 0


@dataclass
class Side:
    """x or y of an example: speech (features and codebook entries) or text (tokens without `</s>`).

    Args:
        language: true row of the language table.
        told: row that the encoder is told.
        features: `(T, M)` of speech.
        speech_ids: codebook entry of each of the N encoder frames.
        token_ids: of text.
    """

    language: int
    told: int
    features: Tensor | None = None
    speech_ids: list[int] | None = None
    token_ids: list[int] | None = None

    @property
    def modality(self) -> int:
        return SPEECH if self.token_ids is None else TEXT


@dataclass
class Noise:
    """What masking does to one segment of one view.

    Args:
        mask: True where the content is to be predicted.
        shown: text only: the ids that the encoder reads, [MASK] and random tokens in place, without `</s>`.
    """

    mask: list[bool]
    shown: list[int] | None = None


@dataclass
class Example:
    """One example of a task, with the noise of every segment of every view."""

    task: str
    source: Side
    target: Side | None
    noise: dict[str, list[Noise]] = field(default_factory=dict)


class Reference:
    """Sums and counts of the losses of a list of examples.

    Args:
        model: a `Mu2SLAMForPreTraining`.
    """

    def __init__(self, model):
        self.model, self.config = model, model.config
        self.encoder, self.decoder = model.model.encoder, model.model.decoder
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def run(self, examples: list[Example]) -> "Reference":
        for example in examples:
            x, y, task = example.source, example.target, example.task
            if y is None:
                self._denoise(task, x, example.noise[task][0])
            else:
                self._translate(task, x, y, example.noise[task][0], is_forward=True)
                self._translate(f"{task}_backward", y, x, example.noise[f"{task}_backward"][0], is_forward=False)
                self._align(f"{task}_alignment", [x, y], example.noise[f"{task}_alignment"])
        return self

    def total(self, names: tuple[str, ...], weights: list[float]) -> Tensor:
        """Weighted sum of the losses, each divided by its own count."""
        total = next(self.model.parameters()).new_zeros(())
        for name, weight in zip(names, weights, strict=True):
            if name in self.sums:
                total = total + weight * self.sums[name] / self.counts[name]
        return total

    # ---- views --------------------------------------------------------------------------------------------------

    def _denoise(self, view: str, x: Side, noise: Noise) -> None:
        """Eq. 2."""
        states = self._encode(view, [x], [noise])
        self._ask_language(x, states)
        self._decode_masked(view, x, noise, states)

    def _translate(self, view: str, x: Side, y: Side, noise: Noise, is_forward: bool) -> None:
        """Eq. 4: masked x in, all of y and `</s>` out."""
        states = self._encode(view, [x], [noise])
        if is_forward:
            self._ask_language(x, states)
        if view == "asr":
            self._ask_ctc(y, states)
        targets = [*self._ids(y), self.config.eos_token_id]
        logits = self._decode(y, [self.config.bos_token_id, *targets[:-1]], states)
        for position, target in enumerate(targets):
            if target != self.config.unk_token_id:
                self._add(f"{view}_decoder", -log_softmax(logits[position])[target])

    def _align(self, view: str, sides: list[Side], noises: list[Noise]) -> None:
        """Eq. 5: both in one encoder sequence, and a denoising decoder pass for each."""
        states = self._encode(view, sides, noises)
        for side, noise in zip(sides, noises, strict=True):
            self._decode_masked(view, side, noise, states)

    # ---- encoder ------------------------------------------------------------------------------------------------

    def _encode(self, view: str, sides: list[Side], noises: list[Noise]) -> Tensor:
        """States `(positions, D)` of the masked segments, side by side; adds the masked prediction."""
        rows, positions, targets = [], [], []
        for side, noise in zip(sides, noises, strict=True):
            start = len(rows)
            content = self._speech_rows(side) if side.modality == SPEECH else None
            for i, is_masked in enumerate(noise.mask):
                if side.modality == SPEECH:
                    row = self._token_row(self.config.mask_token_id) if is_masked else content[i]
                else:
                    row = self._token_row(noise.shown[i])
                rows.append(self._finish_row(row, side, i))
                positions.append(i)
                target = self._ids(side)[i]
                if is_masked and target != self.config.unk_token_id:
                    targets.append((start + i, target))
            if side.modality == TEXT:
                row = self._token_row(self.config.eos_token_id)
                rows.append(self._finish_row(row, side, len(noise.mask)))
                positions.append(len(noise.mask))
        states = self.encoder.conformer(
            torch.stack(rows)[None], position_ids=torch.tensor([positions])
        ).last_hidden_state[0]
        for position, target in targets:
            self._add(f"{view}_mlm", -log_softmax(self.model.mlm_head(states[position]))[target])
        return states

    def _speech_rows(self, side: Side) -> Tensor:
        return self.encoder.subsampling(side.features[None])[0]

    def _token_row(self, token_id: int) -> Tensor:
        return self.encoder.embed_tokens.weight[token_id] * self.encoder.embed_tokens.scale

    def _finish_row(self, row: Tensor, side: Side, position: int) -> Tensor:
        row = row + self.encoder.embed_languages.weight[side.told]
        row = row + self.encoder.embed_modalities.weight[side.modality]
        if self.config.encoder_config.position_embeddings_type == "sinusoidal":
            row = row + sinusoidal_embedding(torch.tensor([[position]]), len(row))[0, 0].to(row.dtype)
        return row

    # ---- decoder ------------------------------------------------------------------------------------------------

    def _ids(self, side: Side) -> list[int]:
        """The content in the vocabulary."""
        if side.modality == TEXT:
            return list(side.token_ids)
        return [self.config.speech_token_offset + entry for entry in side.speech_ids]

    def _decode(self, side: Side, inputs: list[int], states: Tensor) -> Tensor:
        """Logits `(positions, V)`."""
        hidden = self.decoder(
            input_ids=torch.tensor([inputs]),
            language_ids=torch.tensor([side.language]),
            modality_ids=torch.tensor([side.modality]),
            encoder_hidden_states=states[None],
            use_cache=False,
        ).last_hidden_state[0]
        return self.model.lm_head(hidden)

    def _decode_masked(self, view: str, side: Side, noise: Noise, states: Tensor) -> None:
        """From the shifted complement to the masked content; no `</s>`."""
        ids = self._ids(side)
        complement = [
            token_id if is_masked else self.config.mask_token_id
            for token_id, is_masked in zip(ids, noise.mask, strict=True)
        ]
        logits = self._decode(side, [self.config.bos_token_id, *complement[:-1]], states)
        for position, (target, is_masked) in enumerate(zip(ids, noise.mask, strict=True)):
            if is_masked and target != self.config.unk_token_id:
                self._add(f"{view}_decoder", -log_softmax(logits[position])[target])

    # ---- heads of the encoder -----------------------------------------------------------------------------------

    def _ask_language(self, x: Side, states: Tensor) -> None:
        """Only where the model was not told the language, and there is one."""
        if x.told == UNDETERMINED and x.language != UNDETERMINED:
            mean = states[0]
            for state in states[1:]:
                mean = mean + state
            logits = self.model.language_head(mean / len(states))
            self._add("language", -log_softmax(logits)[x.language])

    def _ask_ctc(self, y: Side, states: Tensor) -> None:
        """CTC over text tokens, the unknown token and blank; labels that do not fit the frames are left out."""
        labels = [token_id for token_id in y.token_ids if token_id != self.config.unk_token_id]
        repeats = sum(left == right for left, right in zip(labels, labels[1:], strict=False))
        if not labels or len(labels) + repeats > len(states):
            return
        blank = self.config.pad_token_id
        columns = [blank, self.config.unk_token_id, *range(self.config.text_token_offset, self.config.vocab_size)]
        frames = []
        for state in states:
            log_probs = log_softmax(self.model.ctc_head(state)[columns])
            frames.append({symbol: log_probs[columns.index(symbol)] for symbol in {blank, *labels}})
        self._add("ctc", -log_likelihood_of_alignments(frames, labels, blank), count=len(labels))

    def _add(self, name: str, value: Tensor, count: int = 1) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + count


def log_softmax(logits: Tensor) -> Tensor:
    """`(V,)` log probabilities, by hand."""
    shifted = logits - logits.max().detach()
    return shifted - shifted.exp().sum().log()


def log_likelihood_of_alignments(frames: list[dict[int, Tensor]], labels: list[int], blank: int) -> Tensor:
    """Forward (alpha) recursion of CTC.

    Args:
        frames: per frame the log probability of every symbol in use.
        labels: the transcript.
        blank: symbol of "nothing".
    """
    path = [blank]
    for label in labels:
        path += [label, blank]
    impossible = torch.full((), -math.inf, dtype=frames[0][blank].dtype)
    alpha = [frames[0][symbol] if place < 2 else impossible for place, symbol in enumerate(path)]
    for frame in frames[1:]:
        following = []
        for place, symbol in enumerate(path):
            ways = [alpha[place]]
            if place >= 1:
                ways.append(alpha[place - 1])
            if place >= 2 and symbol != blank and symbol != path[place - 2]:
                ways.append(alpha[place - 2])
            following.append(add_in_log_space(ways) + frame[symbol])
        alpha = following
    return add_in_log_space(alpha[-2:])


def add_in_log_space(values: list[Tensor]) -> Tensor:
    """`log(sum(exp(values)))` of scalars; -inf where all are."""
    possible = [value for value in values if value.item() > -math.inf]
    if not possible:
        return values[0]
    highest = max(value.item() for value in possible)
    return highest + sum((value - highest).exp() for value in possible).log()
