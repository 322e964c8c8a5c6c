# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Calibration of the decision whether a recording has speech, for a model: a logistic regression, and its errors.

Examples of speech are recordings; those without speech are synthetic (`mu2slam_hf.data.non_speech`).
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.checkpoints import load_any_checkpoint
from mu2slam_hf.data.audio import FloatArray, load_audio
from mu2slam_hf.data.non_speech import NON_SPEECH_KINDS, Sound, generate_non_speech
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.inference.alignment import default_level
from mu2slam_hf.inference.no_speech import AGREEMENT, SETTINGS_NAME, FeatureWeight, NoSpeechSettings
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.windows import Window

_MODEL_FEATURES = ("ctc_largest", "ctc_tokens_per_second", "ctc_confidence", "ctc_entropy", AGREEMENT)
_NOISES = ("white_noise", "pink_noise", "brown_noise", "band_noise", "hum")


@dataclass(frozen=True, kw_only=True)
class SoundClip:
    """A recording with or without speech.

    Attributes:
        source: what it is an example of: corpus and language, or kind of sound.
        has_speech: whether it has speech.
        waveform: `(n,)` float32 at 16 kHz.
    """

    source: str
    has_speech: bool
    waveform: FloatArray


@dataclass(frozen=True, kw_only=True)
class MeasuredClip:
    """The features of a clip; fields as in `SoundClip`, `NoSpeechSettings` and `RecognizedWindow`."""

    source: str
    has_speech: bool
    level_dbfs: float
    features: Mapping[str, float]
    num_words: int


def speech_clips(
    records: Iterable[SpeechTextRecord], corpus: str, *, noisy_share: float = 0.0, seed: int = 0
) -> Iterator[SoundClip]:
    """Recordings of a corpus, as one source for each language.

    Args:
        records: records with audio.
        corpus: name of the corpus.
        noisy_share: share of the clips to which noise is added, 10 to 30 dB below the speech.
        seed: seed of the noise.
    """
    for record in records:
        if record.audio is None:
            continue
        waveform = load_audio(record.audio)
        generator = counter_generator(seed, "noise", record.key)
        if generator.uniform() < noisy_share:
            noise = NON_SPEECH_KINDS[str(generator.choice(_NOISES))](len(waveform), generator)
            scale = np.sqrt(np.mean(waveform.astype(np.float64) ** 2) / max(np.mean(noise**2), 1e-20))
            noisy = waveform + noise * scale * 10 ** (-generator.uniform(10, 30) / 20)
            waveform = (noisy / max(1.0, float(np.abs(noisy).max()))).astype(np.float32)
        yield SoundClip(source=f"{corpus} {record.lang}", has_speech=True, waveform=waveform)


def non_speech_clips(
    num_clips: int, *, seed: int = 0, kinds: Mapping[str, Sound] | None = None
) -> Iterator[SoundClip]:
    """Synthetic sounds, as one source for each kind; see `generate_non_speech`."""
    for clip in generate_non_speech(num_clips, seed=seed, kinds=kinds):
        yield SoundClip(source=clip.kind, has_speech=False, waveform=clip.waveform)


def measure_clips(
    model: Any,
    processor: Any,
    clips: Iterable[SoundClip],
    *,
    batch_clips: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[MeasuredClip]:
    """Features of clips, as in transcription in the predicted language; nothing is decided.

    Args:
        model: `Mu2SLAMForConditionalGeneration` or a CTC model, in evaluation mode.
        processor: its processor.
        clips: recordings.
        batch_clips: number of clips that are in memory at once.
        progress: called after each batch with the number of clips that are measured.
    """
    recognizer = WindowRecognizer(model, processor)
    # The agreement is measured; without other weights and with a positive bias, nothing is left out.
    nothing = FeatureWeight(mean=0.0, deviation=1.0, linear=0.0)
    recognizer.no_speech = NoSpeechSettings(min_level_dbfs=-np.inf, bias=1.0, weights={AGREEMENT: nothing})
    measured: list[MeasuredClip] = []
    for batch in _grouped(clips, batch_clips):
        windows = [
            Window(waveform=clip.waveform, start_sample=0, core_start=0, core_stop=len(clip.waveform))
            for clip in batch
        ]
        results = recognizer.encode(windows)
        languages = [
            max(item.language_probabilities, key=item.language_probabilities.__getitem__)
            if item.language_probabilities
            else None
            for item in results
        ]
        recognizer.transcribe(results, languages, default_level(None))
        measured += [
            MeasuredClip(
                source=clip.source,
                has_speech=clip.has_speech,
                level_dbfs=item.level_dbfs,
                features=dict(item.features),
                num_words=len(item.text.split()),
            )
            for clip, item in zip(batch, results, strict=True)
        ]
        if progress is not None:
            progress(len(measured))
    return measured


def _grouped(clips: Iterable[SoundClip], size: int) -> Iterator[list[SoundClip]]:
    group: list[SoundClip] = []
    for clip in clips:
        group.append(clip)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def fit_no_speech(
    clips: Sequence[MeasuredClip], *, max_muted: float = 0.005, regularization: float = 10.0
) -> NoSpeechSettings:
    """Settings for a model from measured clips with and without speech.

    Every source counts the same within its class. The features of the sound count linearly and squared, those of the
    model linearly. The threshold is the highest that empties at most `max_muted` of the speech, where every source is
    judged by a regression that has not seen it.

    Args:
        clips: from `measure_clips`.
        max_muted: share of the speech that may be emptied, mean over the sources.
        regularization: of the weights (L2).

    Raises:
        ValueError: no clips with speech, or none without.
    """
    loud = [clip for clip in clips if clip.level_dbfs >= NoSpeechSettings.min_level_dbfs]
    if len({clip.has_speech for clip in loud}) < 2:
        raise ValueError("expected clips with speech and clips without, louder than digital silence")
    sources = sorted({clip.source for clip in loud if clip.has_speech})
    scores: dict[str, list[float]] = {}
    for number, source in enumerate(sources):
        if len(sources) > 1:
            held_out = [clip for clip in loud if clip.source == source]
            seen = [clip for clip in loud if clip.source != source]
        else:  # a single source: every second clip of it
            own = [clip for clip in loud if clip.source == source]
            held_out, seen = own[number::2], [clip for clip in loud if clip not in own[number::2]]
        settings = _fit(seen, regularization)
        scores[source] = [settings.score(clip.features) for clip in held_out]
    settings = _fit(loud, regularization)
    threshold = _highest_threshold(scores, max_muted)
    return NoSpeechSettings(bias=settings.bias - threshold, weights=settings.weights)


def _highest_threshold(scores: Mapping[str, Sequence[float]], max_muted: float) -> float:
    """The highest score below which at most `max_muted` of the clips are, mean over the sources."""
    candidates = sorted(score for values in scores.values() for score in values)
    best = candidates[0] - 1e-6
    for candidate in candidates:
        muted = np.mean([np.mean(np.asarray(values) < candidate) for values in scores.values()])
        if muted > max_muted:
            break
        best = candidate - 1e-6
    return float(best)


def _fit(clips: Sequence[MeasuredClip], regularization: float) -> NoSpeechSettings:
    """Regularised logistic regression by L-BFGS, with every source of a class at equal weight."""
    names = list(clips[0].features)
    values = torch.tensor([[clip.features[name] for name in names] for clip in clips], dtype=torch.float64)
    labels = torch.tensor([float(clip.has_speech) for clip in clips], dtype=torch.float64)
    sizes: dict[tuple[bool, str], int] = defaultdict(int)
    for clip in clips:
        sizes[clip.has_speech, clip.source] += 1
    classes = {label: sum(1 for speech, _ in sizes if speech == label) for label in (True, False)}
    importance = torch.tensor(
        [1 / sizes[clip.has_speech, clip.source] / classes[clip.has_speech] for clip in clips], dtype=torch.float64
    )
    importance *= len(clips) / importance.sum()
    share = importance[:, None] / importance.sum()
    mean = (share * values).sum(dim=0)
    deviation = (share * (values - mean) ** 2).sum(dim=0).sqrt().clamp(min=1e-6)
    z = ((values - mean) / deviation).clamp(-4, 4)
    squared = torch.tensor([name not in _MODEL_FEATURES for name in names])
    inputs = torch.cat([z, z[:, squared] ** 2], dim=1)
    weights = torch.zeros(inputs.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-10)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = inputs @ weights[:-1] + weights[-1]
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        loss = (importance * losses).sum() + 0.5 * regularization * (weights[:-1] ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    linear = weights.detach()[: len(names)].tolist()
    squares = iter(weights.detach()[len(names) : -1].tolist())
    return NoSpeechSettings(
        bias=float(weights.detach()[-1]),
        weights={
            name: FeatureWeight(
                mean=float(mean[index]),
                deviation=float(deviation[index]),
                linear=linear[index],
                square=next(squares) if squared[index] else 0.0,
            )
            for index, name in enumerate(names)
        },
    )


def calibrate_checkpoint(
    folder: str | os.PathLike[str],
    speech: Iterable[SoundClip],
    *,
    num_sounds: int = 600,
    max_muted: float = 0.005,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> NoSpeechSettings:
    """Calibrate the checkpoint in a folder with speech and synthetic sounds, and store the result there.

    Args:
        folder: folder of a checkpoint.
        speech: recordings of speech.
        num_sounds: number of sounds without speech.
        max_muted: see `fit_no_speech`.
        seed: seed of the sounds.
        progress: called after each batch with the number of clips that are measured.
    """
    model, processor = load_any_checkpoint(str(folder))
    model.eval()
    sounds = non_speech_clips(num_sounds, seed=seed)
    clips = measure_clips(model, processor, chain(speech, sounds), progress=progress)
    settings = fit_no_speech(clips, max_muted=max_muted)
    store_no_speech(folder, settings)
    return settings


def store_no_speech(folder: str | os.PathLike[str], settings: NoSpeechSettings) -> Path:
    """Write settings into the generation configuration; of a CTC model, into the configuration. Returns the file."""
    path = Path(folder) / "generation_config.json"
    path = path if path.is_file() else Path(folder) / "config.json"
    content = json.loads(path.read_text(encoding="utf-8")) | {SETTINGS_NAME: settings.to_dict()}
    with atomic_path(path) as temporary:
        Path(temporary).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True, kw_only=True)
class NoSpeechScore:
    """Decisions for one source.

    Attributes:
        source: see `SoundClip`.
        has_speech: whether the clips have speech.
        num_clips: number of clips.
        num_wrong: clips with speech that are emptied, or clips without for which something is written.
    """

    source: str
    has_speech: bool
    num_clips: int
    num_wrong: int


def score_no_speech(settings: NoSpeechSettings, clips: Iterable[MeasuredClip]) -> list[NoSpeechScore]:
    """Wrong decisions by source. A clip for which the model writes nothing by itself counts as emptied."""
    groups: dict[tuple[bool, str], list[bool]] = defaultdict(list)
    for clip in clips:
        writes = not settings.is_silent(clip.level_dbfs) and settings.score(clip.features) > 0 and clip.num_words > 0
        groups[clip.has_speech, clip.source].append(writes != clip.has_speech)
    return [
        NoSpeechScore(source=source, has_speech=speech, num_clips=len(wrong), num_wrong=sum(wrong))
        for (speech, source), wrong in sorted(groups.items(), reverse=True)
    ]


def format_no_speech(scores: Sequence[NoSpeechScore]) -> str:
    """A table: clips, and how many are decided wrongly, by source and in all."""
    lines = [f"{'':28}{'clips':>8}{'wrong':>8}{'%':>8}"]
    for speech, title in ((True, "speech, emptied"), (False, "no speech, written")):
        rows = [score for score in scores if score.has_speech == speech]
        if not rows:
            continue
        total = NoSpeechScore(
            source=title,
            has_speech=speech,
            num_clips=sum(row.num_clips for row in rows),
            num_wrong=sum(row.num_wrong for row in rows),
        )
        for row, indent in ((total, ""), *((row, "  ") for row in rows)):
            share = 100 * row.num_wrong / row.num_clips
            lines.append(f"{indent + row.source:28}{row.num_clips:8}{row.num_wrong:8}{share:8.1f}")
    return "\n".join(lines)
