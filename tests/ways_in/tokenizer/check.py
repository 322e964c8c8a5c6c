# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The kind is trained from the command line, and saved and loaded like the others."""

import contextlib
import io
from pathlib import Path

from mu2slam_hf import Mu2SLAMTokenizer
from mu2slam_hf.cli import main


def check(folder: Path) -> None:
    (folder / "texts.txt").write_text("the cat sat on the mat\nthe cat ate the rat\n")
    values = ["kind=text_tokenizer", f"files=[{folder / 'texts.txt'}]", "tokenizer=bpe", "vocab_size=30"]
    values += ["num_speech_tokens=8", f"output={folder / 'tokenizer'}"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", *(part for value in values for part in ("--set", value))]) == 0
    tokenizer = Mu2SLAMTokenizer.from_pretrained(folder / "tokenizer")
    ids = tokenizer("the cat sat")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the cat sat"
    assert all(index >= tokenizer.text_token_offset for index in ids[:-1]) and len(ids) < len("the cat sat")
