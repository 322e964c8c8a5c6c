# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import errno
import os
import subprocess
import sys

import pytest

from mu2slam_hf import atomic_files
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.cli.errors import run_and_report


def test_a_full_disk_names_the_file(tmp_path, capsys):
    """`write` raises an error without a file name."""
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.txt")

    def fail():
        raise caught.value

    assert run_and_report(fail) == 1
    assert capsys.readouterr().err == f"mu2slam: {tmp_path / 'a.txt'}: No space left on device\n"


def test_a_file_replaces_the_one_before_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("one")
        assert not path.exists() and temporary.parent == path.parent
    with atomic_path(path) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two" and [child.name for child in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_nothing_behind(tmp_path, error):
    (tmp_path / "a.txt").write_text("one")
    for name in ("a.txt", "folder"):
        with pytest.raises(error), atomic_path(tmp_path / name) as temporary:
            temporary.mkdir()
            (temporary / "inside").touch()
            raise error
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "one"


def test_a_folder_replaces_an_empty_one_only(tmp_path):
    def write(name):
        with atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()

    (tmp_path / "folder").mkdir()
    write("first")
    with pytest.raises(OSError):
        write("second")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "first"]


def test_what_killed_processes_have_left_is_removed(tmp_path):
    """Once for each folder in a process; what a running process writes, also of another machine, stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = atomic_files._MACHINE
    abandoned = [tmp_path / f".{name}.{here}-{ended.pid}.partial" for name in ("a.txt", "folder", "b\nc")]
    for path in abandoned:
        path.mkdir() if path.name.startswith(".folder") else path.write_text("half")
    kept = [
        tmp_path / f".a.txt.{here}-{os.getppid()}.partial",
        tmp_path / f".a.txt.00000000-{ended.pid}.partial",
        tmp_path / f"a.{here}-{ended.pid}.partial",
    ]
    for path in kept:
        path.write_text("whole")
    with atomic_path(tmp_path / "new.txt") as temporary:
        temporary.write_text("new")
    assert not any(path.exists() for path in abandoned) and all(path.exists() for path in kept)


@pytest.mark.parametrize("length", [200, 240, 255])
def test_long_names_have_temporary_names_that_file_systems_allow(tmp_path, length):
    with atomic_path(tmp_path / ("n" * length)) as temporary:
        temporary.write_text("whole")
    assert [len(path.name) for path in tmp_path.iterdir()] == [length]
