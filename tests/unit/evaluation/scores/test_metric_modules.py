# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The metrics as local modules of `evaluate`, without the Hub."""

import sys

import evaluate
import pytest

from mu2slam_hf.evaluation import METRIC_MODULES, metric_module_path
from mu2slam_hf.evaluation.scores.metrics import compute_bleu, compute_cer, compute_chrf, compute_ter, compute_wer

COMPUTE = {"wer": compute_wer, "cer": compute_cer, "bleu": compute_bleu, "chrf": compute_chrf, "ter": compute_ter}
REFERENCES = ["Press one, please.", "good bye"]
PREDICTIONS = ["press on please", "good bye now"]


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    """Modules are copied to a cache and imported from there; two workers must not share it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", str(folder / "modules"))
        patch.setattr("evaluate.config.HF_METRICS_CACHE", str(folder / "metrics"))
        # A test before this one may have imported the package from another cache.
        for name in [name for name in sys.modules if name.partition(".")[0] == "evaluate_modules"]:
            patch.delitem(sys.modules, name)
        patch.syspath_prepend(str(folder / "modules"))
        yield


@pytest.mark.parametrize("name", METRIC_MODULES)
def test_module_gives_what_the_function_gives(name, tmp_path):
    metric = evaluate.load(metric_module_path(name), cache_dir=str(tmp_path))
    for prediction, reference in zip(PREDICTIONS, REFERENCES, strict=True):
        metric.add_batch(predictions=[prediction], references=[reference])
    expected = COMPUTE[name](REFERENCES, PREDICTIONS)
    assert metric.compute() == {name: expected.value, "signature": expected.signature, "num_items": 2}


def test_unknown_metric_lists_those_that_are_there():
    with pytest.raises(ValueError, match="unknown metric 'meteor'; expected one of wer, cer, bleu, chrf, ter"):
        metric_module_path("meteor")
