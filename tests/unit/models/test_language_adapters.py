# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Adapters of several languages in one model: each gives the outputs of its own model, and none those of the base."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from helpers import save_tiny_checkpoint
from transformers import AutoModelForSpeechSeq2Seq, pipeline

from mu2slam_hf import Mu2SLAMForConditionalGeneration, Mu2SLAMForCTC, Mu2SLAMProcessor
from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli import main
from mu2slam_hf.growth.languages import grow_model, grow_processor
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.models.modules_adapter_growth import GROWTH_FILE
from mu2slam_hf.models.modules_language_adapters import BASE_ADAPTER
from mu2slam_hf.recipes.runs.models import add_adapters
from mu2slam_hf.recipes.schema.sections import LoraSection
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.scheduler import RecognitionScheduler, RecognitionTask
from mu2slam_hf.serving.served_models import load_models

# Both have open o, with different rows; qaa-x-two has more characters, and no other language in common.
CHARACTERS = {"mdw": "\u0254\u025b", "qaa-x-two": "\u0254\u014b\u0272"}
LORA = LoraSection(r=2, target_modules=["q_proj", "v_proj"])
WAVE = np.random.default_rng(0).normal(size=24000).astype(np.float32) * 0.1
OUTPUTS = ("logits", "ctc_logits", "language_logits")


def train_adapter(base: str, folder: Path, code: str | None, seed: int) -> Path:
    """A folder of adapters with random weights, as a run leaves it; the merged model is in `merged`."""
    processor = Mu2SLAMProcessor.from_pretrained(base)
    model = Mu2SLAMForConditionalGeneration.from_pretrained(base).eval()
    growths = []
    if code is not None:
        growths = [grow_processor(processor, code, characters=[CHARACTERS[code]])]
        grow_model(model, growths[0])
    adapted = add_adapters(LORA, model, processor, growths=growths, languages=[code or "es"])
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, values in adapted.named_parameters():
            if "lora_" in name:
                values.normal_(std=0.3)
            elif values.requires_grad:
                first = adapted._first(name.removeprefix("base_model.model.").removeprefix("model."))
                values[first:] += torch.randn_like(values[first:])
                if name.endswith(".bias"):
                    values[first:] += 6.0
    adapted.save_pretrained(folder)
    processor.save_pretrained(folder)
    adapted.merge_and_unload().save_pretrained(folder / "merged")
    processor.save_pretrained(folder / "merged")
    return folder


@pytest.fixture(scope="module", params=["tied", "untied"])
def folders(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    base = save_tiny_checkpoint(folder / "base")
    if request.param == "untied":
        model = Mu2SLAMForConditionalGeneration.from_pretrained(base)
        model.config.tie_word_embeddings = False
        torch.manual_seed(1)
        Mu2SLAMForConditionalGeneration(model.config).save_pretrained(base)
    for seed, code in enumerate((*CHARACTERS, None)):
        train_adapter(base, folder / str(code), code, seed)
    return folder


def load_all(folders, order=("qaa-x-two", "mdw", "None")):
    model = Mu2SLAMForConditionalGeneration.from_pretrained(folders / "base").eval()
    processor = Mu2SLAMProcessor.from_pretrained(folders / "base")
    for name in order:
        model.load_adapter(str(folders / name), name)
        processor.load_adapter(folders / name)
    return model, processor


def load_one(folder):
    return Mu2SLAMForConditionalGeneration.from_pretrained(folder).eval(), Mu2SLAMProcessor.from_pretrained(folder)


def speech(size: int = 2):
    generator = torch.Generator().manual_seed(0)
    return {
        "input_features": torch.randn(size, 120, 80, generator=generator),
        "attention_mask": torch.ones(size, 120).long(),
    }


def map_ids(own: Mu2SLAMProcessor, union: Mu2SLAMProcessor) -> list[int]:
    """Ids in the common vocabulary of the tokens of one adapter."""
    return union.tokenizer.convert_tokens_to_ids(own.tokenizer.convert_ids_to_tokens(list(range(len(own.tokenizer)))))


@torch.no_grad()
@pytest.mark.parametrize("merged", [False, True], ids=["unmerged", "merged"])
@pytest.mark.parametrize("name", ["mdw", "qaa-x-two", "None"])
def test_each_adapter_gives_the_outputs_of_its_own_model(folders, name, merged):
    model, processor = load_all(folders)
    processor.check_config(model.config)
    own, own_processor = load_one(folders / name / "merged" if merged else folders / name)
    ids = map_ids(own_processor, processor)
    rows = [processor.languages.index(code) for code in own_processor.languages]
    text = torch.tensor([[*range(90, 100), len(own_processor.tokenizer) - 1]]).expand(2, -1)
    lang = name if name in CHARACTERS else "es"
    with model.use_adapter(name):
        actual = model(
            **speech(),
            language_ids=torch.tensor([processor.language_row(lang)] * 2),
            decoder_language_ids=torch.tensor([processor.language_row(lang)] * 2),
            decoder_input_ids=torch.tensor(ids)[text],
        )
    expected = own(
        **speech(),
        language_ids=torch.tensor([own_processor.language_row(lang)] * 2),
        decoder_language_ids=torch.tensor([own_processor.language_row(lang)] * 2),
        decoder_input_ids=text,
    )
    for output in OUTPUTS:
        places = rows if output == "language_logits" else ids
        torch.testing.assert_close(
            getattr(actual, output)[..., places], getattr(expected, output), rtol=1e-5, atol=1e-5
        )


@torch.no_grad()
def test_without_an_adapter_the_outputs_are_those_of_the_base_to_the_bit(folders):
    base, _ = load_one(folders / "base")
    model, processor = load_all(folders)
    model.set_adapter("mdw")
    model.set_adapter(BASE_ADAPTER)
    decoder = {"decoder_input_ids": torch.arange(90, 104).reshape(2, 7)}
    expected, actual = base(**speech(), **decoder), model(**speech(), **decoder)
    for output in (*OUTPUTS, "encoder_last_hidden_state"):
        old = getattr(expected, output)
        assert torch.equal(getattr(actual, output)[..., : old.shape[-1]], old), output
    assert (actual.logits[..., base.config.vocab_size :] < -9000).all()
    for options in ({}, {"source_lang": "es"}, {"source_lang": "es", "num_beams": 3, "ctc_weight": 0.5}):
        expected = base.generate(**speech(), **options, max_new_tokens=12)
        assert torch.equal(model.generate(**speech(), **options, max_new_tokens=12), expected)
        named = model.generate(**speech(), **options, max_new_tokens=12, adapter_names=BASE_ADAPTER)
        assert torch.equal(named, expected)


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3, "ctc_weight": 0.5}, {"num_beams": 2, "num_return_sequences": 2}]
)
def test_items_of_one_batch_use_different_adapters(folders, options):
    """Each row is what its own model writes; the language is not given in the last one."""
    model, processor = load_all(folders)
    names = ["mdw", None, "qaa-x-two", "mdw", "None"]
    langs = ["mdw", "es", "qaa-x-two", "mdw", "es"]
    batch = speech(5)
    ids = model.generate(**batch, source_lang=langs, adapter_names=names, max_new_tokens=10, **options)
    assert model.adapter_in_use == "None"
    num = options.get("num_return_sequences", 1)
    texts = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    new = 0
    for row, (name, lang) in enumerate(zip(names, langs, strict=True)):
        own, own_processor = load_one(folders / ("base" if name is None else name))
        one = {key: value[row : row + 1] for key, value in batch.items()}
        expected = own.generate(**one, source_lang=lang, max_new_tokens=10, **options)
        expected = own_processor.tokenizer.batch_decode(expected, skip_special_tokens=True)
        assert texts[row * num : (row + 1) * num] == expected
        new += sum(any(char in text for char in "".join(CHARACTERS.values())) for text in expected)
    assert new


def test_a_recording_is_transcribed_by_the_adapter_of_the_request(folders):
    model, processor = load_all(folders)
    model.set_adapter(BASE_ADAPTER)
    recognizer = pipeline("automatic-speech-recognition", model=str(folders / "base"), device="cpu")
    for name in ("mdw", "qaa-x-two"):
        recognizer.load_adapter(str(folders / name), name)
    base = pipeline("automatic-speech-recognition", model=str(folders / "base"), device="cpu")
    settings = {"max_new_tokens": 8, "num_beams": 1}
    found = set()
    for name in ("mdw", "qaa-x-two", "mdw"):
        own, own_processor = load_one(folders / name)
        options = TranscriptionOptions(source_lang=name, generate_kwargs=settings)
        expected = next(transcribe_recordings(own, own_processor, [WAVE], options)).text
        options = TranscriptionOptions(source_lang=name, adapter_name=name, generate_kwargs=settings)
        assert next(transcribe_recordings(model, processor, [WAVE], options)).text == expected
        request = {"generate_kwargs": {"adapter_names": name, "language": name, **settings}}
        assert recognizer(WAVE, **request)["text"] == expected
        found.add(expected)
        assert recognizer(WAVE, generate_kwargs=settings) == base(WAVE, generate_kwargs=settings)
    assert len(found) == 2 and all(found)


@torch.no_grad()
def test_saved_from_the_common_model_an_adapter_is_the_same(folders, tmp_path):
    model, _ = load_all(folders)
    model.set_adapter("mdw")
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / GROWTH_FILE).read_text()) == json.loads((folders / "mdw" / GROWTH_FILE).read_text())
    again = AutoModelForSpeechSeq2Seq.from_pretrained(folders / "base").eval()
    again.load_adapter(str(tmp_path), "again")
    own, processor = load_one(folders / "mdw")
    assert again.config.languages == own.config.languages and again.config.vocab_size == len(processor.tokenizer)
    decoder = {"decoder_input_ids": torch.arange(90, 104).reshape(2, 7)}
    expected, actual = own(**speech(), **decoder), again(**speech(), **decoder)
    for output in OUTPUTS:
        torch.testing.assert_close(getattr(actual, output), getattr(expected, output), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_ctc_model_of_a_folder_of_adapters(folders):
    own, _ = load_one(folders / "mdw" / "merged")
    ctc = Mu2SLAMForCTC.from_pretrained(folders / "mdw").eval()
    expected = own(**speech(), decoder_input_ids=torch.ones(2, 1).long()).ctc_logits
    torch.testing.assert_close(ctc(**speech()).logits, expected, rtol=1e-5, atol=1e-5)


def test_errors_say_what_to_do(folders, tmp_path):
    model, processor = load_all(folders, ("mdw",))
    with pytest.raises(ValueError, match=r"no adapter 'xyz'; those that are loaded: mdw; '__base__'"):
        model.generate(**speech(), adapter_names="xyz")
    with pytest.raises(ValueError, match="Got 1 adapter_names for 2 items"):
        model.generate(**speech(), adapter_names=["mdw"])
    with pytest.raises(
        ValueError, match="language of the adapter mdw, but __base__ is in use: pass adapter_names='mdw'"
    ):
        model.generate(**speech(), source_lang="mdw", adapter_names=BASE_ADAPTER)
    with pytest.raises(ValueError, match="already exists"):
        model.load_adapter(str(folders / "qaa-x-two"), "mdw")
    other = save_tiny_checkpoint(tmp_path / "other", seed=5)
    another = Mu2SLAMForConditionalGeneration.from_pretrained(other)
    size = another.config.vocab_size
    with pytest.raises(ValueError, match="trained on another model: the weights of its encoder and decoder differ"):
        another.load_adapter(str(folders / "mdw"), "mdw")
    assert another.config.vocab_size == size and not hasattr(another, "peft_config")
    processor.languages = ["und", "xx"]
    with pytest.raises(ValueError, match="these adapters were trained with the languages und"):
        processor.load_adapter(folders / "mdw")


def test_a_deleted_adapter_leaves_the_others(folders):
    model, _ = load_all(folders, ("mdw", "qaa-x-two"))
    decoder = {"decoder_input_ids": torch.arange(90, 104).reshape(2, 7)}
    model.set_adapter("mdw")
    with torch.no_grad():
        expected = model(**speech(), **decoder).logits
        model.delete_adapter("qaa-x-two")
        assert torch.equal(model(**speech(), **decoder).logits, expected)
    with pytest.raises(ValueError, match="no adapter 'qaa-x-two'"):
        model.set_adapter("qaa-x-two")


def test_the_command_uses_the_adapter_of_the_language(folders, tmp_path, capsys):
    wave = tmp_path / "one.wav"
    sf.write(wave, WAVE, 16000)
    adapters = [f"--adapter={name}={folders / name}" for name in ("qaa-x-two", "mdw")]
    command = ["transcribe", str(wave), "--json", "--model", str(folders / "base"), *adapters]
    for name in CHARACTERS:
        own, processor = load_one(folders / name)
        expected = next(
            transcribe_recordings(own, processor, [str(wave)], TranscriptionOptions(source_lang=name))
        ).text
        assert expected and main([*command, "--from", name]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == expected
    assert main(command) == 1
    assert "several, but --from is not given: qaa-x-two for qaa-x-two; mdw for mdw" in capsys.readouterr().err
    assert main([*command, "--adapter", f"mdw={folders}/mdw"]) == 1
    assert "the name mdw is given twice" in capsys.readouterr().err
    assert main([*command, "--adapter", f"old={folders}/base"]) == 1
    assert "no adapter_growth.json; expected the folder `adapter`" in capsys.readouterr().err


def test_a_server_offers_each_adapter_by_name(folders):
    adapters = {name: str(folders / name) for name in ("qaa-x-two", "mdw", "None")}
    choice = ModelChoice(name=str(folders / "base"), adapters=adapters)
    served = load_models({"base": choice}, TranscriptionOptions(timestamps="word", generate_kwargs={"num_beams": 1}))
    assert list(served.models) == ["base", *(f"base:{name}" for name in adapters)]
    base_languages = served.find("base").languages
    assert served.find("base:mdw").languages == [*base_languages, "mdw"]
    assert served.find("base:None").languages == base_languages
    limits = ServingLimits()
    scheduler = RecognitionScheduler(list(served.models.values()), limits, ServingMetrics())
    file = io.BytesIO()
    sf.write(file, WAVE, 16_000, format="WAV", subtype="FLOAT")
    tasks = {
        name: RecognitionTask(
            model=model, file=io.BytesIO(file.getvalue()), name="clip", source_lang=model.languages[-1]
        )
        for name, model in served.models.items()
    }
    for task in tasks.values():
        scheduler.submit(task)
    while not all(task.result.done() for task in tasks.values()):
        scheduler.take_turn()
    for name, folder in {"base": "base", **{f"base:{name}": f"{name}/merged" for name in adapters}}.items():
        model, processor = load_one(folders / folder)
        options = TranscriptionOptions(source_lang=tasks[name].source_lang, generate_kwargs={"num_beams": 1})
        (expected,) = transcribe_recordings(model, processor, [file.getvalue()], options)
        assert tasks[name].result.result().text == expected.text, name
