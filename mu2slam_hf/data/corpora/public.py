# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The public corpora that the paper trains on, declared. Paper: section 3.1 and appendix A.1."""

from functools import partial
from typing import Any

from mu2slam_hf.data.corpora import sizes
from mu2slam_hf.data.corpora.common_voice import CommonVoiceReader, Covost2Reader
from mu2slam_hf.data.corpora.declarations import Corpus
from mu2slam_hf.data.corpora.parallel import TED59_CODES, TED59Reader, WMTReader
from mu2slam_hf.data.corpora.parliament import (
    VOXPOPULI_ASR_CODES,
    VoxPopuliReader,
    VoxPopuliUnlabelledReader,
)
from mu2slam_hf.data.corpora.read_speech import FleursReader, MLSReader
from mu2slam_hf.data.corpora.reader import CorpusReader, read_all
from mu2slam_hf.data.corpora.telephone import BABEL_PACKS, BabelReader
from mu2slam_hf.data.corpora.text import MC4Reader

_CITE_VOXPOPULI = (
    "Wang et al.: VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning, Semi-Supervised "
    "Learning and Interpretation. ACL 2021."
)
# Paper: A.1. The hours are those of all speech-only corpora together.
SPEECH_ONLY_HOURS = 429_000.0
SPEECH_ONLY_LANGUAGES = 51


def _declare(reader: type[CorpusReader], **facts: Any) -> Corpus:
    languages = facts.pop("languages", tuple(dict.fromkeys(reader.aliases.values())))
    return Corpus(
        name=reader.name,
        load=partial(read_all, reader),
        reader=reader,
        codes=dict(reader.aliases),
        splits=reader.splits,
        languages=languages,
        **facts,
    )


PUBLIC_CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        _declare(
            VoxPopuliUnlabelledReader,
            tasks=("speech",),
            licence="CC0-1.0; for the recordings see also the legal notice of the European Parliament",
            redistributable_weights=True,
            citation=_CITE_VOXPOPULI,
            source="https://github.com/facebookresearch/voxpopuli, subset 400k",
            columns=("event_id", "segment_no", "start", "end"),
            hours=sizes.VOXPOPULI_UNLABELLED_HOURS,
            sizes_source=sizes.VOXPOPULI_SOURCE,
            paper_use="speech-only (A.1)",
        ),
        _declare(
            VoxPopuliReader,
            tasks=("speech", "asr"),
            licence="CC0-1.0; for the recordings see also the legal notice of the European Parliament",
            redistributable_weights=True,
            citation=_CITE_VOXPOPULI,
            source="https://huggingface.co/datasets/facebook/voxpopuli",
            identifiers=("facebook/voxpopuli",),
            columns=(
                "audio_id language audio raw_text normalized_text gender speaker_id is_gold_transcript accent".split()
            ),
            hours=sizes.VOXPOPULI_ASR_HOURS,
            sizes_source=sizes.VOXPOPULI_SOURCE,
            paper_use="ASR, 14 languages (A.1); fine-tuning (3.1, Table 9)",
            paper_hours={"asr": 1300.0},
            reader_options={"languages": VOXPOPULI_ASR_CODES},
        ),
        _declare(
            MLSReader,
            tasks=("speech", "asr"),
            licence="CC-BY-4.0",
            redistributable_weights=True,
            citation="Pratap et al.: MLS: A Large-Scale Multilingual Dataset for Speech Research. Interspeech 2020.",
            source="https://www.openslr.org/94",
            identifiers=("facebook/multilingual_librispeech", "parler-tts/mls_eng"),
            columns=(
                "audio original_path begin_time end_time transcript audio_duration speaker_id chapter_id file id"
            ).split(),
            hours=sizes.MLS_HOURS,
            sizes_source=sizes.MLS_SOURCE,
            paper_use="speech-only; ASR, 8 languages of 10 hours (A.1)",
            paper_hours={"asr": 80.0},
        ),
        _declare(
            CommonVoiceReader,
            tasks=("speech", "asr"),
            licence="CC0-1.0",
            redistributable_weights=True,
            citation="Ardila et al.: Common Voice: A Massively-Multilingual Speech Corpus. LREC 2020.",
            source="https://commonvoice.mozilla.org/datasets",
            identifiers=("mozilla-foundation/common_voice_17_0",),
            columns=(
                "client_id path audio sentence up_votes down_votes age gender accent locale segment variant".split()
            ),
            hours=sizes.COMMON_VOICE_HOURS,
            sizes_source=sizes.COMMON_VOICE_SOURCE,
            paper_use="speech-only (A.1)",
        ),
        _declare(
            BabelReader,
            tasks=("speech", "asr"),
            licence="user agreement of the LDC for IARPA Babel; not redistributable",
            redistributable_weights=False,
            citation=(
                "Gales et al.: Speech recognition and keyword spotting for low-resource languages: Babel project "
                "research at CUED. SLTU 2014."
            ),
            source="https://catalog.ldc.upenn.edu: " + ", ".join(number for _, number in BABEL_PACKS.values()),
            columns=("[start time]", "transcript", "[end time]"),
            paper_use="speech-only; ASR, 17 languages (A.1)",
            paper_hours={"asr": 1000.0},
        ),
        _declare(
            Covost2Reader,
            tasks=("speech", "asr", "ast", "mt"),
            licence="CC0-1.0",
            redistributable_weights=True,
            citation="Wang, Wu and Pino: CoVoST 2 and Massively Multilingual Speech Translation. Interspeech 2021.",
            source="https://github.com/facebookresearch/covost, with release 4 of Common Voice",
            identifiers=("facebook/covost2",),
            columns=("client_id", "file", "audio", "sentence", "translation", "id"),
            hours=sizes.COVOST2_HOURS,
            sizes_source=sizes.COVOST2_SOURCE,
            paper_use="ASR and AST, 22 languages (A.1); fine-tuning (3.1, Tables 7 and 8)",
            paper_hours={"asr": 2900.0, "ast": 9500.0},
        ),
        _declare(
            FleursReader,
            tasks=("speech", "asr", "ast", "mt"),
            licence="CC-BY-4.0",
            redistributable_weights=True,
            citation=(
                "Conneau et al.: FLEURS: Few-shot Learning Evaluation of Universal Representations of Speech. "
                "SLT 2022."
            ),
            source="https://huggingface.co/datasets/google/fleurs",
            identifiers=("google/fleurs",),
            columns=(
                "id num_samples path audio transcription raw_transcription gender lang_id language lang_group_id"
            ).split(),
            paper_use="ASR and AST, 101 languages (A.1); 102 with English",
            paper_hours={"asr": 1400.0, "ast": 1400.0},
        ),
        _declare(
            MC4Reader,
            tasks=("text",),
            licence="ODC-By-1.0 for the collection, terms of Common Crawl; the pages keep their own rights",
            redistributable_weights=None,
            citation="Xue et al.: mT5: A massively multilingual pre-trained text-to-text transformer. NAACL 2021.",
            source="https://huggingface.co/datasets/allenai/c4, multilingual",
            identifiers=("allenai/c4",),
            columns=("text", "timestamp", "url"),
            documents=sizes.MC4_DOCUMENTS,
            sizes_source=sizes.MC4_SOURCE,
            paper_use="text-only, 101 languages, temperature 3 (A.1)",
        ),
        _declare(
            WMTReader,
            languages=("en", *WMTReader.aliases.values()),
            tasks=("mt",),
            licence="mixed: Europarl, UN, news, crawled texts; see the page of each task",
            redistributable_weights=None,
            citation="Findings of the Conference on Machine Translation, 2013, 2015, 2017, 2018, 2019 and 2020.",
            source="https://www.statmt.org/wmt<year>/translation-task.html",
            identifiers=("wmt/wmt15", "wmt/wmt17", "wmt/wmt18", "wmt/wmt19"),
            columns=("translation",),
            paper_use="MT: ja, ta, de, ru, zh, et, tr, lv, fr, es with en, temperature 2 (A.1)",
        ),
        _declare(
            TED59Reader,
            languages=tuple(dict.fromkeys(TED59Reader.aliases.values())),
            tasks=("text", "mt"),
            licence="CC-BY-NC-ND-4.0 (TED talks)",
            redistributable_weights=False,
            citation=(
                "Qi et al.: When and Why Are Pre-Trained Word Embeddings Useful for Neural Machine Translation? "
                "NAACL 2018."
            ),
            source="https://github.com/neulab/word-embeddings-for-nmt",
            identifiers=("neulab/ted_multi",),
            columns=("translations", "talk_name"),
            paper_use="MT: ar, fa, id, it, mn, nl, pt, sl, sv with en, temperature 2 (A.1)",
            reader_options={"languages": TED59_CODES},
        ),
    )
}


def corpus_table() -> str:
    """The public corpora as a Markdown table, one line each."""
    head = ("Corpus", "Identifier", "Languages", "Tasks", "Hours in the paper", "Licence", "Weights may ship", "Use")
    lines = [_markdown_row(head), _markdown_row("---" for _ in head)]
    for corpus in PUBLIC_CORPORA.values():
        hours = ", ".join(f"{task} {hours:,.0f}" for task, hours in corpus.paper_hours.items())
        ship = {True: "yes", False: "no", None: "unknown"}[corpus.redistributable_weights]
        identifiers = ", ".join(f"`{name}`" for name in corpus.identifiers) or corpus.source.split(",")[0]
        lines.append(
            _markdown_row(
                (
                    f"`{corpus.name}`",
                    identifiers,
                    str(len(corpus.languages)),
                    ", ".join(corpus.tasks),
                    hours or "-",
                    corpus.licence,
                    ship,
                    corpus.paper_use,
                )
            )
        )
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"
