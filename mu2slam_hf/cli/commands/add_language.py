# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam add-language`: a trained model with a further language and its characters."""

import argparse
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.cli.files import check_input_file, check_output_folder
from mu2slam_hf.cli.model_options import add_model_option
from mu2slam_hf.cli.options import add_like_option, add_output_dir_option, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "add-language",
        help="add a language and its characters to a trained model",
        description="Writes a model with a further language, whose texts in other languages stay the same. It must "
        "then be trained on the new language.",
    )
    add_model_option(parser)
    parser.add_argument(
        "--lang",
        required=True,
        metavar="LANG",
        help="language: the one to add, as mdw (ISO 639-3) or qaa-x-name (private); of a known language, only "
        "characters are added",
    )
    add_like_option(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--characters", metavar="TEXT", help="all characters of the language, or the new ones")
    source.add_argument(
        "--characters-from",
        nargs="+",
        metavar="FILE",
        help="those of text files, or of the rows of LANG in manifests",
    )
    add_output_dir_option(parser, "the model and its processor", required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Grows a model and saves it."""
    from mu2slam_hf.checkpoints import load_any_checkpoint
    from mu2slam_hf.checkpoints.folders import copy_licence
    from mu2slam_hf.growth.languages import add_language
    from mu2slam_hf.models.language_codes import canonical_language

    quiet_libraries()
    folder = check_free_folder(check_output_folder(args.output_dir))
    code = canonical_language(args.lang)
    # One by one: characters in the order of a set must not combine with one another.
    characters = [args.characters] if args.characters_from is None else sorted(_characters(args.characters_from, code))
    model, processor = load_any_checkpoint(args.model, dtype="auto")
    growth = add_language(model, processor, code, like=args.like, characters=characters)
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        copy_licence(model.name_or_path, temporary)
    if growth.is_new:
        print(f"new language {code}, starts from {', '.join(growth.like)}")
    else:
        print(f"known language {code}")
    for character in growth.characters:
        related = (
            " ".join(character.related) if len(character.related) <= 5 else f"{len(character.related)} characters"
        )
        print(f"new character {character.describe()}, starts from {related} ({character.reason})")
    print(f"{len(growth.characters)} new characters, {growth.vocab_size} ids; written to {folder}")
    print("The model must be trained on the new language before it can transcribe it.")
    return 0


def _characters(files: list[str], code: str) -> set[str]:
    """Characters of text files, and of the texts and translations of manifests in one language."""
    from mu2slam_hf.data.manifests import read_manifest, read_texts
    from mu2slam_hf.data.table_files import table_format

    results: set[str] = set()
    for file in files:
        if table_format(Path(file)) is None:
            check_input_file(file, "texts, one sentence per line")
            texts = list(read_texts([file]))
        else:
            records = list(read_manifest(file))
            texts = [record.text for record in records if record.lang == code and record.text]
            texts += [record.translations[code] for record in records if code in record.translations]
        if not texts:
            raise ValueError(f"--characters-from {file}: has no texts in {code}")
        results.update(*texts)
    return results
