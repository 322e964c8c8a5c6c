# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small copies of the public corpora: a few rows each, with all columns and all folders of the real ones.

Rows that are hard to read are among them on purpose: empty texts, quotes, missing translations, wrong lengths.
"""

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf

from mu2slam_hf.data.corpora.ted59 import TED_COLUMNS

RATE = 16_000
TEXTS = {
    "en": ("Madam President, thank you.", 'He said "no" twice.', "The next item is the vote."),
    "de": ("Frau Präsidentin, vielen Dank.", 'Er sagte zweimal "nein".', "Der nächste Punkt ist die Abstimmung."),
    "fr": ("Madame la Présidente, merci.", "Il a dit « non » deux fois.", "Le point suivant est le vote."),
    "es": ("Señora Presidenta, gracias.", "Dijo «no» dos veces.", "El siguiente punto es la votación."),
    "zh": ("主席女士,谢谢您。", "他说了两次“不”。", "下一项是表决。"),
    "ja": ("議長、ありがとうございます。", "彼は二度「いいえ」と言った。", "次の議題は採決です。"),
    "ar": ("السيدة الرئيسة، شكرا لكم.", "قال لا مرتين.", "البند التالي هو التصويت."),
    "tr": ("Sayın Başkan, teşekkür ederim.", "İki kez hayır dedi.", "Bir sonraki madde oylamadır."),
    "fa": ("خانم رئیس، متشکرم.", "او دو بار گفت نه.", "مورد بعدی رأی‌گیری است."),
}


class Failures:
    """Counts what a reader reports."""

    def __init__(self):
        self.reasons, self.good = [], 0

    def add(self, reason):
        self.reasons += [reason] if reason else []
        self.good += reason is None


def tone(seconds=0.5, hertz=300.0, rate=RATE):
    """`(n,)` float32."""
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound(seconds=0.5, file_format="WAV", rate=RATE, **options):
    """Bytes of an audio file."""
    buffer = io.BytesIO()
    sf.write(buffer, tone(seconds, rate=rate), rate, format=file_format, **options)
    return buffer.getvalue()


def write_sound(path, seconds=0.5, rate=RATE, **options):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file_format = {".sph": "NIST"}.get(path.suffix, path.suffix[1:].upper())
    path.write_bytes(sound(seconds, file_format, rate, **options))


def write_table(path, rows, header=None):
    """Tab-separated, without quoting; `header` names the columns of dictionaries and is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header)] if header else []
    lines += ["\t".join(str(row[name]) for name in header) if header else "\t".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path, rows, row_group_size=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)


def write_tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith(".gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_gzip(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def write_voxpopuli(root, layout="original", languages=("en", "de", "fr"), splits=("train", "dev")):
    """Layouts: original (Ogg by year), archives (the Hub's repository), parquet. The last row has no clean text."""
    root = Path(root)
    for lang in languages:
        for split in splits:
            rows = []
            for number, text in enumerate(TEXTS[lang]):
                row = {
                    "id": f"2012011{number}-0900-PLENARY-{number}-{lang}_2012011{number}-17:12:30_{number}",
                    "raw_text": text,
                    "normalized_text": "" if number == 2 else text.lower().strip("."),
                    "speaker_id": 1000 + number,
                    "split": split,
                    "gender": "female",
                    "is_gold_transcript": "True",
                    "accent": "None",
                }
                rows.append(row)
            if layout == "original":
                folder = root / "transcribed_data" / lang
                names = ("id", "raw_text", "normalized_text", "speaker_id", "split", "gender")
                write_table(folder / f"asr_{split}.tsv", rows, names)
                for row in rows:
                    write_sound(folder / "2012" / f"{row['id']}.ogg", subtype="VORBIS")
            elif layout == "archives":
                folder = root / "data" / lang
                write_table(folder / f"asr_{split}.tsv", rows, tuple(rows[0]))
                files = {f"{split}_part_0/{row['id']}.wav": sound() for row in [*rows, {"id": "not-in-the-table"}]}
                write_tar(folder / split / f"{split}_part_0.tar.gz", files)
            else:
                columns = ("raw_text", "normalized_text", "gender", "speaker_id", "accent")
                table = [
                    {
                        "audio_id": row["id"],
                        "language": 0,
                        "audio": {"bytes": sound(), "path": f"{row['id']}.wav"},
                        **{name: str(row[name]) for name in columns},
                        "is_gold_transcript": True,
                    }
                    for row in rows
                ]
                name = "validation" if split == "dev" else split
                write_parquet(root / lang / f"{name}-00000-of-00001.parquet", table)
    return root


def write_voxpopuli_unlabelled(root, layout="segments", languages=("en", "de", "pt"), with_table=False):
    """Layouts: segments (cut), sessions (uncut, 2.5 s long; `with_table` adds the list of segments)."""
    root = Path(root)
    lines = ["event_id\tsegment_no\tstart\tend"]
    for lang in languages:
        for year in ("2012", "2013"):
            event = f"{year}0117-0900-PLENARY-10_{lang}"
            if layout == "segments":
                for number in range(2):
                    write_sound(root / "unlabelled_data" / lang / year / f"{event}_{number}.ogg", 0.6)
            else:
                write_sound(root / "raw_audios" / lang / year / f"{event}.ogg", 2.5)
                lines += [f"{event}\t0\t0.0\t1.25", f"{event}\t1\t1.5\t2.25"]
    if with_table:
        write_gzip(root / "unlabelled_data" / "unlabelled_v2.tsv.gz", "\n".join(lines) + "\n")
    return root


def write_mls(root, layout="parquet", languages=("german", "french", "spanish")):
    """Layouts: original (OpenSLR), parquet. Lengths stated are also 0 and NaN; there are 9hr and 1hr lists."""
    root = Path(root)
    codes = {"german": "de", "french": "fr", "spanish": "es", "english": "en"}
    for language in languages:
        ids = [f"{4000 + number}_{7000 + number}_{number:06d}" for number in range(3)]
        texts = [text.lower().strip(".") for text in TEXTS[codes[language]]]
        if layout == "original":
            for split in ("train", "dev"):
                folder = root / f"mls_{language}" / split
                write_table(folder / "transcripts.txt", list(zip(ids, texts, strict=True)))
                times = [(10.0, 10.5), (3.0, 3.0), (0.0, 0.5)]
                segments = [(one, f"https://a/{one}.mp3", *time) for one, time in zip(ids, times, strict=True)]
                write_table(folder / "segments.txt", segments)
                for one in ids:
                    speaker, book, _ = one.split("_")
                    write_sound(folder / "audio" / speaker / book / f"{one}.flac")
            limited = root / f"mls_{language}" / "train" / "limited_supervision"
            write_table(limited / "9hr" / "handles.txt", [(ids[0],)])
            write_table(limited / "1hr" / "0" / "handles.txt", [(ids[1],)])
            continue
        for split in ("train", "dev", "9_hours", "1_hours"):
            rows = [
                {
                    "audio": {"bytes": sound(file_format="FLAC"), "path": f"{one}.flac"},
                    "original_path": f"http://www.archive.org/download/{one}.mp3",
                    "begin_time": 401.76,
                    "end_time": 402.26,
                    "transcript": text,
                    "audio_duration": (0.5, 0.0, float("nan"))[number],
                    "speaker_id": one.split("_")[0],
                    "chapter_id": one.split("_")[1],
                    "file": f"{one}.flac",
                    "id": f"{one}" if not split.endswith("hours") else f"{one[:-1]}{split[0]}{number}",
                }
                for number, (one, text) in enumerate(zip(ids, texts, strict=True))
            ]
            write_parquet(root / language / f"{split}-00000-of-00001.parquet", rows)
    return root


_COMMON_VOICE = "client_id path sentence up_votes down_votes age gender accents variant locale segment".split()


def _clips(locale, lang):
    return [(f"common_voice_{locale}_{100 + number}.mp3", text) for number, text in enumerate(TEXTS[lang])]


def write_common_voice(root, layout="original", locales=("en", "de", "zh-CN", "tr")):
    """Layouts: original (clips and clip_durations.tsv), archives (the Hub's repository), parquet."""
    root = Path(root)
    for locale in locales:
        rows = [
            dict(zip(_COMMON_VOICE, ("speaker", clip, text, 2, 0, "twenties", "", "", "", locale, ""), strict=True))
            for clip, text in _clips(locale, locale.split("-")[0])
        ]
        if layout == "original":
            for split in ("train", "dev", "test", "validated", "other", "invalidated"):
                write_table(root / locale / f"{split}.tsv", rows, _COMMON_VOICE)
            for row in rows:
                write_sound(root / locale / "clips" / row["path"])
            # One clip is not in the list; its length is read from its header.
            durations = [{"clip": row["path"], "duration[ms]": 500} for row in rows[:2]]
            write_table(root / locale / "clip_durations.tsv", durations, ("clip", "duration[ms]"))
        elif layout == "archives":
            write_table(root / "transcript" / locale / "train.tsv", rows, _COMMON_VOICE)
            files = {f"{locale}_train_0/{row['path']}": sound(file_format="MP3") for row in rows}
            write_tar(root / "audio" / locale / "train" / f"{locale}_train_0.tar", files)
        else:
            table = [
                {
                    **row,
                    "path": f"{locale}_train_0/{row['path']}",
                    "audio": {"bytes": sound(file_format="MP3"), "path": row["path"]},
                    "accent": row["accents"],
                }
                for row in rows
            ]
            write_parquet(root / locale / "train" / "0000.parquet", table)
    return root


def write_covost2(root, layout="original"):
    """Layouts: original (Common Voice with tables of pairs), splits (of get_covost_splits.py), parquet.

    A quote is escaped as in the originals, one translation is empty, one clip of Common Voice is not translated.
    """
    root = Path(root)
    pairs = [("fr", "en"), ("de", "en"), ("zh-CN", "en"), ("en", "de"), ("en", "zh-CN"), ("en", "ar")]
    escaped = {lang: [text.replace('"', '\\"') for text in texts] for lang, texts in TEXTS.items()}
    for locale in dict.fromkeys(source for source, _ in pairs):
        clips = _clips(locale, locale.split("-")[0])
        names = ("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent")
        rows = [
            dict(zip(names, ("speaker", clip, text.replace('"', '\\"'), 2, 0, "", "", ""), strict=True))
            for clip, text in clips
        ]
        rows.append({**rows[0], "path": f"common_voice_{locale}_999.mp3"})
        if layout == "original":
            write_table(root / locale / "validated.tsv", rows, names)
        if layout != "parquet":
            for clip, _ in clips:
                write_sound(root / locale / "clips" / clip)
    for source, target in pairs:
        clips = _clips(source, source.split("-")[0])
        versions = list(escaped[target.split("-")[0]])
        versions[2] = "" if (source, target) == ("en", "ar") else versions[2]
        splits = ("train", "train_covost", "dev")
        columns = zip(clips, versions, splits, strict=True)
        rows = [(clip, text, version, split) for (clip, text), version, split in columns]
        stem = f"covost_v2.{source}_{target}"
        if layout == "original":
            table = [(clip, version, split, "speaker") for clip, _, version, split in rows]
            write_table(root / source / f"{stem}.tsv", [("path", "translation", "split", "client_id"), *table])
        elif layout == "splits":
            for split, chosen in (("train", rows[:2]), ("dev", rows[2:])):
                table = [(clip, text.replace('"', '\\"'), version, "speaker") for clip, text, version, _ in chosen]
                head = ("path", "sentence", "translation", "client_id")
                write_table(root / source / f"{stem}.{split}.tsv", [head, *table])
        else:
            table = [
                {
                    "client_id": "speaker",
                    "file": clip,
                    "audio": {"bytes": sound(file_format="MP3"), "path": clip},
                    "sentence": text,
                    "translation": version.replace('\\"', '"'),
                    "id": clip.removesuffix(".mp3"),
                }
                for clip, text, version, _ in rows
            ]
            write_parquet(root / f"{source}_{target}" / "train-00000-of-00001.parquet", table)
    return root


def write_fleurs(root, layout="archives", codes=("en_us", "de_de", "fr_fr", "cmn_hans_cn")):
    """Layouts: archives (the Hub's repository), unpacked, parquet. Sentence 1 is read twice; a length is a lie."""
    root = Path(root)
    genders = ("MALE", "FEMALE", "OTHER", "FEMALE")
    for number, code in enumerate(codes):
        lang = {"cmn_hans_cn": "zh"}.get(code, code.split("_")[0])
        for split in ("train", "dev"):
            sentences = [(1, 0), (1, 0), (2, 1), (3, 2)]
            rows = []
            for recording, (sentence, text) in enumerate(sentences):
                raw = TEXTS[lang][text]
                clean = raw.lower().strip(".")
                samples = -1 if recording == 3 else RATE // 2
                name = f"{10 * number + recording}{len(split)}4088536354799741.wav"
                rows.append((sentence, name, raw, clean, " ".join(clean), samples, genders[recording]))
            if layout == "parquet":
                table = [
                    {
                        "id": sentence,
                        "num_samples": samples,
                        "path": f"/home/{name}",
                        "audio": {"bytes": sound(), "path": name},
                        "transcription": clean,
                        "raw_transcription": raw,
                        "gender": 0,
                        "lang_id": number,
                        "language": lang,
                        "lang_group_id": 0,
                    }
                    for sentence, name, raw, clean, _, samples, _ in rows
                ]
                stem = {"dev": "validation"}.get(split, split)
                write_parquet(root / "parquet-data" / code / f"{stem}-00000-of-00001.parquet", table)
                continue
            folder = root / "data" / code
            write_table(folder / f"{split}.tsv", rows)
            if layout == "archives":
                files = {f"{split}/{row[1]}": sound() for row in rows}
                write_tar(folder / "audio" / f"{split}.tar.gz", files)
            else:
                for row in rows:
                    write_sound(folder / "audio" / split / row[1])
    return root


def write_babel(root, packs=("105", "204")):
    """SPHERE files with one transcript each: words, noise alone, unintelligible words, two times in a row."""
    root = Path(root)
    words = {"105": "alo nasılsın", "204": "ஹலோ வணக்கம்", "101": "你好"}
    for pack in packs:
        for split in ("training", "dev"):
            folder = root / f"IARPA_BABEL_BP_{pack}" / "conversational" / split
            for channel in ("inLine", "outLine"):
                name = f"BABEL_BP_{pack}_10033_20111024_205740_{channel}"
                write_sound(folder / "audio" / f"{name}.sph", 4.0, rate=8000, subtype="ALAW")
                lines = ["[0.000]", "<no-speech>", "[0.500]", f"<hes> {words[pack]} *iyi* evet- ~", "[1.500]"]
                lines += ["<cough> <lipsmack>", "[2.000]", "(()) " + words[pack], "[3.000]", "[3.250]"]
                lines += [words[pack], "[3.900]"]
                (folder / "transcription").mkdir(parents=True, exist_ok=True)
                (folder / "transcription" / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def write_europarl_st(root, audio=".flac"):
    """English into German and French, and German into English, as the archive is unpacked.

    The last segment is not translated into French, and the first has another end there.
    """
    root = Path(root)
    for source, targets in (("en", ("de", "fr")), ("de", ("en",))):
        for name in ("en.20081117.1.1-001", "en.20081117.1.1-002"):
            write_sound(root / source / "audios" / f"{name.replace('en', source, 1)}{audio}", seconds=3.0)
        for target in targets:
            for split in ("train", "dev"):
                folder = root / source / target / split
                folder.mkdir(parents=True)
                ends = ("0.5", "2.25", "3.0") if target != "fr" else ("0.75", "2.25")
                names = [f"{source}.20081117.1.1-00{1 if number < 2 else 2}" for number in range(len(ends))]
                lines = zip(names, ("0.0", "1.5", "1.0"), ends, strict=False)
                (folder / "segments.lst").write_text("".join(" ".join(line) + "\n" for line in lines))
                for lang in (source, target):
                    texts = "".join(text + "\n" for text in TEXTS[lang][: len(ends)])
                    (folder / f"segments.{lang}").write_text(texts, encoding="utf-8")
    return root


def write_mc4(root, codes=("en", "de", "zh", "iw")):
    """Two train shards and one of validation per language: a page, a long one, an empty and an odd one."""
    root = Path(root)
    texts = {**TEXTS, "iw": ("גברתי היושבת ראש, תודה.", "הוא אמר לא פעמיים.", "הסעיף הבא הוא ההצבעה.")}
    for code in codes:
        page = "\n".join(texts[code])
        pages = [page, (" ".join(texts[code]) + "\n") * 30, "", f"Menu\x0b\x00 {page}\ud800 end"]
        rows = [
            {"text": text, "timestamp": "2020-02-24T07:09:31Z", "url": f"https://example.com/{number}"}
            for number, text in enumerate(pages)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        for shard in range(2):
            write_gzip(root / "multilingual" / f"c4-{code}.tfrecord-{shard:05d}-of-00002.json.gz", lines)
        name = f"c4-{code}-validation.tfrecord-00000-of-00001.json.gz"
        write_gzip(root / "multilingual" / name, lines)
    return root


def write_wmt(root):
    """Every kind of file: Parquet (de, zh), twins (es, and fr packed), a table (ja), and test sets in SGML (es)."""
    root = Path(root)
    for lang in ("de", "zh"):
        rows = [
            {"translation": {lang: text, "en": english}}
            for text, english in zip(TEXTS[lang], TEXTS["en"], strict=True)
        ]
        rows.append({"translation": {lang: "", "en": "Only English."}})
        for split in ("train", "validation"):
            write_parquet(root / "wmt19" / f"{lang}-en" / f"{split}-00000-of-00001.parquet", rows)
    for lang in ("es", "en"):
        training = root / "wmt13" / "training"
        training.mkdir(parents=True, exist_ok=True)
        (training / f"europarl-v7.es-en.{lang}").write_text("\n".join([*TEXTS[lang], ""]) + "\n", encoding="utf-8")
        side = "src" if lang == "es" else "ref"
        segments = "".join(f'<seg id="{number}">{text} &amp; co</seg>\n' for number, text in enumerate(TEXTS[lang], 1))
        dev = root / "wmt13" / "dev"
        dev.mkdir(parents=True, exist_ok=True)
        (dev / f"newstest2012-{side}.{lang}.sgm").write_text(
            f'<{side}set setid="newstest2012" srclang="any">\n<doc>\n<p>\n{segments}</p>\n</doc>\n</{side}set>\n',
            encoding="utf-8",
        )
    for lang in ("fr", "en"):
        write_gzip(root / "wmt15" / "training" / f"giga.fr-en.{lang}.gz", "\n".join(TEXTS[lang]) + "\n")
    pairs = list(zip(TEXTS["en"], TEXTS["ja"], strict=True))
    write_table(root / "wmt20" / "news-commentary-v15.en-ja.tsv", pairs)
    return root


def write_ted59(root, layout="original"):
    """Layouts: original (`all_talks_<split>.tsv`), parquet. Missing versions are `__NULL__` or `_ _ NULL _ _`."""
    root = Path(root)
    known = {**TEXTS, "zh-cn": TEXTS["zh"], "pt-br": ("Obrigado .", "Ele disse não .", "O próximo ."), "zh": None}
    for split in ("train", "dev"):
        rows = []
        for number in range(3):
            row = {code: known[code][number] if known.get(code) else "__NULL__" for code in TED_COLUMNS}
            row["ar"] = "_ _ NULL _ _" if number == 1 else row["ar"]
            row["calv"] = "no language"
            row["en"] = "__NULL__" if number == 2 else row["en"]
            rows.append({"talk_name": f"talk_{number}", **row})
        if layout == "original":
            write_table(root / f"all_talks_{split}.tsv", rows, ("talk_name", *TED_COLUMNS))
            continue
        table = []
        for row in rows:
            there = {code: text for code, text in row.items() if code != "talk_name" and "NULL" not in text}
            pairs = {"language": list(there), "translation": list(there.values())}
            table.append({"translations": pairs, "talk_name": row["talk_name"]})
        name = {"dev": "validation"}.get(split, split)
        write_parquet(root / "plain_text" / name / "0000.parquet", table)
    return root


WRITERS = {
    "voxpopuli_unlabelled": write_voxpopuli_unlabelled,
    "voxpopuli": write_voxpopuli,
    "mls": write_mls,
    "common_voice": write_common_voice,
    "babel": write_babel,
    "covost2": write_covost2,
    "fleurs": write_fleurs,
    "europarl_st": write_europarl_st,
    "mc4": write_mc4,
    "wmt": write_wmt,
    "ted59": write_ted59,
}


def write_public_corpora(folder):
    """All of them; returns name -> root, as `load_corpus(name, root)` wants it."""
    return {name: str(writer(Path(folder) / name)) for name, writer in WRITERS.items()}
