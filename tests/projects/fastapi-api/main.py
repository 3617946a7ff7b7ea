"""An ASGI API."""

from fastapi import FastAPI

api = FastAPI(title="Hello")


@api.get("/")
async def index() -> dict[str, str]:
    return {"says": "hello from fastapi"}
