# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""parallel_text: sentences, user-interface strings and verses in five languages, without recordings."""

import re
from collections.abc import Sequence
from pathlib import Path

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, tsv_rows
from mu2slam_hf.data.text import clean_text, normalize_for_scoring

LANGUAGES = ("en", "es", "fr", "it", "ru")
TRAIN_FILES = {"everyday": "train.tsv.gz", "ui": "ui.tsv.gz", "bible": "bible.tsv.gz", "docs": "train.tsv.gz"}
"""Domain -> file of the training split; the file of dev contains all domains. `docs` has a folder of its own."""
DOMAINS = ("everyday", "ui", "bible")
"""The domains of the first folder."""
TEXT_STYLES = ("norm", "written")
# First letters of `source`; everything else is from user interfaces.
_DOMAIN_OF_SOURCE = {
    **{"tatoeba": "everyday", "smartool": "everyday", "bible": "bible"},
    **dict.fromkeys(("libreoffice", "debian", "gnome"), "docs"),
}


def load_parallel_text(
    root: Folder,
    split: str = "train",
    *,
    domains: str | Sequence[str] = DOMAINS,
    text_style: str = "norm",
    languages: str | Sequence[str] = LANGUAGES,
    max_characters: int | None = None,
) -> list[SpeechTextRecord]:
    """Rows of up to five parallel texts.

    Args:
        root: the folder with `train.tsv.gz`, `ui.tsv.gz`, `bible.tsv.gz` and `dev.tsv`; for the domain docs that with
            its `train.tsv.gz`.
        split: train or dev.
        domains: one or several of everyday, ui, bible, or docs (sentences of documentation).
        text_style: norm (lower case without punctuation) or written (as in the file).
        languages: one or several of the languages.
        max_characters: texts with more characters are left out.

    Returns:
        One record for each text, with the other texts of its row as `translations`; `kind` is the domain.

    Raises:
        FileNotFoundError: unknown split.
        ManifestError: missing file, or invalid row; the message has `file:line`.
        ValueError: unknown domain, style or language.
    """
    domains = _some_of("domains", domains, tuple(TRAIN_FILES))
    wanted = _some_of("languages", languages, LANGUAGES)
    if text_style not in TEXT_STYLES:
        raise ValueError(f"`text_style` must be one of {', '.join(TEXT_STYLES)}; got {text_style!r}")
    if split not in ("train", "dev"):
        raise FileNotFoundError(f"{root}: no split {split!r}; parallel_text has train and dev")
    files = [TRAIN_FILES[domain] for domain in TRAIN_FILES if domain in domains] if split == "train" else ["dev.tsv"]
    records = []
    for file in dict.fromkeys(files):
        for place, row in tsv_rows(Path(root) / file, required=("id", "source", *wanted)):
            if isinstance(row, ManifestError):
                raise ManifestError(f"{place}: {row}")
            domain = _DOMAIN_OF_SOURCE.get(re.split("[:-]", row["source"])[0], "ui")
            if domain not in domains:
                continue
            texts = {lang: _styled(row[lang], text_style) for lang in wanted}
            texts = {k: v for k, v in texts.items() if v and (max_characters is None or len(v) <= max_characters)}
            for lang, text in texts.items():
                record = SpeechTextRecord(
                    id=row["id"],
                    lang=lang,
                    text=text,
                    translations={other: version for other, version in texts.items() if other != lang},
                    corpus="parallel_text",
                    kind=domain,
                )
                records.append(record)
    return records


def _some_of(name: str, values: str | Sequence[str], known: Sequence[str]) -> list[str]:
    """The values of an option, of which there may be one or several."""
    chosen = [values] if isinstance(values, str) else list(values)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(f"`{name}` must be one or several of {', '.join(known)}; got {chosen}")
    return chosen


def _styled(text: str, text_style: str) -> str:
    return normalize_for_scoring(text) if text_style == "norm" else clean_text(text)


CORPUS = Corpus(
    name="parallel_text",
    load=load_parallel_text,
    languages=LANGUAGES,
    tasks=("mt",),
    licence=(
        "CC-BY-2.0 AND CC-BY-4.0 AND Apache-2.0 AND BSD-3-Clause AND Unicode-3.0; docs: MPL-2.0 AND CC-BY-SA-3.0"
    ),
    redistributable_weights=True,
    citation=(
        "Tatoeba (https://tatoeba.org, CC BY 2.0 FR), partly through www.manythings.org/anki and the Tatoeba "
        "Translation Challenge (J. Tiedemann, WMT 2020); SMARTool (R. Bast et al., doi 10.18710/QNAPNE, CC BY 4.0); "
        "translations of Home Assistant (Apache-2.0), Django, Wagtail and JupyterLab (BSD-3-Clause); Unicode CLDR; "
        "public domain Bible translations; docs: LibreOffice help, the Debian handbook, GNOME user documentation."
    ),
    source="https://tatoeba.org and the projects in the citation",
    layout="train.tsv.gz (everyday), ui.tsv.gz, bible.tsv.gz; dev.tsv",
    columns=("id", *LANGUAGES, "source"),
)
