"""A Bokeh app in Bokeh's folder format, with a theme of its own."""

from bokeh.io import curdoc
from bokeh.plotting import figure

plot = figure(title="hello from a bokeh folder")
plot.scatter([1, 2, 3], [3, 1, 2])
curdoc().add_root(plot)
