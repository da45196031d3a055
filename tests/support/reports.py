"""A study's report with made-up numbers, as large as it is told."""

from hf_stilts.benchmark import load_benchmark
from hf_stilts.studies.tables import StudyReport, Table

XTREME = load_benchmark("xtreme")
NAME = "<script>alert('not run')</script> & ไทย"


def report(arms=("mnli", NAME), tasks=("xnli", "tatoeba")):
    """Two arms on two tasks in all their languages: gains, languages, gaps, learning; each gain another number."""
    gains, languages, gaps, learning = [], [], [], []
    for number, arm in enumerate(arms):
        for task in tasks:
            gains.append(
                {"arm": arm, "task": task, "gain": number - 0.25, "seeds": 2, "p_holm": 0.01 if number else 0.5}
            )
            for place, code in enumerate(XTREME.languages_of(task)):
                gain = place - 5.0 - number / 4
                row = {"arm": arm, "task": task, "language": code, "score": 50 + gain, "baseline": 50.0, "gain": gain}
                languages.append({**row, "seeds": 2, "rows": 1000, "low": gain - 1, "high": gain + 1, "p_holm": 0.2})
            row = {"arm": arm, "task": task, "gap": "classes 4-5 less 0-2", "points": 9.0, "baseline": 10.0 + number}
            gaps.append({**row, "reduction": 1.0 + number, "change": "reduced", "seeds": 2})
        for step in (100, 200):
            row = {"base": "xlmr", "arm": arm, "seed": 0, "step": step, "examples": 32 * step}
            learning.append({**row, "metric": "accuracy", "score": 60 + step / 100})
    tables = {"gains": gains, "languages": languages, "gaps": gaps, "learning": learning}
    return StudyReport(
        "tried",
        "Whether it is so: <b>&",
        [Table(name, f"Table of {name}", rows) for name, rows in tables.items()],
        missing=["xnli after qqp, seed 1"],
        notes=["A note & no <more>."],
        groups=dict(XTREME.groups),
    )
