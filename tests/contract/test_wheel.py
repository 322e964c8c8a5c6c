# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What is in a wheel, and that a recipe, its relative paths and the template of cards are found from it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT

CODE = """
import mu2slam_hf
from pathlib import Path
from mu2slam_hf.cli import main
from mu2slam_hf.hub.cards import card_template
from mu2slam_hf.recipes.runs.registry import load_recipe
from mu2slam_hf.recipes.schema.shipped import configuration_folder, find_recipe, list_recipes
from mu2slam_hf.data.tones import write_tone_corpus
package = Path(mu2slam_hf.__file__).parent
assert "mu2slam_hf.models.processing_mu2slam" == mu2slam_hf._PUBLIC_NAMES["Mu2SLAMProcessor"]
for path in (configuration_folder(), find_recipe("finetune_lora"), card_template(), card_template("adapted")):
    assert path.is_relative_to(package) and path.exists(), path
write_tone_corpus("tiny", num_sentences=2)
recipe = load_recipe("mu2slam/pretrain_tiny_test", ["data.corpora.train.manifest=tiny/train.tsv", "evaluation={}"])
assert Path(recipe.model.config) == configuration_folder() / "models" / "mu2slam" / "tiny.json"
Path("own.yaml").write_text("kind: pretraining\\nmodel: {config: configuration/models/mu2slam/small.json}\\n")
assert Path(load_recipe("own.yaml").model.config).is_relative_to(package)
assert main(["recipes"]) == 0
print("FOUND", len(list_recipes()), package)
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheel, is not installed")
def test_a_wheel_holds_recipes_and_template_and_finds_them(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(REPOSITORY_ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("mu2slam_hf-*.whl")
    assert wheel.stat().st_size < 100e6, "PyPI accepts no larger files"
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    held = {path.relative_to(site / "mu2slam_hf") for path in (site / "mu2slam_hf").rglob("*") if path.is_file()}
    for folder, inside in (("configuration", "configuration"), ("mu2slam_hf", "")):
        for path in (REPOSITORY_ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert inside / path.relative_to(REPOSITORY_ROOT / folder) in held, path
    assert Path("checkpoints/default/model.safetensors") in held and Path("serving/page.css") in held
    assert not (site / "lab").exists() and "lab" not in {path.parts[0] for path in held}
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    recipes = list((REPOSITORY_ROOT / "configuration" / "recipes").rglob("*.yaml"))
    assert done.stdout.splitlines()[-1] == f"FOUND {len(recipes)} {site / 'mu2slam_hf'}"


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("hatchling") is None, reason="hatchling, which builds the distribution, is not installed"
)
def test_a_source_distribution_holds_the_laboratory(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY_ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for path in (REPOSITORY_ROOT / "lab").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(REPOSITORY_ROOT).as_posix() in held, path
