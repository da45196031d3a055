"""On a terminal the log of a command's training is lines of text; elsewhere stock has its say."""

import logging
import sys

import pytest
import tiny
from datasets import Dataset
from transformers import AutoModelForMaskedLM, Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from hf_stilts.kinds import load_kind
from hf_stilts.task import load_task
from hf_stilts.training.log_lines import LogLines, write_log_lines


class Terminal:
    def __init__(self, stream, is_terminal):
        self.stream, self.is_terminal = stream, is_terminal

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def isatty(self):
        return self.is_terminal


def trainer(folder, **settings):
    set_seed(0)
    args = TrainingArguments(
        str(folder), use_cpu=True, report_to="none", max_steps=2, logging_steps=1, save_strategy="no", **settings
    )
    row = {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [5, 6, 7]}
    return Trainer(AutoModelForMaskedLM.from_config(tiny.config()), args, train_dataset=[row] * 4)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_gets_lines_and_a_log_file_the_stock_dictionaries(is_terminal, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr, is_terminal))
    training = trainer(tmp_path)
    write_log_lines(training)
    training.train()
    said = capsys.readouterr().out
    assert ("step 1 of 2: loss " in said) is is_terminal
    assert ("step 2 of 2, training: " in said) is is_terminal
    assert ("{'loss'" in said) is not is_terminal


def test_who_asked_for_no_bar_keeps_the_stock_printer(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr, True))
    training = trainer(tmp_path, disable_tqdm=True)
    write_log_lines(training)
    callbacks = [type(each) for each in training.callback_handler.callbacks]
    assert PrinterCallback in callbacks and not {ProgressCallback, LogLines} & {*callbacks}


def test_short_windows_are_said_once_of_all_splits(caplog):
    kind, task = load_kind("question-answering"), load_task("squad_v1")
    row = {"id": "1", "question": "who", "context": "a cat", "answers": {"text": ["a cat"], "answer_start": [0]}}
    with caplog.at_level(logging.WARNING, "hf_stilts"):
        for train in (True, False):
            kind.features(task, Dataset.from_list([row]), tiny.tokenizer(), max_length=77, train=train)
    assert len([record for record in caplog.records if "Windows of 77 tokens" in record.getMessage()]) == 1
