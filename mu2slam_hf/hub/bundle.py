# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Upload folders for the Hub: model, processor, card and custom code, which load without this package.

Choice: custom code is added by a function here rather than by registering classes: a registered class would add its
`.py` files to every checkpoint that a Trainer saves.
"""

import inspect
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from transformers.dynamic_module_utils import get_relative_import_files

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES, ModelType
from mu2slam_hf.hub.bundle_check import BundleError, check_bundle, compare_in_bare_process
from mu2slam_hf.hub.card_check import check_public_card

CARD_NAME = "README.md"


def build_bundle(
    folder: str | os.PathLike[str],
    model: Any,
    processor: Any,
    *,
    card: str,
    extra_files: Iterable[str | os.PathLike[str]] = (),
    weights: str | os.PathLike[str] | None = None,
    run_check: bool = True,
) -> Path:
    """Write a complete folder for the Hub and check it.

    Args:
        folder: folder to create; must not exist. It is created atomically.
        model: a model of the package that has an output head.
        processor: the processor of the model.
        card: content of `README.md`, see `hub.cards`.
        extra_files: further files to copy, for example a licence.
        weights: the file that the model was loaded from, which keeps its own types in the folder; None writes those of
            the model in memory.
        run_check: whether to load the folder in a process that cannot import this package, and compare outputs.

    Returns:
        The folder.

    Raises:
        BundleError: the folder exists, or a check fails.
        ValueError: the processor does not match the model.
    """
    folder = Path(folder)
    if folder.exists():
        raise BundleError(f"{folder} already exists; choose another folder, or remove it first.")
    find_model_type(model)
    processor.check_config(model.config)
    with atomic_path(folder) as bundle:
        model.save_pretrained(bundle)
        if weights is not None:
            shutil.copyfile(weights, bundle / "model.safetensors")
        processor.save_pretrained(bundle)
        auto_map = add_custom_code(bundle)
        (bundle / CARD_NAME).write_text(card, encoding="utf-8")
        for extra in extra_files:
            shutil.copyfile(extra, bundle / Path(extra).name)
        check_bundle(bundle, auto_map)
        if run_check:
            compare_in_bare_process(bundle, model, processor)
    return folder


def push_bundle(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    commit_message: str = "Upload model, processor, card and code",
    api: HfApi | None = None,
) -> str:
    """Check a folder created by `build_bundle` and upload it in one commit.

    Args:
        folder: the folder.
        repo_id: `name` or `organisation/name`; created if it does not exist.
        private: whether a new repository is private; None means the default of the account.
        revision: branch to commit to; created if it does not exist. None means the main branch.
        tag: tag of the commit; must be new. None for no tag.
        commit_message: message of the commit.
        api: client; by default one with the token of `hf auth login`.

    Returns:
        URL of the commit.

    Raises:
        BundleError: a check fails, or the tag is there already; nothing is uploaded.
    """
    check_bundle(folder, build_auto_map(_read_model_type(Path(folder)), Path(folder)))
    if problems := check_public_card(Path(folder) / CARD_NAME):
        raise BundleError(f"{folder} cannot be uploaded: " + "; ".join(problems) + ".")
    api = HfApi() if api is None else api
    repo_id = str(api.create_repo(repo_id, repo_type="model", private=private, exist_ok=True).repo_id)
    if tag is not None and tag in {known.name for known in api.list_repo_refs(repo_id).tags}:
        raise BundleError(f"{repo_id} has the tag {tag} already; choose another one.")
    if revision is not None:
        api.create_branch(repo_id, branch=revision, exist_ok=True)
    commit = api.upload_folder(
        repo_id=repo_id, folder_path=os.fspath(folder), revision=revision, commit_message=commit_message
    )
    if tag is not None:
        api.create_tag(repo_id, tag=tag, revision=commit.oid)
    return str(commit.commit_url)


def add_custom_code(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Make a folder with model and processor loadable by `trust_remote_code=True` where this package is not installed.

    `save_pretrained` writes weights and settings only. This adds the files of the package that define the classes, and
    names the classes in the JSON files. A folder that has them already gets those of the installed package.

    Args:
        folder: folder to which model and processor were saved.

    Returns:
        Names of Auto classes -> `file.Class`, as written to `config.json`.

    Raises:
        BundleError: the folder has no model of this package, or no processor.
    """
    folder = Path(folder)
    model_type = _read_model_type(folder)
    for name in ("processor_config.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise BundleError(f"{folder}: {name} is missing; save the processor of the model there first.")
    copy_custom_code(folder, model_type)
    auto_map = build_auto_map(model_type, folder)
    write_auto_map(folder, auto_map)
    return auto_map


def _read_model_type(folder: Path) -> ModelType:
    file = folder / "config.json"
    name = json.loads(file.read_text(encoding="utf-8")).get("model_type") if file.is_file() else None
    if name not in MODEL_TYPES or MODEL_TYPES[name].processor is None:
        raise BundleError(f"{folder}: expected a folder with a model of this package that has a processor.")
    return MODEL_TYPES[name]


def find_model_type(model: Any) -> ModelType:
    """The model type of a model.

    Raises:
        BundleError: the model does not belong to the package, or has no processor or head.
    """
    complete = {
        model_class: model_type
        for model_type in MODEL_TYPES.values()
        for auto_name, model_class in model_type.models.items()
        if model_type.processor is not None and (auto_name != "AutoModel" or len(model_type.models) == 1)
    }
    if type(model) not in complete:
        expected = ", ".join(model_class.__name__ for model_class in complete)
        raise BundleError(f"{type(model).__name__} cannot be uploaded with a processor; expected one of {expected}.")
    return complete[type(model)]


def build_auto_map(model_type: ModelType, folder: Path | None = None) -> dict[str, str]:
    """Map names of Auto classes to `file.Class` for all classes of a model type.

    Args:
        model_type: its classes, see `find_model_type`.
        folder: folder of the checkpoint. If its feature extractor is one of transformers (that of an imported
            encoder), it is excluded. None means that of the model type.
    """
    classes: dict[str, type | None] = {
        "AutoConfig": model_type.config,
        **model_type.models,
        "AutoFeatureExtractor": model_type.feature_extractor if _has_own_extractor(model_type, folder) else None,
        "AutoProcessor": model_type.processor,
        "AutoTokenizer": model_type.tokenizer,
    }
    return {name: f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}" for name, cls in classes.items() if cls}


def _has_own_extractor(model_type: ModelType, folder: Path | None) -> bool:
    """Whether the feature extractor saved in a folder is the model type's own."""
    file = None if folder is None else folder / "processor_config.json"
    if file is None or model_type.feature_extractor is None or not file.is_file():
        return True
    saved = json.loads(file.read_text(encoding="utf-8")).get("feature_extractor") or {}
    own_name = model_type.feature_extractor.__name__
    return bool(saved.get("feature_extractor_type", own_name) == own_name)


def copy_custom_code(folder: Path, model_type: ModelType) -> None:
    """Copy the files that define the classes of a model type, with the files of the package that these import."""
    files: set[str] = set()
    for cls in model_type.classes:
        # transformers finds the files in the same way when it loads custom code: exactly what it needs is copied.
        entry = str(inspect.getfile(cls))
        files |= {entry, *map(str, get_relative_import_files(entry))}
    for file in sorted(files):
        shutil.copyfile(file, folder / Path(file).name)


def write_auto_map(folder: Path, auto_map: Mapping[str, str]) -> None:
    """Add the classes to each file that an Auto class reads."""

    def only(*names: str) -> dict[str, str]:
        return {name: auto_map[name] for name in names if name in auto_map}

    _edit_json(folder / "config.json", lambda content: content.update(auto_map=dict(auto_map)))

    def edit_processor(content: dict[str, Any]) -> None:
        content["auto_map"] = only("AutoProcessor", "AutoFeatureExtractor")
        if isinstance(content.get("feature_extractor"), dict) and "AutoFeatureExtractor" in auto_map:
            content["feature_extractor"]["auto_map"] = only("AutoProcessor", "AutoFeatureExtractor")

    _edit_json(folder / "processor_config.json", edit_processor)
    # A pair (slow, fast), of which transformers 5 only has the latter.
    own = {"AutoTokenizer": [None, auto_map["AutoTokenizer"]]} if "AutoTokenizer" in auto_map else {}
    tokenizer = {**own, **only("AutoProcessor")}
    _edit_json(folder / "tokenizer_config.json", lambda content: content.update(auto_map=tokenizer))


def _edit_json(path: Path, edit: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
