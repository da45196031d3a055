"""The page of the Space: a form that computes the metric, and its card; `evaluate`'s own widget needs Gradio 3."""

import json
from pathlib import Path
from typing import Any

import evaluate

FOLDER = Path(__file__).parent
FORM = json.loads((FOLDER / "form.json").read_text(encoding="utf-8"))
EXAMPLE = FORM["example"]


def compute(configuration: str | None, *texts: str) -> dict[str, Any]:
    """Compute the metric of what stands in the form: a JSON text for each input of the example, in its order.

    Returns:
        The scores; where that cannot be computed, an `error` that says what is wrong.
    """
    inputs = {}
    for name, text in zip(EXAMPLE, texts, strict=True):
        try:
            inputs[name] = json.loads(text)
        except ValueError as error:
            example = json.dumps(EXAMPLE[name], ensure_ascii=False)
            return {"error": f"{name} is no JSON ({error}). Write it as in the example: {example}"}
    # By its file: in a Space the folder is not called like the metric. Anew, since a failed call leaves rows behind.
    metric = evaluate.load(str(FOLDER / FORM["module"]), configuration)
    try:
        return dict(metric.compute(**inputs))
    except (ValueError, TypeError, LookupError) as error:  # whatever a visitor wrote
        return {"error": str(error)}


def text_of(value: Any) -> str:
    """A value of the example as it stands in the form: rows on lines of their own."""
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    rows = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in value)
    return f"[{rows}]"


if __name__ == "__main__":
    import gradio as gr  # type: ignore[import-not-found]

    card = (FOLDER / "README.md").read_text(encoding="utf-8").split("---", 2)[2]
    configurations = FORM["configurations"]
    with gr.Blocks(title=FORM["title"]) as page:
        gr.Markdown(f"# {FORM['title']}\n\nEach field is JSON. {FORM['hint']}")
        with gr.Row():
            with gr.Column():
                choice = gr.Dropdown(configurations or [None], label="configuration", visible=bool(configurations))
                fields = [gr.Textbox(text_of(value), label=name, lines=2) for name, value in EXAMPLE.items()]
                button = gr.Button("Compute", variant="primary")
            result = gr.JSON(label="result")
        button.click(compute, [choice, *fields], result)
        gr.Markdown(card)
    page.launch()
