"""Hand-made raw files of the intermediate tasks' publishers, whole and right, as their converters read them."""

from __future__ import annotations

from raw_targets import lines, question, squad

PAIR = {"sentence1": "An owl sleeps.", "sentence2": "A bird sleeps.", "gold_label": "entailment", "pairID": "1r1e"}
ROUND = {"context": "An owl sleeps.", "hypothesis": "A bird sleeps.", "reason": "owls are birds"}
BEGUN = {
    "ind": 4, "activity_label": "Feeding owls", "ctx_a": "A man holds a mouse.", "ctx_b": "the owl",
    "ctx": "A man holds a mouse. the owl", "split": "train", "split_type": "indomain", "source_id": "a~1",
    "endings": ["eats it.", "drives a bus.", "reads.", "melts."], "label": 0,
}  # fmt: skip
STORY = {"id": "s1", "context": "It rained.", "question": "Why?", "answer0": "w", "answer1": "x", "answer2": "y",
         "answer3": "z"}  # fmt: skip
SITUATION = {
    "context": "Ada fed the owl.",
    "question": "How is it?",
    "answerA": "full",
    "answerB": "sad",
    "answerC": "a",
}
COPA = """<?xml version="1.0"?>
<!DOCTYPE copa-corpus SYSTEM "copa.dtd">
<copa-corpus version="1.0">
  <item id="400" asks-for="cause" most-plausible-alternative="2"><p>It got wet.</p><a1>Sun.</a1><a2>Rain.</a2></item>
  <item id="1401" asks-for="effect" most-plausible-alternative="1"><p>It rained.</p><a1>Mud.</a1><a2>Dust.</a2></item>
</copa-corpus>
"""
WORDS = ("Owls\towls\towl\tCON\tnp\tO\t[]", "sleep\tsleep\tsleep\tEXS\ts:dcl\\np\tO\t[]")
NAMED = ("New~York\tNew York\tny\tGEO\tn/n\tO\t[]", WORDS[1])
ANSWERED = {"context": "An owl.", "qas": [question("a1", "owl", 3)]}
# The answer of t1 was shifted by the translation, that of t2 is not in it.
TRANSLATED = {"context": "Eine Eule sieht eine Eule.", "qas": [question("t1", "Eule", 20), question("t2", "Uhu", 3)]}


def sentences(*tagged: tuple[str, ...]) -> str:
    return "### made by hand\n" + "".join("# raw sent = ...\n" + "\n".join(rows) + "\n\n" for rows in tagged)


def table(*rows: tuple[str, ...]) -> str:
    return "".join("\t".join(cells) + "\n" for cells in rows)


INTERMEDIATE = {
    "snli": {
        "snli_1.0_train.jsonl": lines(
            PAIR, PAIR | {"gold_label": "-", "pairID": "2"}, PAIR | {"gold_label": "neutral", "pairID": "3"}
        ),
        "snli_1.0_dev.txt": table(
            ("gold_label", "sentence1", "sentence2", "label1", "label2"), ("contradiction", 'An "owl', "A mouse", "c")
        ),
        "s1.test": "Owls sleep . \n",
        "s2.test": "Birds sleep . \n",
        "labels.test": "entailment\n",
    },
    "mnli": {
        "multinli_1.0/multinli_1.0_train.jsonl": lines(PAIR, PAIR | {"gold_label": "-", "pairID": "2"}),
        "multinli_1.0/multinli_1.0_dev_matched.txt": table(
            ("gold_label", "sentence1", "sentence2"), ("neutral", "p", "h")
        ),
        "multinli_1.0/multinli_1.0_dev_mismatched.txt": table(
            ("gold_label", "sentence1", "sentence2"), ("contradiction", "p", "h")
        ),
    },
    "anli": {
        f"anli_v1.0/R{number}/{part}.jsonl": lines(ROUND | {"uid": f"{part}{number}", "label": label})
        for part in ("train", "dev", "test")
        for number, label in ((1, "c"), (2, "n"), (3, "e"))
    },
    "hellaswag": {
        "hellaswag_train.jsonl": lines(BEGUN),
        "hellaswag_val.jsonl": lines(BEGUN | {"label": 3}),
        "hellaswag_test.jsonl": lines({key: value for key, value in BEGUN.items() if key != "label"}),
    },
    "cosmosqa": {
        "train.csv": f'{",".join(STORY)},label\ns1,"It rained,\nand ""rained"".",Why?,w,x,y,z,2\n',
        "valid.csv": f"{','.join(STORY)},label\n{','.join(STORY.values())},0\n",
        "test.jsonl": lines(STORY),
    },
    "siqa": {
        "train.jsonl": lines(SITUATION), "train-labels.lst": "1\n",
        "dev.jsonl": lines(SITUATION, SITUATION), "dev-labels.lst": "3\n2\n",
    },
    "copa": {"copa-dev.xml": COPA},
    "squad_v1": {"train-v1.1.json": squad(ANSWERED), "dev-v1.1.json": squad(ANSWERED)},
    "squad_v2": {
        "train-v2.0.json": squad(ANSWERED | {"qas": [*ANSWERED["qas"], question("a2", "owl", 3) | {"answers": []}]}),
        "dev-v2.0.json": squad(ANSWERED),
    },
    "squad_translate_train": {
        "squad.translate.train.en-de.json": squad(TRANSLATED),
        "squad.translate.dev.en-de.json": squad(TRANSLATED),
    },
    "pawsx": {
        "x-final/de/translated_train.tsv": table(
            ("id", "sentence1", "sentence2", "label"), ("7", 'Eine "Eule', "Eule", "1")
        ),
        "x-final/de/dev_2k.tsv": table(("id", "sentence1", "sentence2", "label"), ("8", "Eine Eule", "Ein Uhu", "0")),
        "dev-zh.tsv": table(("猫", "狗", "0")),
    },
    "xnli": {
        "multinli.train.de.tsv": table(("premise", "hypo", "label"), ("Eulen schlafen", "Vögel", "contradictory")),
        "xnli.dev.tsv": table(
            ("language", "gold_label", "sentence1_tokenized", "sentence1", "sentence2"),
            ("de", "neutral", "Eulen .", "Eulen.", "Vögel."), ("en", "entailment", "Owls .", "Owls.", "Birds."),
        ),
    },
    "ccg": {
        "de/train.conll": sentences((WORDS[0], "Uhus\tUhus\tuhu\tAND\tnp/n\tO\t[]")),
        "de/dev.conll": sentences(WORDS),
        "en/train.conll": sentences(WORDS, WORDS),
        "en/dev.conll": sentences(NAMED),
    },
}  # fmt: skip
