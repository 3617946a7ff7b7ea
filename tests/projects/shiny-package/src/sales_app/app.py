"""A Shiny Express app inside a package."""

from shiny.express import ui

ui.h1("hello from shiny express in a package")
