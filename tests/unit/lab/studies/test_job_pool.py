# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Jobs: order, several at a time, failures; commands in processes of their own."""

import threading

import pytest

from lab.studies.job_pool import Job, override_arguments, run_command, run_jobs


def test_jobs_keep_their_order_as_far_as_their_dependencies_allow():
    done = []
    jobs = [
        Job(name, lambda name=name: done.append(name), after) for name, after in [("b", ("a",)), ("a", ()), ("c", ())]
    ]
    reported = []
    assert run_jobs(jobs, report=lambda name, error: reported.append((name, error))) == {}
    assert done == ["a", "b", "c"] and reported == [("a", None), ("b", None), ("c", None)]


def test_two_jobs_run_at_a_time_and_not_three():
    together, most, lock = 0, 0, threading.Lock()
    meet = threading.Barrier(2, timeout=30)

    def work():
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        meet.wait()  # passes only if two are at work
        with lock:
            together -= 1

    assert run_jobs([Job(str(number), work) for number in range(4)], 2) == {}
    assert most == 2


def test_a_failed_job_stops_only_those_that_need_it():
    done = []

    def fail():
        raise RuntimeError("out of memory")

    jobs = [
        Job("a", fail),
        Job("b", lambda: done.append("b"), ("a",)),
        Job("c", lambda: done.append("c"), ("b",)),
        Job("d", lambda: done.append("d")),
    ]
    errors = run_jobs(jobs, 2)
    assert done == ["d"] and {name: str(error) for name, error in errors.items()} == {"a": "out of memory"}


def test_an_error_of_the_program_is_raised():
    def fail():
        raise TypeError("no such argument")

    with pytest.raises(TypeError, match="no such argument"):
        run_jobs([Job("a", fail)])


def test_a_command_that_fails_names_its_last_line_and_its_log(tmp_path):
    log = tmp_path / "train.log"
    with pytest.raises(RuntimeError, match=r"exit status 1: .*no_such_recipe.*train\.log"):
        run_command(["train", "--recipe", "no_such_recipe"], log)
    run_command(["--version"], log)
    assert "no_such_recipe" in log.read_text() and "mu2slam-hf" in log.read_text()
    assert override_arguments(["a=1", "b=2"]) == ["--set", "a=1", "--set", "b=2"]
