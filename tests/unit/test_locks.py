"""Locks between processes."""

import subprocess
import sys

import pytest

from mu2slam_hf.locks import locked_folder

HOLDER = """
import sys
from mu2slam_hf.locks import locked_folder
with locked_folder(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_use_is_refused_with_its_user_until_the_user_dies(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(ValueError, match=f"{folder} is in use by another command .process {holder.pid} on "):
            with locked_folder(folder):
                pass
        holder.kill()
        holder.wait()
    with locked_folder(folder):
        pass


def test_an_error_in_the_block_is_not_taken_for_a_lock(tmp_path):
    with pytest.raises(BlockingIOError), locked_folder(tmp_path):
        raise BlockingIOError
