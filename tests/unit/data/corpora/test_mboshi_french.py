# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
from public_schema import write_sound, write_table

from mu2slam_hf.data.corpora.registry import load_corpus

HEADER = ("id", "audio", "duration_s", "speaker", "source", "text_mb", "text_mb_clean", "text_fr", "text_fr_clean")
TEXTS = {
    "train": [("wa átέε", "Il a tiré."), ("ngá ítói", "J'ai puisé de l'eau !")],
    "dev": [("wa ábe", "Il a tiré"), ("bo ítói", "j'ai puisé, de l'eau"), ("akω", "Les bananes sont mûres.")],
}


def test_translations_that_training_has_can_be_left_out(tmp_path):
    for split, texts in TEXTS.items():
        rows = []
        for number, (mboshi, french) in enumerate(texts):
            write_sound(tmp_path / "audio" / f"{split}_{number}.wav")
            values = (f"{split}_{number}", f"audio/{split}_{number}.wav", 0.5, "abiayi", "dico")
            rows.append(dict(zip(HEADER, (*values, mboshi, mboshi, french, french.lower()), strict=True)))
        write_table(tmp_path / f"{split}.tsv", rows, HEADER)
    assert len(load_corpus("mboshi_french", tmp_path, "dev")) == 3
    for clean in (False, True):
        records = load_corpus("mboshi_french", tmp_path, "dev", clean_translation=clean, new_translations=True)
        assert [record.text for record in records] == ["akω"]
    with pytest.raises(ValueError, match="choose another split"):
        load_corpus("mboshi_french", tmp_path, "train", new_translations=True)
