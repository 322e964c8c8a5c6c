# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command line of the laboratory: its messages name it, and its help loads nothing heavy."""

import subprocess
import sys

import pytest
from helpers import REPOSITORY_ROOT

import mu2slam_hf
from lab.commands import build_parser, main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("assess-tokenizer x --plots y", "did you mean --plot?"),
        ("table --processes 2", "--processes; it is an option of `python -m lab study` and `python -m lab sweep`"),
        ("study x --replicate a", "did you mean --replicates of `python -m lab sweep`?"),
        ("sweeps", "unknown command 'sweeps'; did you mean `python -m lab sweep`?"),
        # What the other command line does is no suggestion here.
        ("asr a.wav", "unknown command 'asr'; the commands are study, sweep, "),
        ("talk.mp4", "unknown command 'talk.mp4'; the commands are study, sweep, "),
        ("sweep r --over a=1 b", "python -m lab sweep: error: unexpected argument 'b' ("),
        ("study", "(`python -m lab study --help` lists the arguments)"),
    ],
)
def test_what_is_meant_is_named_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and line.startswith("python -m lab")


def test_the_help_of_the_module_lists_all_commands_and_loads_nothing_heavy():
    code = (
        "import sys; from lab.commands import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in ('torch', 'numpy', 'scipy', 'yaml') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in build_parser().commands)


def test_it_runs_as_a_module_and_has_the_version_of_the_package():
    command = [sys.executable, "-m", "lab", "--version"]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"lab of mu2slam-hf {mu2slam_hf.__version__}\n"


def test_sources_may_be_repeated():
    parse = build_parser().parse_args
    args = parse("assess-tokenizer x --corpus prompts5=d --corpus stamps --manifest m --root d".split())
    assert args.corpus == ["prompts5=d", "stamps"] and args.manifest == ["m"]
    assert parse("boundary-accuracy --synthetic en es --sentences 8 --seed 1".split()).synthetic == ["en", "es"]
