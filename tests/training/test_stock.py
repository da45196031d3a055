"""What the stock Trainer has to do for ours to work: it calls every private method that is overridden, and asks."""

import inspect
import sys

import tiny
import transformers.trainer
from datasets import Dataset
from toy_tasks import PAIRS, WORDS
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_stilts.publishing.callback import PublishCheckpoints
from hf_stilts.training.dual_encoder import DualEncoderTrainer
from hf_stilts.training.mixture import MixtureTrainer
from hf_stilts.training.stock import StockTrainer
from hf_stilts.training.trainer import IntermediateTrainer, StiltsTrainer, TargetTrainer

TRAINERS = (StiltsTrainer, IntermediateTrainer, TargetTrainer, DualEncoderTrainer, MixtureTrainer)
DATA = Dataset.from_list([{"text": f"{WORDS[n % 12]} {WORDS[n * 5 % 12]}", "label": n % 2} for n in range(12)])
PRIVATE = [name for name in vars(StockTrainer) if name.startswith("_") and not name.startswith("__")]


def _trainer(folder, source, **settings):
    given = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2, "save_steps": 2, "report_to": "none"}
    given |= {"per_device_train_batch_size": 4, "use_cpu": True, "disable_tqdm": True, "load_best_model_at_end": True}
    args = TrainingArguments(str(folder), **given)
    return IntermediateTrainer(source, args, task=PAIRS, train_dataset=DATA, eval_dataset=DATA, **settings)


def test_private_methods_of_the_stock_trainer_are_overridden_in_one_file():
    stock = {name for name in vars(Trainer) if name.startswith("_") and not name.startswith("__")}
    elsewhere = {
        (cls.__name__, name)
        for trainer in TRAINERS
        for cls in trainer.__mro__
        if cls.__module__.startswith("hf_stilts") and cls is not StockTrainer
        for name in set(vars(cls)) & stock
    }
    assert not elsewhere and set(PRIVATE) <= stock
    assert all("hanged" in inspect.getdoc(vars(StockTrainer)[name]) for name in PRIVATE), "reason and version"


def test_the_stock_trainer_calls_every_method_that_is_overridden(tmp_path, monkeypatch):
    called = set()

    def noting(name, method):
        def noted(self, *args, **named):
            if sys._getframe(1).f_code.co_filename == transformers.trainer.__file__:
                called.add(name)
            return method(self, *args, **named)

        return noted

    for name in PRIVATE:
        monkeypatch.setattr(StockTrainer, name, noting(name, vars(StockTrainer)[name]))
    source = tiny.save(tmp_path / "public")
    run = _trainer(tmp_path / "run", source)
    run.train()
    _trainer(tmp_path / "run", source).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert sorted(called) == sorted(PRIVATE)


def test_a_trainer_has_at_most_three_ancestors_of_ours():
    for trainer in TRAINERS:
        ours = [cls for cls in trainer.__mro__[1:] if cls.__module__.startswith("hf_stilts")]
        assert len(ours) <= 3, ours
        assert trainer.__mro__[len(ours) + 1] is Trainer


def test_a_callback_asks_for_the_record_and_nothing_is_planted(tmp_path):
    class Asking(TrainerCallback):
        record = None

        def on_train_begin(self, args, state, control, **kwargs):
            self.found = kwargs["record"]()

    asking, publish = Asking(), PublishCheckpoints("me/tiny")
    publish.on_save = publish.on_train_end = lambda *_, **__: None
    run = _trainer(tmp_path / "run", tiny.save(tmp_path / "public"), callbacks=[asking])
    run.train()
    assert asking.record is None and asking.found.phase == "intermediate" and asking.found.task_names == (PAIRS.name,)
    assert publish.destination(run.args, run.model, run.record) == "me/tiny" and publish.record is None


def test_a_mixture_and_a_task_alone_are_made_by_the_same_steps(tmp_path):
    source = tiny.save(tmp_path / "public")
    args = TrainingArguments(str(tmp_path / "run"), max_steps=2, use_cpu=True, report_to="none", disable_tqdm=True)
    alone = IntermediateTrainer(source, args, task=PAIRS, train_dataset=DATA, eval_dataset=DATA)
    given = {PAIRS.name: DATA}
    mixture = MixtureTrainer(source, args, tasks=[PAIRS], train_dataset=given, eval_dataset=given)
    one, other = alone.data, mixture.task_data[PAIRS.name]
    assert type(one) is type(other) and one.task == other.task and one.max_length == other.max_length
    assert one.features[:] == other.features[:] and one.dev[0][:] == other.dev[0][:]
    assert one.sources() == other.sources()
    assert alone.max_length == mixture.max_length and alone.kind == mixture.kind
