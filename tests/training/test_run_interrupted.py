"""What a run says when it is interrupted, when nobody is logged in, and when the Hub cannot be asked where to go on."""

import pytest
import tiny
from datasets import Dataset
from hub_fixture import Fault
from huggingface_hub import constants
from pending_checkpoints import checkpoint, tags, until
from toy_tasks import PAIRS, WORDS

from hf_stilts import PublishCheckpoints
from hf_stilts.errors import StiltsError
from hf_stilts.publishing import resume
from hf_stilts.publishing.outbox import Pace, outbox_status, retry
from hf_stilts.publishing.resume import newest_checkpoint
from hf_stilts.training.run import run_phase

DATA = Dataset.from_list([{"text": f"{WORDS[n % 12]} {WORDS[n * 5 % 12]}", "label": n % 2} for n in range(40)])
PACE = Pace(first_wait=0.05, longest_wait=0.2, timeout=10.0, patience=5.0)


class Interrupted(PublishCheckpoints):
    """Ctrl-C at a step."""

    at = 5

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def train(tmp_path, monkeypatch):
    source = tiny.save(tmp_path / "public")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def run(publish, *flags, resume=False):
        words = ["--output_dir", str(tmp_path / "run"), "--max_steps", "6", "--use_cpu", "true", "--report_to", "none"]
        words += ["--per_device_train_batch_size", "4", "--eval_strategy", "no", "--save_strategy", "steps", *flags]
        return run_phase(
            "intermediate",
            PAIRS,
            [*words, "--save_steps", "2"],
            publish=publish,
            resume=resume,
            model=source,
            train_dataset=DATA,
            eval_dataset=DATA,
        )

    return run


def test_ctrl_c_says_what_is_saved_what_was_sent_and_how_to_go_on(train, api, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(resume, "HfApi", lambda: api)
    publish = Interrupted("me/tiny", pace=PACE)
    with pytest.raises(KeyboardInterrupt):
        train(publish)
    said = caplog.messages[-1]
    assert f"Interrupted at step 5 of 6. The last checkpoint is step-4, in {tmp_path / 'run'}." in said
    assert "of 2 checkpoints are on the Hub" in said and "with --resume auto" in said
    until(lambda: len(outbox_status(tmp_path / "run").sent) == 2)  # the worker goes on by itself
    assert sorted(tags(api)) == ["step-2", "step-4"]
    result = train(PublishCheckpoints("me/tiny", pace=PACE), resume=True)
    assert result["steps"] == 6
    until(lambda: sorted(tags(api)) == ["step-2", "step-4", "step-6"])
    caplog.clear()
    assert train(PublishCheckpoints("me/tiny", pace=PACE), resume=True)["steps"] == 6
    assert "finished at step 6; it is not trained again" in caplog.text and "This run trains" not in caplog.text


def test_ctrl_c_before_the_first_save_says_that_nothing_is_saved(train, api, caplog, monkeypatch):
    monkeypatch.setattr(resume, "HfApi", lambda: api)
    publish = Interrupted("me/tiny", pace=PACE)
    publish.at = 1
    with pytest.raises(KeyboardInterrupt):
        train(publish, resume=True)
    assert "Interrupted at step 1 of 6. No checkpoint was saved yet." in caplog.messages[-1]
    assert "type the same command." in caplog.messages[-1]


def test_ctrl_c_without_publishing(train, tmp_path, caplog, monkeypatch):
    from transformers import Trainer

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(None)
    assert "No checkpoint was saved yet." in caplog.messages[-1] and "on the Hub" not in caplog.messages[-1]


def test_nobody_logged_in_is_said_before_the_first_step_and_trains_on(train, here, tmp_path, caplog, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    said_at = []

    class Watching(PublishCheckpoints):
        def on_step_begin(self, args, state, control, **kwargs):
            said_at.append("hf auth login" in caplog.text)

    result = train(Watching("tiny", pace=PACE), resume=True)  # without a namespace: whose it is nobody knows
    assert said_at[0] and result["steps"] == 6
    assert f"hf-stilts publish --retry {tmp_path / 'run'}" in result["published"]
    assert "0 of 3 checkpoints are on the Hub" in result["published"] and "hf auth login" in result["published"]
    monkeypatch.setenv("HF_TOKEN", "local")
    assert retry(tmp_path / "run", pace=PACE).ok


def test_where_to_go_on_is_not_guessed_while_the_hub_is_down(api, faults, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    faults.add(Fault(".", times=1000, drop=True))
    with pytest.raises(StiltsError, match="cannot be asked for a checkpoint.*without --resume"):
        newest_checkpoint(tmp_path / "run", "me/tiny", api)
    folder = checkpoint(tmp_path / "run", 4)
    assert newest_checkpoint(tmp_path / "run", "me/tiny", api) == folder
    assert "whether the Hub has a newer one is not known" in caplog.text
