# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text tokenizers: a vocabulary of characters or pieces, trained on texts."""

from dataclasses import dataclass
from typing import Literal

from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.data.manifests import read_texts
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.recipes.runs.run import RecipeRun
from mu2slam_hf.recipes.schema.loader import errors_of, path_field
from mu2slam_hf.recipes.schema.sections import check_vocab_size


@dataclass(kw_only=True)
class TextTokenizerRecipe:
    """One text tokenizer.

    Attributes:
        kind: kind of the recipe.
        files: texts, one sentence per line, or manifests, whose translations are texts too.
        tokenizer: kind of the tokenizer (char, unigram, byte).
        vocab_size: maximum number of text tokens; default: 4096 characters or 64,000 pieces. Not for bytes.
        num_speech_tokens: number of speech ids, which precede the text tokens.
        output: folder of the tokenizer.
    """

    kind: Literal["text_tokenizer"] = "text_tokenizer"
    files: list[str] | None = path_field("file")
    tokenizer: str = "char"
    vocab_size: int | None = None
    num_speech_tokens: int = 1024
    output: str = "runs/text_tokenizer"

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("files: at least one is required: texts, one sentence per line, or manifests")
        check_vocab_size(self.tokenizer, self.vocab_size)


class TextTokenizerRun(RecipeRun):
    """Counts the characters, or chooses the pieces, of all texts."""

    recipe_class = TextTokenizerRecipe
    recipe: TextTokenizerRecipe

    def run(self) -> dict[str, float]:
        """Train and save the tokenizer; returns the number of its ids."""
        recipe = self.recipe
        with errors_of("output"):
            folder = check_free_folder(recipe.output)
        tokenizer = Mu2SLAMTokenizer.train_from_iterator(
            read_texts(recipe.files or ()),
            vocab_size=recipe.vocab_size or (4096 if recipe.tokenizer == "char" else 64_000),
            kind=recipe.tokenizer,
            num_speech_tokens=recipe.num_speech_tokens,
        )
        with atomic_path(folder) as temporary:
            tokenizer.save_pretrained(temporary)
        print(f"{len(tokenizer)} ids, written to {recipe.output}")
        return {"num_ids": len(tokenizer)}
