"""Whether intermediate training or multilingual fine-tuning withstands typing errors better.

The study `typos` at the size of one laptop: `make encoder` builds the base, and every arm reads 2,400 rows. Treebanks
of nine languages are the rows of multilingual fine-tuning; the other languages are zero-shot for both.
"""

from hf_stilts import Intermediate, Study

STUDY = Study(
    base=("encoder/multilingual-e5-small",),
    arms={
        "none": None,
        "SNLI": Intermediate("examples/studies/snli_dev.py", limit=2400),
        "SNLI, misspelt": Intermediate("examples/studies/snli_dev.py", noise="keyboard=0.1", limit=2400),
    },
    targets=("udpos",),
    train_on={
        "English": "en",
        "multilingual": {"en": 0.2, **dict.fromkeys(("af", "el", "id", "mr", "te", "tr", "vi", "wo"), 0.1)},
    },
    train_limit=2400,
    noise=(None, "keyboard=0.1", "keyboard=0.3"),
    flags={
        "max_steps": 150,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-4,
        "compact_vocabulary": True,
        "bf16": True,
        "use_cpu": True,
    },
    controls=("examples", "steps"),
    languages=("af", "ar", "de", "el", "en", "es", "fi", "hi", "id", "mr", "ru", "te", "th", "tl", "tr", "vi"),
    limit=60,
)
