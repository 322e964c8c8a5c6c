# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a folder of recordings to training data: the first step of an adaptation.

`prepare_data` is what the command `mu2slam adapt --check` runs, and what a training run starts from: it reads,
inspects and splits, and returns records together with a report for people.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.reading.data_source import read_data
from mu2slam_hf.adaptation.reading.options import TEXT_FORMS, CheckLimits, ReadingOptions, SplitSettings
from mu2slam_hf.adaptation.reading.read_data import ReadData
from mu2slam_hf.adaptation.report.data_report import DataReport, build_report
from mu2slam_hf.adaptation.report.dev_split import DevSplit, PreviousSplit, split_records, to_previous
from mu2slam_hf.adaptation.report.inspection import audio_sources, compare_records, inspect_records
from mu2slam_hf.adaptation.report.recording_levels import measure_recordings
from mu2slam_hf.adaptation.report.rendering import render_html
from mu2slam_hf.atomic_files import write_text
from mu2slam_hf.checkpoints.folders import load_processor
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.data.manifests import record_row
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig

DATA_FILE = "data.json"
"""Name of the file that `PreparedData.save` writes."""


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Records to train on, and the report about them.

    Every record has `lang`, `corpus`, a measured `duration_seconds` and `extra["session"]`; `audio` is a path or an
    `AudioSlice`, which `load_audio` and the data sets of this package read. Keys are unique over all fields.

    Attributes:
        split: `split.train` and `split.dev`, each record with a transcript, a translation or both;
            `split.scored(lang)` are the records of `split.dev` to score.
        untranscribed: speech without text, for pre-training, in pieces of at most `CheckLimits.max_seconds`; without
            speakers or sessions of the development set.
        held_back: speech without text of speakers or sessions of the development set.
        texts: texts without recording (rows of tables, `ReadingOptions.texts`), without those that the development
            set has.
        report: figures and findings; `report.to_dict()` is JSON.
    """

    split: DevSplit
    untranscribed: tuple[SpeechTextRecord, ...]
    held_back: tuple[SpeechTextRecord, ...]
    texts: tuple[SpeechTextRecord, ...]
    report: DataReport

    def to_dict(self) -> dict[str, Any]:
        """The report with one row for each record, for JSON."""
        parts = {
            "train": self.split.train,
            "dev": self.split.dev,
            "test": self.split.test,
            "untranscribed": self.untranscribed,
            "held_back": self.held_back,
            "text": self.texts,
        }
        rows = [
            {
                "part": part,
                **record_row(record),
                "session": record.extra.get("session"),
                "shared": sorted(lang for lang, keys in self.split.shared.items() if record.key in keys),
                "place": self.report.places.get(record.key),
            }
            for part, records in parts.items()
            for record in records
        ]
        return {**self.report.to_dict(), "records": rows}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `data.json` into a folder; returns its path.

        Besides the report it has the list `records`: for each record `key`, `part` (train, dev, test, untranscribed,
        held_back or text), `audio`, `start_seconds`, `end_seconds`, `duration_seconds`, `lang`, `text`,
        `translations`, `speaker`, `session`, `place`, and `shared`: the languages in which training has the same
        sentence.
        """
        path = Path(folder) / DATA_FILE
        write_text(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")
        return path


def prepare_data(
    source: str | os.PathLike[str],
    options: ReadingOptions,
    *,
    tokenizer: Any = None,
    limits: CheckLimits | None = None,
    split_settings: SplitSettings | None = None,
    previous: PreviousSplit | None = None,
    num_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedData:
    """Read, inspect and split a folder of recordings.

    Args:
        source: a folder, a manifest, or one recording; see `read_data`.
        options: languages, tiers, columns.
        tokenizer: a `Mu2SLAMTokenizer`: the characters that it lacks are listed, and recordings with fewer encoder
            frames than tokens are left out. None leaves out both.
        limits: limits of lengths and levels; default: `CheckLimits()`.
        split_settings: default: `SplitSettings()`.
        previous: the split of an earlier call for the same data (see `load_previous_split`), which is kept.
        num_threads: number of threads that decode recordings; None: the number of processors.
        progress: called with (recordings done, recordings in all) while they are decoded.

    Returns:
        records and report. Faults of single files, rows and annotations are findings of the report, not errors.

    Raises:
        ValueError: the folder does not exist, or nothing in it can be used.
    """
    limits = limits or CheckLimits()
    data = read_data(source, options)
    sources = audio_sources(data)
    done = 0

    def count(_: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(sources))

    levels = measure_recordings(sources, num_threads=num_threads, progress=count)
    usable = inspect_records(data, levels, limits, tokenizer.encode_ctc_labels if tokenizer is not None else None)
    compare_records(data, usable, levels, limits)
    split = split_records(usable.labelled, split_settings or SplitSettings(), previous)
    for record in split.test:
        data.report("given_test", data.places[record.key], "belongs to a test set", record.key)
    _report_shared(data, split)
    usable.texts = _without_known(usable.texts, (*split.dev, *split.test), data)
    is_held_back = {record.key: split.is_dev_group(record) for record in usable.untranscribed}
    return PreparedData(
        split=split,
        untranscribed=tuple(record for record in usable.untranscribed if not is_held_back[record.key]),
        held_back=tuple(record for record in usable.untranscribed if is_held_back[record.key]),
        texts=tuple(usable.texts),
        report=build_report(str(source), data, levels, usable, split, is_held_back, tokenizer),
    )


def _without_known(
    texts: list[SpeechTextRecord], known: Iterable[SpeechTextRecord], data: ReadData
) -> list[SpeechTextRecord]:
    """The texts without those that the development or test recordings have too, so that scores are about new ones."""

    def texts_of(record: SpeechTextRecord) -> set[str]:
        return {normalize_for_scoring(text) for text in (record.text or "", *record.translations.values())} - {""}

    seen = set().union(*map(texts_of, known))
    kept = [record for record in texts if seen.isdisjoint(texts_of(record))]
    if len(kept) < len(texts):
        data.choices["a text without recording that is left out: the development set has it"] = len(texts) - len(kept)
    return kept


def _report_shared(data: ReadData, split: DevSplit) -> None:
    for lang, keys in split.shared.items():
        for record in split.dev:
            if record.key in keys:
                text = record.text if lang == record.lang else record.translations[lang]
                data.report("shared_sentence", data.places[record.key], f"in {lang}: {text!r}", record.key)


def load_previous_split(folder: str | os.PathLike[str]) -> PreviousSplit | None:
    """The split that `PreparedData.save` has written into a folder; None if there is none."""
    return to_previous(_read_previous(folder).get("split"))


def _read_previous(folder: str | os.PathLike[str] | None) -> Mapping[str, Any]:
    """What `PreparedData.save` has written into a folder; empty if there is none."""
    path = None if folder is None else Path(folder) / DATA_FILE
    if path is None or not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return stored if isinstance(stored, Mapping) else {}


REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class InspectionJob:
    """What to read, inspect and divide.

    Attributes:
        source: a folder, a manifest, or one recording.
        options: how it is read; without a form of texts, they get that of an earlier report in `report_dir`.
        model: model whose encoder frames and characters the texts must fit; None for new weights.
        split_settings: how the development set is chosen; None: as in an earlier report in `report_dir`, if there is
            one, else by the default settings.
        report_dir: folder of the report; None writes none.
    """

    source: str
    options: ReadingOptions
    model: ModelChoice | None = None
    split_settings: SplitSettings | None = None
    report_dir: Path | None = None

    @property
    def limits(self) -> CheckLimits:
        """Limits of the inspection for the model."""
        encoder = self.model.read_config().get("encoder_config") if self.model is not None else None
        if not isinstance(encoder, dict):
            return CheckLimits()
        return CheckLimits(samples_per_frame=ConformerEncoderConfig.from_dict(encoder).samples_per_frame)

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> PreparedData:
        """Read, inspect and divide.

        Args:
            progress: called with (recordings done, recordings in all) while they are decoded.

        Raises:
            ValueError: see `prepare_data`.
        """
        stored = _read_previous(self.report_dir)
        previous = to_previous(stored.get("split")) if self.split_settings is None else None
        form = self.options.text_form or stored.get("text_form")
        options = replace(self.options, text_form=form if form in TEXT_FORMS else None)
        if not Path(self.source).exists():
            raise ValueError(f"{self.source}: no such file or folder")
        # A speech encoder and new weights get a tokenizer of the characters of the data.
        has_tokenizer = self.model is not None and "encoder_config" in self.model.read_config()
        return prepare_data(
            self.source,
            options,
            tokenizer=load_processor(self.model.path).tokenizer if self.model and has_tokenizer else None,
            limits=self.limits,
            split_settings=self.split_settings,
            previous=previous,
            progress=progress,
        )

    def write_report(self, prepared: PreparedData) -> tuple[Path, Path]:
        """Write the report as a page and as data into `report_dir`; returns both files."""
        assert self.report_dir is not None
        page = self.report_dir / REPORT_FILE
        write_text(page, render_html(prepared.report, samples_per_frame=self.limits.samples_per_frame))
        return page, prepared.save(self.report_dir)
