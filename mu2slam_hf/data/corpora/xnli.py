# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""XNLI: pairs of sentences in 15 languages; does the first one imply the second one?"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder
from mu2slam_hf.data.corpora.reader import clean
from mu2slam_hf.data.corpora.splits import check_folds
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, tsv_rows
from mu2slam_hf.data.text import normalize_for_scoring

LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
LABELS = ("entailment", "neutral", "contradiction")
TEXT_STYLES = ("written", "norm")
_HYPOTHESES_PER_PREMISE = 3
# XNLI-MT spells this label differently from XNLI.
_SPELLINGS = {"contradictory": "contradiction"}


def load_xnli(
    root: Folder,
    split: str = "dev",
    *,
    languages: str | Sequence[str] = LANGUAGES,
    text_style: str = "written",
    folds: Sequence[int] | None = None,
    num_folds: int = 5,
    except_folds: Sequence[int] | None = None,
) -> list[SpeechTextRecord]:
    """Pairs of premise and hypothesis.

    Args:
        root: the folder with `xnli.<split>.tsv` (`dev`, `test`; XNLI 1.0) or `multinli.train.<language>.tsv` (`train`;
            XNLI-MT 1.0, the translated training set). Each may end with `.gz`, and a split may be in several files
            `xnli.<split>*.tsv`.
        split: dev, test or train. Training on `train` in `en` is zero-shot for other languages; in all languages it is
            translate-train-all.
        languages: one or several of the languages.
        text_style: written (as in the file) or norm (lower case without punctuation).
        folds: some of `num_folds` parts of a split; all hypotheses of a premise, in all languages, are in one part.
        num_folds: number of parts.
        except_folds: all parts but these, in place of `folds`.

    Returns:
        One record for each pair: `text` is the premise, `extra` has `hypothesis` and `gold_label`. The versions of a
        pair in different languages have the same id.

    Raises:
        FileNotFoundError: the split is not in the folder.
        ManifestError: an invalid row or unknown label; the message has `file:line`.
        ValueError: an unknown language, style or fold.
    """
    wanted = [languages] if isinstance(languages, str) else list(languages)
    if not wanted or not set(wanted) <= set(LANGUAGES):
        raise ValueError(f"`languages` must be one or several of {', '.join(LANGUAGES)}; got {wanted}")
    if text_style not in TEXT_STYLES:
        raise ValueError(f"`text_style` must be one of {', '.join(TEXT_STYLES)}; got {text_style!r}")
    chosen = check_folds(folds, num_folds, except_folds)
    styled = normalize_for_scoring if text_style == "norm" else str
    records = []
    for place, number, lang, label, premise, hypothesis in _pairs(Path(root), split, wanted):
        if chosen is not None and (number - 1) // _HYPOTHESES_PER_PREMISE % num_folds not in chosen:
            continue
        if label not in LABELS:
            raise ManifestError(f"{place}: gold_label must be one of {', '.join(LABELS)}, got {label!r}")
        # Some translations have control characters.
        premise, hypothesis = (styled(clean(text) or "") for text in (premise, hypothesis))
        if not premise or not hypothesis:
            continue
        record = SpeechTextRecord(
            id=str(number),
            lang=lang,
            text=premise,
            corpus="xnli",
            extra={"hypothesis": hypothesis, "gold_label": label},
        )
        records.append(record.validate())
    return records


def _pairs(root: Path, split: str, languages: Sequence[str]) -> Iterator[tuple[str, int, str, str, str, str]]:
    """Place, number, language, label, premise and hypothesis of every pair in the languages."""
    if split == "train":
        for lang in languages:
            path = _files(root, f"multinli.train.{lang}.tsv", split)[0]
            for number, (place, row) in enumerate(tsv_rows(path, required=("premise", "hypo", "label")), 1):
                if isinstance(row, ManifestError):
                    raise ManifestError(f"{place}: {row}")
                label = _SPELLINGS.get(row["label"] or "", row["label"])
                yield place, number, lang, label or "", row["premise"] or "", row["hypo"] or ""
        return
    columns = ("language", "gold_label", "sentence1", "sentence2", "pairID")
    for path in _files(root, f"xnli.{split}*.tsv", split):
        for place, row in tsv_rows(path, required=columns):
            if isinstance(row, ManifestError):
                raise ManifestError(f"{place}: {row}")
            if row["language"] in languages:
                if not row["pairID"].isdigit():
                    raise ManifestError(f"{place}: pairID must be a number, got {row['pairID']!r}")
                pair = row["gold_label"], row["sentence1"], row["sentence2"]
                yield place, int(row["pairID"]), row["language"], *pair


def _files(root: Path, pattern: str, split: str) -> list[Path]:
    results = sorted([*root.glob(pattern), *root.glob(f"{pattern}.gz")])
    if not results:
        raise FileNotFoundError(
            f"{root}: no {pattern} or {pattern}.gz for the split {split!r}; dev and test are in XNLI-1.0.zip, train "
            "is in XNLI-MT-1.0.zip of https://github.com/facebookresearch/XNLI"
        )
    return results


CORPUS = Corpus(
    name="xnli",
    load=load_xnli,
    languages=LANGUAGES,
    tasks=("nli",),
    licence="CC-BY-NC-4.0",
    redistributable_weights=False,
    citation=(
        "Conneau, Rinott, Lample, Williams, Bowman, Schwenk, Stoyanov. XNLI: Evaluating Cross-lingual Sentence "
        "Representations. EMNLP 2018."
    ),
    source="https://github.com/facebookresearch/XNLI",
    layout="xnli.dev.tsv, xnli.test.tsv, multinli.train.<language>.tsv, each also as .gz",
    splits=("train", "dev", "test"),
    columns=("language", "gold_label", "sentence1", "sentence2", "pairID"),
    paper_use="fine-tuning and evaluation of text understanding (section 3.4)",
)
