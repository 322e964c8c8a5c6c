# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sweeps: the grid, what is skipped and resumed, failures, the record with its tables and plot."""

import json
from pathlib import Path

import pytest
from tiny_trainers import recipe_arguments

pytest.importorskip("scipy", reason="needs the extra lab")

from lab.commands import main
from lab.studies.sweep import SweepAxis, parse_axis, plan_sweep, run_sweep, train_in_subprocess
from lab.studies.sweep_report import describe_best, mean_rows, save_sweep, table_rows
from mu2slam_hf.recipes.runs.registry import load_recipes, load_runs
from mu2slam_hf.recipes.schema.loader import RecipeError

RATES = parse_axis("optim.learning_rate=1e-3,3e-3")
DROPOUTS = parse_axis(
    "model.overrides.encoder_config.hidden_dropout,model.overrides.decoder_config.hidden_dropout=0.1,0.3"
)


@pytest.fixture
def plan(tones, tmp_path):
    path, *given = recipe_arguments("supervised", tones, tmp_path / "run")

    def plan_one(*axes, overrides=(), **options):
        return plan_sweep(path, axes, overrides=[*given, *overrides], folder=tmp_path / "sweep", **options)

    return plan_one


class Trained:
    """Stands in for training: a loss that the values determine, written as a run writes it."""

    def __init__(self, fails_at=None):
        self.seen, self.fails_at = [], fails_at

    def __call__(self, recipe, overrides, folder):
        loaded = load_recipes(recipe, overrides)[-1]
        assert Path(loaded.output.dir) == folder
        self.seen.append(folder.name)
        rate = loaded.optim.learning_rate
        if rate == self.fails_at:
            raise RuntimeError("out of memory")
        dropout = loaded.model.overrides.get("encoder_config.hidden_dropout", 0.0)
        final = Path(loaded.output.final or folder / "final")
        final.mkdir(parents=True)
        (final / "results.json").write_text(json.dumps({"eval_loss": rate * 1000 + dropout, "eval_ctc_cer": 50.0}))


def test_an_axis_has_plain_values_for_one_or_several_keys():
    assert parse_axis("optim.warmup_steps=4000, 8000").values == (4000, 8000)
    assert parse_axis("data.languages=[en, fr],[en]").values == (["en", "fr"], ["en"])
    assert DROPOUTS.values == (0.1, 0.3) and DROPOUTS.name == "hidden_dropout" and len(DROPOUTS.keys) == 2
    assert SweepAxis(("a.b", "a.c"), (1,)).name == "b+c"


@pytest.mark.parametrize(
    "text, message",
    [
        ("optim.noam_factor", "expected KEY=VALUE,VALUE"),
        ("=1", "expected KEY=VALUE,VALUE"),
        ("a=", "no value"),
        ("a=[1", "not valid YAML"),
        ("a=1,2,1", "a value occurs twice"),
        ("output.dir=a,b", "the same for all runs"),
    ],
)
def test_an_axis_that_is_not_one_is_an_error(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_axis(text)


def test_the_grid_is_run_once_and_names_the_best_run(plan):
    trained, reported = Trained(), []
    sweep = run_sweep(plan(RATES, DROPOUTS), train=trained, report=lambda _, run: reported.append(run.values))
    assert len(set(trained.seen)) == 4
    expected = [
        {"learning_rate": rate, "hidden_dropout": dropout} for rate in ("1e-3", "3e-3") for dropout in (0.1, 0.3)
    ]
    assert reported == expected
    assert sweep.best is sweep.runs[0] and sweep.value_of(sweep.runs[3]) == pytest.approx(3.3)
    # Again, and with a value more: only what is new is run.
    again = Trained()
    run_sweep(plan(RATES, DROPOUTS), train=again)
    assert again.seen == []
    more = plan(parse_axis("optim.learning_rate=1e-3,5e-4,3e-3"), DROPOUTS)
    assert [run.results is None for run in more.runs] == [False, False, True, True, False, False]
    best = run_sweep(more, train=again).best
    assert len(again.seen) == 2 and best.values == {"learning_rate": "5e-4", "hidden_dropout": 0.1}


def test_a_changed_recipe_is_another_run(plan):
    run_sweep(plan(RATES), train=Trained())
    changed = plan(RATES, overrides=["training.seed=7"])
    assert all(run.results is None for run in changed.runs)
    assert all(run.results is not None for run in plan(RATES).runs)


def test_a_failed_run_is_reported_and_run_again(plan):
    sweep = run_sweep(plan(RATES), train=Trained(fails_at=1e-3))
    assert [run.error for run in sweep.runs] == ["out of memory", None]
    assert sweep.best is sweep.runs[1] and table_rows(sweep)[1][2] == "failed: out of memory"
    again = Trained()
    sweep = run_sweep(plan(RATES), train=again)
    assert len(again.seen) == 1 and all(run.error is None for run in sweep.runs)


def test_the_metric_and_its_direction(plan):
    sweep = run_sweep(plan(RATES, greater_is_better=True), train=Trained())
    assert sweep.metric == "loss" and sweep.best is sweep.runs[1]
    assert plan(RATES, metric="eval_ctc_cer").best is not None
    with pytest.raises(ValueError, match=r"--metric bleu: not among the metrics of .*eval_ctc_cer, eval_loss"):
        assert plan(RATES, metric="bleu").best


def test_a_key_that_is_unknown_or_makes_no_difference_is_an_error(plan):
    with pytest.raises(RecipeError, match=r"optim\.learning_rte: unknown key; did you mean 'learning_rate'"):
        plan(parse_axis("optim.learning_rte=1,2"))
    stages = "stages=[{name: only, set: {optim.learning_rate: 1}}]"
    with pytest.raises(RecipeError, match="are the same recipe; is the key set by a stage"):
        plan(RATES, overrides=[stages])


def test_the_result_of_stages_is_that_of_the_last(plan):
    stages = "stages=[{name: first}, {name: second, set: {training.max_steps: 4}}]"
    finals = []

    def train(recipe, overrides, folder):
        last = load_recipes(recipe, overrides)[-1]
        finals.append(last.output.final)
        Path(last.output.final).mkdir(parents=True)
        (Path(last.output.final) / "results.json").write_text('{"eval_loss": 1.0}')

    sweep = run_sweep(plan(RATES, overrides=[stages]), train=train)
    assert [run.results for run in sweep.runs] == [{"eval_loss": 1.0}] * 2
    assert finals == [str(Path(run.folder) / "final") for run in sweep.runs]


def test_the_record_its_tables_and_its_plot(plan):
    sweep = run_sweep(plan(RATES, DROPOUTS), train=Trained(fails_at=3e-3))
    written = {path.name: path for path in save_sweep(sweep)}
    assert set(written) == {"sweep.json", "sweep.tsv", "sweep.md", "sweep.png"}
    record = json.loads(written["sweep.json"].read_text())
    assert record["best"] == sweep.runs[0].fingerprint and len(record["runs"]) == 4
    assert record["runs"][0]["results"]["eval_loss"] == pytest.approx(1.1)
    rows = [line.split("\t") for line in written["sweep.tsv"].read_text().splitlines()]
    assert {len(row) for row in rows} == {len(rows[0])} and rows[0][:4] == [
        "learning_rate",
        "hidden_dropout",
        "loss",
        "status",
    ]
    assert rows[1][:4] == ["1e-3", "0.1", "1.1", "best"] and rows[3][2:4] == ["", "failed: out of memory"]
    text = written["sweep.md"].read_text()
    assert "| **1e-3** | **0.1** | **1.1** | **best** |" in text and describe_best(sweep) in text
    assert written["sweep.png"].read_bytes().startswith(b"\x89PNG")


def test_metrics_are_averaged_over_replicates(plan):
    sweep = run_sweep(plan(RATES, DROPOUTS, replicates="hidden_dropout"), train=Trained(fails_at=3e-3))
    assert sweep.best is None and [len(group) for group in sweep.groups] == [2, 2]
    header, *rows = mean_rows(sweep)
    assert header == ["learning_rate", "metric", "runs", "mean", "standard deviation", "low", "high"]
    # Losses 1.1 and 1.3: standard deviation 0.1 * sqrt(2), interval 12.706 * 0.1 with one degree of freedom.
    assert rows[0][:4] == ["1e-3", "loss", "2", "1.2"]
    assert [float(cell) for cell in rows[0][4:]] == pytest.approx([0.141421, -0.0706, 2.4706], abs=1e-3)
    assert [row[:4] for row in rows[1:]] == [["1e-3", "eval_ctc_cer", "2", "50"], ["1e-3", "eval_loss", "2", "1.2"]]
    assert describe_best(sweep).startswith("Best values (smallest mean): learning_rate=1e-3: mean loss 1.2,")
    assert "sweep_means.tsv" in {path.name for path in save_sweep(sweep)}
    alone = run_sweep(plan(DROPOUTS, replicates="hidden_dropout"), train=Trained())
    assert describe_best(alone).startswith("Over hidden_dropout: mean loss ")
    with pytest.raises(RecipeError, match="--replicates seed: expected one of learning_rate"):
        plan(RATES, replicates="seed")


def test_real_runs_are_compared_by_their_evaluation(plan):
    def train(recipe, overrides, folder):
        for run in load_runs(recipe, overrides):
            run.run()

    short = ("training.max_steps=2", "data.curriculum=[]", "training.eval_steps=2", "training.save_steps=2")
    sweep = run_sweep(plan(parse_axis("optim.learning_rate=1e-5,2e-2"), overrides=short), train=train)
    assert [run.error for run in sweep.runs] == [None, None]
    first, second = (run.results["eval_loss"] for run in sweep.runs)
    assert first != second and sweep.best is sweep.runs[first > second]


def test_a_run_in_a_process_of_its_own_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match=r"exit status 1: .*no_such_recipe.*train\.log"):
        train_in_subprocess("no_such_recipe", ["training.max_steps=1"], tmp_path)


def test_the_command_skips_finished_runs(plan, tones, tmp_path, capsys):
    path, *given = recipe_arguments("supervised", tones, tmp_path / "run")
    run_sweep(plan(RATES), train=Trained())
    sets = [argument for override in given for argument in ("--set", override)]
    options = ["--over", "optim.learning_rate=1e-3,3e-3", "-o", str(tmp_path / "sweep")]
    assert main(["sweep", path, *options, *sets]) == 0
    out = capsys.readouterr().out
    assert "2 runs in" in out and "2 of them finished" in out
    assert "Best run (smallest loss, 1.1): learning_rate=1e-3" in out
    assert (tmp_path / "sweep" / "sweep.md").is_file()
