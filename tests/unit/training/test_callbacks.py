# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run shows on the console and keeps in its log file."""

import json
from types import SimpleNamespace

from transformers import TrainerControl, TrainerState

from mu2slam_hf.training.callbacks import ConsoleLines, LogFile, format_logs

LOGS = {
    "loss": 3.5,
    "loss_ctc": 1.25,
    "learning_rate": 1e-3,
    "seconds_per_step": 0.5,
    "epoch": 0.1,
    "eval_loss_ctc": 2.0,
}


def test_a_log_is_one_line():
    line = format_logs(TrainerState(global_step=20, max_steps=200), LOGS)
    assert line.split() == "20/200 loss 3.500 ctc 1.250 lr 1.00e-03 0.50 s/step eval_loss_ctc 2.000 left 2 min".split()


def test_speed_is_shown_with_its_units_and_not_for_a_batch_of_the_other_kind():
    logs = {"loss": 1.0, "speech_seconds_per_second": 81.26, "text_tokens_per_second": 0.0, "grad_norm_decoder": 2.0}
    logs |= {"data_wait": 0.013, "model_flop_utilization": 0.46}
    line = format_logs(TrainerState(global_step=1, max_steps=2), logs)
    assert line.split("  ")[-4:] == ["loss 1.000", "81.3 s of speech/s", "waiting 1.3%", "MFU 46.0%"], line


def test_only_the_first_process_writes(tmp_path, capsys):
    args = SimpleNamespace(output_dir=str(tmp_path))
    for first in (True, False):
        state = TrainerState(global_step=20, max_steps=200, is_world_process_zero=first)
        LogFile().on_log(args, state, TrainerControl(), logs=LOGS)
        ConsoleLines().on_log(args, state, TrainerControl(), logs=LOGS)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["loss_ctc"] == 1.25 and json.loads(line)["step"] == 20
    assert capsys.readouterr().out.count("\n") == 1
