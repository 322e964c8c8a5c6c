# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Imports transformers' own common tests.

`import_common("test_modeling_common")` imports one of the files as `transformers_tests.test_modeling_common`, with
stand-ins for the few things that the source distribution itself leaves out (see `stand_ins.py`).
"""

import importlib
import sys
from types import ModuleType
from unittest import mock

from hf_common.fetch import find_common_tests
from hf_common.stand_ins import install_stand_ins

PACKAGE = "transformers_tests"


def import_common(name: str) -> ModuleType:
    """Imports one file of transformers' common tests.

    Args:
        name: file name without `.py`.

    Raises:
        FileNotFoundError: the common tests have not been fetched.
    """
    path = find_common_tests()
    if path is None:
        raise FileNotFoundError("transformers' common tests are missing; run `python -m tests.hf_common.fetch`")
    import transformers

    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = [str(path)]
        sys.modules[PACKAGE] = package
        install_stand_ins(package)
    # The files load a second transformers, from the sources beside them; the installed one is what we test.
    with mock.patch("transformers.utils.direct_transformers_import", lambda *args, **kwargs: transformers):
        return importlib.import_module(f"{PACKAGE}.{name}")
