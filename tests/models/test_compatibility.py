"""A checkpoint of another architecture, vocabulary, size or tokenizer than asked for is refused with the reason."""

import pytest
import tiny
from toy_tasks import PAIRS

from hf_stilts import TargetTrainer, load_intermediate
from hf_stilts.errors import StiltsError
from hf_stilts.hub.record import RECORD_FILE, ParentModel, Record


def test_what_descends_is_loaded_and_what_does_not_is_refused(tmp_path):
    base, child = tiny.save(tmp_path / "base"), tiny.save(tmp_path / "child", seed=1)
    assert load_intermediate(child, base=base).config.vocab_size == tiny.config().vocab_size
    others = {
        "model_type is bert, not xlm-roberta": tiny.save(tmp_path / "bert", "bert"),
        "vocab_size is": tiny.save(tmp_path / "words", vocab_size=len(tiny.tokenizer()) + 8),
        "num_hidden_layers is 3, not 2": tiny.save(tmp_path / "deep", num_hidden_layers=3),
    }
    for reason, other in others.items():
        with pytest.raises(StiltsError, match=f"does not descend from .*{reason}"):
            load_intermediate(other, base=base)


def test_the_same_shape_with_other_tokens_is_refused(tmp_path):
    base, child = tiny.save(tmp_path / "base"), tiny.save(tmp_path / "child")
    file = tmp_path / "child" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"▁house"', '"▁horse"'), encoding="utf-8")
    with pytest.raises(StiltsError, match="its tokenizer has"):
        load_intermediate(child, base=base)


def test_a_target_training_asks_as_well(tmp_path):
    bert, other = tiny.save(tmp_path / "bert", "bert"), tiny.save(tmp_path / "other")
    with pytest.raises(StiltsError, match="does not descend from .*bert: its model_type is xlm-roberta, not bert"):
        TargetTrainer(bert, init=other, task=PAIRS)


def test_a_parent_whose_name_ends_alike_is_another_model(tmp_path):
    child, base = tmp_path / "child", tiny.save(tmp_path / "bert-base")
    tiny.save(child, num_hidden_layers=3)
    for parent, fits in (("org/distilbert-base", False), ("org/bert-base", True)):
        record = Record(phase="intermediate", tasks=(), parent=ParentModel(id=parent, commit="a" * 40))
        (child / RECORD_FILE).write_text(record.to_json())
        if fits:
            assert load_intermediate(str(child), base=base)
        else:
            with pytest.raises(StiltsError, match="num_hidden_layers is 3, not 2"):
                load_intermediate(str(child), base=base)
