# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Damaged recordings, annotations, tables, recipes, checkpoints and addresses: each is read, or refused in a sentence.

`pytest tests/fuzz --fuzz N` makes N damaged recordings, and the other kinds in proportion. A fault is what
`run_and_report`, through which every command goes, does not turn into a sentence; ten seconds for one file; a process
that needs 1.5 GB; or a recording that became shorter without a warning.
"""

import io
import resource
import shutil
import sys
from datetime import timedelta
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from helpers import save_tiny_checkpoint

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import Edit, apply_edit, damaged_bytes, damaged_json, damaged_text
from sample_files import TEXTS

from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.adaptation.report.prepared_data import prepare_data
from mu2slam_hf.checkpoints import load_any_checkpoint
from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.recording_files import is_address
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.recipes.runs.registry import load_recipes
from mu2slam_hf.recipes.schema.shipped import list_recipes

RATE = 16_000
SECONDS = 1.5
MAX_BYTES = 1.5 * 2**30
"""Memory of the process."""


def check_examples(request, share: float, strategy: st.SearchStrategy, check) -> None:
    """Checks a share of the number of examples of `--fuzz`, and the memory of the process after them."""

    @settings(
        max_examples=max(1, round(share * request.config.getoption("--fuzz"))),
        deadline=timedelta(seconds=10),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def examples(example):
        check(example)

    examples()
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert kilobytes * (1 if sys.platform == "darwin" else 1024) < MAX_BYTES


@cache
def encoded(name: str) -> bytes:
    """A recording of three tones in a container."""
    time = np.arange(round(RATE * SECONDS)) / RATE
    samples = (0.3 * np.sin(2 * np.pi * (300 + 200 * np.floor(2 * time)) * time)).astype(np.float32)
    file = io.BytesIO()
    if name in ("wav", "flac", "aiff", "au", "w64", "caf", "rf64"):
        sf.write(file, np.stack([samples, 0.5 * samples], axis=1), RATE, format=name.upper())
    elif name in ("ogg", "opus"):
        sf.write(file, samples, RATE, format="OGG", subtype="VORBIS" if name == "ogg" else "OPUS")
    else:
        container, codec = {"mp3": ("mp3", "libmp3lame"), "mp4": ("mp4", "aac"), "webm": ("webm", "libopus")}[name]
        rate = 48_000 if codec == "libopus" else RATE
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                for packet in stream.encode(piece):
                    output.mux(packet)
            for packet in stream.encode(None):
                output.mux(packet)
    return file.getvalue()


def read(content: bytes) -> tuple[float, list[str]] | None:
    """Seconds and warnings of a recording; None if it is refused."""
    warnings: list[str] = []
    num_samples = 0
    try:
        for block in stream_audio_source(content, RATE, on_damage=warnings.append):
            assert np.isfinite(block).all() and block.ndim == 2
            num_samples += len(block)
    except AudioError as error:
        assert str(error) and "\n" not in str(error)
        return None
    return num_samples / RATE, warnings


CONTAINERS = ("wav", "flac", "aiff", "au", "w64", "caf", "rf64", "ogg", "opus", "mp3", "mp4", "webm")


def test_recordings(request):
    damaged = st.sampled_from(CONTAINERS).flatmap(lambda name: damaged_bytes(encoded(name)))
    check_examples(request, 0.9, damaged, read)


def test_recordings_that_end_early(request):
    """Never shorter without a word."""

    def check(example):
        name, share = example
        content = encoded(name)[: round(share * len(encoded(name)))]
        result = read(content)
        assert result is None or result[1] or result[0] > SECONDS - 0.1, (name, share, result)

    check_examples(request, 0.1, st.tuples(st.sampled_from(CONTAINERS), st.floats(0, 1)), check)


def test_annotations_and_tables(request, tmp_path):
    folder = tmp_path / "recordings"

    def check(example):
        name, content = example
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "a.wav").write_bytes(encoded("wav"))
        (folder / "b.wav").write_bytes(encoded("wav"))
        (folder / "b.txt").write_text("muy bien", encoding="utf-8")
        (folder / name).write_bytes(content)
        run_and_report(lambda: prepare_data(folder, ReadingOptions(lang="es", target_langs=("en",))) and 0)
        if name.startswith("all."):
            run_and_report(lambda: read_manifest(folder / name) and 0)

    damaged = st.sampled_from(sorted(TEXTS)).flatmap(lambda name: st.tuples(st.just(name), damaged_text(TEXTS[name])))
    check_examples(request, 0.3, damaged, check)


def test_recipes(request, tmp_path, monkeypatch):
    """Those of the package; data that they need are missing here, which is one of the sentences."""
    monkeypatch.chdir(tmp_path)
    recipes = [recipe.path.read_text(encoding="utf-8") for recipe in list_recipes()]

    def check(content):
        (tmp_path / "recipe.yaml").write_bytes(content)
        run_and_report(lambda: load_recipes(tmp_path / "recipe.yaml", ["training.max_steps=2"]) and 0)

    check_examples(request, 0.1, st.sampled_from(recipes).flatmap(damaged_text), check)


def test_checkpoints(request, tmp_path):
    whole = Path(save_tiny_checkpoint(tmp_path / "whole"))
    files = {path.name: path.read_bytes() for path in sorted(whole.iterdir()) if path.is_file()}
    folder = tmp_path / "damaged"

    def damage(name):
        content = damaged_json(files[name]) if name.endswith(".json") else damaged_bytes(files[name])
        return st.tuples(st.just(name), st.one_of(st.none(), content) if name != "config.json" else content)

    def check(example):
        name, content = example
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        run_and_report(lambda: load_any_checkpoint(str(folder)) and 0)

    check_examples(request, 0.1, st.sampled_from(sorted(files)).flatmap(damage), check)


def test_addresses(request):
    """Whatever is taken for an address is refused in a sentence; none leads anywhere."""
    parts = st.text(max_size=12)
    schemes = st.sampled_from(("http", "https", "HTTP", "file", "ftp", "gopher", "data", ""))
    hosts = st.one_of(
        parts, st.sampled_from(("[::1", "127.0.0.1:9", "127.0.0.1:99999", "localhost:9", "a..b", "-", "@"))
    )
    urls = st.builds(lambda scheme, host, path: f"{scheme}://{host}/{path}", schemes, hosts, parts)

    def check(url):
        is_address(url)
        run_and_report(lambda: next(stream_audio_source(url, RATE), 0) and 0)

    check_examples(request, 0.02, urls, check)


def test_an_edit_changes_what_it_says():
    """The edits themselves: what they leave, insert, repeat and clear."""
    edit = {
        name: apply_edit(b"0123456789", edit_of(name))
        for name in ("overwrite", "insert", "delete", "truncate", "repeat", "zero")
    }
    assert edit == {
        "overwrite": b"01ab456789",
        "insert": b"01ab23456789",
        "delete": b"0156789",
        "truncate": b"01",
        "repeat": b"0123423456789",
        "zero": b"01\0\0\x0056789",
    }


def edit_of(operation: str):
    return Edit(operation, 0.2, 0.3, b"ab")
