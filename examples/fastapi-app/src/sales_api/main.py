"""The application that Connect starts."""

import os

from fastapi import FastAPI

from sales_api import __version__
from sales_api.figures import load_figures

app = FastAPI(title="Sales API", version=__version__)


@app.get("/")
def about() -> dict[str, str]:
    return {
        "message": "Sales API is running",
        "version": __version__,
        "currency": os.environ.get("SALES_CURRENCY", "unknown"),
        "region": os.environ.get("SALES_REGION", "unknown"),
    }


@app.get("/sales/{year}")
def sales(year: int) -> dict[str, int]:
    return {quarter: amount for (y, quarter), amount in load_figures().items() if y == year}
