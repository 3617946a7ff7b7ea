"""A Shiny app in the Express syntax."""

from shiny.express import input, render, ui  # noqa: A004 - Shiny's word

ui.h1("hello from shiny express")
ui.input_slider("n", "How many?", 1, 10, 5)


@render.text
def doubled() -> str:
    return f"{input.n() * 2}"
