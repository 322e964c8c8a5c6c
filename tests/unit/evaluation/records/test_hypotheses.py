# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of hypotheses that are none."""

import pytest

from mu2slam_hf.evaluation.records.hypotheses import read_hypotheses


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of hypotheses: its first line must be the settings"),
        (b"3\n", "not a file of hypotheses: its first line must be the settings"),
        (b'["settings"]\n', "not a file of hypotheses: its first line must be the settings"),
        (b'{"settings": {}}\n3\n', "not a file of hypotheses: "),
        (b'{"settings": {}}\n{"key": "\xe9"}\n', "line 2: not valid JSON in UTF-8"),
        (b'{"settings": {}}\n{"key": \n', "line 2: not valid JSON in UTF-8"),
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path, content, message):
    file = tmp_path / "system.jsonl"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file}.*{message}"):
        read_hypotheses(file)
