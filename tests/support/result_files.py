"""Result files as `evaluate xtreme` writes them, with made-up scores."""

import json

DEV = {"none": {"xnli": 60.0, "pawsx": 70.0}, "mnli": {"xnli": 61.0, "pawsx": 68.0}}


SCORES = {
    "none": [
        {("xnli", "en"): 70, ("xnli", "de"): 60, ("xnli", "sw"): 40, ("pawsx", "en"): 80, ("tatoeba", "de"): 30},
        {("xnli", "en"): 74, ("xnli", "de"): 62, ("xnli", "sw"): 42, ("pawsx", "en"): 82, ("tatoeba", "de"): 30},
    ],
    "mnli": [
        {("xnli", "en"): 73, ("xnli", "de"): 64, ("xnli", "sw"): 50, ("pawsx", "en"): 79, ("tatoeba", "de"): 50},
        {("xnli", "en"): 75, ("xnli", "de"): 66, ("xnli", "sw"): 51, ("pawsx", "en"): 75, ("tatoeba", "de"): 52},
        {("xnli", "en"): 77, ("xnli", "de"): 62, ("xnli", "sw"): 46, ("pawsx", "en"): 77, ("tatoeba", "de"): 54},
    ],
}


def write(folder, start, scores, **other):
    folder.mkdir(parents=True)
    rows = [
        {"task": task, "language": language, "metric": "accuracy", "score": score, "main": True, "benchmark": "xtreme",
         "intermediate": start, "base": "xlmr", "split": "test", "setting": "zero-shot", "rows": 2,
         "dev_score": DEV.get(start, {}).get(task), **other}
        for (task, language), score in scores.items()
    ]  # fmt: skip
    rows.append(rows[0] | {"metric": "f1", "score": 0.0, "main": False})
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "results.jsonl"


def one(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]
