"""Whether English or multilingual intermediate tasks are better for retrieval, from two starts of a small real encoder.

multilingual-e5-small is tuned for sentence similarity; the second start is made from it by masked language modelling
(docs/results/retrieval.md has the command), so that it is again what the papers start from.
"""

from hf_stilts import Intermediate, Study

NINE = {"en": 0.2, **dict.fromkeys(("af", "el", "id", "mr", "te", "tr", "vi", "wo"), 0.1)}

STUDY = Study(
    base=("runs/e5-mlm", "encoder/multilingual-e5-small"),
    arms={
        "none": None,
        "SNLI": Intermediate("examples/studies/snli_dev.py", limit=2400),
        "UD, English": Intermediate("udpos", limit=2400),
        "UD, nine languages": Intermediate("udpos", languages=NINE, limit=2400),
    },
    targets=("tatoeba",),
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
