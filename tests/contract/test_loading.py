# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What was saved loads: by this release with identical outputs, and what an earlier release saved with equal ones."""

import importlib.util
import json
import logging

import pytest
import torch
from helpers import REPOSITORY_ROOT
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_models import speech_batch, text_ids, tiny_config, tiny_model

from mu2slam_hf import (
    Mu2SLAMCTCConfig,
    Mu2SLAMCTCTokenizer,
    Mu2SLAMForAudioClassification,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMForPreTraining,
    Mu2SLAMModel,
    Mu2SLAMProcessor,
    default_checkpoint,
)
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.evaluation.scores.metrics import compute_cer

GOLDEN = REPOSITORY_ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_golden_files_are_small():
    sizes = {path.name: path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= 200_000, sizes


def test_the_golden_checkpoint_loads_and_says_the_same(golden):
    model, info = Mu2SLAMForConditionalGeneration.from_pretrained(golden.CHECKPOINT, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    expected, actual = load_file(golden.OUTPUTS), golden.compute_outputs(model)
    for name, tensor in actual.items():
        # Sums in another order, on another processor or with another library, differ in the last bits.
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_speech_ids_of_a_configuration_are_for_ever(golden):
    assert torch.equal(golden.compute_speech_ids(), load_file(golden.OUTPUTS)["speech_ids"])


def test_names_and_shapes_of_weights_are_for_ever(golden):
    expected = json.loads(golden.KEYS.read_text(encoding="utf-8"))
    actual = {name: golden.describe_weights(model) for name, model in golden.build_models().items()}
    assert actual.keys() == expected.keys()
    for name in expected:
        assert actual[name] == expected[name], name


@pytest.mark.parametrize("name", ["Mu2SLAMModel", "Mu2SLAMForConditionalGeneration", "Mu2SLAMForCTC"])
@torch.no_grad()
def test_saved_and_loaded_is_identical(golden, name, tmp_path):
    model = golden.build_models()[name].eval()
    inputs = golden.build_inputs()
    if name == "Mu2SLAMForCTC":
        inputs = {key: inputs[key] for key in ("input_features", "attention_mask", "language_ids")}
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**inputs)[0], model(**inputs)[0])
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key


@torch.no_grad()
def test_encoder_and_speech_tokenizer_saved_and_loaded(golden, tmp_path):
    models, inputs = golden.build_models(), golden.build_inputs()
    for name in ("ConformerEncoder group sinusoidal", "ConformerEncoder layer rotary", "SpeechTokenizerModel"):
        model = models[name].eval()
        model.save_pretrained(tmp_path / name)
        loaded = type(model).from_pretrained(tmp_path / name).eval()
        x = inputs["input_features"]
        if name == "SpeechTokenizerModel":
            assert torch.equal(loaded(x, inputs["attention_mask"]), model(x, inputs["attention_mask"]))
        else:
            assert torch.equal(loaded(x[..., :16])[0], model(x[..., :16])[0])


def test_one_table_is_written_once(golden):
    """Input, decoder, softmax and CTC share one embedding: the paper's size needs it, and so does the file."""
    with safe_open(golden.CHECKPOINT / "model.safetensors", "pt") as file:
        tables = [key for key in file.keys() if list(file.get_slice(key).get_shape()) == [160, 16]]  # noqa: SIM118
    assert tables == ["model.encoder.embed_tokens.weight"]
    model = Mu2SLAMForConditionalGeneration.from_pretrained(golden.CHECKPOINT)
    table = model.get_input_embeddings().weight
    for other in (model.lm_head.weight, model.ctc_head.weight, model.model.decoder.embed_tokens.weight):
        assert other.data_ptr() == table.data_ptr()
    assert model.lm_head.bias.data_ptr() != model.ctc_head.bias.data_ptr()


@torch.no_grad()
def test_untied_tables_stay_apart(tmp_path):
    model = tiny_model()
    config = model.config
    config.tie_word_embeddings = config.decoder_config.tie_word_embeddings = False
    untied = Mu2SLAMForConditionalGeneration(config).eval()
    batch = {**speech_batch([40]), "decoder_input_ids": text_ids(1, 4)}
    before = untied(**batch)
    untied.save_pretrained(tmp_path)
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(**batch).logits, before.logits)
    loaded.resize_token_embeddings(config.vocab_size + 3)
    after = loaded(**batch)
    torch.testing.assert_close(after.logits[..., :-3], before.logits)
    torch.testing.assert_close(after.ctc_logits[..., :-3], before.ctc_logits)


@torch.no_grad()
def test_a_resized_vocabulary_is_kept(tmp_path):
    model = tiny_model()
    model.resize_token_embeddings(170)
    for name, saved in (("whole", model), ("base", model.model)):
        saved.save_pretrained(tmp_path / name)
        loaded = type(saved).from_pretrained(tmp_path / name)
        assert loaded.config.vocab_size == loaded.config.decoder_config.vocab_size == 170
        assert loaded.get_input_embeddings().weight.shape[0] == 170


@torch.no_grad()
def test_between_base_model_and_heads(tmp_path):
    model = tiny_model()
    batch = {**speech_batch([40, 23]), "decoder_input_ids": text_ids(2, 4)}
    model.save_pretrained(tmp_path / "heads")
    base, info = Mu2SLAMModel.from_pretrained(tmp_path / "heads", output_loading_info=True)
    assert not info["missing_keys"]
    expected = model.model(**batch).last_hidden_state
    assert torch.equal(base.eval()(**batch).last_hidden_state, expected)
    base.save_pretrained(tmp_path / "base")
    again, info = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path / "base", output_loading_info=True)
    heads = {"lm_head.bias", "ctc_head.bias", "language_head.weight", "language_head.bias"}
    assert set(info["missing_keys"]) == heads and not info["unexpected_keys"]
    assert torch.equal(again.eval().model(**batch).last_hidden_state, expected)


@torch.no_grad()
def test_pre_training_is_saved_and_loaded_identically(golden, tmp_path):
    model = golden.build_models()["Mu2SLAMForPreTraining"].eval()
    model.save_pretrained(tmp_path)
    loaded, info = Mu2SLAMForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert torch.equal(loaded.eval()(**loaded.dummy_inputs).loss_sums, model(**model.dummy_inputs).loss_sums)
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    table = loaded.get_input_embeddings().weight.data_ptr()
    assert all(getattr(loaded, head).weight.data_ptr() == table for head in ("lm_head", "mlm_head", "ctc_head"))


@torch.no_grad()
def test_from_pre_training_to_generation(tmp_path, caplog):
    """No key is missing, nothing is said, and encoder and decoder give the very same numbers."""
    torch.manual_seed(0)
    pretrained = Mu2SLAMForPreTraining(tiny_config()).eval()
    pretrained.mlm_head.bias.fill_(1.0)
    pretrained.save_pretrained(tmp_path)
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        model, info = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    batch = {**speech_batch([40, 23]), "decoder_input_ids": text_ids(2, 4)}
    expected, actual = pretrained.model(**batch), model.eval()(**batch)
    assert torch.equal(actual.encoder_last_hidden_state, expected.encoder_last_hidden_state)
    assert torch.equal(actual.logits, pretrained.lm_head(expected.last_hidden_state))
    for name in ("lm_head", "ctc_head", "language_head"):
        for key, tensor in getattr(pretrained, name).state_dict().items():
            assert torch.equal(getattr(model, name).state_dict()[key], tensor), (name, key)
    assert model.generate(batch["input_features"], max_new_tokens=3).shape[0] == 2


@torch.no_grad()
def test_from_generation_to_pre_training(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    pretrained, info = Mu2SLAMForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert set(info["missing_keys"]) == {"mlm_head.bias"} and not info["unexpected_keys"]
    assert not pretrained.mlm_head.bias.any()
    batch = {**speech_batch([40, 23]), "decoder_input_ids": text_ids(2, 4)}
    expected = model.model(**batch)
    actual = pretrained.eval().model(**batch)
    assert torch.equal(actual.encoder_last_hidden_state, expected.encoder_last_hidden_state)
    assert torch.equal(actual.last_hidden_state, expected.last_hidden_state)


@torch.no_grad()
def test_a_resized_vocabulary_of_pre_training_is_kept(tmp_path):
    model = Mu2SLAMForPreTraining(tiny_config()).eval()
    model.resize_token_embeddings(170)
    model.save_pretrained(tmp_path)
    loaded = Mu2SLAMForPreTraining.from_pretrained(tmp_path).eval()
    assert {loaded.lm_head.out_features, loaded.mlm_head.out_features, loaded.ctc_head.out_features} == {170}
    assert torch.equal(loaded(**loaded.dummy_inputs).loss_sums, model(**model.dummy_inputs).loss_sums)


@torch.no_grad()
def test_the_ctc_copy_says_what_the_ctc_head_says(tmp_path):
    model = tiny_model()
    batch = {**speech_batch([60, 31]), "language_ids": torch.tensor([1, 2])}
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    ctc.save_pretrained(tmp_path)
    loaded = Mu2SLAMForCTC.from_pretrained(tmp_path).eval()
    expected = model(**batch, decoder_input_ids=text_ids(2, 1)).ctc_logits
    assert torch.equal(loaded(**batch).logits, expected)


@pytest.fixture
def quiet(caplog):
    """Fails if transformers says something while it loads."""
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    yield
    logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("saved_class", [Mu2SLAMForConditionalGeneration, Mu2SLAMForPreTraining])
@pytest.mark.parametrize("is_tied", [True, False])
@torch.no_grad()
def test_heads_on_the_encoder_load_from_an_encoder_decoder(saved_class, is_tied, tmp_path, quiet):
    """Nothing is new, nothing is said, the numbers are the same, and they are saved under their own names."""
    config = tiny_config()
    config.tie_word_embeddings = config.decoder_config.tie_word_embeddings = is_tied
    torch.manual_seed(0)
    model = saved_class(config).eval()
    model.ctc_head.bias.normal_()
    model.language_head.bias.normal_()
    model.save_pretrained(tmp_path / "whole")
    batch = {**speech_batch([60, 31]), "language_ids": torch.tensor([1, 2])}
    whole = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path / "whole").eval()
    expected = whole(**batch, decoder_input_ids=text_ids(2, 1))
    for head_class, logits in (
        (Mu2SLAMForCTC, expected.ctc_logits),
        (Mu2SLAMForAudioClassification, expected.language_logits[:, 1:]),
    ):
        head, info = head_class.from_pretrained(tmp_path / "whole", output_loading_info=True)
        assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
        assert torch.equal(head(**batch).logits, logits)
        assert torch.equal(head_class.from_pretrained(tmp_path / "whole", config=config)(**batch).logits, logits)
        head.save_pretrained(tmp_path / head_class.__name__)
        names = load_file(tmp_path / head_class.__name__ / "model.safetensors").keys()
        assert all(name.startswith(("encoder.", "ctc_head.", "language_head.")) for name in names)
        assert torch.equal(head_class.from_pretrained(tmp_path / head_class.__name__)(**batch).logits, logits)


def test_the_ctc_configuration_of_an_encoder_decoder(tmp_path, quiet):
    config = tiny_config()
    config.save_pretrained(tmp_path)
    for ctc in (Mu2SLAMCTCConfig.from_pretrained(tmp_path), Mu2SLAMCTCConfig.from_mu2slam_config(config)):
        assert ctc.model_type == "mu2slam_ctc" and not ctc.is_encoder_decoder and not hasattr(ctc, "decoder_config")
        assert ctc.encoder_config.to_dict() == config.encoder_config.to_dict()
        assert (ctc.languages, ctc.vocab_size, ctc.d_model) == (config.languages, config.vocab_size, config.d_model)


@torch.no_grad()
def test_the_ctc_head_of_an_encoder_decoder_transcribes():
    """With a tokenizer for CTC made of that of the encoder-decoder: repeats are collapsed, blanks are removed."""
    folder = default_checkpoint()
    file, text = REPOSITORY_ROOT / "examples" / "en" / "vm-tooshort.opus", "your message is too short"
    processor = Mu2SLAMProcessor.from_pretrained(folder).for_ctc()
    model = Mu2SLAMForCTC.from_pretrained(folder)
    inputs = processor(audio=load_audio(file), sampling_rate=16000, language="en")
    ids = model(**inputs).logits.argmax(-1)
    decoded = processor.batch_decode(ids)[0]
    assert Mu2SLAMCTCTokenizer.from_pretrained(folder).decode(ids[0]) == decoded
    assert compute_cer([text], [decoded]).value < 30, decoded
    assert processor.for_ctc().tokenizer is processor.tokenizer


def test_weights_in_half_precision_load_in_the_precision_asked_for(tmp_path):
    model = tiny_model().to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    assert Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).dtype == torch.bfloat16
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    assert loaded.dtype == torch.float32
    assert torch.isfinite(loaded(**speech_batch([30]), decoder_input_ids=text_ids(1, 2)).logits).all()


def test_wrong_weights_are_an_error_and_not_a_random_model(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["encoder_config"]["intermediate_size"] = 96
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RuntimeError, match="size|mismatch"):
        Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path)
