# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The console tables of pre-training."""

from transformers import TrainerState

from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.training.callbacks import format_logs
from mu2slam_hf.training.loss_report import format_loss_table, split_losses
from mu2slam_hf.training.objectives.mslam import MSLAMObjective
from mu2slam_hf.training.objectives.mu2slam import Mu2SLAMObjective

TABLE = Mu2SLAMObjective.table
LOGS = {
    "loss": 12.0,
    **{f"loss_{name}": number / 10 for number, name in enumerate(PRETRAINING_LOSSES)},
    **{f"count_{name}": 5.0 for name in PRETRAINING_LOSSES},
    "padding_encoder": 0.05,
    "unreadable_recordings": 0,
    "ctc_too_long": 2,
}


def test_losses_are_taken_out_whatever_stands_before_them():
    losses, rest = split_losses(LOGS, TABLE)
    assert tuple(losses) == PRETRAINING_LOSSES and losses["language"] == 2.3
    assert set(rest) == {"loss", "padding_encoder", "unreadable_recordings", "ctc_too_long"}
    losses, rest = split_losses({f"eval_dev_{name}": value for name, value in LOGS.items()}, TABLE)
    assert tuple(losses) == PRETRAINING_LOSSES and set(rest) > {"eval_dev_loss"}


def test_supervised_losses_stay_in_their_line():
    logs = {"loss": 1.0, "loss_asr_decoder": 2.0, "loss_ctc": 3.0}
    assert split_losses(logs, None) == ({}, logs)
    assert (
        format_logs(TrainerState(global_step=3, max_steps=5), logs).split()
        == "3/5 loss 1.000 asr_decoder 2.000 ctc 3.000".split()
    )


def test_two_aligned_rows():
    lines = format_loss_table(split_losses(LOGS, TABLE)[0], TABLE).splitlines()
    head, decoder, mlm = (line.split() for line in lines)
    assert head[:5] == ["speech", "text", "asr", "asr<", "asr="] and head[-2:] == ["ctc", "language"]
    assert decoder == ["decoder", *(f"{number / 10:.3f}" for number in [*range(11), 22, 23])]
    assert mlm == ["mlm", *(f"{number / 10:.3f}" for number in range(11, 22))]
    assert max(map(len, lines)) <= 119


def test_only_what_there_is_and_a_dash_for_half_a_view():
    lines = format_loss_table({"text_mlm": 1.0, "asr_decoder": 2.0}, TABLE).splitlines()
    assert [line.split() for line in lines] == [["text", "asr"], ["decoder", "-", "2.000"], ["mlm", "1.000", "-"]]


def test_a_log_is_a_line_and_the_table_with_faults_only_where_there_are_some():
    shown = format_logs(TrainerState(global_step=20, max_steps=200), LOGS, TABLE).splitlines()
    assert shown[0].split() == "20/200 loss 12.000 padding_encoder 0.050 ctc_too_long 2".split()
    assert len(shown) == 4


def test_losses_of_mslam_are_one_row():
    shown = format_loss_table({"contrastive": 2.0, "ctc": 0.5}, MSLAMObjective.table).splitlines()
    assert [line.split() for line in shown] == [["contrastive", "ctc"], ["2.000", "0.500"]]
    assert len(shown[0]) == len(shown[1])
