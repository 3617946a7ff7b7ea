"""A Gradio app."""

import gradio as gr


def greet(name: str) -> str:
    return f"hello {name}, from gradio"


with gr.Blocks(title="hello from gradio") as demo:
    who = gr.Textbox(label="Name")
    said = gr.Textbox(label="Greeting")
    gr.Button("Greet").click(greet, who, said)
