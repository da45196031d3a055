"""What stands on a terminal: whole words to copy, lines beside progress bars, one line for what a disk refuses."""

import errno
import io
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from mirrors import build
from tiny import save
from tqdm import tqdm

from hf_stilts import console, logging
from hf_stilts.cli import _said_of
from hf_stilts.cli.options import hush_stock_bars

PATH = "mirror/google/xquad/xquad.de/validation-00000-of-00001.parquet"


@pytest.mark.parametrize("columns", ["40", "80"])
def test_a_word_wider_than_the_terminal_is_printed_whole(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    console.show([{"file": PATH, "language": "de", "text": "words that may be wrapped " * 5}], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(PATH) for line in lines)
    assert all(len(line) <= int(columns) for line in lines if PATH not in line)


def test_weights_are_read_without_a_bar_and_downloads_keep_theirs():
    import transformers
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    before = are_progress_bars_disabled()
    try:
        hush_stock_bars()
        assert not transformers.utils.logging.is_progress_bar_enabled()
        assert are_progress_bars_disabled() == before
    finally:
        transformers.utils.logging.enable_progress_bar()


def test_a_line_is_written_beside_a_progress_bar(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    with tqdm(total=20, file=terminal, ncols=30) as bar:
        bar.update(1)
        console.warn("a checkpoint is on the Hub")
    assert "\rNote: a checkpoint is on the Hub\n" in terminal.getvalue()


def test_two_wrapped_columns_leave_room_for_the_last_one(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    folder = "google-research-datasets/tydiqa/secondary_task"
    row = {"folder": folder, "language": "ar bn en fi id ko ru sw te", "split": "validation", "rows": 5077}
    console.show([row], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["folder", "language", "split", "rows"]
    assert lines[1].split() == [folder, "ar", "bn", "en", "fi", "id", "ko", "validation", "5077"]


def test_what_became_of_the_checkpoints_is_said_once(capsys):
    published = "me/tiny-stilts-mnli: 2 of 2 checkpoints are on the Hub."  # the callback has said so
    result = {"phase": "intermediate", "folder": "runs/x", "published": published}
    console.report_run(result, "mnli", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "published  me/tiny-stilts-mnli" in [line.rstrip() for line in lines]
    console.report_run(result, "mnli", as_json=True)
    assert published in capsys.readouterr().out


@pytest.mark.parametrize(("level", "in_the_table"), [(logging.INFO, False), (logging.WARNING, True)])
def test_what_came_of_the_body_is_said_once(level, in_the_table, capsys, request):
    request.addfinalizer(partial(logging.set_verbosity, logging.get_verbosity()))
    logging.set_verbosity(level)
    result = {"phase": "target", "folder": "runs/x", "steps": 4, "body": "37 tensors of the body come from x/y."}
    console.report_run(result, "xnli", as_json=False)
    assert ("37 tensors" in capsys.readouterr().out) == in_the_table, "else the log has said it"
    console.report_run(result, "xnli", as_json=True)
    assert "37 tensors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "No space left on device: runs/x. Make room"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Make room"),
        (
            OSError(errno.EROFS, "Read-only file system", "/r"),
            "Read-only file system: /r. A folder that can be written",
        ),
        (FileExistsError(errno.EEXIST, "File exists", "f"), "File exists: f. A folder is expected there, or nothing"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1\nframe 0"),
            "unexpected pos 1). Make",
        ),
        (ValueError("as it is"), "as it is"),
        (KeyError("ours"), None),
    ],
)
def test_what_a_disk_refuses_is_said_in_one_line_with_the_way_out(error, said):
    line = _said_of(error)
    assert line is None if said is None else said in line


@pytest.mark.slow
def test_other_libraries_say_nothing_in_commands_of_a_normal_day(tmp_path):
    base = save(tmp_path / "base")
    rows = {"snli": {"train": ["en"], "validation": ["en"]}, "udpos": {"train": ["en"], "validation": ["en"]}}
    rows["tatoeba"] = {"test": ["de"]}
    rows["udpos"]["test"] = ["en", "de"]
    environment = {**os.environ, "HF_STILTS_DATA": str(build(tmp_path / "mirror", rows)), "OMP_NUM_THREADS": "1"}
    short = ["--max_steps", "2", "--no-publish"]
    for words in (
        ["intermediate", "snli", "--base", base, "--output_dir", "first", *short],
        ["target", "udpos", "--init", "first", "--output_dir", "second", *short],
        ["evaluate", "udpos", "--model", "second", "--available"],
        ["evaluate", "tatoeba", "--model", "first", "--languages", "de"],
    ):
        command = [str(Path(sys.executable).parent / "hf-stilts"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert not re.search(r"[Ww]arn|\[transformers\]|deprecat|site-packages", done.stdout + done.stderr), done.stderr
