# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Synthetic speech of given texts, or of the texts of a manifest with random sequences of their words."""

import os
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.synthesis.folder import FolderSettings, FolderSummary, write_clips
from lab.synthesis.speech import SoundSettings, SyntheticClip, plan_clips
from lab.synthesis.voice_mix import VoiceMix
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import clean_text, has_spaces, join_texts, normalize_for_scoring

# (characters, voices): a text of at most this many characters is spoken in this many voices; longer ones are skipped.
# Long texts contain many different words already, and take most of the hours.
VOICES_BY_LENGTH = ((50, 5), (100, 3), (230, 2))
WORDS_PER_SEQUENCE = (2, 8)


@dataclass(frozen=True, kw_only=True)
class TextToSpeak:
    """A text to synthesise.

    Attributes:
        id: unique together with `lang`; versions in other languages may share it. Clip `k` is named `<id>.<k>`.
        lang: canonical language code.
        text: text to speak, and the transcript.
        translations: text by language code.
        num_voices: number of clips of this text; None means `voices_per_text`.
        kind: arbitrary label, copied to the manifest.
    """

    id: str
    lang: str
    text: str
    translations: Mapping[str, str] = field(default_factory=dict)
    num_voices: int | None = None
    kind: str = ""


def synthesize_texts(
    texts: Iterable[TextToSpeak | tuple[str, str, str]],
    out_dir: str | os.PathLike[str],
    *,
    voices_per_text: int = 1,
    seed: int = 0,
    sound: SoundSettings | None = None,
    folder: FolderSettings | None = None,
    voices: VoiceMix | None = None,
    normalize_transcripts: bool = False,
    description: Mapping[str, object] | None = None,
) -> FolderSummary:
    """Synthesise texts in a folder with `audio/`, `manifest.tsv` and `synthesis.json`.

    Args:
        texts: `TextToSpeak`, or tuples `(id, lang, text)`.
        out_dir: folder to create; must not exist or be empty.
        voices_per_text: number of clips per text, in different voices.
        seed: seed of voices, rates, pitches, levels and bandwidths.
        sound: bandwidth, level, rates; by default 3 of 4 clips are limited to 4 kHz.
        folder: format, limits, workers.
        voices: engines to draw from; None means the variants of espeak-ng.
        normalize_transcripts: texts and translations of the manifest are in lower case without punctuation; voices
            receive the texts as they are, whose punctuation gives them their melody.
        description: copied to `synthesis.json`.

    Returns:
        path of the manifest, counts and skipped clips.

    Raises:
        ImportError: the extra `lab` is not installed.
        ValueError: `out_dir` is not empty, `voices` has no voice for a language, or no clip was created.
    """
    sound = sound or SoundSettings()
    facts = {
        **{"seed": seed, "voices_per_text": voices_per_text, "normalize_transcripts": normalize_transcripts},
        **(description or {}),
    }
    clips = _clips(texts, voices_per_text, seed, sound, voices, normalize_transcripts)
    return write_clips(
        clips, out_dir, sound=sound, folder=folder or FolderSettings(), description=facts, voices=voices
    )


def _clips(
    texts: Iterable[TextToSpeak | tuple[str, str, str]],
    voices_per_text: int,
    seed: int,
    sound: SoundSettings,
    voices: VoiceMix | None,
    normalize_transcripts: bool,
) -> Iterator[SyntheticClip]:
    style = normalize_for_scoring if normalize_transcripts else clean_text
    for item in texts:
        if not isinstance(item, TextToSpeak):
            item = TextToSpeak(id=item[0], lang=item[1], text=item[2])
        num_voices = voices_per_text if item.num_voices is None else item.num_voices
        key = f"{seed}:{item.lang}:{item.id}"
        translations = {lang: style(text) for lang, text in item.translations.items()}
        plans = plan_clips(
            clean_text(item.text), item.lang, key=key, settings=sound, num_voices=num_voices, voices=voices
        )
        for k, plan in enumerate(plans):
            yield SyntheticClip(
                id=f"{item.id}.{k}",
                lang=item.lang,
                plan=plan,
                translations=translations,
                kind=item.kind,
                transcript=style(item.text),
            )


def speak_manifest(
    manifest: str | os.PathLike[str] | Sequence[SpeechTextRecord],
    out_dir: str | os.PathLike[str],
    *,
    languages: Sequence[str] | None = None,
    voices_by_length: Sequence[tuple[int, int]] = VOICES_BY_LENGTH,
    max_texts: int | None = None,
    random_sequences: int = 0,
    seed: int = 0,
    sound: SoundSettings | None = None,
    folder: FolderSettings | None = None,
    voices: VoiceMix | None = None,
    normalize_transcripts: bool = False,
) -> FolderSummary:
    """Synthesise the texts of a manifest, and random sequences of their words, in many voices.

    Random sequences of words train acoustics independent of sentences: a model trained on the sentences only memorises
    them.

    Args:
        manifest: path for `read_manifest`, or records; those without text are ignored.
        out_dir: folder to create; must not exist or be empty.
        languages: languages to speak; None means all languages of the manifest.
        voices_by_length: increasing pairs (characters, voices); the first pair with enough characters determines the
            number of voices of a text; longer texts are skipped.
        max_texts: maximum number of texts of each language, drawn at random; None means all.
        random_sequences: number of sequences of 2 to 8 words per language, one voice each, without translations.
        seed: seed of the sequences, the order and the voices.
        sound: bandwidth, level, rates.
        folder: format, limits, workers.
        voices: engines to draw from; None means the variants of espeak-ng.
        normalize_transcripts: as in `synthesize_texts`.

    Raises:
        ImportError: the extra `lab` is not installed.
        ValueError: the manifest cannot be read or has no texts in `languages`, `voices` has no voice for a language,
            or `out_dir` is not empty.
    """
    records = manifest if isinstance(manifest, Sequence) and not isinstance(manifest, str) else read_manifest(manifest)
    spoken = [r for r in records if r.text and (languages is None or r.lang in languages)]
    if not spoken:
        there = ", ".join(sorted({record.lang for record in records if record.text})) or "no texts at all"
        raise ValueError(f"no texts in the languages {list(languages or [])}; the manifest has {there}")
    if max_texts is not None:
        spoken = _draw_records(spoken, max_texts, seed)
    texts = [
        TextToSpeak(
            id=record.id,
            lang=record.lang,
            text=record.text or "",
            translations=record.translations,
            num_voices=num_voices,
            kind=record.kind or "",
        )
        for record in spoken
        if (num_voices := _num_voices(record.text or "", voices_by_length))
    ]
    texts += random_word_sequences(spoken, random_sequences, seed=seed)
    # Shuffled, so that blocks of clips, prefixes and shards of the manifest contain all languages.
    random.Random(f"order:{seed}").shuffle(texts)
    description = {
        "made_by": "speak_manifest",
        "source": os.fspath(manifest) if isinstance(manifest, (str, os.PathLike)) else f"{len(records)} records",
        "corpora": sorted({record.corpus for record in spoken}),
        "voices_by_length": [list(pair) for pair in voices_by_length],
        "max_texts": max_texts,
        "random_sequences": random_sequences,
    }
    return synthesize_texts(
        texts,
        out_dir,
        seed=seed,
        sound=sound,
        folder=folder,
        voices=voices,
        normalize_transcripts=normalize_transcripts,
        description=description,
    )


def _draw_records(records: Sequence[SpeechTextRecord], number: int, seed: int) -> list[SpeechTextRecord]:
    """At most `number` records of each language."""
    by_language: dict[str, list[SpeechTextRecord]] = defaultdict(list)
    for record in records:
        by_language[record.lang].append(record)
    return [
        record
        for lang, own in sorted(by_language.items())
        for record in random.Random(f"texts:{seed}:{lang}").sample(own, min(number, len(own)))
    ]


def _num_voices(text: str, voices_by_length: Sequence[tuple[int, int]]) -> int:
    return next((voices for characters, voices in voices_by_length if len(text) <= characters), 0)


def random_word_sequences(records: Iterable[SpeechTextRecord], num: int, *, seed: int = 0) -> list[TextToSpeak]:
    """`num` sequences of 2 to 8 words for each language, drawn uniformly from the words of its texts.

    Languages that do not separate words by spaces are skipped.
    """
    words: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if has_spaces(record.lang):
            words[record.lang].update((record.text or "").split())
    sequences = []
    for lang in sorted(words):
        source, vocabulary = random.Random(f"words:{seed}:{lang}"), sorted(words[lang])
        for number in range(num):
            text = join_texts(source.choices(vocabulary, k=source.randint(*WORDS_PER_SEQUENCE)), lang)
            sequences.append(TextToSpeak(id=f"random-{number:05d}", lang=lang, text=text, kind="random"))
    return sequences
