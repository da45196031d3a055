"""The example on real text, shortened: the same path from raw files to the table, a fiftieth of the steps."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from places import ROOT

RAW = Path(os.environ.get("HF_STILTS_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.slow
@pytest.mark.skipif(not RAW.is_dir(), reason=f"no real text at {RAW}; set HF_STILTS_TEST_DATA")
def test_the_example_on_real_text_shortened(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "real_data.py"), "--raw", str(RAW), "--out", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--scale", "0.02"], env=environment, capture_output=True, text=True, timeout=1500
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    for name in ("base", "commonsenseqa", "tydiqa_en"):  # benchmarks start from these folders
        there = {path.name for path in (tmp_path / name).iterdir()}
        assert {"model.safetensors", "tokenizer.json", "stilts.json"} <= there
    table = pd.read_json(tmp_path / "results.jsonl", lines=True)
    main = table[table["main"] == 1]
    assert set(main["intermediate"]) == {"none", "commonsenseqa", "tydiqa_en"}
    counts = main.groupby("task")["language"].nunique()
    assert counts["tatoeba"] == 36
    assert counts["xquad"] == 12
    assert counts["udpos"] == 32  # of the task's 38; bg, et, eu, hu, uk and ur have no openly licensed treebank here
