"""A Bokeh app: a script that fills the current document."""

from bokeh.io import curdoc
from bokeh.plotting import figure

plot = figure(title="hello from bokeh")
plot.line([1, 2, 3], [3, 1, 2])
curdoc().add_root(plot)
curdoc().title = "hello from bokeh"
