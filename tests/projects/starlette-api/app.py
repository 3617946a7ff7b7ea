"""An ASGI API without FastAPI."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def index(_request: Request) -> JSONResponse:
    return JSONResponse({"says": "hello from starlette"})


app = Starlette(routes=[Route("/", index)])
