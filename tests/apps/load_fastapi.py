"""FastAPI with five queries a request."""

from fastapi import FastAPI

from tests.apps.load_store import five

app = FastAPI()
five()


@app.get("/queries")
async def queries() -> int:
    return five()
