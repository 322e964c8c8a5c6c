# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""transformers' own common tests of tokenizers, applied to both kinds of ours."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from hf_common.source import import_common

tokenization_common = import_common("test_tokenization_common")
backend_mixin = import_common("test_tokenizers_backend_mixin")

from mu2slam_hf import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer  # noqa: E402

CORPUS = [
    tokenization_common.input_string,
    "Wonderful no inspiration example with subtoken",
    "The quick brown fox jumps over the lazy dog",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG, 0123456789 #()[]<>|_-.:;!?'\"",
]


class _Common:
    """Set-up shared by the tests below; trains the tokenizer instead of downloading one."""

    kind = "char"
    tokenizer_class = Mu2SLAMTokenizer

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tokenizer_class.train_from_iterator(CORPUS * 3, 400, cls.kind).save_pretrained(cls.folder.name)
        cls.from_pretrained_id = cls.folder.name
        # The source distribution leaves out the sample text that the tests read.
        fixtures = Path(cls.folder.name) / "fixtures"
        fixtures.mkdir()
        (fixtures / "sample_text.txt").write_text("\n\n".join(CORPUS), encoding="utf-8")
        with mock.patch.object(tokenization_common, "get_tests_dir", lambda: cls.folder.name):
            super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def test_tokenize_special_tokens(self):
        """In place of the common test: a typed special token stays text, unless one call says otherwise."""
        tokenizer = self.get_tokenizer()
        tokenizer.add_tokens(["[SPECIAL_TOKEN_1]"], special_tokens=True)
        tokenizer.add_special_tokens(
            {"extra_special_tokens": ["[SPECIAL_TOKEN_2]"]}, replace_extra_special_tokens=False
        )
        for name in ("[SPECIAL_TOKEN_1]", "[SPECIAL_TOKEN_2]"):
            self.assertEqual(tokenizer.tokenize(name, split_special_tokens=False), [name])
            self.assertNotIn(name, tokenizer.tokenize(name))


class UnigramTokenizationTest(
    _Common, tokenization_common.TokenizerTesterMixin, backend_mixin.TokenizersBackendTesterMixin, unittest.TestCase
):
    kind = "unigram"


class CharacterTokenizationTest(
    _Common, tokenization_common.TokenizerTesterMixin, backend_mixin.TokenizersBackendTesterMixin, unittest.TestCase
):
    @unittest.skip("A character tokenizer has no words: each character is one, also the space.")
    def test_alignment_methods(self):
        pass


class CTCTokenizationTest(CharacterTokenizationTest):
    tokenizer_class = Mu2SLAMCTCTokenizer
