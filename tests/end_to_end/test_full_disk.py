# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Commands on a full disk: an error in a sentence, nothing half written, and the same result with more space."""

import subprocess
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from written_files import hash_results

from mu2slam_hf.cli import main

pytestmark = pytest.mark.slow

EXAMPLES = REPOSITORY_ROOT / "examples"
SHARES = (0.05, 0.35, 0.65, 0.9)
PAGE = 4096
SMALL_RUN = ["--set", "training.max_steps=4", "--set", "training.save_steps=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two tiny models and a corpus of tones."""
    folder = tmp_path_factory.mktemp("place")
    for seed in (0, 1):
        save_tiny_checkpoint(folder / f"model_{seed}", seed)
    assert main(["tone-corpus", "--num", "8", "--output", str(folder / "data" / "tiny")]) == 0
    return folder


class Disk:
    """A file system in memory of a size in bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("a file system in memory cannot be mounted here")

    def clear(self) -> None:
        subprocess.run(["find", self.folder, "-mindepth", "1", "-delete"], check=True)

    def resize(self, size: int) -> None:
        size = max(PAGE, size // PAGE * PAGE)
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)

    @property
    def used(self) -> int:
        done = subprocess.run(["df", "--output=used", "-B1", self.folder], check=True, capture_output=True, text=True)
        return int(done.stdout.split()[1])


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    yield disk
    subprocess.run(["umount", "-l", disk.folder], check=True)


COMMANDS = {
    "transcribe": "transcribe {examples}/it --model model_0 --from it --output-format all --output-dir {disk}/out",
    "align": "align --manifest {examples}/manifest.tsv --output-format textgrid --output-dir {disk}/out",
    "tone-corpus": "tone-corpus --num 8 --output {disk}/out",
    "add-language": "add-language --model model_0 --lang mdw --like fr --characters ɔɛ --output-dir {disk}/out",
    "average": "average model_0 model_1 --output {disk}/out",
    "text tokenizer": "train --set kind=text_tokenizer --set files=[{examples}/manifest.tsv] --set output={disk}/out",
    "train": "train --recipe finetune_tiny_test --set output.dir={disk}/out",
    "adapt": "adapt {examples} --lang es --to en --max-steps 2 --output {disk}/out",
    "index": "index {examples} --output-dir {disk}/out",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, place, disk, monkeypatch, capfd):
    monkeypatch.chdir(place)
    words = COMMANDS[name].format(examples=EXAMPLES, disk=disk.folder).split()
    words += SMALL_RUN if name == "train" else []
    assert main(words) == 0
    whole, size = hash_results(disk.folder), disk.used
    assert whole
    capfd.readouterr()
    for share in SHARES[1::2] if name == "adapt" else SHARES:  # which takes minutes
        disk.clear()
        disk.resize(round(share * size))
        status = main(words)
        written = capfd.readouterr().err
        assert "Traceback" not in written, f"{share} of {size} bytes"
        assert status == 1, f"{share} of {size} bytes: {written[-300:]}"
        assert "No space left on device" in written or "disk" in written, written[-300:]
        left = hash_results(disk.folder)
        if name == "adapt":  # whose evaluations, and so its choice of weights, depend on the speed that it measures
            assert not left
        assert left.items() <= whole.items(), f"{share}: {set(left.items()) - set(whole.items())}"
        disk.resize(4 * size)
        status = main(words)
        assert status == 0, f"{share}: {capfd.readouterr().err[-500:]}"
        again = hash_results(disk.folder)
        assert again == whole or (name == "adapt" and again.keys() == whole.keys())
        capfd.readouterr()
