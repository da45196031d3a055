"""Whether a language with little data (Telugu) gains more from intermediate training in English or in itself.

Answering questions is the intermediate task, since TyDiQA has Telugu questions that nobody translated. Every arm reads
as many examples in as many steps; the curve of the amount of data repeats fewer different rows as often as it takes.
"""

from hf_stilts.studies.study import Intermediate, Study

STEPS = {"max_steps": 3000, "per_device_train_batch_size": 16}
ROWS = 5000  # TyDiQA has 5,563 Telugu ones

STUDY = Study(
    base=("FacebookAI/xlm-roberta-base@e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",),
    arms={
        "none": None,
        "English, 1,000 rows": Intermediate("squad_v1", limit=1000, flags=STEPS),
        "English": Intermediate("squad_v1", limit=ROWS, flags=STEPS),
        "English, 40,000 rows": Intermediate("squad_v1", limit=40_000, flags=STEPS),
        "Telugu, native, 1,000 rows": Intermediate("tydiqa", languages="te", limit=1000, flags=STEPS),
        "Telugu, native": Intermediate("tydiqa", languages="te", limit=ROWS, flags=STEPS),
        "Telugu, translated": Intermediate("squad_v1", languages="te-t-en", limit=ROWS, flags=STEPS),
        "Telugu, translated, also in Latin script": Intermediate(
            "squad_v1", languages={"te-t-en": 0.5, "te-Latn-t-en": 0.5}, limit=ROWS, flags=STEPS
        ),
        "English, contrastive with Telugu": Intermediate("squad_v1", contrastive="te-t-en", limit=ROWS, flags=STEPS),
        "Tamil, translated": Intermediate("squad_v1", languages="ta-t-en", limit=ROWS, flags=STEPS),
    },
    targets=("udpos", "panx", "tatoeba"),
    languages=("en", "ta", "te", "hi", "mr", "ur"),
    controls=("examples", "steps"),
    small={
        "arms": ("none", "English", "Telugu, native"),
        "targets": ("udpos", "tatoeba"),
        "flags": {"max_steps": 500},
        "limit": 200,
    },
)
