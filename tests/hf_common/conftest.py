# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What transformers' common tests need of pytest: their markers, and their files."""

import pytest
from hf_common.fetch import find_common_tests

# `tests/conftest.py` says in one line that they are left out.
collect_ignore_glob = [] if find_common_tests() else ["test_*.py"]

TRANSFORMERS_MARKERS = (
    "accelerate_tests",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "flash_attn_test",
    "is_agent_test",
    "is_expert_parallel_test",
    "is_fsdp_test",
    "is_pipeline_test",
    "is_staging_test",
    "is_tensor_parallel_test",
    "is_training_test",
    "order",
    "torch_compile_test",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in TRANSFORMERS_MARKERS:
        config.addinivalue_line("markers", f"{marker}: set by transformers' common tests.")
