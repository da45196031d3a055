"""Tokenised data lies memory-mapped on the disk; a second run of the same data, tokenizer and length reads it there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import ClassLabel, Features, Value
from places import SUPPORT
from repositories import NLI, Repository, rows_of

RUN = """
import json, sys
import tiny
from transformers import PreTrainedTokenizerBase
from repositories import nli
from hf_stilts.data.load import load
from hf_stilts.kinds import load_kind

calls, stock = [], PreTrainedTokenizerBase.__call__
PreTrainedTokenizerBase.__call__ = lambda self, *args, **named: calls.append(1) or stock(self, *args, **named)
rows = load(nli(), "train", "en", data_dir=sys.argv[1])
features = load_kind("text-classification").features(
    nli(), rows, tiny.tokenizer(), max_length=int(sys.argv[2]), train=True
)
print(json.dumps([len(calls), features.cache_files[0]["filename"], features["input_ids"][:2]]))
"""


def run(root: Path, length: int, cache: Path):
    environment = os.environ | {
        "HF_DATASETS_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SUPPORT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(root), str(length)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_second_process_tokenises_nothing(tmp_path):
    features = Features(
        {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=list(NLI))}
    )
    root = Repository(tmp_path / "mirror").add("x/nli", "all", {"train": rows_of(0, 1, 2)}, features)
    cache = tmp_path / "cache"
    calls, file, ids = run(root, 16, cache)
    assert calls == 1
    assert run(root, 16, cache) == [0, file, ids]
    calls, other, _ = run(root, 8, cache)
    assert calls == 1 and other != file
