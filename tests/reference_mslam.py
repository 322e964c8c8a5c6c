# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""All losses of mSLAM's pre-training, slowly: one sequence at a time, unpadded, frame by frame and token by token.

It shares nothing with the package's layout of sequences, masking, quantiser and loss functions. Of the model it runs
the parts (front end, table of tokens, Conformer, linear maps) on single sequences.

Letters: N encoder frames, D width, K entries of a codebook.
"""

import math

import torch
from mslam_batches import Batch, Text, Utterance
from reference_pretraining import log_likelihood_of_alignments, log_softmax
from torch import Tensor

from mu2slam_hf.models.modules_positions import sinusoidal_embedding


class Reference:
    """Sums and counts of the losses of a batch.

    Args:
        model: a `MSLAMForPreTraining`. In training, Gumbel noise must be switched off.
    """

    def __init__(self, model):
        self.model, self.config = model, model.config
        self.encoder = model.model
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.probabilities: list[list[Tensor]] = []

    def run(self, batch: Batch) -> "Reference":
        paired_speech = [speech for speech, _ in batch.pairs]
        paired_text = [text for _, text in batch.pairs]
        for number, utterance in enumerate(batch.utterances):
            if number not in paired_speech:
                self._speech_alone(utterance)
            elif utterance.transcript and self.config.ctc_input == "speech":
                self._ask_ctc(utterance, self._shared(self._speech(utterance)[1]))
        for number, text in enumerate(batch.texts):
            if number not in paired_text:
                self._ask_tokens("text_mlm", text, self._shared(self._text(text)))
        for speech, text in batch.pairs:
            self._pair(batch.utterances[speech], batch.texts[text])
        self._add_diversity()
        return self

    def total(self, names: tuple[str, ...], weights: list[float]) -> Tensor:
        """Weighted sum of the losses, each divided by its own count."""
        total = next(self.model.parameters()).new_zeros(())
        for name, weight in zip(names, weights, strict=True):
            if name in self.sums:
                total = total + weight * self.sums[name] / self.counts[name]
        return total

    # ---- sequences ----------------------------------------------------------------------------------------------

    def _speech_alone(self, utterance: Utterance) -> None:
        context, projected = self._speech(utterance)
        states = self._shared(projected)
        self._ask_contrastive(utterance, context)
        self._ask_codes("speech_mlm", utterance, states)
        for frame, is_masked in zip(self._targets(utterance), utterance.masked, strict=True):
            if is_masked:
                self.probabilities.append(self._quantize(frame)[2])
        if utterance.transcript:
            self._ask_ctc(utterance, states)

    def _pair(self, utterance: Utterance, text: Text) -> None:
        projected, embedded = self._speech(utterance)[1], self._text(text)
        positions = [*range(len(projected)), *range(len(embedded))]
        states = self._shared(torch.cat([projected, embedded]), positions)
        self._ask_codes("tlm_speech", utterance, states[: len(projected)])
        self._ask_tokens("tlm_text", text, states[len(projected) :])
        if utterance.transcript and self.config.ctc_input == "pair":
            self._ask_ctc(utterance, states[: len(projected)])

    def _frames(self, utterance: Utterance) -> Tensor:
        """`(N, D)` before masking."""
        return self.encoder.subsampling(utterance.speech[None])[0]

    def _targets(self, utterance: Utterance) -> list[Tensor]:
        """What is quantised of each frame, `(D,)`."""
        frames = list(self._frames(utterance))
        if self.config.quantizer_stop_gradient:
            frames = [frame.detach() for frame in frames]
        if self.config.quantizer_center_utterances:
            mean = sum(frames) / len(frames)
            frames = [frame - mean for frame in frames]
        return frames

    def _speech(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """End of the speech layers, and the same as it enters the shared ones, `(N, D)` each."""
        rows = []
        for number, (frame, is_masked) in enumerate(zip(self._frames(utterance), utterance.masked, strict=True)):
            if is_masked and self.config.speech_mask == "learned":
                table = self.encoder.embed_tokens
                frame = table.weight[self.config.mask_token_id] * table.scale
            elif is_masked:
                noise = draw_noise(utterance.seed, number, len(frame))
                frame = frame.new_tensor(noise) * self.config.speech_mask_noise_std
            if self.config.encoder_config.position_embeddings_type == "sinusoidal":
                frame = frame + position_embedding(number, frame)
            rows.append(frame)
        context = self.encoder.conformer(
            torch.stack(rows)[None], end_layer=self.config.num_speech_layers
        ).last_hidden_state[0]
        return context, self.encoder.speech_projection(context)

    def _text(self, text: Text) -> Tensor:
        table = self.encoder.embed_tokens
        rows = []
        for position, token in enumerate(text.shown):
            row = table.weight[token] * table.scale
            rows.append(self.encoder.text_norm(row + position_embedding(position, row)))
        return torch.stack(rows)

    def _shared(self, rows: Tensor, positions: list[int] | None = None) -> Tensor:
        positions = list(range(len(rows))) if positions is None else positions
        return self.encoder.conformer(
            rows[None], position_ids=torch.tensor([positions]), start_layer=self.config.num_speech_layers
        ).last_hidden_state[0]

    # ---- quantiser ----------------------------------------------------------------------------------------------

    def _quantize(self, frame: Tensor) -> tuple[Tensor, list[int], list[Tensor], Tensor]:
        """Vector, one id and one distribution for each codebook, and the distances of `nearest`."""
        quantizer = self.model.quantizer
        mapped = quantizer.linear(quantizer.norm(frame))
        parts, ids, distributions, distances = [], [], [], []
        for codebook, values in zip(quantizer.codebook, mapped.chunk(len(quantizer.codebook)), strict=True):
            if quantizer.method == "gumbel":
                index = max(range(len(values)), key=lambda k, v=values: v[k].item())
                part = codebook[index]
                if quantizer.training:
                    soft = log_softmax(values / quantizer.temperature).exp()
                    hard = torch.zeros_like(soft)
                    hard[index] = 1.0
                    part = (hard + soft - soft.detach()) @ codebook
                distributions.append(log_softmax(values).exp())
            else:
                latent = values / values.norm()
                entries = [entry / entry.norm() for entry in codebook]
                index = min(range(len(entries)), key=lambda k, e=entries, z=latent: (z - e[k]).norm().item())
                entry = entries[index]
                part = latent + (entry - latent).detach() if quantizer.training else entry
                distances.append(quantizer.commitment_weight * (latent - entry).square().sum())
                scores = torch.stack([quantizer.sharpness * (latent * other).sum() for other in entries])
                distributions.append(log_softmax(scores).exp())
            parts.append(part)
            ids.append(index)
        distance = sum(distances) / len(distances) if distances else frame.new_zeros(())
        return torch.cat(parts), ids, distributions, distance

    # ---- losses -------------------------------------------------------------------------------------------------

    def _ask_contrastive(self, utterance: Utterance, context: Tensor) -> None:
        """Which of these is the frame that was masked here?"""
        frames = self._targets(utterance)
        for number, others in utterance.negatives.items():
            state = self.model.project_hid(context[number])
            scores = []
            for candidate in (number, *others):
                vector = self.model.project_q(self._quantize(frames[candidate])[0])
                cosine = (state * vector).sum() / (state.norm() * vector.norm())
                scores.append(cosine / self.config.contrastive_logits_temperature)
            loss = -log_softmax(torch.stack(scores))[0]
            distance = self._quantize(frames[number])[3]
            self._add("contrastive", loss + self.config.commitment_loss_weight * distance)

    def _add_diversity(self) -> None:
        """Over all masked frames of utterances alone together."""
        if not self.probabilities:
            return
        number, groups = len(self.probabilities), len(self.probabilities[0])
        size = len(self.probabilities[0][0])
        used = 0.0
        for group in range(groups):
            mean = sum(one[group] for one in self.probabilities) / number
            used = used + (-(mean * mean.log()).sum()).exp()
        self._add("diversity", (groups * size - used) / (groups * size) * number, number)

    def _ask_codes(self, name: str, utterance: Utterance, states: Tensor) -> None:
        for number, (frame, is_masked) in enumerate(zip(self._targets(utterance), utterance.masked, strict=True)):
            if is_masked:
                ids = self._quantize(frame)[1]
                heads = self.model.speech_heads
                losses = [-log_softmax(head(states[number]))[index] for head, index in zip(heads, ids, strict=True)]
                self._add(name, sum(losses) / len(losses))

    def _ask_tokens(self, name: str, text: Text, states: Tensor) -> None:
        for position, token in text.asked.items():
            self._add(name, -log_softmax(self.model.mlm_head(states[position]))[token])

    def _ask_ctc(self, utterance: Utterance, states: Tensor) -> None:
        config, labels = self.config, utterance.transcript
        repeats = sum(left == right for left, right in zip(labels, labels[1:], strict=False))
        if len(labels) + repeats > len(states):
            return
        columns = [config.pad_token_id, config.unk_token_id, *range(config.text_token_offset, config.vocab_size)]
        frames = []
        for state in states:
            log_probs = log_softmax(self.model.ctc_head(state)[columns])
            frames.append({symbol: log_probs[columns.index(symbol)] for symbol in {config.pad_token_id, *labels}})
        self._add("ctc", -log_likelihood_of_alignments(frames, labels, config.pad_token_id), len(labels))

    def _add(self, name: str, value: Tensor, count: int = 1) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + count


def position_embedding(position: int, row: Tensor) -> Tensor:
    return sinusoidal_embedding(torch.tensor([[position]]), len(row))[0, 0].to(row.dtype)


def draw_noise(seed: int, frame: int, width: int) -> list[float]:
    """The documented hash and Box-Muller, in Python's own integers and doubles."""
    key = mix(mix(seed % 2**32) ^ seed // 2**32)
    key = mix(key ^ frame * 0x9E3779B1 % 2**32)
    uniform = [((mix((key + i * 0x9E3779B1) % 2**32) >> 8) + 1) / 2**24 for i in range(width + width % 2)]
    pairs = list(zip(uniform[::2], uniform[1::2], strict=True))
    cosines = [math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v) for u, v in pairs]
    sines = [math.sqrt(-2 * math.log(u)) * math.sin(2 * math.pi * v) for u, v in pairs]
    return (cosines + sines)[:width]


def mix(word: int) -> int:
    """MurmurHash3's finaliser."""
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16
