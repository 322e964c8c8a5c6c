# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text tokenizers from text files and manifests."""

import json

import pytest

from mu2slam_hf import Mu2SLAMTokenizer
from mu2slam_hf.recipes.runs.registry import load_recipe, load_runs
from mu2slam_hf.recipes.schema.loader import RecipeError


def test_texts_of_files_and_manifests(tmp_path):
    (tmp_path / "texts.txt").write_text("\n ab \nba\n", encoding="utf-8-sig")
    row = {"id": "x", "text": "cd", "lang": "en", "translations": {"fr": "e"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{kind: text_tokenizer, files: [texts.txt, rows.jsonl], num_speech_tokens: 8}")
    (run,) = load_runs(recipe, [f"output={tmp_path / 'tokenizer'}"])
    metrics = run.run()
    tokenizer = Mu2SLAMTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer.num_speech_tokens == 8 and metrics == {"num_ids": len(tokenizer)}
    ids = tokenizer("abcde", add_special_tokens=False)["input_ids"]
    assert len(set(ids)) == 5 and tokenizer.unk_token_id not in ids


def test_faulty_files_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes("a\u00f1o".encode("latin-1"))
    values = ["kind=text_tokenizer", "output=tokenizer"]
    with pytest.raises(RecipeError, match=r"files\.1: no such file: 'latn.txt'; did you mean 'latin.txt'"):
        load_recipe(None, [*values, "files=[latin.txt, latn.txt]"])
    (run,) = load_runs(None, [*values, "files=[latin.txt]"])
    with pytest.raises(ValueError, match=r"latin\.txt: not valid UTF-8 .*; expected texts, one sentence per line"):
        run.run()
    assert not (tmp_path / "tokenizer").exists()
