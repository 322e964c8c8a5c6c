# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every recipe of a model parses, resolves, is dumped and read back, and takes two CPU updates at tiny size."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from public_schema import write_public_corpora
from safetensors.torch import load_file
from tiny_dual_encoders import save_language_model
from training_runs import QUIET_CPU
from transformers import AutoModelForAudioClassification, AutoModelForSequenceClassification
from understanding_corpora import write_tydiqa, write_xnli

from mu2slam_hf import (
    MaestroForPreTraining,
    MSLAMConfig,
    MSLAMForPreTraining,
    MSLAMModel,
    Mu2SLAMConfig,
    Mu2SLAMForPreTraining,
)
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.recipes.data.curriculum import resolve_curriculum
from mu2slam_hf.recipes.data.mixture import build_mixture
from mu2slam_hf.recipes.runs.registry import RUNS, build_run, load_recipe, load_recipes
from mu2slam_hf.recipes.runs.run import Run, build_arguments
from mu2slam_hf.recipes.schema.loader import RecipeError, dump_recipe, recipe_kind

CONFIGURATION = REPOSITORY_ROOT / "configuration"
LAB_CONFIGURATION = REPOSITORY_ROOT / "lab" / "configuration"
# Tokenizers have tests of their own in tests/unit/recipes.
KINDS = {kind for kind, run in RUNS.items() if issubclass(run, Run)}
RECIPES = {
    path: kind
    for configuration in (CONFIGURATION, LAB_CONFIGURATION)
    for path in sorted((configuration / "recipes").rglob("*.yaml"))
    if (kind := recipe_kind(path)) in KINDS
}
HEADS = [path for path, kind in RECIPES.items() if kind == "head_finetuning"]
UNDERSTANDING = [path for path in HEADS if path.parent.name == "mu2slam"]
# test_finetuning_recipes.py has the tests of these, which read corpora in all languages of the paper.
OF_THE_PAPER = [
    path for path, kind in RECIPES.items() if kind == "multitask_finetuning" and path.is_relative_to(CONFIGURATION)
]
STREAMED = [
    path for path in RECIPES if "streaming: true" in path.read_text(encoding="utf-8") and path not in OF_THE_PAPER
]
# These start from two models: tests/end_to_end/test_speech_llm.py has their tests.
SPEECH_LLM = [path for path, kind in RECIPES.items() if kind == "speech_llm"]
TABLES = [path for path in RECIPES if path not in (*STREAMED, *HEADS, *OF_THE_PAPER, *SPEECH_LLM)]
LOCATION = ("name", "root", "split", "options", "manifest", "columns", "lang", "languages", "audio_root")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
ENCODER = {f"encoder_config.{key}": value for key, value in SIZES.items()}
ENCODER["encoder_config.subsampling_conv_channels"] = [2, 2]
CODEBOOK = dict.fromkeys(("num_codevectors_per_group", "codevector_dim", "proj_codevector_dim"), 8)
OVERRIDES = {
    "mu2slam": {**ENCODER, **{f"decoder_config.{key}": value for key, value in SIZES.items()}},
    "mslam": {**ENCODER, **CODEBOOK, "num_speech_layers": 1, "num_negatives": 4},
}
TEXT_LAYERS = {f"{part}_config.num_hidden_layers": 1 for part in ("text_encoder", "refiner")}
TRANSDUCER = {"transducer_config.hidden_size": 8, "transducer_config.joint_size": 8, "transducer_config.num_layers": 1}
OVERRIDES["maestro"] = {**OVERRIDES["mslam"], **TEXT_LAYERS, **TRANSDUCER}
FIRST_BATCH = {
    "pretraining": {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1},
    "mslam_pretraining": {"speech": 8, "text": 32, "asr": 1},  # 2048, 8192 and 256 on 256 devices
    "maestro_pretraining": {"speech": 4, "text": 32, "asr": 2},  # 1024, 8192 and 512
    "most": {"speech": 4, "text": 8, "asr": 1},  # 4096, 8192 and 1024 on 1024 devices
}
FAMILIES = {"mslam_pretraining": "mslam", "maestro_pretraining": "maestro"}


def family_of(path: Path) -> str:
    """The folder of the models of a recipe; those of USM are models of mSLAM and Maestro."""
    return FAMILIES[RECIPES[path]] if path.parent.name == "usm" else path.parent.name


def languages_of(model: dict) -> dict:
    """What a recipe sets of adapters and embeddings of languages, for a tiny model."""
    overrides = model.get("overrides", {})
    kept = {name: value for name, value in overrides.items() if "adapter" in name or "language" in name}
    return kept | ({"encoder_config.adapter_start_layer": 1} if kept else {})


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parent.name}-{path.stem}")


def test_every_kind_has_recipes():
    least = {"dual_encoder": 2, "finetuning": 4, "pretraining": 4, "mslam_pretraining": 4, "head_finetuning": 3}
    least |= {"multitask_finetuning": 5, "maestro_pretraining": 3}
    counts = Counter(RECIPES.values())
    assert counts.keys() == KINDS and all(counts[kind] >= number for kind, number in least.items())
    assert [path.stem for path in STREAMED] == [
        *(
            "paper_0_6b",
            "best_rq_0_6b",
            "pretrain_0_6b",
            "pretrain_2b",
            "pretrain_char",
            "pretrain_char_8gpu",
            "pretrain_spm",
            "most",
            "pretrain_best_rq",
        )
    ]


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    return write_tone_corpus(folder, num_sentences=4, languages=("en", "es", "fr", "it", "ru"))


@pytest.fixture
def on_tones(tones, tmp_path):
    """Write a recipe again with all corpora replaced by tones, and the model by a tiny one."""

    def rewrite(path: Path) -> Path:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        of_stages = [stage.get("set", {}).get("data.corpora", {}) for stage in tree.get("stages", [])]
        for corpora in (*(tree.get(name, {}).get("corpora", {}) for name in ("data", "evaluation")), *of_stages):
            for corpus in corpora.values():
                for key in LOCATION:
                    corpus.pop(key, None)
                corpus.update(manifest=str(tones), limit=10)
        if path not in HEADS:
            tree["data"].pop("languages", None)
        if tree.get("kind") in ("dual_encoder", "speech_synthesis"):
            tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=8))
            tokenizer.save_pretrained(tmp_path / "speech_tokenizer")
            tree["speech_tokenizer"] = str(tmp_path / "speech_tokenizer")
        if tree.get("kind") == "speech_synthesis":
            small = {"encoder_config": SIZES, "frame_config": SIZES}
            tree["model"] = {"overrides": {"vocoder": tree["model"]["overrides"]["vocoder"], **small}}
        elif tree.get("kind") == "dual_encoder":
            tree["model"]["language_model"] = str(save_language_model(tmp_path / "lm"))
            tree["data"].pop("speech_ids", None)
            for task, section in tree["data"]["tasks"].items():
                section["share"] = {"asr": 3, "mt": 1}[task]
        elif path not in HEADS:
            processor = tree.setdefault("processor", {})
            for key in ("init_from", "languages", "add_languages"):
                processor.pop(key, None)
            processor.update(feature_statistics_utterances=4, num_speech_tokens=8)
            family = family_of(path)
            config = CONFIGURATION / "models" / family / "tiny.json"
            overrides = OVERRIDES[family] | languages_of(tree["model"])
            tree["model"] = {"config": str(config), "overrides": overrides}
        if (tree.get("head") or {}).get("trainable_layers"):
            tree["head"]["trainable_layers"] = 1
        tree["output"] = {"dir": str(tmp_path / "run")}
        written = tmp_path / path.name
        written.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return written

    return rewrite


def take_two_updates(run) -> None:
    data = run.load_data()
    processor = run.build_processor(data)
    model = run.build_model(processor, data)
    if run.recipe.kind == "mslam_pretraining":
        assert isinstance(model, MSLAMForPreTraining) and processor.speech_tokenizer is None
    trainer = run.build_trainer(processor, model, data)
    trainer.args.max_steps = 2
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    result = trainer.train()
    assert result.global_step == 2 and result.training_loss > 0


@each(TABLES)
def test_two_updates(path, on_tones):
    for recipe in load_recipes(on_tones(path), QUIET_CPU):
        if recipe.kind == "finetuning":
            assert sum(phase.steps for phase in resolve_curriculum(recipe)) > 0
        take_two_updates(build_run(recipe))


@pytest.fixture(scope="module")
def pretrained(tones, tmp_path_factory) -> Path:
    """A model as pre-training of mSLAM leaves it, without training."""
    folder = tmp_path_factory.mktemp("pretrained")
    places = [f"data.corpora.train.manifest={tones}", f"evaluation.corpora.dev.manifest={tones}"]
    run = build_run(load_recipe("mslam/pretrain_tiny_test", [*places, f"output.dir={folder}"]))
    processor = run.build_processor(run.load_data())
    run.build_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@each(UNDERSTANDING)
def test_two_updates_of_text_understanding(path, tmp_path, monkeypatch):
    write_xnli(tmp_path / "xnli")
    write_tydiqa(tmp_path / "tydiqa")
    monkeypatch.setenv("MU2SLAM_DATA", str(tmp_path))
    monkeypatch.setenv("MU2SLAM_MODEL", save_tiny_checkpoint(tmp_path / "model"))
    steps = ("max_steps=2", "eval_steps=1", "save_steps=2")
    small = (*(f"training.{step}" for step in steps), "data.per_device_train_batch_size=4")
    results = build_run(load_recipe(path, [*QUIET_CPU, *small, f"output.dir={tmp_path / 'run'}"])).run()
    expected = {
        "finetune_xnli": {"dev_accuracy", "dev_accuracy_es_low", "dev_accuracy_bag_of_words_es"},
        "finetune_tydiqa": {"dev_f1", "dev_exact_match_sw", "dev_f1_best_sentence_en"},
    }
    assert results.keys() >= expected[path.stem]
    assert all(value >= 0 for value in results.values())


# A probe starts from an encoder of another format: tests/end_to_end/test_continued_encoder.py has its test.
@each([path for path in HEADS if path not in UNDERSTANDING and path.stem != "probe_ctc"])
def test_two_updates_of_a_head(path, on_tones, pretrained, monkeypatch):
    monkeypatch.setenv("MU2SLAM_MODEL", str(pretrained))
    steps = ("max_steps=2", "eval_steps=1", "save_steps=2")
    small = (*(f"training.{step}" for step in steps), "data.per_device_train_batch_size=4")
    # The tiny model has two layers.
    small += ("head.trainable_layers=1",) if path.stem == "finetune_rnnt_prompts5" else ()
    results = build_run(load_recipe(on_tones(path), [*QUIET_CPU, *small])).run()
    assert results and all(value >= 0 for value in results.values())


@pytest.mark.parametrize("kind", ["audio_classification", "sequence_classification"])
def test_a_head_with_adapters(kind, on_tones, pretrained, monkeypatch, tmp_path):
    """Adapters and head are trained; the final folder is the merged model, `adapters` has them alone."""
    monkeypatch.setenv("MU2SLAM_MODEL", str(pretrained))
    path = on_tones(CONFIGURATION / "recipes" / "mslam" / "language_identification.yaml")
    settings = ("training.max_steps=2", "training.save_steps=1", "data.per_device_train_batch_size=4", "lora.r=2")
    settings += (f"head.kind={kind}", "head.trainable_layers=null", "optim.learning_rate=0.1", "optim.warmup_steps=1")
    run = build_run(load_recipe(path, [*QUIET_CPU, *settings]))
    results = run.run()
    assert all(value >= 0 for value in results.values())
    final = tmp_path / "run" / "final"
    auto = {"audio_classification": AutoModelForAudioClassification}.get(kind, AutoModelForSequenceClassification)
    merged = auto.from_pretrained(final).state_dict()
    before = MSLAMForPreTraining.from_pretrained(pretrained).state_dict()
    changed = {name for name, values in merged.items() if name in before and not torch.equal(values, before[name])}
    assert changed and all(name.split(".")[-2] in ("q_proj", "v_proj") for name in changed)
    adapters = load_file(final / "adapters" / "adapter_model.safetensors")
    assert {name.split(".")[-2] for name in adapters if "lora_" in name} == {"lora_A", "lora_B"}
    # The head is among them, as it is in the merged model.
    heads = {name: values for name, values in merged.items() if name.startswith("classifier.")}
    assert heads and all(torch.equal(values, adapters[f"base_model.model.{name}"]) for name, values in heads.items())
    with pytest.raises(RecipeError, match=r"trainable_layers: adapters train no layer in full"):
        load_recipe(path, [*settings, "head.trainable_layers=1"])


@pytest.fixture(scope="module")
def public_corpora(tmp_path_factory) -> Path:
    """Small copies of all corpora of the paper."""
    folder = tmp_path_factory.mktemp("corpora")
    write_public_corpora(folder)
    return folder


@pytest.fixture(scope="module")
def learned_codebook(tmp_path_factory) -> Path:
    """A speech tokenizer as it is taken from an mSLAM, without training."""
    torch.manual_seed(0)
    encoder = {"model_type": "mu2slam_conformer", **SIZES, "subsampling_conv_channels": [2, 2]}
    sizes = {"num_codevectors_per_group": 1024, "codevector_dim": 4, "encoder_config": encoder}
    folder = tmp_path_factory.mktemp("codebook")
    SpeechTokenizerModel(SpeechTokenizerConfig(kind="contrastive", **sizes)).save_pretrained(folder)
    return folder


SMALL = ("processor.feature_statistics_utterances=20", "data.max_failed_share=1", *QUIET_CPU)


@pytest.fixture(scope="module")
def first_stage(public_corpora, tmp_path_factory) -> Path:
    """What the first stage of USM leaves, without training."""
    folder = tmp_path_factory.mktemp("first_stage")
    sizes = [f"model.overrides.{name}={value}" for name, value in OVERRIDES["mslam"].items()]
    places = [f"data.corpora.{name}.root={public_corpora / name}" for name in ("voxpopuli_unlabelled", "mls")]
    run = build_run(load_recipe("usm/pretrain_best_rq", [*SMALL, *sizes, *places, f"output.dir={folder}"]))
    processor = run.build_processor(run.load_data())
    run.build_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def on_small_copies(public_corpora, learned_codebook, first_stage, tmp_path, monkeypatch):
    """The run of a recipe of the paper's scale with its corpora as small copies and a tiny model."""
    monkeypatch.setenv("MU2SLAM_CORPORA", str(public_corpora))
    monkeypatch.setenv("MU2SLAM_ENCODER", str(first_stage))
    monkeypatch.setenv("MU2SLAM_SPEECH_TOKENIZER", str(learned_codebook))

    def build(path, *overrides):
        # Of the 14 languages there are three, of the limited split of MLS none.
        missing = ["training.gradient_accumulation_steps=1"]
        if "  mls_10_hours:" in path.read_text(encoding="utf-8"):
            missing += ["data.corpora.voxpopuli.options={}", "data.corpora.mls_10_hours.split=train"]
        sizes = [f"model.overrides.{name}={value}" for name, value in OVERRIDES[family_of(path)].items()]
        everything = [*missing, "processor.vocab_size=300", *SMALL, *sizes, f"output.dir={tmp_path}", *overrides]
        return build_run(load_recipe(path, everything))

    return build


@each(STREAMED)
def test_recipes_of_the_papers_build_their_first_batch(path, on_small_copies):
    run = on_small_copies(path)
    processor = run.build_processor(run.load_data())
    dataset, sampler = build_mixture(run.recipe, processor, {}, build_arguments(run.recipe))
    keys = next(iter(sampler))
    is_speech_alone = "best_rq" in path.stem
    expected = {"speech": 8} if is_speech_alone else FIRST_BATCH.get(path.stem, FIRST_BATCH[run.recipe.kind])
    assert Counter(key.example.id.split(":")[0] for key in keys) == expected
    model = run.build_model(processor)
    batch = run.build_collator(processor, model)([dataset[key] for key in keys])
    targets = run.build_objective(processor, model).count(batch)
    speech = {source.corpus for source in sampler.sources if source.task == "speech"}
    if is_speech_alone:
        assert [name for name, count in targets.items() if count > 0] == ["speech_mlm"]
        assert speech == {"voxpopuli_unlabelled", "mls"}
        return
    unused = ("ctc", "language", *(("contrastive", "diversity") if path.stem == "most" else ()))
    assert all(count > 0 for name, count in targets.items() if name not in unused), targets
    assert speech == {"voxpopuli_unlabelled", "common_voice", "mls", "babel"}
    if run.recipe.kind == "pretraining":
        assert processor.speech_tokenizer.config.kind == "contrastive"
        assert len(processor.languages) == 122, "all that the corpora are declared to hold, whatever is there"
        ted = {source.lang: source.size for source in sampler.sources if source.corpus == "ted59"}
        assert set(ted) == {"ar", "fa", "id", "it", "mn", "nl", "pt", "sl", "sv"} and len(set(ted.values())) == 1


@each(STREAMED)
def test_recipes_of_the_papers_take_two_updates(path, on_small_copies):
    # Of TED's nine languages the small copy has two.
    ted = ["data.corpora.ted59.options={languages: [ar, fa]}"] if RECIPES[path] == "pretraining" else []
    take_two_updates(on_small_copies(path, *ted, "data.block_size=5"))


@pytest.mark.parametrize(
    "name, learning_rate, max_steps", [("pretrain_0_6b", 6e-4, 1_300_000), ("pretrain_2b", 3.6e-4, 350_000)]
)
def test_recipes_of_mslam_have_the_figures_of_the_papers(name, learning_rate, max_steps, on_small_copies):
    recipe = on_small_copies(CONFIGURATION / "recipes" / "mslam" / f"{name}.yaml").recipe
    assert (recipe.optim.learning_rate, recipe.optim.warmup_steps) == (learning_rate, 40_000)
    assert recipe.training.max_steps == max_steps
    assert [getattr(recipe.objective, loss) for loss in MSLAM_LOSSES] == [1.0, 0.1, 1.0, 0.3, 0.03, 0.03, 0.03]


def test_models_of_the_paper_have_the_papers_size():
    """Section 2.1 and the tables: an encoder of 0.58B, in all 0.69B and 0.75B with a vocabulary of 4096 and 64k."""
    paths = [path for path in STREAMED if RECIPES[path] == "pretraining"]
    for path, total in zip(paths, (0.69e9, 0.69e9, 0.75e9), strict=True):
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        payload = json.loads((REPOSITORY_ROOT / tree["model"]["config"]).read_text(encoding="utf-8"))
        assert payload["vocab_size"] == 64 + tree["processor"]["num_speech_tokens"] + tree["processor"]["vocab_size"]
        payload.pop("model_type")
        with torch.device("meta"):
            model = Mu2SLAMForPreTraining(Mu2SLAMConfig(**payload))
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("name, size", [("600m", 0.6e9), ("2b", 2e9)])
def test_models_of_usm_have_the_papers_size(name, size):
    """Front end and layers; USM: 24 layers of 1024 with 8 heads, 32 of 1536 with 16, 128 mel bins."""
    payload = json.loads((CONFIGURATION / "models" / "usm" / f"{name}.json").read_text(encoding="utf-8"))
    payload.pop("model_type")
    with torch.device("meta"):
        model = MSLAMModel(MSLAMConfig(**payload))
    parts = (model.subsampling, model.conformer)
    assert sum(p.numel() for part in parts for p in part.parameters()) == pytest.approx(size, rel=0.1)


def test_the_second_stage_of_usm_starts_from_the_first(on_small_copies, first_stage):
    run = on_small_copies(CONFIGURATION / "recipes" / "usm" / "most.yaml")
    processor = run.build_processor(run.load_data())
    model = run.build_model(processor)
    assert isinstance(model, MaestroForPreTraining) and model.config.num_speech_layers == 1
    assert processor.feature_extractor.feature_size == 128 and len(processor.tokenizer) > 64 + 1024 + 100
    start = MSLAMForPreTraining.from_pretrained(first_stage).model
    for name in ("subsampling", "conformer"):
        own = getattr(model.model, name).state_dict()
        assert own and all(torch.equal(values, own[key]) for key, values in getattr(start, name).state_dict().items())


@each(RECIPES)
def test_recipes_resolve_and_read_back(path, data_root, tones, public_corpora, tmp_path, monkeypatch):
    """With the development data in place, and stand-ins for what is made by hand (synthetic speech, a model)."""
    made_by_hand = ("SYNTHETIC", "TINY", "MODEL", "START", "ENCODER", "OWN", "REPLAY", "SPEECH_TOKENIZER", "BASE")
    for name in (*made_by_hand, "LANGUAGE_MODEL"):
        monkeypatch.setenv(f"MU2SLAM_{name}", str(tones.parent))
    monkeypatch.setenv("MU2SLAM_DATA", str(data_root))
    monkeypatch.setenv("MU2SLAM_CORPORA", str(public_corpora))
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    overrides = [
        f"{section}.corpora.{name}.manifest={tones}"
        for section in ("data", "evaluation")
        for name, corpus in tree.get(section, {}).get("corpora", {}).items()
        if any(f"MU2SLAM_{made}" in corpus.get("manifest", "") for made in ("SYNTHETIC", "OWN", "REPLAY", "SPOKEN"))
    ]
    for recipe in load_recipes(path, overrides):
        # The last ones are judged by what is fine-tuned from them.
        later = ("finetune_multitask", "pretrain_mboshi", "continue_w2v_bert", "continue_w2v_bert_best_rq")
        later += ("zero_resource", "study_speech_llm", "study_dual_encoder")
        is_judged_later = path in STREAMED or path.stem in later
        assert recipe.data.corpora and (recipe.evaluation.corpora or is_judged_later)
        written = tmp_path / "recipe.yaml"
        written.write_text(dump_recipe(recipe), encoding="utf-8")
        again = load_recipe(written)
        assert dump_recipe(again) == dump_recipe(recipe)
        # Ranges of augmentation are tuples by default and lists when they are read.
        assert again == recipe or recipe.kind == "finetuning"
