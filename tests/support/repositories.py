"""Data set repositories written by hand, and a small NLI task that reads them."""

from datasets import Dataset, Value

from hf_stilts.task import Task

NLI = ("entailment", "neutral", "contradiction")


PAIR = {"premise": Value("string"), "hypothesis": Value("string")}


class Repository:
    """Writes data set repositories below a root, by hand: a card with `configs:` and one Parquet file a split."""

    def __init__(self, root):
        self.root = root

    def add(self, dataset, config, splits, features=None):
        folder = self.root / dataset / config
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            Dataset.from_list(rows, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
        (self.root / dataset / "README.md").write_text("\n".join([*lines, "---", ""]))
        return self.root


def nli(**changes):
    columns = {"text": "premise", "text_pair": "hypothesis", "label": "label"}
    known = {"kind": "text-classification", "dataset": "x/nli", "config": "all", "columns": columns, "labels": NLI}
    return Task(**{**known, "name": "nli", **changes})


def rows_of(*labels):
    return [{"premise": f"p{n}", "hypothesis": f"h{n}", "label": label} for n, label in enumerate(labels)]
