# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The corpora of fine-tuning with all languages of the paper, a few sentences each, in their public layouts."""

from pathlib import Path

from public_schema import sound, write_babel, write_fleurs, write_parquet, write_ted59, write_wmt

from mu2slam_hf.data.corpora.mls import MLS_LANGUAGES
from mu2slam_hf.data.corpora.voxpopuli import ASR_CODES

# Paper: Tables 7 and 8.
INTO_ENGLISH = tuple("fr de es ca fa it ru pt zh-CN tr ar et mn nl sv-SE lv sl ta ja id cy".split())
FROM_ENGLISH = tuple("ar ca cy de et fa id ja lv mn sl sv-SE ta tr zh-CN".split())
NUM_SENTENCES = 16


def write_labelled_corpora(folder) -> Path:
    """CoVoST 2, VoxPopuli and MLS in all languages, and small FLEURS, Babel, WMT and TED."""
    root = Path(folder)
    clip = sound(0.2)
    numbers = range(NUM_SENTENCES)
    for source, target in [*((lang, "en") for lang in INTO_ENGLISH), *(("en", lang) for lang in FROM_ENGLISH)]:
        for split in ("train", "validation"):
            rows = [
                {
                    "client_id": "speaker",
                    "file": f"{split}_{source}_{number}.mp3",
                    "audio": {"bytes": clip, "path": f"{number}.wav"},
                    "sentence": f"{source} {number}",
                    "translation": f"{target} {number}",
                    "id": f"{split}_{source}_{number}",
                }
                for number in numbers
            ]
            write_parquet(root / "covost2" / f"{source}_{target}" / f"{split}-00000-of-00001.parquet", rows)
    for lang in ASR_CODES:
        for split in ("train", "validation"):
            rows = [
                {
                    "audio_id": f"{split}_{lang}_{number}",
                    "language": 0,
                    "audio": {"bytes": clip, "path": f"{number}.wav"},
                    "raw_text": f"{lang} {number}",
                    "normalized_text": f"{lang} {number}",
                    "gender": "female",
                    "speaker_id": "1",
                    "accent": "None",
                    "is_gold_transcript": True,
                }
                for number in numbers
            ]
            write_parquet(root / "voxpopuli" / lang / f"{split}-00000-of-00001.parquet", rows)
    for language in MLS_LANGUAGES:
        for split in ("dev", "9_hours", "1_hours"):
            rows = [
                {
                    "audio": {"bytes": clip, "path": f"{number}.wav"},
                    "original_path": f"{number}.mp3",
                    "begin_time": 0.0,
                    "end_time": 0.2,
                    "transcript": f"{language} {number}",
                    "audio_duration": 0.2,
                    "speaker_id": "1",
                    "chapter_id": "1",
                    "file": f"{number}.wav",
                    "id": f"{split}_{number}",
                }
                for number in numbers
            ]
            write_parquet(root / "mls" / language / f"{split}-00000-of-00001.parquet", rows)
    write_fleurs(root / "fleurs", "parquet")
    write_babel(root / "babel")
    write_wmt(root / "wmt")
    write_ted59(root / "ted59")
    return root
