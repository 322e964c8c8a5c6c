# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
from helpers import REPOSITORY_ROOT

from lab.commands import main
from mu2slam_hf import default_checkpoint

DEFAULT = str(default_checkpoint())
EXAMPLES = str(REPOSITORY_ROOT / "examples" / "manifest.tsv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["assess-tokenizer", DEFAULT, "--manifest", EXAMPLES, "--device", "gpu"], "device 'gpu' is not available"),
        (["assess-tokenizer", DEFAULT, "--manifest", EXAMPLES], "expected a speech tokenizer, or a processor that"),
        (["assess-tokenizer", "no/such/dir", "--manifest", EXAMPLES], "no/such/dir: no such"),
        (
            ["assess-tokenizer", "speech_tokenizer", "--manifest", EXAMPLES],
            "speech_tokenizer: no config.json; expected",
        ),
        (["assess-tokenizer", "x"], "the data to assess tokenizers on"),
        (["assess-tokenizer", "x", "--corpus", "prompts5"], "requires its folder"),
    ],
)
def test_what_is_missing_is_named(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "speech_tokenizer").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert message in capsys.readouterr().err
