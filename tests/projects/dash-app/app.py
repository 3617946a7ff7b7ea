"""A Dash app: what Connect runs is the WSGI application inside."""

from dash import Dash, html

app = Dash(__name__, title="Hello from dash")
app.layout = html.H1("hello from dash")
server = app.server
