"""The README's data in miniature: a mirror of MNLI, UD-POS and Tatoeba, and the name of the public model."""

from pathlib import Path

import tiny
from datasets import ClassLabel, Dataset, Features, Value
from transformers import AutoModelForMaskedLM

from hf_stilts.dataset_scripts import build

BASE = "FacebookAI/xlm-roberta-base"


SENTENCE = "1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_\n2\tdog\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"


def write_mirror(tmp_path) -> Path:
    """MNLI, UD-POS and Tatoeba, some rows of each, where the tasks look for them."""
    mirror = tmp_path / "mirror"
    glue = mirror / "nyu-mll" / "glue"
    (glue / "mnli").mkdir(parents=True)
    labels = ClassLabel(names=["entailment", "neutral", "contradiction"])
    features = Features({"premise": Value("string"), "hypothesis": Value("string"), "label": labels})
    rows = [{"premise": "the old house", "hypothesis": f"a dog {i}", "label": i % 3} for i in range(12)]
    for split in ("train", "validation_matched"):
        Dataset.from_list(rows, features=features).to_parquet(glue / "mnli" / f"{split}-00000-of-00001.parquet")
    paths = "".join(f"  - split: {s}\n    path: mnli/{s}-*\n" for s in ("train", "validation_matched"))
    (glue / "README.md").write_text(f"---\nconfigs:\n- config_name: mnli\n  data_files:\n{paths}---\n")
    for code, name in (("en", "English"), ("de", "German")):
        folder = tmp_path / "ud" / f"UD_{name}-Tiny"
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (folder / f"{code}_tiny-ud-{split}.conllu").write_text(SENTENCE * 3)
    build("udpos", tmp_path / "ud", mirror)
    raw = tmp_path / "tatoeba"
    raw.mkdir()
    for side in ("deu", "eng"):
        (raw / f"tatoeba.deu-eng.{side}").write_text("".join(f"house {n}\n" for n in range(5)))
    build("tatoeba", raw, mirror, checksum=False)
    return mirror


def publish_base(client, tmp_path) -> None:
    """A tiny public model under the real name."""
    base = tiny.save(tmp_path / "base", model_class=AutoModelForMaskedLM)
    client.python(f"""
from huggingface_hub import HfApi
HfApi().create_repo({BASE!r})
HfApi().upload_folder(repo_id={BASE!r}, folder_path={base!r})
""")
