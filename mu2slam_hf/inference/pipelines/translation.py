# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pipeline `pipeline("translation", model=...)` for texts, a task that transformers removed in version 5."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch.utils.data import Dataset
from transformers.pipelines.base import Pipeline

from mu2slam_hf.data.text import prepare_text
from mu2slam_hf.inference.pipelines.base import LanguagePairs, OurModelsMixin
from mu2slam_hf.models.language_codes import language_index
from mu2slam_hf.models.modules_capabilities import Capabilities


class Mu2SLAMTranslationPipeline(OurModelsMixin, Pipeline):
    """Translation of texts, with the arguments and results of the pipeline that transformers used to have.

    An input is a text or a mapping with `text`, or a list, a data set, a column or a generator of inputs. The result
    of a text is `[{"translation_text": ...}]`, that of a list of texts a list of such mappings.

    Arguments of the pipeline or of a call: `src_lang` (or `source_lang`; unknown by default), `tgt_lang` (or
    `target_lang`), which `pipeline("translation_en_to_fr", ...)` sets; `normalize`, see `prepare_text`;
    `return_tensors`; and all arguments of `generate`.
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    @staticmethod
    def is_for(capabilities: Capabilities) -> bool:
        """Whether the class is for a model with these capabilities."""
        return "mt" in capabilities.tasks

    @staticmethod
    def _stock(model: Any, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(
            f"transformers has no translation pipeline any more; this one is for the models of mu2slam_hf, got "
            f"{type(model).__name__}."
        )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Translate one or more texts; see the class."""
        if isinstance(inputs, Iterable) and not isinstance(inputs, (str, list, Mapping, Dataset)):
            # Also the columns of `datasets`, which are neither lists nor data sets of torch.
            inputs = (item for item in inputs)
        if isinstance(inputs, list):
            if not inputs:
                return []
            results = super().__call__(inputs, *args, **kwargs)
            return [item[0] for item in results] if all(len(item) == 1 for item in results) else results
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(
        self,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        source_lang: str | None = None,
        target_lang: str | None = None,
        normalize: str | None = None,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> tuple[dict, dict, dict]:
        forward = {**options, **(generate_kwargs or {})}
        pair = LanguagePairs.pattern.fullmatch(self.task or "")
        # The name of the task applies to what the pipeline and the call leave open.
        defaults = {} if pair is None else {"source_lang": pair[1], "target_lang": pair[2]}
        defaults |= getattr(self, "_forward_params", {})
        for name, both in (("source_lang", (source_lang, src_lang)), ("target_lang", (target_lang, tgt_lang))):
            given = next((item for item in both if item is not None), defaults.get(name))
            if None not in both and language_of(self, both[0]) != language_of(self, both[1]):
                raise ValueError(f"{name}={both[0]!r} and {name[:3]}_lang={both[1]!r} differ: pass one of them.")
            if given is not None:
                language_of(self, given)
                forward[name] = given
        preprocess = {} if normalize is None else {"normalize": normalize}
        postprocess: dict[str, Any] = {}
        if return_tensors is not None or return_text is not None:
            postprocess["return_tensors"] = bool(return_tensors) or return_text is False
        if clean_up_tokenization_spaces is not None:
            postprocess["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        return preprocess, forward, postprocess

    def preprocess(self, inputs: Any, normalize: str = "auto") -> Any:
        """Token ids of a text."""
        text = inputs.get("text") if isinstance(inputs, Mapping) else inputs
        if not isinstance(text, str):
            raise ValueError(f"expected a text or a mapping with `text`, got {type(inputs).__name__}.")
        return self.tokenizer(prepare_text(text, self.tokenizer, normalize), return_tensors="pt")

    def _forward(self, model_inputs: Any, **options: Any) -> dict[str, Any]:
        if options.get("target_lang") is None:
            raise ValueError("translation requires tgt_lang=, the language to translate into.")
        rows = len(model_inputs["input_ids"])
        ids = self.model.generate(**model_inputs, task="mt", **options)
        # (items * sequences, L) -> (items, sequences, L)
        return {"output_ids": ids.view(rows, len(ids) // rows, -1)}

    def postprocess(
        self, model_outputs: dict[str, Any], return_tensors: bool = False, **decode_options: Any
    ) -> list[dict[str, Any]]:
        """`[{"translation_text": ...}]`, or `translation_token_ids` with `return_tensors`."""
        sequences = model_outputs["output_ids"][0]
        if return_tensors:
            return [{"translation_token_ids": ids} for ids in sequences]
        texts = (self.tokenizer.decode(ids, skip_special_tokens=True, **decode_options) for ids in sequences)
        return [{"translation_text": text.strip()} for text in texts]


def language_of(pipeline: Pipeline, code: Any) -> int:
    """Row of a language in the table of a pipeline's model; raises ValueError if the model does not have it."""
    return language_index(code, pipeline.model.config.languages)


__all__ = ["Mu2SLAMTranslationPipeline"]
