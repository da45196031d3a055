"""The commit of what is scored stands in every row, however a published model came there."""

import json

import mirrors
import pytest
import tiny

SCORE = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from transformers import AutoModel, AutoTokenizer, TrainingArguments
from hf_stilts import TargetTrainer, load_intermediate, zero_shot

folder, data = map(Path, {places!r})
api = HfApi()
api.create_repo("me/tiny")
commits = []
for number in range(2):
    (folder / "note.txt").write_text(str(number))
    commits.append(api.upload_folder(repo_id="me/tiny", folder_path=str(folder)).oid)
tokenizer = AutoTokenizer.from_pretrained(str(folder))
args = TrainingArguments(str(data / "run"), use_cpu=True, max_steps=1, save_strategy="no", report_to="none")
run = TargetTrainer("me/tiny", args, task="udpos", data_dir=data)
run.train()

def revision(model, task, language, **options):
    table = zero_shot(model, task, [language], data_dir=data, **options)
    return [table["model"].unique().tolist(), table["model_revision"].unique().tolist()]

found = {{
    "stock": revision(AutoModel.from_pretrained("me/tiny"), "tatoeba", "de", tokenizer=tokenizer, layer=1),
    "name": revision("me/tiny", "tatoeba", "de", layer=1),
    "trainer": revision(run, "udpos", "de"),
    "trained model": revision(run.model, "udpos", "de", tokenizer=tokenizer),
    "loaded": revision(load_intermediate("me/tiny"), "tatoeba", "de", tokenizer=tokenizer, layer=1),
    "older": revision(load_intermediate(f"me/tiny@{{commits[0]}}"), "tatoeba", "de", tokenizer=tokenizer, layer=1),
}}
print(json.dumps([commits, found]))
"""


@pytest.mark.slow
def test_the_commit_of_a_published_start_is_told(client, tmp_path):
    folder = tiny.save(tmp_path / "public")
    data = mirrors.build(tmp_path / "mirror", mirrors.SMALL)
    said = client.python(SCORE.format(places=(str(folder), str(data))))
    (older, newest), found = json.loads(said.splitlines()[-1])
    assert found.pop("older") == [["me/tiny"], [older]]
    assert found == dict.fromkeys(found, [["me/tiny"], [newest]])
