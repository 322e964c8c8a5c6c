# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Both stages of training, what they change and save, and the use of the result by commands and pipelines."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_speech_llm import KINDS, make_speech_model, make_text_model, make_text_tokenizer, save_base
from training_runs import QUIET_CPU, SCRIPTS, TWO_PROCESSES, make_launcher
from transformers import AutoModelForMultimodalLM, AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

from mu2slam_hf import TranscriptionOptions, load_any_checkpoint, transcribe_recordings
from mu2slam_hf.checkpoints.folders import load_processor
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli import main
from mu2slam_hf.data.tones import TONE_WORDS, write_tone_corpus
from mu2slam_hf.hub.bundle import build_bundle
from mu2slam_hf.recipes.runs.registry import build_run, load_recipes, load_runs
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.serving.served_models import load_models

RECIPE = "speech_llm/tiny_test"


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=6, languages=("en", "fr"))


@pytest.fixture(scope="module", params=KINDS)
def base(request, tmp_path_factory) -> str:
    return save_base(tmp_path_factory.mktemp("base"), request.param)


@pytest.fixture
def train(tones, base, monkeypatch):
    """Runs of the tiny recipe, with the last trainer."""
    monkeypatch.setenv("MU2SLAM_TINY", str(tones.parent))
    monkeypatch.setenv("MU2SLAM_BASE", base)

    def start(folder: Path, *overrides: str) -> Path:
        for run in load_runs(RECIPE, [*QUIET_CPU, f"output.dir={folder}", *overrides]):
            run.run()
        return folder / "final"

    return start


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_stages_change_and_save_adapter_and_lora_alone(train, base, tmp_path):
    twenty = ("training.max_steps=20", "training.eval_steps=0", "training.save_steps=20")
    final = train(tmp_path / "run", *twenty)
    first, second = weights_of(tmp_path / "run" / "1_adapter" / "final"), weights_of(final)
    assert all(".audio_adapter." in name for name in first)
    assert all(".audio_adapter." in name or "lora_" in name for name in second)
    assert any("lora_" in name for name in second)
    for name in first:
        assert not torch.equal(first[name], second[name]), f"{name} is not trained in the second stage"
    before, after = (load_any_checkpoint(str(folder))[0] for folder in (base, final))
    trained = {
        name.replace(".base_layer.", ".").replace(".modules_to_save.default.", "."): tensor
        for name, tensor in after.state_dict().items()
        if ".original_module." not in name and "lora_" not in name
    }
    assert trained.keys() == before.state_dict().keys()
    for name, tensor in before.state_dict().items():
        assert torch.equal(trained[name], tensor) == (not name.startswith("audio_adapter.")), name
    # Without LoRA the text model is what it was, bit for bit.
    after.set_adapter("__base__")
    ids = torch.tensor([[5, 6, 7]])
    decoder = {"decoder_input_ids": ids} if before.config.is_encoder_decoder else {}
    inputs = {"input_ids": ids, **decoder}
    assert torch.equal(before(**inputs).logits, after.language_model(**inputs).logits)


def test_the_result_is_what_was_trained(train, tmp_path):
    run = None
    for run in load_runs(RECIPE, [*QUIET_CPU, f"output.dir={tmp_path}", "evaluation.corpora={}"]):
        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)
    batch = trainer.data_collator([trainer.train_dataset[key] for key in next(iter(trainer.tracked_sampler.sampler))])
    expected = trainer.objective.forward(trainer.model.eval(), batch, 0).logits
    loaded, loaded_processor = load_any_checkpoint(str(tmp_path / "final"))
    assert type(loaded_processor) is type(processor)
    actual = trainer.objective.forward(loaded, batch, 0).logits
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("base", ["mt5"], indirect=True)
def test_activations_that_are_recomputed_change_nothing(train, tmp_path):
    one_stage = ("stages=[]", "training.eval_steps=0", "lora={r: 2, lora_alpha: 4}")
    plain = weights_of(train(tmp_path / "plain", *one_stage))
    recomputed = weights_of(train(tmp_path / "recomputed", *one_stage, "training.activation_checkpointing=true"))
    for name, tensor in plain.items():
        torch.testing.assert_close(recomputed[name], tensor, rtol=0, atol=1e-6)


@pytest.mark.parametrize("base", ["mt5"], indirect=True)
def test_a_text_model_in_bfloat16(train, tmp_path):
    """What is trained stays in float32; the log has the weights of the layers."""
    values = ("stages=[]", "training.eval_steps=0", "lora={r: 2, lora_alpha: 4}", "training.max_steps=2")
    final = train(tmp_path, *values, "model.language_model_dtype=bfloat16")
    assert {tensor.dtype for tensor in weights_of(final).values()} == {torch.float32}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    weights = [line["layer_weight_3"] for line in lines if "loss" in line]
    assert weights and weights[-1] != 1.0
    assert not any(key.startswith("layer_weight") for line in lines if "loss" not in line for key in line)


def test_a_run_resumes_bit_by_bit(train, tmp_path):
    """The second stage is stopped half-way."""
    whole = weights_of(train(tmp_path / "whole"))
    stopped = tmp_path / "stopped"
    train(stopped)
    shutil.rmtree(stopped / "final")
    newest = stopped / "2_adapter_and_lora" / "checkpoint-4"
    shutil.rmtree(newest)
    resumed = weights_of(train(stopped))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name


@pytest.mark.parametrize("base", ["mt5"], indirect=True)
def test_a_stage_continues_lora_and_refuses_another_one(train, base, tmp_path, monkeypatch):
    first = train(tmp_path / "first")
    monkeypatch.setenv("MU2SLAM_BASE", str(first))
    one_stage = ("stages=[]", "training.eval_steps=0")
    with pytest.raises(RecipeError, match=r"lora\.r: .* has LoRA with 2, got 4"):
        train(tmp_path / "other", *one_stage, "lora={r: 4, lora_alpha: 4}")
    with pytest.raises(RecipeError, match=r"lora\.r: .* has LoRA with 2"):
        train(tmp_path / "without", *one_stage)
    still = ("lora={r: 2, lora_alpha: 4}", "optim.learning_rate=0.0", "training.max_steps=1", "training.save_steps=1")
    again = weights_of(train(tmp_path / "again", *one_stage, *still))
    for name, tensor in weights_of(first).items():
        assert torch.equal(again[name], tensor), name
    assert json.loads((tmp_path / "again" / "final" / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ] == str(Path(base).resolve())


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_lora_on_the_encoder_and_data_in_unknown_languages_are_refused(train, tmp_path):
    with pytest.raises(RecipeError, match=r"also matches encoder\..*q_proj.*stays frozen"):
        train(tmp_path, "stages=[]", "lora={target_modules: [q_proj]}")
    with pytest.raises(RecipeError, match="undetermined_source_ratio: must be 0"):
        train(tmp_path, "data.undetermined_source_ratio=0.3")
    with pytest.raises(RecipeError, match=r"data\.languages: .*does not support language 'ca'"):
        train(tmp_path, "data.languages=[en, ca]")
    with pytest.raises(RecipeError, match="does not name the language to write"):
        train(tmp_path, "prompts.training.ast=[Translate]")


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_the_base_must_stay_what_it_was(train, base, tmp_path, monkeypatch):
    copy = tmp_path / "base"
    shutil.copytree(base, copy)
    monkeypatch.setenv("MU2SLAM_BASE", str(copy))
    final = train(tmp_path / "run", "stages=[]", "training.eval_steps=0")
    model, _ = load_any_checkpoint(str(copy))
    model.language_model.lm_head.weight.data += 1
    model.language_model.model.layers[0].mlp.up_proj.weight.data += 1
    model.save_pretrained(copy)
    with pytest.raises(ValueError, match="trained on another model: the weights of its language_model differ"):
        load_any_checkpoint(str(final))
    shutil.rmtree(copy)
    with pytest.raises(ValueError, match="the model of these adapters cannot be loaded.*no such folder"):
        load_any_checkpoint(str(final))


@pytest.mark.slow
@pytest.mark.parametrize("base", ["mt5"], indirect=True)
def test_two_processes_equal_one(train, tones, base, tmp_path):
    start = make_launcher("train_speech_llm.py", Path(RECIPE), tones)
    shares = ("data.tasks.asr.share=2", "stages=[]", "training.eval_steps=0", "training.gradient_accumulation_steps=2")
    start(tmp_path / "one", *shares)
    start(tmp_path / "two", *shares[:-1], launcher=TWO_PROCESSES)
    one, two = weights_of(tmp_path / "one" / "final"), weights_of(tmp_path / "two" / "final")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_the_script_takes_recipes(train, tmp_path):
    from runpy import run_path

    script = run_path(str(SCRIPTS / "train_speech_llm.py"))
    script["main"](["--recipe", RECIPE, "--set", f"output.dir={tmp_path}", "--set", "training.max_steps=2"])
    assert (tmp_path / "final" / "adapter_model.safetensors").is_file()


def test_zero_resource_languages_are_in_no_pair_of_the_recipe(tmp_path, monkeypatch):
    """A corpus with all languages of the paper gives pairs in those of the recipe alone."""
    languages = ("en", "de", "es", "fr", "it", "pt", "ca", "nl")
    monkeypatch.setattr("mu2slam_hf.data.tones.TONE_WORDS", dict.fromkeys(languages, TONE_WORDS["en"]))
    monkeypatch.setenv("MU2SLAM_BASE", save_base(tmp_path / "base", languages=languages))
    tones = write_tone_corpus(tmp_path / "tones", num_sentences=2, languages=languages)
    corpus = f"{{name: null, root: null, manifest: {tones}}}"
    overrides = [*(f"data.corpora.{name}={corpus}" for name in ("covost2", "europarl")), *QUIET_CPU]
    monkeypatch.setenv("MU2SLAM_CORPORA", str(tmp_path))
    for recipe in load_recipes("speech_llm/zero_resource", [*overrides, f"output.dir={tmp_path / 'run'}"]):
        recipe.model.init_from = str(tmp_path / "base")
        run = build_run(recipe)
        data = run.load_data()
        processor = run.build_processor(data)
        trainer = run.build_trainer(processor, run.build_model(processor, data), data)
        examples = trainer.train_dataset.examples
        spoken = Counter(example.source_lang for example in examples)
        written = Counter(target.lang for example in examples for target in example.targets)
        assert set(spoken) == set(written) == {"en", "de", "es", "fr", "it", "pt"}


@pytest.mark.parametrize("base", ["llama"], indirect=True)
def test_the_whole_model_of_a_run(train, tmp_path):
    """`merged/` has LoRA in the text model and the trained adapter; it is uploaded like any other model."""
    final = train(tmp_path / "run", "merge=true", "training.eval_steps=0")
    merged, processor = load_any_checkpoint(str(final / "merged"))
    adapted, _ = load_any_checkpoint(str(final))
    inputs = processor(torch.ones(8000) * 0.1, task="asr", source_lang="en")
    torch.testing.assert_close(merged(**inputs).logits, adapted(**inputs).logits, rtol=0, atol=1e-5)
    card = "---\nlanguage: en\nlibrary_name: transformers\nlicense: mit\n"
    card += "pipeline_tag: automatic-speech-recognition\n---\n"
    assert (build_bundle(tmp_path / "bundle", merged, processor, card=card) / "modeling_speech_llm.py").is_file()


# ---- use ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(base, tones, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    values = [f"model.init_from={base}", *(f"{part}.manifest={tones}" for part in ("data.corpora.train",))]
    values += [f"evaluation.corpora.dev.manifest={tones}", f"output.dir={folder}", "training.eval_steps=0", *QUIET_CPU]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MU2SLAM_BASE", base)
        patch.setenv("MU2SLAM_TINY", str(tones.parent))
        for run in load_runs(RECIPE, values):
            run.run()
    return folder / "final"


def test_commands_and_pipelines(trained, tones, tmp_path):
    recording = str(sorted(tones.parent.rglob("*.wav"))[0])
    options = ["--model", str(trained), "--source-lang", "en", "-o", str(tmp_path), "--output-format", "json"]
    assert main(["transcribe", recording, *options, "--target-lang", "fr"]) == 0
    transcript = json.loads(next(tmp_path.glob("*.json")).read_text())
    recognizer = pipeline("automatic-speech-recognition", model=str(trained))
    shared = {"source_lang": "en"}
    assert recognizer(recording, generate_kwargs=shared)["text"] == transcript["text"]
    translated = recognizer(recording, generate_kwargs={**shared, "target_lang": "fr"})["text"]
    # What has no transcript has no translation.
    expected = [translated] if transcript["text"] else []
    assert [segment["translations"]["fr"] for segment in transcript["segments"]] == expected
    with pytest.raises(ValueError, match="requires source_lang=: the prompt names the language"):
        recognizer(recording)
    with pytest.raises(ValueError, match="has no CTC head, from which words get their times.*mu2slam align"):
        recognizer(recording, generate_kwargs=shared, return_timestamps="word")
    (chunk,) = recognizer(recording, generate_kwargs=shared, return_timestamps=True)["chunks"] or [{"timestamp": (0,)}]
    assert chunk["timestamp"][0] == 0
    assert main(["align", recording, "a b", "--model", str(trained)]) == 1
    writer = pipeline("any-to-any", model=str(trained))
    audio = np.zeros(8000, dtype=np.float32)
    answer = writer(text="Transcribe:", audio=audio, return_full_text=False, max_new_tokens=4)[0]["generated_text"]
    model, processor = load_any_checkpoint(str(trained))
    inputs = processor(audio, text="Transcribe:", sampling_rate=16000)
    ids = model.generate(**inputs, max_new_tokens=4)
    assert answer == processor.batch_decode(ids, skip_special_tokens=True)[0]


def test_evaluation(trained, tones, base, tmp_path):
    results = tmp_path / "scores.json"
    shared = ["--manifest", str(tones), "--results", str(results), "--max-new-tokens", "4"]
    groups = ["--group", "seen=en", "--group", "unseen=fr", "--language-accuracy"]
    assert main(["evaluate", *shared, "--tasks", "asr", "ast", "--model", str(trained), *groups]) == 0
    content = json.loads(results.read_text())
    scores = {(item["task"], item["metric"], item["source_lang"], item["group"]): item for item in content["scores"]}
    for task, metric in (("asr", "wer"), ("ast", "bleu"), ("asr", "language_accuracy")):
        for group in ("seen", "unseen"):
            assert scores[task, metric, "mean", f"{group} languages"]["num_items"] == 1
    for matrix in content["output_languages"].values():
        assert set(matrix["references"]) == {"en", "fr"} and sum(map(sum, matrix["counts"])) == 12
    assert main(["evaluate", *shared, "--tasks", "mt", "--model", base]) == 0


def test_the_server(trained, tones):
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from fastapi.testclient import TestClient

    from mu2slam_hf.serving.app import ServingApp

    recording = sorted(tones.parent.rglob("*.wav"))[0]
    models = load_models({"llm": ModelChoice(name=str(trained))}, TranscriptionOptions())
    with TestClient(ServingApp(models).app) as client:

        def ask(**data):
            files = {"file": (recording.name, recording.read_bytes())}
            return client.post("/v1/audio/transcriptions", files=files, data={"model": "llm", **data})

        answer = ask(language="en")
        assert answer.status_code == 200, answer.text
        (transcript,) = transcribe_recordings(
            *load_any_checkpoint(str(trained)), [recording], TranscriptionOptions(source_lang="en")
        )
        assert answer.json()["text"] == transcript.text
        refused = ask()
        assert refused.status_code == 400 and "language: is required" in refused.text


def test_auto_classes_load_the_folder_of_adapters(trained):
    for auto_class in (AutoModelForSpeechSeq2Seq, AutoModelForMultimodalLM):
        model = auto_class.from_pretrained(trained)
        assert type(model).__name__ == "SpeechLLMForConditionalGeneration"
    assert type(AutoProcessor.from_pretrained(trained)) is type(load_processor(str(trained)))


def test_init_writes_a_base(tmp_path, capsys):
    speech, extractor = make_speech_model("w2v_bert")
    speech.save_pretrained(tmp_path / "speech")
    for kind in KINDS:
        make_text_model(kind).save_pretrained(tmp_path / kind)
        make_text_tokenizer(kind).save_pretrained(tmp_path / kind)
        options = ["--speech-model", str(tmp_path / "speech"), "--language-model", str(tmp_path / kind)]
        options += ["--table-languages", "en,ca", "--adapter-stride", "4", "--output-dir", str(tmp_path / f"b_{kind}")]
        assert main(["init", *options]) == 0
        assert "12.5 audio embeddings per second" in capsys.readouterr().out
        model, processor = load_any_checkpoint(str(tmp_path / f"b_{kind}"))
        assert processor.languages == ["und", "en", "ca"]
        source = make_text_model(kind).state_dict()
        for name, tensor in model.language_model.state_dict().items():
            assert torch.equal(tensor, source[name]), name
