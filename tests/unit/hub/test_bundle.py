# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Upload folders: complete or not there, every fault named, and uploaded in one commit (to a stub of the Hub)."""

import importlib.util
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair
from imported_encoders import make_source
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2FeatureExtractor

from mu2slam_hf import (
    MSLAMConfig,
    MSLAMForAudioClassification,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMModel,
    Mu2SLAMProcessor,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
    build_from_speech_encoder,
)
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.hub import bundle as bundle_module
from mu2slam_hf.hub.bundle import add_custom_code, build_auto_map, build_bundle, push_bundle
from mu2slam_hf.hub.bundle_check import BundleError, check_bundle

CARD = "---\nlanguage: en\nlibrary_name: transformers\nlicense: mit\npipeline_tag: translation\n---\n# x\n"
AUTO_MAP = build_auto_map(MODEL_TYPES["mu2slam"])


class HubStub:
    """Records what an upload would do."""

    def __init__(self):
        self.calls = []

    def create_repo(self, repo_id, **kwargs):
        self.calls.append(("create_repo", repo_id, kwargs))
        return SimpleNamespace(repo_id=f"somebody/{repo_id.split('/')[-1]}")

    def create_branch(self, repo_id, **kwargs):
        self.calls.append(("create_branch", repo_id, kwargs))

    def upload_folder(self, **kwargs):
        self.calls.append(("upload_folder", kwargs["repo_id"], kwargs))
        return SimpleNamespace(commit_url=f"https://example.org/{kwargs['repo_id']}/commit/1")


@pytest.fixture(scope="module")
def pair():
    return make_tiny_pair()


@pytest.fixture
def folder(pair, tmp_path):
    return build_bundle(tmp_path / "bundle", *pair, card=CARD, run_check=False)


def test_a_complete_auto_map_in_every_file_that_is_looked_into(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"] == AUTO_MAP
    assert AUTO_MAP == {
        "AutoConfig": "configuration_mu2slam.Mu2SLAMConfig",
        "AutoFeatureExtractor": "feature_extraction_mu2slam.Mu2SLAMFeatureExtractor",
        "AutoModel": "modeling_mu2slam.Mu2SLAMModel",
        "AutoModelForAudioClassification": "modeling_mu2slam_classification.Mu2SLAMForAudioClassification",
        "AutoModelForPreTraining": "modeling_mu2slam_pretraining.Mu2SLAMForPreTraining",
        "AutoModelForQuestionAnswering": "modeling_mu2slam_understanding.Mu2SLAMForQuestionAnswering",
        "AutoModelForSeq2SeqLM": "modeling_mu2slam.Mu2SLAMForConditionalGeneration",
        "AutoModelForSequenceClassification": "modeling_mu2slam_understanding.Mu2SLAMForSequenceClassification",
        "AutoModelForSpeechSeq2Seq": "modeling_mu2slam.Mu2SLAMForConditionalGeneration",
        "AutoProcessor": "processing_mu2slam.Mu2SLAMProcessor",
        "AutoTokenizer": "tokenization_mu2slam.Mu2SLAMTokenizer",
    }
    processor = json.loads((folder / "processor_config.json").read_text())
    assert processor["auto_map"]["AutoProcessor"] == AUTO_MAP["AutoProcessor"]
    assert processor["feature_extractor"]["auto_map"]["AutoFeatureExtractor"] == AUTO_MAP["AutoFeatureExtractor"]
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer["auto_map"]["AutoTokenizer"] == [None, AUTO_MAP["AutoTokenizer"]]
    assert (folder / "README.md").read_text() == CARD
    # Only files that the classes of the model type import.
    assert not (folder / "pipeline_mu2slam.py").exists() and not (folder / "model_types.py").exists()


def test_a_model_around_an_imported_encoder_names_no_feature_extractor_of_ours(pair, tmp_path):
    """And loads, with that of transformers, where the package is not installed: the check of `build_bundle`."""
    processor = pair[1]
    options = {"vocab_size": len(processor.tokenizer), "num_speech_tokens": 16, "text_token_offset": 80}
    model = build_from_speech_encoder(
        make_source("conformer", "rotary-group"),
        Mu2SLAMForConditionalGeneration,
        {"num_hidden_layers": 1},
        languages=processor.languages,
        **options,
    )
    codec = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    imported = Mu2SLAMProcessor(
        Wav2Vec2FeatureExtractor(), processor.tokenizer, speech_tokenizer=codec, languages=processor.languages
    )
    folder = build_bundle(tmp_path / "bundle", model, imported, card=CARD)
    written = json.loads((folder / "processor_config.json").read_text())
    assert written["feature_extractor"]["feature_extractor_type"] == "Wav2Vec2FeatureExtractor"
    assert "auto_map" not in written["feature_extractor"]
    assert "AutoFeatureExtractor" not in json.loads((folder / "config.json").read_text())["auto_map"]
    assert push_bundle(folder, "imported", api=HubStub()).endswith("commit/1")


def test_the_model_in_memory_is_left_as_it_was(pair, tmp_path):
    model, processor = pair
    build_bundle(tmp_path / "bundle", model, processor, card=CARD, run_check=False)
    assert not hasattr(model.config, "auto_map")
    model.save_pretrained(tmp_path / "plain")
    assert not list((tmp_path / "plain").glob("*.py"))


def test_with_the_package_the_folder_loads_as_any_other(folder, pair):
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

    model = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    assert type(model) is type(pair[0]) and type(processor) is type(pair[1])
    assert type(processor.tokenizer) is type(pair[1].tokenizer)


def test_extra_files_and_codec(pair, tmp_path):
    model, processor = pair
    processor.speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    (tmp_path / "LICENSE").write_text("free")
    try:
        path = build_bundle(
            tmp_path / "b", model, processor, card=CARD, extra_files=[tmp_path / "LICENSE"], run_check=False
        )
    finally:
        processor.speech_tokenizer = None
    assert (path / "LICENSE").read_text() == "free"
    assert (path / "speech_tokenizer" / "model.safetensors").is_file()


def test_nothing_is_left_of_a_folder_that_fails(pair, tmp_path):
    with pytest.raises(BundleError, match="metadata"):
        build_bundle(tmp_path / "bundle", *pair, card="no metadata", run_check=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleError, match="already exists"):
        build_bundle(tmp_path / "bundle", *pair, card=CARD, run_check=False)


def test_what_is_no_model_to_upload_is_refused(pair, tmp_path):
    model, processor = pair
    with pytest.raises(
        BundleError, match="expected one of Mu2SLAMForConditionalGeneration, Mu2SLAMForPreTraining, .*Mu2SLAMForCTC"
    ):
        build_bundle(tmp_path / "bundle", Mu2SLAMModel(model.config), processor, card=CARD, run_check=False)
    other = make_tiny_pair()[1]
    other.languages = ["und", "de"]
    with pytest.raises(ValueError, match="does not match this model"):
        build_bundle(tmp_path / "bundle", model, other, card=CARD, run_check=False)


def damage_auto_map(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["auto_map"]["AutoProcessor"]
    (folder / "config.json").write_text(json.dumps(config))


def name_a_local_path(folder):
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, "from": str(folder)}))


DAMAGES = {
    "weights are missing": lambda folder: (folder / "model.safetensors").unlink(),
    "tokenizer.json is missing": lambda folder: (folder / "tokenizer.json").unlink(),
    "for AutoProcessor": damage_auto_map,
    "modules_segments.py is missing": lambda folder: (folder / "modules_segments.py").unlink(),
    "imports the package": lambda folder: (folder / "modules_segments.py").write_text("import mu2slam_hf.data\n"),
    "only `from .file import name`": lambda folder: (folder / "modules_segments.py").write_text("from . import x\n"),
    "does not define Mu2SLAMConfig": lambda folder: (folder / "configuration_mu2slam.py").write_text("x = 1\n"),
    "contains the local path": name_a_local_path,
    "is not valid JSON": lambda folder: (folder / "generation_config.json").write_text("{"),
    "has no 'license'": lambda folder: (folder / "README.md").write_text(CARD.replace("license", "lizenz")),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_every_fault_is_named_and_nothing_is_uploaded(folder, message):
    DAMAGES[message](folder)
    hub = HubStub()
    with pytest.raises(BundleError, match=message):
        check_bundle(folder, AUTO_MAP)
    with pytest.raises(BundleError, match=message):
        push_bundle(folder, "name", api=hub)
    assert hub.calls == []


def test_a_folder_that_is_no_bundle_is_named(tmp_path):
    for content in (None, "{}", '{"model_type": "bert"}'):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(BundleError, match="expected a folder with a model of this package"):
            push_bundle(tmp_path, "name", api=HubStub())


def test_code_is_added_to_a_folder_that_save_pretrained_has_written(pair, folder, tmp_path):
    model, processor = pair
    model.save_pretrained(tmp_path / "saved")
    with pytest.raises(BundleError, match=r"processor_config.json is missing; save the processor"):
        add_custom_code(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    for _ in range(2):  # a folder that has the code already gets it again
        assert add_custom_code(tmp_path / "saved") == AUTO_MAP
    for file in (file for file in folder.iterdir() if file.suffix in (".json", ".py")):
        assert (tmp_path / "saved" / file.name).read_bytes() == file.read_bytes(), file.name


def test_all_faults_are_named_together(folder):
    (folder / "model.safetensors").unlink()
    (folder / "README.md").unlink()
    with pytest.raises(BundleError, match=r"README.md is missing.*weights are missing"):
        check_bundle(folder, AUTO_MAP)


def test_push_makes_one_commit(folder):
    hub = HubStub()
    url = push_bundle(folder, "tiny", private=True, api=hub)
    assert url == "https://example.org/somebody/tiny/commit/1"
    assert [call[0] for call in hub.calls] == ["create_repo", "upload_folder"]
    assert hub.calls[0][2] == {"repo_type": "model", "private": True, "exist_ok": True}
    assert hub.calls[1][2]["folder_path"] == str(folder) and hub.calls[1][1] == "somebody/tiny"


def test_a_card_with_a_path_of_the_machine_is_not_uploaded(folder):
    hub = HubStub()
    (folder / "README.md").write_text(f"{CARD}\nTrained in /home/me/runs\n")
    with pytest.raises(BundleError, match="README.md has the local path '/home/me/runs'"):
        push_bundle(folder, "tiny", api=hub)
    assert hub.calls == []


def test_push_to_a_branch(folder):
    hub = HubStub()
    push_bundle(folder, "o/tiny", revision="v2", commit_message="Second try", api=hub)
    assert [call[0] for call in hub.calls] == ["create_repo", "create_branch", "upload_folder"]
    assert hub.calls[2][2]["revision"] == "v2" and hub.calls[2][2]["commit_message"] == "Second try"


def load_script():
    path = REPOSITORY_ROOT / "training_scripts" / "push_to_hub.py"
    spec = importlib.util.spec_from_file_location("push_to_hub", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_script(pair, tmp_path, monkeypatch, capsys):
    script = load_script()
    hub, (model, processor) = HubStub(), pair
    monkeypatch.setattr(bundle_module, "HfApi", lambda: hub)
    monkeypatch.setattr(bundle_module, "compare_in_bare_process", lambda *args: [])
    model.save_pretrained(tmp_path / "checkpoint")
    processor.save_pretrained(tmp_path / "checkpoint")
    facts = shutil.copy(REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml", tmp_path)
    arguments = ["--checkpoint", str(tmp_path / "checkpoint"), "--facts", facts, "--folder", str(tmp_path / "upload")]
    script.main([*arguments, "--extra-file", facts])
    assert hub.calls == [] and "complete" in capsys.readouterr().out
    assert (tmp_path / "upload" / "card_facts.yaml").is_file()
    shutil.rmtree(tmp_path / "upload")
    script.main([*arguments, "--repo-id", "organisation/tiny"])
    assert hub.calls[-1][0] == "upload_folder" and "commit/1" in capsys.readouterr().out


def test_the_script_uploads_the_class_that_was_saved_and_no_random_weights(pair, tmp_path, monkeypatch, capsys):
    script, (tiny, processor) = load_script(), pair
    monkeypatch.setattr(bundle_module, "compare_in_bare_process", lambda *args: [])
    config = MSLAMConfig(
        encoder_config=tiny.config.encoder_config.to_dict(),
        num_speech_layers=1,
        num_labels=3,
        **{key: getattr(tiny.config, key) for key in ("vocab_size", "num_speech_tokens", "text_token_offset")},
        languages=list(processor.languages),
    )
    model = MSLAMForAudioClassification(config)
    model.save_pretrained(tmp_path / "checkpoint")
    processor.save_pretrained(tmp_path / "checkpoint")
    facts = str(REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml")
    arguments = ["--checkpoint", str(tmp_path / "checkpoint"), "--facts", facts, "--folder"]
    script.main([*arguments, str(tmp_path / "upload")])
    assert json.loads((tmp_path / "upload" / "config.json").read_text())["architectures"] == [type(model).__name__]
    written = load_file(tmp_path / "upload" / "model.safetensors")
    saved = model.state_dict()
    assert set(written) == set(saved) and all(torch.equal(tensor, saved[name]) for name, tensor in written.items())
    assert "audio-classification" in (tmp_path / "upload" / "README.md").read_text(encoding="utf-8")
    del written["classifier.weight"]
    save_file(written, tmp_path / "checkpoint" / "model.safetensors", {"format": "pt"})
    with pytest.raises((ValueError, SystemExit)):
        script.main([*arguments, str(tmp_path / "second")])
    assert not (tmp_path / "second").exists()
