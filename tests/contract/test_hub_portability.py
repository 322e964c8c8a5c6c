# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An upload folder works where this package is not installed: in a bare process, with the same numbers."""

import ast
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from document_blocks import make_program, read_blocks
from helpers import REPOSITORY_ROOT, make_tiny_pair, run_python
from tiny_speech_llm import make_speech_llm

from mu2slam_hf import (
    MaestroForPreTraining,
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForPreTraining,
    MSLAMForRNNT,
    MSLAMForSequenceClassification,
    Mu2SLAMCTCTokenizer,
    Mu2SLAMForAudioClassification,
    Mu2SLAMForCTC,
    Mu2SLAMForPreTraining,
    Mu2SLAMProcessor,
    Mu2SLAMTransducerTokenizer,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
    TranscriptionOptions,
    default_checkpoint,
    load_default,
    transcribe_recordings,
)
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.hub import bundle as bundle_module
from mu2slam_hf.hub.bundle import build_bundle
from mu2slam_hf.hub.bundle_check import WITHOUT_PACKAGE, BundleError, compare_in_bare_process
from mu2slam_hf.hub.cards import card_template, load_card_facts, render_card
from mu2slam_hf.hub.release import Release, make_release

CARD = "---\nlanguage: en\nlibrary_name: transformers\nlicense: mit\npipeline_tag: automatic-speech-recognition\n---\n"
MODELS = REPOSITORY_ROOT / "mu2slam_hf" / "models"


@pytest.fixture(scope="module")
def pair():
    model, processor = make_tiny_pair()
    processor.speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    return model, processor


@pytest.fixture(scope="module")
def folder(pair, tmp_path_factory):
    return build_bundle(tmp_path_factory.mktemp("upload") / "mu2slam", *pair, card=CARD, run_check=False)


def run_without_package(code, folder, home):
    """Runs code with the folder as its argument, with modules cached in `home`, in a process without this package."""
    return run_python(f"{WITHOUT_PACKAGE}{code}", str(folder), HF_HOME=str(home))


def run_code_of_card(model, model_type, folder, home):
    """Runs what the card of a model shows for processes without this package, where it must give a text."""
    described = {"model": model, "model_type": MODEL_TYPES[model_type], "has_code": True}
    card = render_card(card_template(), load_card_facts(REPOSITORY_ROOT / "model_cards" / "default.yaml"), **described)
    *_, block = (block for block in read_blocks("README.md", card) if block.language == "python")
    done = run_without_package(make_program(block.text, folder), folder, home)
    (text,) = ast.literal_eval(done.stdout.splitlines()[-1])
    assert isinstance(text, str)


def test_encoder_decoder_in_a_bare_process(folder, pair, tmp_path):
    # Moved first: nothing may point to where it was made.
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert compare_in_bare_process(moved, *pair) == [
        "Mu2SLAMForConditionalGeneration",
        "Mu2SLAMProcessor",
        "Mu2SLAMTokenizer",
        "Mu2SLAMFeatureExtractor",
        "Mu2SLAMConfig",
    ]


def test_ctc_model_in_a_bare_process(pair, tmp_path):
    model, processor = pair
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
    ctc_processor = Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages)
    path = build_bundle(tmp_path / "ctc", ctc, ctc_processor, card=CARD, run_check=False)
    run_code_of_card(ctc, "mu2slam_ctc", path, home=tmp_path / "home")
    names = compare_in_bare_process(path, ctc, ctc_processor)
    assert names[0] == "Mu2SLAMForCTC" and names[2] == "Mu2SLAMCTCTokenizer" and names[4] == "Mu2SLAMCTCConfig"


def test_a_card_says_how_its_folder_loads(folder, pair):
    run_code_of_card(pair[0], "mu2slam", folder, home=folder.parent / "home")


def test_classifier_of_languages_in_a_bare_process(folder, pair, tmp_path):
    """Its own folder; and the folder of an encoder-decoder, for whoever asks for a classifier."""
    model, processor = Mu2SLAMForAudioClassification.from_conditional_generation(pair[0]), pair[1]
    path = build_bundle(tmp_path / "classifier", model, processor, card=CARD, run_check=False)
    assert compare_in_bare_process(path, model, processor)[0] == "Mu2SLAMForAudioClassification"
    done = run_without_package(
        """
import numpy as np
from transformers import pipeline
classifier = pipeline("audio-classification", model=sys.argv[1], trust_remote_code=True, device="cpu")
print(*sorted(one["label"] for one in classifier(np.sin(np.arange(8000) * 0.1).astype(np.float32))))
""",
        folder,
        home=folder.parent / "home",
    )
    assert done.stdout.split() == ["en", "es", "fr", "it", "ru"]


def test_pre_training_model_in_a_bare_process(pair, tmp_path):
    """It trains on there; and the same folder is a model that transcribes, for whoever asks for one."""
    model = Mu2SLAMForPreTraining(pair[0].config)
    path = build_bundle(tmp_path / "pretraining", model, pair[1], card=CARD, run_check=False)
    assert compare_in_bare_process(path, model, pair[1])[0] == "Mu2SLAMForPreTraining"
    done = run_without_package(
        """
from transformers import AutoModelForPreTraining, AutoModelForSpeechSeq2Seq
model = AutoModelForPreTraining.from_pretrained(sys.argv[1], trust_remote_code=True)
outputs = model(**model.dummy_inputs)
outputs.loss.backward()
assert all(parameter.grad is not None for parameter in model.parameters())
_, info = AutoModelForSpeechSeq2Seq.from_pretrained(sys.argv[1], trust_remote_code=True, output_loading_info=True)
print(*sorted(outputs.named_losses()), len(info["missing_keys"]), len(info["unexpected_keys"]))
""",
        path,
        home=tmp_path / "home",
    )
    assert done.stdout.split() == ["asr_decoder", "asr_mlm", "ctc", "language", "0", "0"]


@pytest.mark.parametrize(
    "model_class",
    [
        MSLAMForPreTraining,
        MSLAMForSequenceClassification,
        MSLAMForAudioClassification,
        MSLAMForCTC,
        MaestroForPreTraining,
        MSLAMForRNNT,
    ],
)
def test_mslam_in_a_bare_process(model_class, pair, tmp_path):
    processor = pair[1]
    options = {name: getattr(pair[0].config, name) for name in ("encoder_config", "vocab_size", "num_speech_tokens")}
    options |= {"text_token_offset": pair[0].config.text_token_offset, "languages": processor.languages}
    if model_class is MaestroForPreTraining:
        options |= {"transducer_config": {"hidden_size": 8, "joint_size": 8}, "alignment_ema_decay": 0.9}
        options |= {f"{part}_config": {"num_hidden_layers": 1} for part in ("text_encoder", "refiner")}
    model = model_class(model_class.config_class(**options, num_speech_layers=1, codevector_dim=8))
    tokenizers = {MSLAMForCTC: Mu2SLAMCTCTokenizer, MSLAMForRNNT: Mu2SLAMTransducerTokenizer}
    if model_class in tokenizers:
        tokenizer = tokenizers[model_class].from_backend(processor.tokenizer.backend_tokenizer)
        processor = Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages)
    path = build_bundle(tmp_path / "mslam", model, processor, card=CARD, run_check=False)
    assert compare_in_bare_process(path, model, processor)[0] == model_class.__name__


def test_other_weights_are_noticed(folder, pair, tmp_path):
    other = make_tiny_pair(seed=1)
    with pytest.raises(BundleError, match="outputs differ"):
        compare_in_bare_process(folder, other[0], pair[1])


def test_the_stock_pipeline_in_a_bare_process_reads_arrays(folder):
    done = run_without_package(
        """
import numpy as np
from transformers import pipeline
recognizer = pipeline("automatic-speech-recognition", model=sys.argv[1], trust_remote_code=True, device="cpu")
assert recognizer.type == "seq2seq", recognizer.type
clips = [np.sin(np.arange(n) * 0.1).astype(np.float32) for n in (8000, 16000)]
results = recognizer(clips, batch_size=2, generate_kwargs={"target_lang": "fr", "max_new_tokens": 4, "num_beams": 1})
print([type(result["text"]).__name__ for result in results])
""",
        folder,
        home=folder.parent / "home",
    )
    assert done.stdout.splitlines()[-1] == "['str', 'str']"


def test_the_release_of_the_shipped_checkpoint_recognises_speech_in_a_bare_process(tmp_path, monkeypatch):
    """The folder that `mu2slam publish` uploads, in the stock pipeline: the text of the package."""
    if not (Path(default_checkpoint()) / "config.json").is_file():
        pytest.skip("the shipped checkpoint is not in this working tree")
    monkeypatch.setattr(bundle_module, "compare_in_bare_process", lambda *args: [])  # compared here
    make_release(Release(model="default"), tmp_path / "release")
    waveform = load_audio(REPOSITORY_ROOT / "examples/it/vm-leavemsg.opus")
    (expected,) = transcribe_recordings(*load_default(), [waveform], TranscriptionOptions(source_lang="it"))
    np.save(tmp_path / "release.npy", waveform)
    done = run_without_package(
        """
import numpy as np
from transformers import pipeline
recognizer = pipeline("automatic-speech-recognition", model=sys.argv[1], trust_remote_code=True, device="cpu")
print(recognizer(np.load(sys.argv[1] + ".npy"), generate_kwargs={"source_lang": "it"})["text"])
""",
        tmp_path / "release",
        home=tmp_path / "home",
    )
    assert done.stdout.splitlines()[-1] == expected.text != ""


def test_remote_code_beside_the_package(folder):
    """With the package imported, local classes win for everything but the tokenizer; outputs are the same."""
    run_python(
        """
import sys, torch
import mu2slam_hf
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
model = AutoModelForSpeechSeq2Seq.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
inputs = processor(audio=torch.zeros(9000).numpy(), sampling_rate=16000, text="ab", source_lang="en")
print(model(**inputs).loss.item())
""",
        str(folder),
        HF_HOME=str(folder.parent / "home"),
    )


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.py")), ids=lambda path: path.name)
def test_every_file_of_the_folder_can_be_uploaded(path):
    """The scanner of transformers is a pattern that reads docstrings too; what it cannot follow must not be there."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*(from\s+\.\s+import|from\s+\.\.|import\s+\.|from\s+\.\w+\.)", text, flags=re.MULTILINE)
    for name in re.findall(r"^\s*from\s+\.(\S+)\s+import", text, flags=re.MULTILINE):
        assert (MODELS / f"{name}.py").is_file(), f"{path.name} imports .{name}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__", f"{path.name}: postponed annotations switch off @strict"
            assert node.level or (node.module or "").split(".")[0] != "mu2slam_hf", path.name
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "mu2slam_hf" for alias in node.names), path.name


ALLOWED = {"torch", "transformers", "tokenizers", "numpy", "huggingface_hub", "safetensors"}
OPTIONAL = {"av", "langcodes", "silero_vad", "soundfile", "soxr"}


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.py")), ids=lambda path: path.name)
def test_no_file_of_the_folder_demands_more_than_transformers_does(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        name for node in ast.walk(tree) if isinstance(node, ast.Try) for part in node.body for name in _imported(part)
    }
    for node in ast.walk(tree):
        for name in _imported(node):
            if name in guarded:
                assert name in OPTIONAL | ALLOWED | set(sys.stdlib_module_names), f"{path.name} imports {name}"
            else:
                assert name in ALLOWED | set(sys.stdlib_module_names), f"{path.name} imports {name} without try"


def _imported(node: ast.AST) -> list[str]:
    """Top-level names of absolute imports in one statement."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [(node.module or "").split(".")[0]]
    return []


def test_a_speech_encoder_with_a_text_model_in_a_bare_process(tmp_path):
    """Encoder and tokenizer are those of transformers; model and processor are custom code."""
    model, processor = make_speech_llm("mt5", "whisper")
    path = build_bundle(tmp_path / "llm", model, processor, card=CARD, run_check=False)
    assert compare_in_bare_process(path, model, processor)[:2] == [
        "SpeechLLMForConditionalGeneration",
        "SpeechLLMProcessor",
    ]
