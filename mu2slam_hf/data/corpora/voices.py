# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""voices: readers of French poems, English speakers and a Russian voice, partly without transcripts."""

from dataclasses import replace
from pathlib import Path

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder, not_longer
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import clean_text, normalize_for_scoring

SPLITS = ("train", "dev")
TEXT_STYLES = ("norm", "written")
# Between the lines of a poem.
_LINE_SEPARATOR = " / "


def load_voices(
    root: Folder,
    split: str = "train",
    *,
    text_style: str = "norm",
    transcribed: bool = False,
    max_duration_seconds: float | None = None,
) -> list[SpeechTextRecord]:
    """Real voices beyond telephone prompts; no speaker is in two splits, except the one Russian.

    The French recordings are whole poems of one to three minutes, with an announcement that is not in their texts. The
    others have no transcripts.

    Args:
        root: the folder with `manifest.tsv` and `audio/`.
        split: train or dev.
        text_style: norm (lower case without punctuation) or written (without the marks between the lines of poems).
        transcribed: only recordings with a transcript.
        max_duration_seconds: longer recordings are left out.

    Raises:
        FileNotFoundError: unknown split.
        ManifestError: invalid row; the message has `file:line`.
        ValueError: unknown style.
    """
    if text_style not in TEXT_STYLES:
        raise ValueError(f"`text_style` must be one of {', '.join(TEXT_STYLES)}; got {text_style!r}")
    if split not in SPLITS:
        raise FileNotFoundError(f"{root}: no split {split!r}; voices has {' and '.join(SPLITS)}")
    style = normalize_for_scoring if text_style == "norm" else clean_text
    records = [
        replace(record, text=style(record.text.replace(_LINE_SEPARATOR, " ")) if record.text else None)
        for record in read_manifest(Path(root) / "manifest.tsv", corpus="voices")
        if record.extra["split"] == split
    ]
    return not_longer([record for record in records if record.text or not transcribed], max_duration_seconds)


CORPUS = Corpus(
    name="voices",
    load=load_voices,
    languages=("en", "fr", "ru"),
    tasks=("asr",),
    licence="public domain (fr) AND CC-BY-4.0 AND Apache-2.0 (en) AND MIT-Festival (ru)",
    redistributable_weights=True,
    citation=(
        "LibriVox, Les Fleurs du mal, by volunteer readers (public domain); LibriSpeech, V. Panayotov et al., 2015 "
        "(CC-BY-4.0); Picovoice speech-to-intent benchmark (Apache-2.0); festvox msu_ru_nsh, Moscow State University."
    ),
    source=(
        "https://github.com/heitorchang/fleursdumal_librivox, https://github.com/resemble-ai/Resemblyzer, "
        "https://github.com/Picovoice/speech-to-intent-benchmark, Debian package festvox-ru"
    ),
    layout="manifest.tsv with a column `split`; audio/",
    columns=("id", "audio", "lang", "split", "speaker", "duration_s", "text", "source", "licence", "note"),
)
