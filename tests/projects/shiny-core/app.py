"""A Shiny app in the Core syntax."""

from shiny import App, Inputs, Outputs, Session, render, ui

app_ui = ui.page_fluid(
    ui.h1("hello from shiny core"),
    ui.input_slider("n", "How many?", 1, 10, 5),
    ui.output_text("doubled"),
)


def server(input: Inputs, _output: Outputs, _session: Session) -> None:  # noqa: A002 - Shiny's word
    @render.text
    def doubled() -> str:
        return f"{input.n() * 2}"


app = App(app_ui, server)
