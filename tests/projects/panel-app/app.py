"""A Panel app: what is servable is served."""

import panel as pn

pn.extension()
pn.Column("# hello from panel", pn.widgets.IntSlider(name="How many?", start=1, end=10)).servable(
    title="hello from panel"
)
