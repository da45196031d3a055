"""The page of the Space: the metric card, since `evaluate`'s own widget needs Gradio 3, which no longer installs."""

from pathlib import Path

if __name__ == "__main__":
    import gradio as gr  # type: ignore[import-not-found]

    card = (Path(__file__).parent / "README.md").read_text(encoding="utf-8").split("---", 2)[2]
    with gr.Blocks() as page:
        gr.Markdown(card)
    page.launch()
