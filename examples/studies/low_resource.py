"""Whether intermediate training narrows the gap of languages with little data, beside a few rows of their own.

Part-of-speech tags, learnt from English; Marathi, Tagalog, Telugu, Wolof and Yoruba against German and Turkish,
zero-shot and with 100 training sentences of the language itself. Tagalog and Yoruba have no training rows here.
"""

from hf_stilts import Intermediate, Study

STUDY = Study(
    base=("encoder/multilingual-e5-small",),
    arms={
        "none": None,
        "SNLI": Intermediate("examples/studies/snli_dev.py", limit=2400),
    },
    targets=("udpos",),
    train_limit=2400,
    shots=(0, 100),
    flags={
        "max_steps": 150,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
        "compact_vocabulary": True,
        "bf16": True,
        "use_cpu": True,
    },
    controls=("examples", "steps"),
    languages=("de", "en", "mr", "te", "tl", "tr", "wo", "yo"),
    limit=100,
)
